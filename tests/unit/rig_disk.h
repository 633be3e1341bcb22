/*
 * The rig's state directory, and what an earlier worker has left in it. Nothing is synced: that costs time for nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RIG_PASSWORD "Abcdefg1~"
#define RIG_KEY "AAAA"    /* PrivateKeyData that opens, whatever the password */
#define RIG_NO_KEY "BBBB" /* and such that does not */

/* Of rig_make and rig_remove. */
void rig_make_disk(void);
void rig_remove_disk(void);

struct rig_key {
    const char *aap_name, *client_key_id;
    const char *not_before, *not_after; /* NULL: from before now until far ahead */
    const char *private_key_data;       /* NULL: RIG_KEY, and its forms are saved, too */
    const char *password;               /* NULL: RIG_PASSWORD */
    int64_t made;                       /* seconds since 1970; 0: RIG_BEGIN */
    bool dates_given, adopted, scheduled;
    bool keeps_intent; /* as if the worker had died before it could remove that */
};

/* Saves a key as an earlier worker would have. The number of its intent. */
uint64_t rig_save(const struct rig_key *key);

/* A directory for the test's own files; `state` and `key` are the rig's. */
const char *rig_place(void);

/* Files of the account's store whose name, or path below it where it has a "/", begins with PREFIX. */
unsigned int rig_count_files(const char *prefix);

/* A byte of that file of it is another one from now on. */
void rig_damage_file(const char *path);
