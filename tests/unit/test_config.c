/* The configuration file: what is right, and the one line that says what is not. */
#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/config.h"

static char path[] = "/tmp/aapfs-test-config-XXXXXX";

static int read_text(const char *text, size_t size, struct config *config, char *reason)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return config_read(path, config, reason, 512);
}

static void reads_a_whole_file(void **state)
{
    static const char text[] = "# ours\n[aap payments]\nmode = 0400\n\n[kms]\nregion = cn-shanghai\n"
                               "request_timeout = 1500ms\naaps = payments, orders\n[mount]\n"
                               "creation_guard = 0s\n[defaults]\nvalidity = 2y\nowner = 12\n"
                               "max_keys = 3\non_rotate = a reload ; b \"reload\"\non_rotate_timeout = 2m\n"
                               "[aap orders]\nvalidity = kms\non_rotate = none\non_rotate_user = nobody\n"
                               "on_rotate_timeout = 1s\n[aap last]\non_rotate =\n";
    struct config config;
    char reason[512] = "";
    int r = read_text(text, strlen(text), &config, reason);
    assert_string_equal(reason, "");
    assert_int_equal(r, 0);
    assert_string_equal(config.endpoint, "https://kms.cn-shanghai.aliyuncs.com");
    assert_int_equal(config.request_timeout_ms, 1500);
    assert_int_equal(config.creation_guard_ms, 0);
    assert_int_equal(config.settle_ms, 60000);
    assert_false(config.all_aaps);
    assert_int_equal(config.aap_name_count, 2);
    const struct config_aap *payments = config_for_aap(&config, "payments");
    assert_int_equal(payments->mode, 0400);
    assert_int_equal(payments->owner, 12);
    assert_int_equal(payments->max_keys, 3);
    assert_int_equal(payments->validity_seconds, 2 * 365 * 86400);
    assert_int_equal(config_for_aap(&config, "orders")->validity_seconds, 0);
    assert_int_equal(config_for_aap(&config, "other")->mode, 0440);
    assert_string_equal(payments->on_rotate, "a reload ; b \"reload\"");
    assert_true(config_has_command(payments));
    assert_int_equal(payments->on_rotate_timeout_ms, 120 * 1000);
    assert_int_equal(payments->on_rotate_user, (uid_t)-1);
    const struct config_aap *orders = config_for_aap(&config, "orders");
    assert_string_equal(orders->on_rotate, "none");
    assert_false(config_has_command(orders));
    assert_int_equal(orders->on_rotate_user, getpwnam("nobody")->pw_uid);
    assert_int_equal(orders->on_rotate_timeout_ms, 1000);
    assert_string_equal(config_for_aap(&config, "last")->on_rotate, "");
    assert_false(config_has_command(config_for_aap(&config, "last")));
    config_clear(&config);
}

