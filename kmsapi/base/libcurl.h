/*
 * What libcurl does by itself only since a version after 7.76, which is the oldest that this is built with. Of a handle: its
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

/* EASY speaks plain HTTP if it MAY_BE_PLAIN, HTTPS if it MAY_BE_SECRET, and nothing else. */
CURLcode libcurl_set_protocols(CURL *easy, bool may_be_plain, bool may_be_secret);

/* A nameserver that does not answer delays no clean-up of EASY; before 7.87 it does. */
CURLcode libcurl_set_quick_exit(CURL *easy);

/* What is wanted of an answer's headers. */
struct answer_headers {
    int64_t date;           /* Date, seconds since 1970; 0: none */
    int64_t retry_after_ms; /* x-acs-retry-after; 0: none */
};

/* LINE, as a CURLOPT_HEADERFUNCTION is handed them: of several answers the last one's count, of headers of a name the first. */
void answer_headers_take(struct answer_headers *headers, const char *line, size_t size);
