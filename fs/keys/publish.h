/*
 * What the life of keys needs from above: making a change visible. Given to the engine at start as a
 * function; the mount does it.
 */
#ifndef AAPFS_FS_KEYS_PUBLISH_H
#define AAPFS_FS_KEYS_PUBLISH_H

#include <stdint.h>

enum publish_kind {
    PUBLISH_AAP,        /* the directory of the AAP of this number */
    PUBLISH_REMOVE_AAP, /* that directory goes */
    PUBLISH_KEY,        /* keys/<id> of the key of this number; one that is there: it has other files now */
    PUBLISH_GENERATION, /* every name of this generation, `current` first */
    PUBLISH_REMOVE_KEY, /* keys/<id> of the key of this number goes */
};

struct publish_request {
    enum publish_kind kind;
    uint32_t number;
    /*
     * Called once when readers see the change: 0, or negative errno when they do not and it
     * stays as it was.
     */
    void (*done)(void *user, int result);
    void *user;
};

/* Begins a publication. The engine's thread, registry's lock not held. */
typedef void publish_begin(void *user, const struct publish_request *request);

#endif