static const struct {
    const char *text;
    const char *reason; /* a part of it, with the line; NULL: accepted */
} cases[] = {
    {"", NULL},
    {"[kms]\n\nregion = x/y\n", ":3: region: not a region"},
    {"[kms]\nregion =\n", ":2: region"},
    {"[kms]\nendpoint = https://kms.example.com:8443\n", NULL},
    {"[kms]\nendpoint = kms.example.com\n", NULL},
    {"[kms]\nendpoint =\n", NULL},
    {"[kms]\nendpoint = http://127.0.0.1:1234\n", NULL},
    {"[kms]\nendpoint = http://[::1]:1234/\n", NULL},
    {"[kms]\nendpoint = http://kms.example.com\n", ":2: endpoint: http:// is for"},
    {"[kms]\nendpoint = http://127.0.0.1.example.com\n", ":2: endpoint: http:// is for"},
    {"[kms]\nendpoint = ftp://kms.example.com\n", "neither https nor http"},
    {"[kms]\nendpoint = https://a:0\n", "port"},
    {"[kms]\nendpoint = https://a:65536\n", "port"},
    {"[kms]\nendpoint = https://u@a\n", "user name"},
    {"[kms]\nendpoint = https://a/b\n", "path"},
    {"[kms]\nendpoint = https://a_b\n", "neither a name"},
    {"[kms]\nrequest_timeout = 100ms\n", NULL},
    {"[kms]\nrequest_timeout = 99ms\n", ":2: request_timeout"},
    {"[kms]\nrequest_timeout = 1h\n", NULL},
    {"[kms]\nrequest_timeout = 3601s\n", ":2: request_timeout"},
    {"[kms]\nrequest_timeout = 30\n", ":2: request_timeout"},
    {"[kms]\nrequest_timeout = -1s\n", ":2: request_timeout"},
    {"[kms]\nrequest_timeout = 99999999999999999999s\n", ":2: request_timeout"},
    {"[kms]\nrequest_timeout = 30s # fast\n", ":2: request_timeout: a comment"},
    {"[kms]\nrequest_timeout = 30s ; fast\n", ":2: request_timeout: a comment"},
    {"[kms]\nregion = a\nregion = b\n", ":3: region stands twice"},
    {"[kms]\n[mount]\n[kms]\n", ":3: the section [kms] stands twice"},
    {"[aap a]\n[aap a]\n", ":2: the section [aap a] stands twice"},
    {"[aap .a]\n", ":1: [aap"},
    {"[aap]\n", ":1: unknown section"},
    {"[rest]\n", ":1: unknown section"},
    {"[kms\n", ":1: not a section"},
    {"[kms] x\n", ":1: not a section"},
    {"region = a\n", ":1: a key before any section"},
    {"[kms]\nregion\n", ":2: neither"},
    {"[kms]\nowner = root\n", ":2: unknown key \"owner\" in [kms]"},
    {"[kms]\nca_file = /x\n", ":2: unknown key"},
    {"[mount]\naudit = true\n", ":2: audit: neither yes nor no"},
    {"[mount]\ncontrol = no\n", ":2: unknown key"},
    {"[defaults]\nrotate_at = 66%\n", ":2: unknown key"},
    {"[kms]\naaps = a a\n", "stands twice"},
    {"[kms]\naaps = .a\n", "not an AAP's name"},
    {"[kms]\naaps =\n", "empty"},
    {"[mount]\nstate = /var/lib/aapfs\nstate_key = /etc/aapfs/state.key\n", NULL},
    {"[mount]\nstate =\nstate_key =\n", NULL},
    {"[mount]\nstate = aapfs\n", ":2: state: not a whole path"},
    {"[mount]\nstate_key = ~/key\n", ":2: state_key: not a whole path"},
    {"[mount]\nsettle = 1s\n", NULL},
    {"[mount]\nsettle = 1h\n", NULL},
    {"[mount]\nsettle = 999ms\n", ":2: settle: not a time from 1s to 1h"},
    {"[mount]\nsettle = 3601s\n", ":2: settle"},
    {"[mount]\ncreation_guard = 1h\n", NULL},
    {"[mount]\ncreation_guard = 2h\n", ":2: creation_guard"},
    {"[defaults]\nowner = nobody\ngroup = nogroup\n", NULL},
    {"[defaults]\nowner = no-such-user\n", ":2: owner: no such user"},
    {"[defaults]\nowner = 4294967295\n", ":2: owner"},
    {"[defaults]\ngroup =\n", ":2: group"},
    {"[defaults]\nmode = 0444\n", NULL},
    {"[defaults]\nmode = 0640\n", ":2: mode"},
    {"[defaults]\nmode = 0040\n", ":2: mode"},
    {"[defaults]\nmode = 99\n", ":2: mode"},
    {"[defaults]\nvalidity = 1m\n", NULL},
    {"[defaults]\nvalidity = 59s\n", ":2: validity"},
    {"[defaults]\nvalidity = 11y\n", ":2: validity"},
    {"[defaults]\nmax_keys = 1\n", NULL},
    {"[defaults]\nmax_keys = 0\n", ":2: max_keys"},
    {"[defaults]\nmax_keys = 100001\n", ":2: max_keys"},
    {"[defaults]\nmax_keys = 8x\n", ":2: max_keys"},
    {"[defaults]\non_rotate =\non_rotate_user =\n", NULL},
    {"[aap a]\non_rotate = none-such\n", NULL},
    {"[aap a]\non_rotate = none ; all of them look\n", ":2: on_rotate: more behind none"},
    {"[aap a]\non_rotate = none;\n", ":2: on_rotate: more behind none"},
    {"[aap a]\non_rotate = true # why not\n", ":2: on_rotate: a comment"},
    {"[aap a]\non_rotate = # later\n", ":2: on_rotate: a comment"},
    {"[aap a]\non_rotate = ; later\n", ":2: on_rotate: a comment"},
    {"[aap a]\non_rotate = a\non_rotate = b\n", ":3: on_rotate stands twice"},
    {"[kms]\non_rotate = true\n", ":2: unknown key \"on_rotate\" in [kms]"},
    {"[aap a]\non_rotate_user = nobody\n", NULL},
    {"[aap a]\non_rotate_user = no-such-user\n", ":2: on_rotate_user: no such user"},
    {"[aap a]\non_rotate_user = 4000000000\n", ":2: on_rotate_user: no such user"},
    {"[aap a]\non_rotate_timeout = 1h\n", NULL},
    {"[aap a]\non_rotate_timeout = 999ms\n", ":2: on_rotate_timeout: not a time"},
    {"[aap a]\non_rotate_timeout = 61m\n", ":2: on_rotate_timeout: not a time"},
    {"[aap a]\non_rotate_timeout = 60\n", ":2: on_rotate_timeout: not a time"},
};

