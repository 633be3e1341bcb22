/*
 * The result of one attempt of a request: libcurl's result or KMS's answer, as a kms_error. The
 * transport's own. Pure, any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <curl/curl.h>

#include "kmsapi/kms_error.h"

/* An error of aapfs's own. MESSAGE is a text of the program, or of libcurl or OpenSSL. */
void transport_error_set(struct kms_error *error, int number, const char *code,
                         const char *message);

/*
 * EASY ended with CODE, before a whole answer came. DETAIL is libcurl's error buffer. MAYBE_SENT:
 * the request may have left. ANSWER_TOO_LARGE: the body went over the limit.
 */
void transport_error_of_curl(struct kms_error *error, CURL *easy, CURLcode code,
                             const char *detail, bool maybe_sent, bool answer_too_large);

/* With what the proxy refused to connect EASY, which has ended; 0: it did not, or there is none. */
long transport_error_proxy_status(CURL *easy);

/*
 * A whole answer with STATUS that is not 2xx, and BODY. KMS and its gateway speak JSON and XML, with members in upper and lower
 * case and at some depth; anything else, a proxy's page for instance, is nobody's word: Code "Http.STATUS".
 */
void transport_error_of_answer(struct kms_error *error, long status, const char *body, size_t size,
                               const char *password);

/* A whole answer with STATUS 2xx and BODY. True: it says that the request was refused, and nothing else; ERROR tells it. */
bool transport_error_of_success(struct kms_error *error, long status, const char *body, size_t size, const char *password);
