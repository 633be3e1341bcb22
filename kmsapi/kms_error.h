/*
 * What went wrong with a KMS request, as a value: which errno, whether to try again, whether the
 * request may have done its work. Pure functions, any thread.
 *
 * Source of the codes: KMS "Responses" and gateway error pages; the errno are aapfs's own
 * (DESIGN: "Errors").
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct kms_error {
    int number;           /* errno, positive; 0: no error */
    bool maybe_done;      /* the request was sent and no answer says that it failed */
    long http_status;     /* 0: no answer came */
    char operation[48];   /* "CreateClientKey" */
    char code[96];        /* KMS's Code, or aapfs's own: "Network.Timeout", "Tls.Handshake", ... */
    char message[513];    /* harmless: see kms_error_set_message */
    char request_id[64];
};

/* Whether a request that was answered so is sent again, in its own time. */
enum kms_retry {
    KMS_RETRY_NEVER,
    KMS_RETRY_THROTTLED,     /* not carried out: any operation, slower, and every other request is slowed too */
    KMS_RETRY_CLOCK,         /* not carried out: any operation, if the answer tells that our clock was wrong */
    KMS_RETRY_CREDENTIALS,   /* not carried out: any operation, once, if there are other credentials */
    KMS_RETRY_NOT_CREATIONS, /* may have been carried out: what can be repeated harmlessly */
    KMS_RETRY_READ_ONCE,     /* may have been carried out: only what changes nothing, and once */
};

/* One rule of what KMS's answers mean; the first that fits counts. */
struct kms_error_rule {
    const char *pattern;            /* a code, in whatever letters, or one with "*" */
    const char *about;              /* the parameter that the message names, likewise; NULL: any, or none */
    long status_least, status_most; /* of the HTTP status; 0, 0: any */
    int number;
    enum kms_retry retry;
};

/* An error of one's own, not KMS's; the message is printf-like. */
struct kms_error kms_error_make(const char *operation, int number, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The errno for ERROR's Code, message and HTTP status; EIO where nothing better is known. */
int kms_error_errno(const struct kms_error *error);

/* Whether a request that ended so is sent again. */
enum kms_retry kms_error_retry(const struct kms_error *error);

/* Whether KMS itself has spoken, and not a proxy, or a server that is no KMS; false also where nobody has. */
bool kms_error_is_of_kms(const struct kms_error *error);

/* Whether KMS refused the access key or the session itself, and so did nothing else. */
bool kms_error_is_about_credentials(const struct kms_error *error);

/* Whether KMS refused the request for its time. */
bool kms_error_is_about_the_clock(const struct kms_error *error);

/* Whether what answered is not KMS, or no KMS for what is asked of it. */
bool kms_error_is_about_the_endpoint(const struct kms_error *error);

/*
 * Whether KMS knows who asks, and RAM forbids them the operation. Other codes that begin so are not about permissions: a
 * service that is not open, a debt, an access key that is off.
 */
bool kms_error_is_forbidden(const char *code, long http_status);

/* Whether what was not found is the KMS instance: that says nothing of the AAP or key that was asked for. */
bool kms_error_is_about_the_instance(const char *code);

/*
 * Whether KMS says, beyond doubt, that what ERROR's operation was asked of does not exist. ENOENT alone does not: it is also
 * the errno of codes whose meaning is only likely.
 */
bool kms_error_is_gone(const struct kms_error *error);

/* Whether a change that ended so may have been carried out all the same. */
bool kms_error_is_ambiguous(const struct kms_error *error);

/* Rule I (from 0), or NULL after the last: for documentation and tests. */
const struct kms_error_rule *kms_error_rule(size_t i);

/*
 * Keep a text from outside in ERROR, made harmless as error_text.h says. PASSWORD (NULL: none) is
 * what must not stand in it.
 */
void kms_error_set_message(struct kms_error *error, const char *message, size_t size,
                           const char *password);
void kms_error_set_code(struct kms_error *error, const char *code, const char *password);
void kms_error_set_request_id(struct kms_error *error, const char *request_id,
                              const char *password);