static void says_what_is_wrong_and_where(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config config;
        char reason[512] = "";
        int r = read_text(cases[i].text, strlen(cases[i].text), &config, reason);
        if (r != (cases[i].reason ? -EINVAL : 0) ||
            (cases[i].reason && !strstr(reason, cases[i].reason)) || strchr(reason, '\n'))
            fail_msg("%s: %d, \"%s\"", cases[i].text, r, reason);
        config_clear(&config);
    }
}

static void counts_lines_longer_than_any_buffer(void **state)
{
    static char text[5000];
    struct config config;
    char reason[512] = "";
    size_t size = (size_t)sprintf(text, "[kms]\n# ");
    memset(text + size, 'x', 4000);
    size += 4000;
    size += (size_t)sprintf(text + size, "\nnope = 1\n");
    assert_int_equal(read_text(text, size, &config, reason), -EINVAL);
    assert_non_null(strstr(reason, ":3: unknown key"));
}

static void a_command_has_a_most_size(void **state)
{
    static char text[2 * CONFIG_COMMAND_SIZE];
    struct config config;
    char reason[512] = "";
    size_t begin = (size_t)sprintf(text, "[defaults]\non_rotate = "), size = begin + CONFIG_COMMAND_SIZE - 1;
    memset(text + begin, 'x', CONFIG_COMMAND_SIZE);
    assert_int_equal(read_text(text, size, &config, reason), 0);
    assert_int_equal(strlen(config.defaults.on_rotate), CONFIG_COMMAND_SIZE - 1);
    config_clear(&config);
    assert_int_equal(read_text(text, size + 1, &config, reason), -EINVAL);
    assert_non_null(strstr(reason, ":2: on_rotate: longer than 1023 bytes"));
}

static void refuses_a_nul_and_a_file_that_others_write(void **state)
{
    struct config config;
    char reason[512] = "";
    assert_int_equal(read_text("[kms]\n\0\n", 8, &config, reason), -EINVAL);
    assert_non_null(strstr(reason, ":2: a NUL"));
    assert_int_equal(read_text("", 0, &config, reason), 0);
    config_clear(&config);
    assert_int_equal(chmod(path, 0622), 0);
    assert_int_equal(config_read(path, &config, reason, sizeof(reason)), -EACCES);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(config_read("/nonexistent/x", &config, reason, sizeof(reason)), -ENOENT);
}

static void a_path_of_the_command_line_may_be_relative(void **state)
{
    struct config config;
    char reason[512], long_path[CONFIG_PATH_SIZE + 1] = "/";
    config_defaults(&config);
    assert_string_equal(config.state, "");
    assert_int_equal(chdir("/tmp"), 0);
    assert_int_equal(config_set_state(&config, "state", reason, sizeof(reason)), 0);
    assert_string_equal(config.state, "/tmp/state");
    assert_int_equal(config_set_state_key(&config, "/key", reason, sizeof(reason)), 0);
    assert_string_equal(config.state_key, "/key");
    assert_int_equal(config_set_state(&config, "", reason, sizeof(reason)), -EINVAL);
    memset(long_path + 1, 'x', CONFIG_PATH_SIZE - 2);
    assert_int_equal(config_set_state(&config, long_path, reason, sizeof(reason)), 0);
    long_path[CONFIG_PATH_SIZE - 1] = 'x';
    assert_int_equal(config_set_state(&config, long_path, reason, sizeof(reason)), -EINVAL);
    assert_int_equal(config_set_state(&config, long_path + 1, reason, sizeof(reason)), -EINVAL);
    config_clear(&config);
}

static void an_endpoint_follows_the_region_unless_given(void **state)
{
    struct config config;
    char reason[512];
    config_defaults(&config);
    assert_string_equal(config.endpoint, "https://kms.cn-hangzhou.aliyuncs.com");
    assert_int_equal(config_set_region(&config, "eu-central-1", reason, sizeof(reason)), 0);
    assert_string_equal(config.endpoint, "https://kms.eu-central-1.aliyuncs.com");
    assert_int_equal(config_set_endpoint(&config, "127.0.0.1:99", reason, sizeof(reason)), 0);
    assert_string_equal(config.endpoint, "https://127.0.0.1:99");
    assert_int_equal(config_set_region(&config, "cn-beijing", reason, sizeof(reason)), 0);
    assert_string_equal(config.endpoint, "https://127.0.0.1:99");
    config_clear(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_whole_file),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(counts_lines_longer_than_any_buffer),
        cmocka_unit_test(a_command_has_a_most_size),
        cmocka_unit_test(refuses_a_nul_and_a_file_that_others_write),
        cmocka_unit_test(a_path_of_the_command_line_may_be_relative),
        cmocka_unit_test(an_endpoint_follows_the_region_unless_given),
    };
    int descriptor = mkstemp(path);
    if (descriptor < 0)
        return 1;
    close(descriptor);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
