/*
 * Faults on order: a file of lines "OPERATION FAULT [PROBABILITY|xTIMES]", read again when it
 * changes. OPERATION "*" is each; PROBABILITY 0 to 1; xTIMES: only so many requests. "#" begins a
 * comment. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kmsapi/emulator/reply.h"
#include "kmsapi/emulator/request.h"

enum fault_kind {
    FAULT_NONE,
    FAULT_THROTTLE,          /* 429 Rejected.Throttling; throttle=MS adds x-acs-retry-after */
    FAULT_UNAVAILABLE,       /* 503 */
    FAULT_INTERNAL,          /* 500 */
    FAULT_DELAY,             /* delay=MS before the work is done; who hangs up meanwhile gets none */
    FAULT_LATE,              /* late=MS: the same, and the work is done whoever hangs up */
    FAULT_RESET_BEFORE,      /* the connection drops before the work is done */
    FAULT_RESET_AFTER,       /* and after it */
    FAULT_TRUNCATE,          /* half of the answer, then the connection drops */
    FAULT_GARBAGE,           /* 200 and no JSON */
    FAULT_WRONG_PASSWORD,    /* the PKCS#12 is encrypted with another password */
    FAULT_EXPIRED_CLOCK,     /* InvalidTimeStamp.Expired */
    FAULT_EMPTY_LIST,        /* lists are empty */
    FAULT_SHORT_PAGE,        /* a page holds fewer than its TotalCount says */
    FAULT_DENIED,            /* 403 Forbidden.NoPermission */
    FAULT_WRONG_TYPES,       /* every member has another JSON type */
    FAULT_HUGE,              /* an answer of 64 MiB */
    FAULT_OTHER_CERTIFICATE, /* the certificate belongs to another key */
    FAULT_MISSING_ID,        /* CreateClientKey's answer lacks ClientKeyId */
    FAULT_SILENT,            /* nothing is done or answered */
    FAULT_CODE,              /* code=CODE:STATUS */
    FAULT_SIGNATURE,         /* SignatureDoesNotMatch, whose text echoes the request */
};

struct fault {
    enum fault_kind kind;
    unsigned int number; /* milliseconds, or an HTTP status */
    char code[96];
};

struct faults;

/* PATH NULL: none, ever. 0, or negative errno and REASON: no such file, a line that is wrong. */
int faults_new(const char *path, struct faults **faults, char *reason, size_t size);
void faults_free(struct faults *faults);

/*
 * The fault for one request of OPERATION: the first line that fits. A changed file that is wrong is
 * reported on stderr and leaves the earlier lines in force.
 */
struct fault faults_choose(struct faults *faults, const char *operation);

/* True: REPLY holds an error, and nothing is to be done for REQUEST. */
bool fault_reply_refuse(const struct fault *fault, const struct request *request,
                        struct reply *reply);

/* Breaks a good answer. */
void fault_reply_break(enum fault_kind fault, struct reply *reply);
