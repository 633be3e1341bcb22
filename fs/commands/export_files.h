/* What `aapfs export` writes: the keys of one AAP as files, laid out as in the mount. The main thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/store/record.h"
#include "kmsapi/client_key.h"

enum { EXPORT_FILES = 10, EXPORT_ID_SIZE = 129 };

struct export_key {
    char client_key_id[EXPORT_ID_SIZE];
    int64_t made_ns; /* its files' time */
    struct export_file {
        const char *name;
        mode_t mode;
        struct client_key_bytes bytes; /* DATA NULL: this key has no such file */
    } files[EXPORT_FILES];
    struct export_key *next;
};

/* RECORD's key, with its forms KEY (taken over: left empty). NULL when memory is short. */
struct export_key *export_key_new(const struct record *record, struct client_key *key);

/* Wipes and frees KEYS, all of them. */
void export_keys_free(struct export_key *keys);

/*
 * Writes KEYS, newest first, to the directory PATH, which is made (0700) or empty: the first one's files, a link
 * `current`, and keys/ID/ for each; synced. 0; or negative errno and REASON, and PATH as it was before.
 */
int export_write(const char *path, const struct export_key *keys, char *reason, size_t size);
