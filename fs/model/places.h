/*
 * The places of an AAP: KMS gives it max_keys client keys at most, whoever made them, expired ones too until they are
 * deleted. Which are filled, by whom, and which is freed for a creation: pure. Any thread; with the registry's lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/model/registry.h"

enum place_kind {
    PLACE_CURRENT,
    PLACE_CURRENT_EXPIRED, /* its files stay readable without it */
    PLACE_CURRENT_ADOPTED,
    PLACE_IN_USE,     /* superseded, and applications may still use it */
    PLACE_SUPERSEDED, /* and no longer in use */
    PLACE_EXPIRED,    /* made here, and not the current one */
    PLACE_SCHEDULED,
    PLACE_ADOPTED,
    PLACE_ORPHAN,
    PLACE_REJECTED,
    PLACE_CANDIDATE,
    PLACE_FOREIGN,
    PLACE_KINDS
};

struct place {
    const char *client_key_id; /* the registry's; NULL: none */
    enum place_kind kind;
    int64_t not_after; /* 0: not known */
};

enum { PLACES_NAMED = 8, PLACES_TEXT_SIZE = 480 };

/* What KMS has of an AAP, as far as it is known. */
struct places {
    unsigned int filled;
    unsigned int freeable; /* of these, by the rules */
    unsigned int kept;     /* of these, whose private half is here */
    unsigned int elsewhere; /* made elsewhere: foreign, adopted, maybe others */
    struct place first;    /* what is freed first */
    struct place named[PLACES_NAMED]; /* the first of those that are filled */
};

/* NOW: KMS's time. AUTOMATIC: for a rotation that nobody asks for, which may free more. */
void places_look(const struct registry_aap *aap, int64_t now, bool automatic, struct places *places);

/*
 * How many of AAP's places may be filled: max_keys. The hosts of a FLEET fill one less with keys that they keep, but for two:
 * it is left for one that is lost with its host.
 */
unsigned int places_most(const struct places *places, const struct registry_aap *aap, bool fleet);

/* Whether a creation finds one of MOST places free, or may free as many as it needs. */
bool places_are_enough(const struct places *places, unsigned int most);

/* Whether a rotation that nobody asks for would find or make its place at that time, were nothing else to change. */
bool places_allow_rotation(const struct registry_aap *aap, int64_t at, bool fleet);

/* Each id that fills one of MOST places, whose it is, and what frees it: a sentence or more. */
void places_tell(const struct places *places, unsigned int most, int64_t now, char *text, size_t size);
