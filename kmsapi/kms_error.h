/*
 * What went wrong with a KMS request, as a value: which errno, whether to try again, whether the
 * request may have done its work. Pure functions, any thread.
 *
 * Source of the codes: KMS "Responses" and gateway error pages; the errno are aapfs's own
 * (DESIGN: "Errors").
 */
#ifndef AAPFS_KMSAPI_KMS_ERROR_H
#define AAPFS_KMSAPI_KMS_ERROR_H

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

enum kms_retry {
    KMS_RETRY_NEVER,
    KMS_RETRY_THROTTLED,   /* not carried out: any operation may be sent again */
    KMS_RETRY_UNAVAILABLE, /* 503: as throttled */
    KMS_RETRY_READ_ONLY,   /* may have been carried out: only operations that change nothing */
};

/* The errno for KMS's Code and HTTP status; EIO where nothing better is known. */
int kms_error_errno(const char *code, long http_status);

/* Whether a request that ended with this Code and status may be sent again. */
enum kms_retry kms_error_retry(const char *code, long http_status);

/* Whether KMS refused the access key or the session itself, and so did nothing else. */
bool kms_error_is_about_credentials(const char *code, long http_status);

/* Whether KMS knows who asks, and forbids them the operation. */
bool kms_error_is_forbidden(const char *code, long http_status);

/*
 * Every row of the table, for documentation and tests: row I (from 0), or false after the last.
 * PATTERN is an exact code, or one with a single "*".
 */
bool kms_error_row(size_t i, const char **pattern, int *number, enum kms_retry *retry);

/*
 * Keep a text from outside in ERROR, made harmless as error_text.h says. PASSWORD (NULL: none) is
 * what must not stand in it.
 */
void kms_error_set_message(struct kms_error *error, const char *message, size_t size,
                           const char *password);
void kms_error_set_code(struct kms_error *error, const char *code, const char *password);
void kms_error_set_request_id(struct kms_error *error, const char *request_id,
                              const char *password);

#endif
