/*
 * A typed function for each KMS operation that aapfs uses (API version 2016-01-20). Asynchronous: a
 * function starts the request, its callback gets the answer from inside transport_run. Same
 * thread as the transport.
 *
 * An answer is understood or an error (EIO, Code "Answer.Malformed"), whatever the types of its members: what an operation
 * is about (an id, a name, a list) must be there, every other text is "" where KMS does not tell it as a text, and what KMS
 * has nothing to list in may be null or left out. What an answer points to lives until the callback returns.
 *
 * Each function returns 0, or -ENOMEM without having started.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kmsapi/kms_error.h"
#include "kmsapi/transport.h"

#define KMS_API_VERSION "2016-01-20"

/* What every answer carries. error.number 0: the operation succeeded. */
struct kms_answer {
    struct kms_error error;
    const char *request_id;
    const struct transport_answer *transport; /* times and attempts */
    bool uncounted; /* a listing of AAPs whose total KMS did not tell: it may lack some */
};

struct kms_client_key {
    const char *client_key_id;
    const char *key_algorithm;   /* "RSA_2048" */
    const char *not_before;      /* "2026-11-24T00:00:00Z" */
    const char *not_after;
    const char *private_key_data; /* base64 PKCS#12; CreateClientKey only */
    const char *create_time;      /* from here: List and Get only */
    const char *public_key_data;  /* PEM, real newlines */
    const char *aap_name;
};

struct kms_create_client_key {
    const char *aap_name;
    const char *password;
    const char *not_before, *not_after; /* both or neither (NULL) */
    /* as in struct transport_request; NULL: not parked. Gets kms_create_client_key's USER */
    void (*parked)(void *user);
    unsigned int park_ms;
    bool dated; /* the dates were chosen by the clock, as in struct transport_request */
};

typedef void kms_client_key_done(void *user, const struct kms_answer *answer,
                                 const struct kms_client_key *key);
typedef void kms_client_keys_done(void *user, const struct kms_answer *answer,
                                  const struct kms_client_key *keys, size_t count);
typedef void kms_simple_done(void *user, const struct kms_answer *answer);

/*
 * CreateClientKey (POST). Where KMS answered success but the answer cannot be read, the error says
 * maybe_done: a key exists. One whose id is told is an answer, whatever else is: PrivateKeyData, NotBefore and NotAfter may
 * be "".
 */
int kms_create_client_key(struct transport *transport, const struct kms_create_client_key *request,
                          unsigned int timeout_ms, kms_client_key_done *done, void *user);

/* ListClientKeys (GET) of one AAP. Not paged. */
int kms_list_client_keys(struct transport *transport, const char *aap_name,
                         unsigned int timeout_ms, kms_client_keys_done *done, void *user);

/* GetClientKey (GET). */
int kms_get_client_key(struct transport *transport, const char *client_key_id,
                       unsigned int timeout_ms, kms_client_key_done *done, void *user);

/* DeleteClientKey (POST). A key that does not exist is an error, ENOENT. */
int kms_delete_client_key(struct transport *transport, const char *client_key_id,
                          unsigned int timeout_ms, kms_simple_done *done, void *user);

struct kms_aap {
    const char *name;
    const char *authentication_method;
    const char *arn;      /* from here: Create and Describe only, else NULL */
    const char *description;
    const char *policies; /* JSON text, if it came as one */
};

/* False: applications use it with a RAM role, and it has no client keys. A method that is not told, or new, may have some. */
bool kms_aap_may_have_client_keys(const char *authentication_method);

typedef void kms_aap_done(void *user, const struct kms_answer *answer, const struct kms_aap *aap);
typedef void kms_aaps_done(void *user, const struct kms_answer *answer, const struct kms_aap *aaps,
                           size_t count);

/*
 * ListApplicationAccessPoints (POST), every page (100 a page): DONE is called once with all of
 * them, or with the first error. A listing whose pages do not add up to TotalCount, or of more
 * than 100,000 names, is an error (EIO, "Answer.Incomplete"). TIMEOUT_MS bounds each page.
 */
int kms_list_application_access_points(struct transport *transport, unsigned int timeout_ms,
                                       kms_aaps_done *done, void *user);

/* DescribeApplicationAccessPoint (POST). */
int kms_describe_application_access_point(struct transport *transport, const char *name,
                                          unsigned int timeout_ms, kms_aap_done *done, void *user);

/* CreateApplicationAccessPoint (POST). POLICIES: a JSON array of names as text. */
int kms_create_application_access_point(struct transport *transport, const char *name,
                                        const char *policies, const char *description,
                                        unsigned int timeout_ms, kms_aap_done *done, void *user);
