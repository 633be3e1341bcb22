/* What an AAP's State is, in one word, from what the registry knows. Pure, any thread; with the registry's lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/model/registry.h"

enum aap_state {
    AAP_NONE,      /* no key yet */
    AAP_SCHEDULED, /* its NotBefore lies ahead */
    AAP_ACTIVE,
    AAP_EXPIRING,  /* nothing will rotate it, or a superseded key in use ends: within 30 days */
    AAP_DUE,       /* its rotation is due or under way */
    AAP_FAILING,   /* due, or to have its first key by itself, and the last attempt failed */
    AAP_DELETED,   /* KMS no longer has the current key */
    AAP_EXPIRED,
    AAP_STATE_COUNT
};

/* A key may begin this much later than now and be in force: clocks differ. */
enum { AAP_STATE_CLOCK_SECONDS = 60 };

/* The Code of a command that would have needed client keys of an AAP that is used with a RAM role. */
#define RAM_ROLE_CODE "RamRole"

/* NOW: KMS's time, seconds since 1970. */
enum aap_state aap_state_of(const struct registry_aap *aap, int64_t now);
const char *aap_state_text(enum aap_state state);

/*
 * When applications stop working if nobody does anything: the end of a superseded key in use, or of the current one
 * where nothing will rotate it or its rotation fails. 0: no such time is known.
 */
int64_t aap_state_end(const struct registry_aap *aap);
