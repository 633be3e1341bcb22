/* Which proxy a request goes through: as libcurl would have it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kmsapi/base/proxy.h"

static void reads_a_url(void **state)
{
    static const struct {
        const char *text, *host; /* NULL: refused */
        unsigned int port;
    } cases[] = {
        {"http://proxy.example.com:3128", "proxy.example.com", 3128},
        {"proxy", "proxy", 1080},
        {"https://proxy/", "proxy", 443},
        {"http://us%20er:p@ss@proxy:8080/", "proxy", 8080},
        {"http://[2001:db8::1]:99", "2001:db8::1", 99},
        {"socks5h://10.0.0.1:1", "10.0.0.1", 1},
        {"", NULL, 0},
        {"http://", NULL, 0},
        {"http://:80", NULL, 0},
        {"http://a:", NULL, 0},
        {"http://a:65536", NULL, 0},
        {"http://a:8x", NULL, 0},
        {"http://a/b", NULL, 0},
        {"http://a b:80", NULL, 0},
        {"http://[::1", NULL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct proxy proxy;
        int r = proxy_parse(cases[i].text, &proxy);
        if ((r == 0) != (cases[i].host != NULL) ||
            (r == 0 && (strcmp(proxy.host, cases[i].host) != 0 || proxy.port != cases[i].port)))
            fail_msg("%s: %d %s %u", cases[i].text, r, proxy.host, proxy.port);
    }
}

static void a_list_names_hosts(void **state)
{
    static const struct {
        const char *list, *host;
        bool named;
    } cases[] = {
        {"", "a.example.com", false},
        {"*", "a.example.com", true},
        {"example.com", "a.example.com", true},
        {".example.com", "a.example.com", true},
        {"b.com, example.com.", "A.EXAMPLE.com", true},
        {"a.example.com", "a.example.com", true},
        {"ample.com", "a.example.com", false},
        {"b.a.example.com", "a.example.com", false},
        {".", "a.example.com", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.4", "10.1.2.3", false},
        {"10.1.0.0/16", "10.1.2.3", true},
        {"10.1.2.0/31", "10.1.2.3", false},
        {"10.1.2.0/30", "10.1.2.3", true},
        {"10.1.2.3/33", "10.1.2.3", false},
        {"10.1.2.3/", "10.1.2.3", false},
        {"2.3", "10.1.2.3", false},
        {"[2001:db8::1]", "2001:db8::1", true},
        {"2001:db8::/32", "2001:db8::1", true},
        {"2001:db9::/32", "2001:db8::1", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (proxy_list_names(cases[i].list, cases[i].host) != cases[i].named)
            fail_msg("%s, %s", cases[i].list, cases[i].host);
}

static const char *chosen(const char *given, const char *url)
{
    struct endpoint endpoint;
    char reason[256];
    assert_int_equal(endpoint_parse(url, &endpoint, reason, sizeof(reason)), 0);
    return proxy_for(given, &endpoint);
}

static void the_given_one_goes_first_and_this_machine_needs_none(void **state)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
    assert_null(chosen("", "https://kms.example.com"));
    assert_string_equal(chosen("http://given:1", "https://kms.example.com"), "http://given:1");
    setenv("ALL_PROXY", "http://all:1", 1);
    assert_string_equal(chosen(NULL, "https://kms.example.com"), "http://all:1");
    setenv("https_proxy", "http://environment:1", 1);
    assert_string_equal(chosen("", "https://kms.example.com"), "http://environment:1");
    assert_string_equal(chosen("http://given:1", "https://kms.example.com"), "http://given:1");
    assert_null(chosen("http://given:1", "http://127.0.0.1:9"));
    assert_null(chosen("http://given:1", "https://127.9.9.9"));
    assert_null(chosen("http://given:1", "https://[::1]:9"));
    assert_null(chosen("http://given:1", "https://localhost:9"));
    setenv("no_proxy", "example.com", 1);
    assert_null(chosen("http://given:1", "https://kms.example.com"));
    assert_string_equal(chosen("", "https://kms.example.org"), "http://environment:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_url),
        cmocka_unit_test(a_list_names_hosts),
        cmocka_unit_test(the_given_one_goes_first_and_this_machine_needs_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
