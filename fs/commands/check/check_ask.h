/* KMS, asked one question at a time and waited for: operations that change nothing. The main thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fs/engine/kms_clock.h"
#include "kmsapi/kms.h"

enum { ASK_TEXT_SIZE = 512 };

struct asking {
    struct transport *transport;
    unsigned int timeout_ms;
    struct kms_clock clock; /* what the answers say of the time */
    /* of the last question */
    bool answered;
    struct kms_error error; /* number 0: it went well */
    size_t count;           /* of what was listed */
    char text[ASK_TEXT_SIZE]; /* an AAP's Arn, the first listed client key's id, else "" */
    bool may_have_client_keys; /* the AAP that was described */
    void (*aap)(void *user, const struct kms_aap *aap); /* for each listed AAP */
    void (*id)(void *user, const char *client_key_id);  /* for each listed client key; NULL: none */
    void *user;
};

/* Each returns whether it went well. */
bool ask_aaps(struct asking *asking, void (*aap)(void *user, const struct kms_aap *aap), void *user);
bool ask_aap(struct asking *asking, const char *aap_name);
bool ask_client_keys(struct asking *asking, const char *aap_name, void (*id)(void *user, const char *client_key_id), void *user);
bool ask_client_key(struct asking *asking, const char *client_key_id);
