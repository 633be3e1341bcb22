/* What is taken of an answer's headers, and that libcurl takes what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kmsapi/base/libcurl.h"

/* LINES, NULL at their end, as they come. */
static struct answer_headers of(const char *const *lines)
{
    struct answer_headers headers = {0};
    for (size_t i = 0; lines[i]; i++)
        answer_headers_take(&headers, lines[i], strlen(lines[i]));
    return headers;
}

static void date_and_retry_after_are_taken(void **state)
{
    struct answer_headers headers = of((const char *const[]){
        "HTTP/1.1 200 OK\r\n", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "X-Acs-Retry-After:1500\r\n", "\r\n", NULL});
    assert_int_equal(headers.date, 784111777);
    assert_int_equal(headers.retry_after_ms, 1500);
}

static void the_last_answer_counts_and_of_a_name_the_first(void **state)
{
    struct answer_headers headers = of((const char *const[]){
        "HTTP/1.1 100 Continue\r\n", "x-acs-retry-after: 7\r\n", "\r\n", "HTTP/1.1 200 OK\r\n",
        "date:\t Sun, 06 Nov 1994 08:49:37 GMT \r\n", "date: Mon, 07 Nov 1994 08:49:37 GMT\r\n", NULL});
    assert_int_equal(headers.date, 784111777);
    assert_int_equal(headers.retry_after_ms, 0);
}

static void what_is_none_is_none(void **state)
{
    static const char *const lines[] = {
        "", ":", "date", "date:", "date:\r\n", "date: never\r\n", "dates: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "xdate: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "date : Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "date: Sun, 06 Nov 1994 08:49:37 GMT                                                             \r\n",
        "x-acs-retry-after: -1\r\n", "x-acs-retry-after: +1\r\n", "x-acs-retry-after: soon\r\n", NULL};
    struct answer_headers headers = of(lines);
    assert_int_equal(headers.date, 0);
    assert_int_equal(headers.retry_after_ms, 0);
    headers = of((const char *const[]){"x-acs-retry-after: 99999999999999999999999999999999\r\n", NULL});
    assert_true(headers.retry_after_ms == INT64_MAX);
}

static void every_line_may_end_anywhere(void **state)
{
    static const char line[] = "x-acs-retry-after: 12";
    for (size_t size = 0; size < sizeof(line); size++) {
        struct answer_headers headers = {0};
        answer_headers_take(&headers, line, size);
        assert_int_equal(headers.retry_after_ms, size < 20 ? 0 : size == 20 ? 1 : 12);
    }
}

static void libcurl_knows_what_it_is_told(void **state)
{
    CURL *easy = curl_easy_init();
    assert_non_null(easy);
    assert_int_equal(libcurl_set_protocols(easy, true, false), CURLE_OK);
    assert_int_equal(libcurl_set_protocols(easy, false, true), CURLE_OK);
    assert_int_equal(curl_easy_setopt(easy, CURLOPT_URL, "http://127.0.0.1:9/"), CURLE_OK);
    assert_int_equal(curl_easy_perform(easy), CURLE_UNSUPPORTED_PROTOCOL);
    assert_int_equal(libcurl_set_protocols(easy, true, true), CURLE_OK);
    assert_int_equal(libcurl_set_quick_exit(easy), CURLE_OK);
    assert_int_equal(curl_easy_setopt(easy, CURLOPT_URL, "ftp://127.0.0.1:9/"), CURLE_OK);
    assert_int_equal(curl_easy_perform(easy), CURLE_UNSUPPORTED_PROTOCOL);
    curl_easy_cleanup(easy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(date_and_retry_after_are_taken),
        cmocka_unit_test(the_last_answer_counts_and_of_a_name_the_first),
        cmocka_unit_test(what_is_none_is_none),
        cmocka_unit_test(every_line_may_end_anywhere),
        cmocka_unit_test(libcurl_knows_what_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
