/* Texts from outside, made harmless; the table of KMS's codes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kmsapi/base/error_text.h"

static const char password[] = "A~!@#$%^&*?_-9z";

static void removes_every_writing_of_the_password(void **state)
{
    static const char *const writings[] = {
        "A~!@#$%^&*?_-9z",
        "A~%21%40%23%24%25%5E%26%2A%3F_-9z",
        "A~%21%40%23%24%25%5e%26%2a%3f_-9z",
        "A%7E%21%40%23%24%25%5E%26%2A%3F_-9z",
        "A~%2521%2540%2523%2524%2525%255E%2526%252A%253F_-9z",
        "QX4hQCMkJV4mKj9fLTl6",
        "QX4hQCMkJV4mKj9fLTl6==",
        "A~!@#$%^\\u0026*?_-9z",
        "A~!@#$%25^%26*?_-9z",
    };
    char text[200], clean[513];
    for (size_t i = 0; i < sizeof(writings) / sizeof(writings[0]); i++) {
        snprintf(text, sizeof(text), "Password=%s&x=%s", writings[i], writings[i]);
        error_text_clean(text, strlen(text), password, clean, sizeof(clean));
        assert_string_equal(clean, "Password=[password]&x=[password]");
    }
}

static void finds_a_password_of_percent_signs(void **state)
{
    char clean[100];
    error_text_clean("x a%25%2525b y", 14, "a%25%25b", clean, sizeof(clean));
    assert_string_equal(clean, "x [password] y"); /* its second % encoded, its first not */
    error_text_clean("x a%25%2524b y", 14, "a%25%25b", clean, sizeof(clean));
    assert_string_equal(clean, "x a%25%2524b y");
    error_text_clean("x a%25%2525b y", 14, "a%%25b", clean, sizeof(clean));
    assert_string_equal(clean, "x [password] y");
}

static void cuts_where_the_request_is_echoed(void **state)
{
    static const char text[] = "not matched. server String To Sign is:POST";
    char clean[100];
    error_text_clean(text, strlen(text), NULL, clean, sizeof(clean));
    assert_string_equal(clean, "not matched. server ");
    error_text_clean("a CanonicalRequest=", 19, NULL, clean, sizeof(clean));
    assert_string_equal(clean, "a ");
}

static void keeps_one_line_of_whole_characters(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *clean;
    } cases[] = {
        {"a\nb\tc\x7f" "d\0e", 9, "a b c d e"},
        {"gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f"},
        {"\xc3", 1, " "},
        {"\xc0\xaf", 2, "  "},             /* overlong */
        {"\xed\xa0\x80", 3, "   "},        /* surrogate */
        {"\xf4\x90\x80\x80", 4, "    "},   /* beyond U+10FFFF */
        {"\xc2\x9b" "31m", 5, "  31m"},    /* a terminal's control sequence */
        {"\xe2\x80\xa8", 3, "   "},        /* line separator */
    };
    char clean[100];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        error_text_clean(cases[i].text, cases[i].size, NULL, clean, sizeof(clean));
        assert_string_equal(clean, cases[i].clean);
    }
    error_text_clean("ab\xc3\xbc", 4, NULL, clean, 4);
    assert_string_equal(clean, "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(removes_every_writing_of_the_password),
        cmocka_unit_test(finds_a_password_of_percent_signs),
        cmocka_unit_test(cuts_where_the_request_is_echoed),
        cmocka_unit_test(keeps_one_line_of_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
