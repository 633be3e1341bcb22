/*
 * KMS in a test's hands: each of the engine's requests waits until the test answers it. All of it while the engine stands;
 * every answer is followed by rig_settle.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/model/numbers.h"
#include "kmsapi/iso_time.h"
#include "kmsapi/kms.h"

/* How long KMS takes. */
enum { RIG_ANSWER_MS = 20 };

enum rig_operation { RIG_DESCRIBE, RIG_LIST_AAPS, RIG_LIST_KEYS, RIG_GET, RIG_CREATE, RIG_DELETE };

struct rig_request {
    enum rig_operation operation;
    char aap[AAP_NAME_SIZE];     /* whose; of RIG_GET and RIG_DELETE "" */
    char id[CLIENT_KEY_ID_SIZE]; /* of RIG_GET and RIG_DELETE */
    char not_before[ISO_TIME_SIZE], not_after[ISO_TIME_SIZE], password[129]; /* of RIG_CREATE */
    unsigned int timeout_ms;
    void (*parked)(void *user);
    union {
        kms_aap_done *aap_done;
        kms_aaps_done *aaps_done;
        kms_client_keys_done *keys_done;
        kms_client_key_done *key_done;
        kms_simple_done *simple_done;
    };
    void *user;
};

/* The oldest request that is not answered; NULL: there is none. */
const struct rig_request *rig_request(void);

/* The same, which is of OPERATION and of that AAP or key. */
const struct rig_request *rig_expect(enum rig_operation operation, const char *aap_or_id);

/* Nothing is asked of KMS now; so many requests of OPERATION wait. */
void rig_expect_nothing(void);
unsigned int rig_count_requests(enum rig_operation operation);

/* The oldest request is to be answered after all others that wait now. */
void rig_postpone(void);

/* The oldest request, which is taken away, is answered so; of RESULT all but the error's number may be NULL, "" or 0. */
struct rig_result {
    struct kms_error error;
    const struct kms_aap *aaps;
    const struct kms_client_key *keys;
    size_t count; /* of a listing's */
    bool uncounted, time_was_wrong;
    int64_t server_date; /* 0: KMS's time */
};
void rig_answer(const struct rig_result *result);

/* The same without rig_settle. */
void rig_reply(const struct rig_result *result);

/* It went well: a deletion; a Describe that tells the rig's account and METHOD (NULL: ClientKey). */
void rig_answer_well(void);
void rig_answer_aap(const char *method);

/* A Describe that tells that Arn. */
void rig_answer_arn(const char *arn);

/* A creation brought the key of that id, with the dates that were asked for, or, where none were, a year's; one that opens or not. */
void rig_answer_key(const char *client_key_id);
void rig_answer_no_key(const char *client_key_id);

/* The listing of an AAP's keys. */
void rig_answer_keys(const struct kms_client_key *keys, size_t count);

/* KMS refuses it with CODE. */
void rig_refuse(int number, const char *code, long http_status);

/* The connection breaks: of a change nobody can tell whether it was made. */
void rig_lose(void);

/* Requests that wait are forgotten: the engine has gone. */
void rig_forget_requests(void);
