/*
 * What the life of keys needs from above: making a change visible. Given to the engine at start as a
 * function; the mount does it.
 */
#pragma once

#include <stdint.h>

enum publish_kind {
    PUBLISH_AAP,        /* the directory of the AAP of this number */
    PUBLISH_REMOVE_AAP, /* that directory goes */
    PUBLISH_KEY,        /* keys/<id> of the key of this number; one that is there: it has other files now */
    PUBLISH_GENERATION, /* every name of this generation, `current` first */
    PUBLISH_REMOVE_KEY, /* keys/<id> of the key of this number goes */
    PUBLISH_FOLLOW,     /* who holds a file of this superseded generation is told that it shows another key */
    /* owners or modes are others, the bytes are not: the kernel asks for them again */
    PUBLISH_CONTROL_ATTRIBUTES,    /* of this AAP's control; 0: of the mount's */
    PUBLISH_GENERATION_ATTRIBUTES, /* of the published files of this generation */
    PUBLISH_KEY_ATTRIBUTES,        /* of the files in keys/<id> of the key of this number */
};

struct publish_request {
    enum publish_kind kind;
    uint32_t number;
    /*
     * Called once when readers see the change: 0, or negative errno when they do not and it
     * stays as it was. PUBLISH_FOLLOW: -ENOENT when the kernel has no file of it.
     */
    void (*done)(void *user, int result);
    void *user;
};

/* Begins a publication. The engine's thread, registry's lock not held. */
typedef void publish_begin(void *user, const struct publish_request *request);
