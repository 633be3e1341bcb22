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

#include "fs/config/file.h"

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
                               "rotate_at = 10d before\ndelete_superseded = 7d\ncontrol_group = 44\n"
                               "[aap orders]\nvalidity = kms\non_rotate = none\non_rotate_user = nobody\n"
                               "rotate_at = 56%\nmax_keys = 40\npassword_source = file:/p\nfirst_key = file:/f\nexpose_password = yes\n"
                               "delete_superseded = never\ncontrol_group =\n"
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
    assert_int_equal(payments->validity_years, 2);
    assert_int_equal(config_for_aap(&config, "orders")->validity_seconds, 0);
    assert_int_equal(config_for_aap(&config, "orders")->validity_years, 0);
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
    assert_int_equal(payments->rotate_at, ROTATE_BEFORE_END);
    assert_int_equal(payments->rotate_before_seconds, 10 * 86400);
    assert_int_equal(payments->delete_superseded, DELETE_AFTER);
    assert_int_equal(payments->delete_after_seconds, 7 * 86400);
    assert_int_equal(payments->control_group, 44);
    assert_int_equal(payments->password_source, PASSWORD_KEEP);
    assert_false(payments->expose_password);
    assert_int_equal(orders->rotate_at, ROTATE_AT_PERCENT);
    assert_int_equal(orders->rotate_at_percent, 56);
    assert_int_equal(orders->password_source, PASSWORD_FILE);
    assert_string_equal(orders->password_file, "/p");
    assert_int_equal(payments->first_key, FIRST_KEY_BY_HAND);
    assert_int_equal(orders->first_key, FIRST_KEY_FILE);
    assert_string_equal(orders->first_key_file, "/f");
    assert_true(orders->expose_password);
    assert_int_equal(orders->delete_superseded, DELETE_NEVER);
    assert_int_equal(orders->control_group, (gid_t)-1);
    assert_string_equal(config.file, path);
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
    {"[kms]\nendpoint = kst-hzz62ee817bvyyr5x.cryptoservice.kms.aliyuncs.com\n", ":2: endpoint: that is the address of a KMS instance"},
    {"[kms]\nendpoint = https://kst-hzz62ee817bvyyr5x.cryptoservice.kms.aliyuncs.com:443/\n", "kms.REGION.aliyuncs.com"},
    {"[kms]\nendpoint = HTTPS://KST-HZZ62EE817BVYYR5X.CRYPTOSERVICE.KMS.ALIYUNCS.COM.\n", "KMS instance"},
    {"[kms]\nendpoint = http://kst-a.cryptoservice.kms.aliyuncs.com\n", "KMS instance"},
    {"[kms]\nendpoint = kst-a.cryptoservice.kms-vpc.cn-hangzhou.aliyuncs.com/\n", "KMS instance"},
    {"[kms]\nendpoint = kst-hzz62ee817bvyyr5x\n", "KMS instance"},
    {"[kms]\nendpoint = abc.cryptoservice.kms.aliyuncs.com\n", "KMS instance"},
    {"[kms]\nendpoint = kms.cn-hangzhou.cryptoservice-mirror.example.com\n", NULL},
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
    {"[kms]\nendpoint = https://a # b\n", ":2: endpoint: a comment"},
    {"[kms]\nendpoint = a\nendpoint = b\n", ":3: endpoint stands twice"},
    {"[kms]\nregion = a ; b\n", ":2: region: a comment"},
    {"[kms]\ncredentials = default\n", NULL},
    {"[kms]\ncredentials = environment\n", NULL},
    {"[kms]\ncredentials =\n", ":2: credentials:  is no provider; right is one of default, environment, profile:NAME"},
    {"[kms]\ncredentials = Default\n", ":2: credentials: Default is no provider; right is one of"},
    {"[kms]\ncredentials = profile:x\n", NULL},
    {"[kms]\ncredentials = profile\n", ":2: credentials: profile is no provider"},
    {"[kms]\ncredentials = profile:\n", ":2: credentials: profile:... is no provider"},
    {"[kms]\ncredentials = oidc\n", NULL},
    {"[kms]\ncredentials = ecs-ram-role\n", NULL},
    {"[kms]\ncredentials = ecs-ram-role:x\n", NULL},
    {"[kms]\ncredentials = uri:http://a/\n", NULL},
    {"[kms]\ncredentials = uri:a\n", ":2: credentials: uri: not a URL; right is uri:http://"},
    {"[kms]\nnetwork = public\n", NULL},
    {"[kms]\nnetwork = vpc\n", NULL},
    {"[kms]\nnetwork =\n", ":2: network: neither public nor vpc; right is one of them"},
    {"[kms]\nnetwork = private\n", ":2: network: neither public nor vpc"},
    {"[kms]\ncredentials = default # sdk\n", ":2: credentials: a comment"},
    {"[kms]\ncredentials = default\ncredentials = default\n", ":3: credentials stands twice"},
    {"[kms]\nca_file = /x\n", NULL},
    {"[kms]\nca_file =\n", NULL},
    {"[kms]\nca_file = x\n", ":2: ca_file: not a whole path"},
    {"[kms]\nca_file = /x ; y\n", ":2: ca_file: a comment"},
    {"[kms]\nca_file = /x\nca_file = /x\n", ":3: ca_file stands twice"},
    {"[kms]\nproxy = http://proxy.example.com:3128\n", NULL},
    {"[kms]\nproxy = http://[2001:db8::1]:3128/\n", NULL},
    {"[kms]\nproxy =\n", NULL},
    {"[kms]\nproxy = http://user:secret@proxy:3128\n", ":2: proxy: not a proxy; right is http://HOST:PORT, without a user"},
    {"[kms]\nproxy = proxy:3128\n", ":2: proxy: not a proxy"},
    {"[kms]\nproxy = http://proxy:0\n", ":2: proxy: not a proxy"},
    {"[kms]\nproxy = http://proxy:65536\n", ":2: proxy: not a proxy"},
    {"[kms]\nproxy = http://\n", ":2: proxy: not a proxy"},
    {"[kms]\nproxy = socks5://proxy:1\n", ":2: proxy: not a proxy"},
    {"[kms]\nproxy = http://a:1 # b\n", ":2: proxy: a comment"},
    {"[kms]\nproxy = http://a:1\nproxy = http://a:1\n", ":3: proxy stands twice"},
    {"[kms]\nrequest_timeout = 1s\nrequest_timeout = 1s\n", ":3: request_timeout stands twice"},
    {"[kms]\nrequests_per_second = 1\n", NULL},
    {"[kms]\nrequests_per_second = 1000\n", NULL},
    {"[kms]\nrequests_per_second = 0\n", ":2: requests_per_second: not a number from 1 to 1000"},
    {"[kms]\nrequests_per_second = 1001\n", ":2: requests_per_second: not a number"},
    {"[kms]\nrequests_per_second = 2/s\n", ":2: requests_per_second: not a number"},
    {"[kms]\nrequests_per_second = -1\n", ":2: requests_per_second: not a number"},
    {"[kms]\nrequests_per_second = 2 # few\n", ":2: requests_per_second: a comment"},
    {"[kms]\nrequests_per_second = 2\nrequests_per_second = 2\n", ":3: requests_per_second stands twice"},
    {"[kms]\nsync_interval = 1s\n", NULL},
    {"[kms]\nsync_interval = 30d\n", NULL},
    {"[kms]\nsync_interval = 999ms\n", ":2: sync_interval: not a time from 1s to 30d"},
    {"[kms]\nsync_interval = 31d\n", ":2: sync_interval: not a time"},
    {"[kms]\nsync_interval = never\n", ":2: sync_interval: not a time"},
    {"[kms]\nsync_interval = 1h ; x\n", ":2: sync_interval: a comment"},
    {"[kms]\nsync_interval = 1h\nsync_interval = 1h\n", ":3: sync_interval stands twice"},
    {"[kms]\naaps = a\naaps = a\n", ":3: aaps stands twice"},
    {"[kms]\naaps = a # b\n", ":2: aaps: a comment"},
    {"[mount]\nregion = a\n", ":2: unknown key \"region\" in [mount]; see aapfs.conf(5)"},
    {"[mount]\naudit = no\n", NULL},
    {"[mount]\naudit = yes\n", NULL},
    {"[mount]\naudit = true\n", ":2: audit: neither yes nor no"},
    {"[mount]\naudit =\n", ":2: audit: neither"},
    {"[mount]\naudit = no # yet\n", ":2: audit: a comment"},
    {"[mount]\naudit = no\naudit = no\n", ":3: audit stands twice"},
    {"[mount]\ncontrol = no\n", NULL},
    {"[mount]\ncontrol = yes\n", NULL},
    {"[mount]\ncontrol = 1\n", ":2: control: neither yes nor no"},
    {"[mount]\ncontrol = no ; x\n", ":2: control: a comment"},
    {"[mount]\ncontrol = no\ncontrol = no\n", ":3: control stands twice"},
    {"[mount]\nsettle = 60s # x\n", ":2: settle: a comment"},
    {"[mount]\nsettle = 60s\nsettle = 60s\n", ":3: settle stands twice"},
    {"[mount]\ncreation_guard = 5s # x\n", ":2: creation_guard: a comment"},
    {"[mount]\ncreation_guard = x\n", ":2: creation_guard: not a time from 0s to 1h"},
    {"[mount]\ncreation_guard = 5s\ncreation_guard = 5s\n", ":3: creation_guard stands twice"},
    {"[mount]\nstate = /a # x\n", ":2: state: a comment"},
    {"[mount]\nstate = /a\nstate = /b\n", ":3: state stands twice"},
    {"[mount]\nstate_key = /a ; x\n", ":2: state_key: a comment"},
    {"[mount]\nstate_key = /a\nstate_key = /b\n", ":3: state_key stands twice"},
    {"[mount]\nowner = root\n", ":2: unknown key \"owner\" in [mount]"},
    {"[defaults]\naudit = no\n", ":2: unknown key \"audit\" in [defaults]"},
    {"[aap a]\nsettle = 1s\n", ":2: unknown key \"settle\" in [aap a]"},
    {"[defaults]\nowner = root # x\n", ":2: owner: a comment"},
    {"[defaults]\nowner = root\nowner = root\n", ":3: owner stands twice"},
    {"[defaults]\nowner = 4294967294\n", NULL},
    {"[defaults]\ngroup = 0\n", NULL},
    {"[defaults]\ngroup = no-such-group\n", ":2: group: no such group"},
    {"[defaults]\ngroup = 4294967295\n", ":2: group: no such group"},
    {"[defaults]\ngroup = root ; x\n", ":2: group: a comment"},
    {"[defaults]\ngroup = root\ngroup = root\n", ":3: group stands twice"},
    {"[defaults]\nmode = 0400 # x\n", ":2: mode: a comment"},
    {"[defaults]\nmode = 0400\nmode = 0400\n", ":3: mode stands twice"},
    {"[defaults]\ncontrol_group = root\n", NULL},
    {"[defaults]\ncontrol_group =\n", NULL},
    {"[defaults]\ncontrol_group = 12\n", NULL},
    {"[defaults]\ncontrol_group = no-such-group\n", ":2: control_group: no such group"},
    {"[defaults]\ncontrol_group = 4294967295\n", ":2: control_group: no such group"},
    {"[defaults]\ncontrol_group = root # x\n", ":2: control_group: a comment"},
    {"[defaults]\ncontrol_group = root\ncontrol_group = root\n", ":3: control_group stands twice"},
    {"[defaults]\nvalidity = 10y\n", NULL},
    {"[defaults]\nvalidity = 365\n", ":2: validity: not a time from 1s to 10y"},
    {"[defaults]\nvalidity = 1y # x\n", ":2: validity: a comment"},
    {"[defaults]\nvalidity = 1y\nvalidity = 1y\n", ":3: validity stands twice"},
    {"[defaults]\nrotate_at = 1%\non_rotate = none\ndelete_superseded = 0s\n", NULL},
    {"[defaults]\nrotate_at = 95%\n", NULL},
    {"[defaults]\nrotate_at = never\n", NULL},
    {"[defaults]\nrotate_at = 30d before\n", NULL},
    {"[defaults]\nrotate_at = 1s before\n", NULL},
    {"[defaults]\nrotate_at = 0%\n", ":2: rotate_at: not a moment; right is 1% to 95%"},
    {"[defaults]\nrotate_at = 96%\n", ":2: rotate_at: not a moment"},
    {"[defaults]\nrotate_at = 66\n", ":2: rotate_at: not a moment"},
    {"[defaults]\nrotate_at = 66 %\n", ":2: rotate_at: not a moment"},
    {"[defaults]\nrotate_at = 30d\n", ":2: rotate_at: not a moment"},
    {"[defaults]\nrotate_at = 0s before\n", ":2: rotate_at: not a moment"},
    {"[defaults]\nrotate_at = 30d after\n", ":2: rotate_at: not a moment"},
    {"[defaults]\nrotate_at = before\n", ":2: rotate_at: not a moment"},
    {"[defaults]\nrotate_at =\n", ":2: rotate_at: not a moment"},
    {"[defaults]\nrotate_at = 66% # x\n", ":2: rotate_at: a comment"},
    {"[defaults]\nrotate_at = 66%\nrotate_at = 66%\n", ":3: rotate_at stands twice"},
    {"[defaults]\npassword_source = keep\n", NULL},
    {"[defaults]\npassword_source = file:/etc/aapfs/password\n", NULL},
    {"[defaults]\npassword_source = file:password\n", ":2: password_source: no such source; right is keep, generate, or file:"},
    {"[defaults]\npassword_source = file:\n", ":2: password_source: no such source"},
    {"[defaults]\npassword_source = yes\n", ":2: password_source: no such source"},
    {"[defaults]\npassword_source =\n", ":2: password_source: no such source"},
    {"[defaults]\nfirst_key = file:/etc/aapfs/password\n", NULL},
    {"[defaults]\nfirst_key =\n", NULL},
    {"[defaults]\nfirst_key = file:password\n", ":2: first_key: no such source; right is generate, file:"},
    {"[defaults]\nfirst_key = file:\n", ":2: first_key: no such source"},
    {"[defaults]\nfirst_key = keep\n", ":2: first_key: no such source"},
    {"[defaults]\npassword_source = keep ; x\n", ":2: password_source: a comment"},
    {"[defaults]\npassword_source = keep\npassword_source = keep\n", ":3: password_source stands twice"},
    {"[defaults]\nexpose_password = yes\n", NULL},
    {"[defaults]\nexpose_password = no\n", NULL},
    {"[defaults]\nexpose_password = on\n", ":2: expose_password: neither yes nor no"},
    {"[defaults]\nexpose_password = no # x\n", ":2: expose_password: a comment"},
    {"[defaults]\nexpose_password = no\nexpose_password = no\n", ":3: expose_password stands twice"},
    {"[aap a]\non_rotate_user = root # x\n", ":2: on_rotate_user: a comment"},
    {"[aap a]\non_rotate_user = root\non_rotate_user = root\n", ":3: on_rotate_user stands twice"},
    {"[aap a]\non_rotate_timeout = 1s\n", NULL},
    {"[aap a]\non_rotate_timeout = 1s # x\n", ":2: on_rotate_timeout: a comment"},
    {"[aap a]\non_rotate_timeout = 1s\non_rotate_timeout = 1s\n", ":3: on_rotate_timeout stands twice"},
    {"[defaults]\ndelete_superseded = expired\n", NULL},
    {"[defaults]\ndelete_superseded = never\n", NULL},
    {"[defaults]\ndelete_superseded = 0s\n", NULL},
    {"[defaults]\ndelete_superseded = 10y\n", NULL},
    {"[defaults]\ndelete_superseded = 11y\n", ":2: delete_superseded: not a time from 0s to 10y"},
    {"[defaults]\ndelete_superseded = 7\n", ":2: delete_superseded: not a time"},
    {"[defaults]\ndelete_superseded = -1d\n", ":2: delete_superseded: not a time"},
    {"[defaults]\ndelete_superseded =\n", ":2: delete_superseded: not a time"},
    {"[defaults]\ndelete_superseded = 7d # x\n", ":2: delete_superseded: a comment"},
    {"[defaults]\ndelete_superseded = 7d\ndelete_superseded = 7d\n", ":3: delete_superseded stands twice"},
    {"[defaults]\nmax_keys = 100000\n", NULL},
    {"[defaults]\nmax_keys = 8 # x\n", ":2: max_keys: a comment"},
    {"[defaults]\nmax_keys = 8\nmax_keys = 8\n", ":3: max_keys stands twice"},
    /* between keys, with the line that is to be changed */
    {"[defaults]\npassword_source = generate\nexpose_password = yes\n", NULL},
    {"[aap a]\npassword_source = generate\n[defaults]\nexpose_password = yes\n", NULL},
    {"[defaults]\n\npassword_source = generate\n", ":3: password_source: generate without expose_password = yes in [defaults]"},
    {"[aap b]\n[aap a]\n\npassword_source = generate\n",
     ":4: password_source: generate without expose_password = yes in [aap a]"},
    {"[defaults]\nfirst_key = generate\nexpose_password = yes\n", NULL},
    {"[defaults]\n\nfirst_key = generate\n", ":3: first_key: generate without expose_password = yes in [defaults]"},
    {"[defaults]\nfirst_key = generate\nexpose_password = yes\n[aap a]\nfirst_key =\nexpose_password = no\n", NULL},
    {"[aap a]\nexpose_password = no\n[defaults]\nfirst_key = generate\nexpose_password = yes\n", ":2: first_key: generate"},
    {"[aap a]\nexpose_password = no\n[defaults]\npassword_source = generate\nexpose_password = yes\n",
     ":2: password_source: generate"},
    /* two keys of ours at once are all that three places bear, however many max_keys says */
    {"[defaults]\nrotate_at = 56%\n", NULL},
    {"[defaults]\n\nrotate_at = 55%\n",
     ":3: rotate_at: in [defaults] as many as 3 client keys would be unexpired at once, and KMS gives an AAP 3, of which "
     "one is for the next; right is rotate_at = 56% or later, never, or with a command or none as on_rotate a short "
     "delete_superseded like 7d"},
    {"[defaults]\nrotate_at = 30%\nvalidity = 1y\n", ":2: rotate_at: in [defaults] as many as 5 client keys"},
    {"[defaults]\nrotate_at = 30%\nvalidity = 1y\nmax_keys = 100\n", ":2: rotate_at: in [defaults] as many as 5"},
    {"[defaults]\nrotate_at = 160d before\n", NULL},
    {"[defaults]\nrotate_at = 180d before\n", ":2: rotate_at: in [defaults] as many as 3 client keys would be unexpired at "
     "once, and KMS gives an AAP 3, of which one is for the next; right is rotate_at = 56% or later"},
    {"[defaults]\nvalidity = 60s\nrotate_at = 50s before\n", ":3: rotate_at: in [defaults] as many as 6 client keys"},
    {"[defaults]\nvalidity = 1000s\nrotate_at = 441s before\n",
     ":3: rotate_at: in [defaults] as many as 3 client keys"},
    {"[defaults]\nvalidity = 1000s\nrotate_at = 440s before\n", NULL},
    {"[aap a]\nrotate_at = 10%\n[defaults]\nmax_keys = 19\n", ":2: rotate_at: in [aap a] as many as 20"},
    {"[aap a]\nvalidity = 2y\nrotate_at = 200d before\n", NULL},
    {"[aap a]\nvalidity = 300d\n[defaults]\nvalidity = 2y\nrotate_at = 200d before\n", ":2: rotate_at: in [aap a]"},
    {"[aap a]\nmax_keys = 1\n", ":2: max_keys: 1 in [aap a], but a rotation needs a place for the key that it replaces and "
     "one for the new one; right is rotate_at = never, or max_keys = 3"},
    {"[aap a]\nmax_keys = 2\n", NULL},
    {"[defaults]\nvalidity = kms\nrotate_at = 10%\n", ":3: rotate_at"},
    /* the superseded ones are deleted before that, if somebody tells their applications */
    {"[defaults]\nrotate_at = 30%\ndelete_superseded = 7d\non_rotate = none\n", NULL},
    {"[defaults]\nrotate_at = 30%\ndelete_superseded = 7d\non_rotate = true\n", NULL},
    {"[defaults]\nrotate_at = 30%\ndelete_superseded = 7d\n", ":2: rotate_at: in [defaults]"},
    {"[defaults]\nrotate_at = 30%\ndelete_superseded = never\non_rotate = none\n", ":2: rotate_at: in [defaults]"},
    {"[defaults]\nrotate_at = 30%\ndelete_superseded = 100d\non_rotate = none\n", ":2: rotate_at: in [defaults]"},
    {"[defaults]\nvalidity = 1s\nrotate_at = 1%\n", NULL}, /* not to be told in whole seconds */
    {"[defaults]\nvalidity = kms\nrotate_at = 400d before\n", NULL},
    {"[defaults]\nvalidity = 30d\nrotate_at = 30d before\n", ":3: rotate_at: not shorter than the validity in [defaults]"},
    {"[defaults]\nrotate_at = 1y before\n", ":2: rotate_at: not shorter"},
    {"[aap a]\nvalidity = 30d\n[defaults]\nrotate_at = 30d before\n", ":2: rotate_at: not shorter than the validity in [aap a]"},
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
    {"[defaults]\nvalidity = 1s\n", NULL},
    {"[defaults]\nvalidity = 0s\n", ":2: validity"},
    {"[defaults]\nvalidity = 11y\n", ":2: validity"},
    {"[defaults]\nmax_keys = 1\nrotate_at = never\n", NULL},
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
    {"[fleet]\netcd = https://a:2379\n", NULL},
    {"[fleet]\netcd = https://10.0.0.1:2379, https://10.0.0.2:2379 https://[fd00::3]:2379\n", NULL},
    {"[fleet]\netcd = http://127.0.0.1:2379\n", NULL},
    {"[fleet]\netcd = http://10.0.0.1:2379\n", ":2: etcd: http:// is for 127.0.0.1 and [::1] only"},
    {"[fleet]\netcd = https://a:2379/v3\n", ":2: etcd: a path has no place here"},
    {"[fleet]\netcd = https://u:p@a:2379\n", ":2: etcd: a user name or password has no place here"},
    {"[fleet]\netcd = a:2379,https://a:2379\n", ":2: etcd: a URL stands twice"},
    {"[fleet]\netcd = , ,\n", ":2: etcd: empty; right is https://HOST:2379"},
    {"[fleet]\netcd =\n", ":2: etcd: empty"},
    {"[fleet]\netcd = a,b,c,d,e,f,g,h,i\n", NULL},
    {"[fleet]\netcd = a,b,c,d,e,f,g,h,i,j\n", ":2: etcd: more than 9 URLs"},
    {"\n[fleet]\nprefix = a\n", ":2: [fleet] without etcd; right is etcd = https://HOST:2379"},
    {"[fleet]\n", ":1: [fleet] without etcd"},
    {"[fleet]\netcd = a\n[fleet]\n", ":3: the section [fleet] stands twice"},
    {"[fleet]\netcd = a\nprefix = /a-b/c_d.e\n", NULL},
    {"[fleet]\netcd = a\nprefix =\n", ":3: prefix: not a prefix; right is one like aapfs"},
    {"[fleet]\netcd = a\nprefix = a/\n", ":3: prefix: not a prefix"},
    {"[fleet]\netcd = a\nprefix = a//b\n", ":3: prefix: not a prefix"},
    {"[fleet]\netcd = a\nprefix = a b\n", ":3: prefix: not a prefix"},
    {"[fleet]\netcd = a\nfleet_key = /k\nca_file = /c\n", NULL},
    {"[fleet]\netcd = a\nfleet_key = k\n", ":3: fleet_key: not a whole path"},
    {"[fleet]\netcd = a\ncertificate = /c\ncertificate_key = /k\n", NULL},
    {"[fleet]\netcd = a\ncertificate = /c\n", ":3: certificate: without certificate_key; right are both, or neither"},
    {"[fleet]\ncertificate_key = /k\netcd = a\n", ":2: certificate_key: without certificate;"},
    {"[fleet]\netcd = a\nuser = u v\npassword_file = /p\n", NULL},
    {"[fleet]\netcd = a\nuser = u\n", ":3: user: without password_file;"},
    {"[fleet]\netcd = a\npassword_file = /p\n", ":3: password_file: without user;"},
    {"[fleet]\netcd = a\nuser = a\tb\npassword_file = /p\n", ":3: user: a control character"},
    {"[kms]\netcd = a\n", ":2: unknown key \"etcd\" in [kms]"},
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

static void reads_the_settings_of_kms_and_mount(void **state)
{
    static const char text[] = "[kms]\ncredentials = environment\nca_file = /ca.pem\nproxy = http://p:1\n"
                               "requests_per_second = 7\nsync_interval = 5m\n[mount]\naudit = yes\ncontrol = no\n";
    struct config config;
    char reason[512] = "";
    assert_int_equal(read_text("", 0, &config, reason), 0);
    assert_string_equal(config.credentials, "default");
    assert_string_equal(config.ca_file, "");
    assert_string_equal(config.proxy, "");
    assert_int_equal(config.requests_per_second, 2);
    assert_int_equal(config.sync_interval_ms, 3600 * 1000);
    assert_false(config.audit);
    assert_true(config.control);
    config_clear(&config);
    assert_int_equal(read_text(text, strlen(text), &config, reason), 0);
    assert_string_equal(config.credentials, "environment");
    assert_string_equal(config.ca_file, "/ca.pem");
    assert_string_equal(config.proxy, "http://p:1");
    assert_int_equal(config.requests_per_second, 7);
    assert_int_equal(config.sync_interval_ms, 300 * 1000);
    assert_true(config.audit);
    assert_false(config.control);
    config_clear(&config);
}

static void reads_the_settings_of_a_fleet(void **state)
{
    static const char text[] = "[fleet]\netcd = https://10.0.0.1:2379, etcd.example.com:443\nprefix = /p\nfleet_key = /k\n"
                               "ca_file = /ca\ncertificate = /c\ncertificate_key = /ck\nuser = u\npassword_file = /pw\n"
                               "[kms]\nca_file = /other\n";
    struct config config, other;
    char reason[512] = "";
    assert_int_equal(read_text("", 0, &other, reason), 0);
    assert_int_equal(other.fleet.etcd_count, 0);
    assert_string_equal(other.fleet.prefix, "aapfs");
    assert_int_equal(read_text(text, strlen(text), &config, reason), 0);
    const struct config_fleet *fleet = &config.fleet;
    assert_int_equal(fleet->etcd_count, 2);
    assert_string_equal(fleet->etcd[0], "https://10.0.0.1:2379");
    assert_string_equal(fleet->etcd[1], "https://etcd.example.com");
    assert_string_equal(fleet->prefix, "/p");
    assert_string_equal(fleet->fleet_key, "/k");
    assert_string_equal(fleet->ca_file, "/ca");
    assert_string_equal(fleet->certificate, "/c");
    assert_string_equal(fleet->certificate_key, "/ck");
    assert_string_equal(fleet->user, "u");
    assert_string_equal(fleet->password_file, "/pw");
    assert_string_equal(config.ca_file, "/other");
    assert_int_equal(config_check_reload(&config, &config, reason, sizeof(reason)), 0);
    strcpy(other.ca_file, config.ca_file);
    assert_int_equal(config_check_reload(&config, &other, reason, sizeof(reason)), -EINVAL);
    assert_non_null(strstr(reason, "[fleet]: cannot change on a live mount"));
    config_clear(&config);
    config_clear(&other);
}

static void finds_each_of_many_sections(void **state)
{
    static char text[64 * 1000];
    size_t size = (size_t)sprintf(text, "[defaults]\nrotate_at = never\n");
    struct config config;
    char reason[512] = "", name[16];
    for (unsigned int i = 0; i < 1000; i++)
        size += (size_t)sprintf(text + size, "[aap n%u]\nmax_keys = %u\n", i * 7 % 1000, i * 7 % 1000 + 1);
    assert_int_equal(read_text(text, size, &config, reason), 0);
    for (unsigned int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(config_for_aap(&config, name)->max_keys, i + 1);
    }
    assert_ptr_equal(config_for_aap(&config, "n1000"), &config.defaults);
    config_clear(&config);
}

static void a_copy_keeps_what_was_read(void **state)
{
    static const char text[] = "[kms]\nregion = cn-beijing\nno = 1\n";
    struct config config;
    char reason[512] = "";
    assert_int_equal(read_text(text, strlen(text) - 7, &config, reason), 0);
    config_clear(&config);
    int copy = config_copy(path, reason, sizeof(reason));
    assert_true(copy >= 0);
    assert_int_equal(read_text(text, strlen(text), &config, reason), -EINVAL);
    assert_int_equal(config_read_copy(path, copy, &config, reason, sizeof(reason)), 0);
    assert_string_equal(config.region, "cn-beijing");
    assert_string_equal(config.file, path);
    config_clear(&config);
    assert_int_equal(config_copy_seal(copy), 0);
    assert_int_equal(pwrite(copy, "x", 1, 0), -1);
    assert_int_equal(config_read_copy(path, copy, &config, reason, sizeof(reason)), 0);
    config_clear(&config);
    close(copy);
    copy = config_copy(path, reason, sizeof(reason));
    assert_int_equal(config_read_copy(path, copy, &config, reason, sizeof(reason)), -EINVAL);
    assert_non_null(strstr(reason, path));
    assert_non_null(strstr(reason, ":3: unknown key"));
    close(copy);
    assert_int_equal(config_copy("/nonexistent/x", reason, sizeof(reason)), -ENOENT);
    assert_string_equal(reason, "/nonexistent/x: No such file or directory");
}

/* Whoever reads a copy after the first asks no database: what is in its note holds. */
static void a_copy_remembers_users_and_groups(void **state)
{
    static const char text[] = "[defaults]\nowner = daemon\ngroup = daemon\non_rotate_user = daemon\n[aap a]\nowner = 7\n";
    struct config config;
    char reason[512] = "", note[4096] = "";
    assert_int_equal(read_text(text, strlen(text), &config, reason), 0);
    const uid_t uid = config.defaults.owner;
    config_clear(&config);
    int copy = config_copy(path, reason, sizeof(reason));
    off_t without = lseek(copy, 0, SEEK_END);
    assert_int_equal(config_read_copy(path, copy, &config, reason, sizeof(reason)), 0);
    assert_int_equal(config.defaults.owner, uid);
    assert_int_equal(config.defaults.on_rotate_user, uid);
    config_clear(&config);
    ssize_t size = pread(copy, note, sizeof(note) - 1, without);
    assert_true(size > 0);
    assert_non_null(strstr(note, " daemon\n"));
    static const char other[] = "u 4711 daemon\ng 4712 daemon\ne 4711 4711\n.\n";
    assert_int_equal(ftruncate(copy, without), 0);
    assert_int_equal(pwrite(copy, other, sizeof(other) - 1, without), sizeof(other) - 1);
    assert_int_equal(config_copy_seal(copy), 0);
    assert_int_equal(config_read_copy(path, copy, &config, reason, sizeof(reason)), 0);
    assert_int_equal(config.defaults.owner, 4711);
    assert_int_equal(config.defaults.group, 4712);
    assert_int_equal(config.defaults.on_rotate_user, 4711);
    assert_int_equal(config_for_aap(&config, "a")->owner, 7);
    config_clear(&config);
    close(copy);
    /* and it is over with that: the next one asks again */
    assert_int_equal(read_text(text, strlen(text), &config, reason), 0);
    assert_int_equal(config.defaults.owner, uid);
    config_clear(&config);
}

static void a_copy_that_is_spoiled_is_refused(void **state)
{
    static const char *const notes[] = {"u", "u 1", "u 4711 daemo\n.\n", "g 1 daemon\n", "\n\n", ".\n"};
    static const char text[] = "[defaults]\nowner = daemon\n";
    struct config config;
    char reason[512] = "";
    assert_int_equal(read_text(text, strlen(text), &config, reason), 0);
    config_clear(&config);
    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
        int copy = config_copy(path, reason, sizeof(reason));
        assert_int_equal(pwrite(copy, notes[i], strlen(notes[i]), lseek(copy, 0, SEEK_END)), strlen(notes[i]));
        assert_int_equal(config_read_copy(path, copy, &config, reason, sizeof(reason)), -EINVAL);
        assert_non_null(strstr(reason, ":2: owner: no such user"));
        close(copy);
    }
    int copy = config_copy(path, reason, sizeof(reason));
    assert_int_equal(ftruncate(copy, 20), 0);
    assert_int_equal(config_read_copy(path, copy, &config, reason, sizeof(reason)), -EIO);
    close(copy);
}

static const struct {
    const char *text, *key; /* what cannot change; NULL: it can */
} reloads[] = {
    {"", NULL},
    {"[kms]\nregion = b\n", "region"},
    {"[kms]\nnetwork = vpc\n", "network"},
    {"[kms]\nendpoint = https://other\n", "endpoint"},
    {"[kms]\ncredentials = environment\n", "credentials"},
    {"[kms]\ncredentials = profile:a\n", "credentials"},
    {"[kms]\nca_file = /x\n", "ca_file"},
    {"[kms]\nproxy = http://p:1\n", "proxy"},
    {"[mount]\nstate = /x\n", "state"},
    {"[mount]\nstate_key = /x\n", "state_key"},
    {"[mount]\nsettle = 59s\n", "settle"},
    {"[mount]\naudit = yes\n", "audit"},
    {"[defaults]\nexpose_password = yes\n", "expose_password"},
    {"[aap a]\nexpose_password = yes\n", "expose_password"},
    {"[aap a]\nexpose_password = no\n", NULL},
    {"[kms]\nrequest_timeout = 1s\nrequests_per_second = 9\nsync_interval = 1s\naaps = a\n[mount]\ncontrol = no\n"
     "creation_guard = 1s\n[defaults]\nowner = 1\ngroup = 1\nmode = 0400\ncontrol_group = 1\nvalidity = 2y\n"
     "rotate_at = never\npassword_source = file:/x\nfirst_key = file:/x\non_rotate = x\non_rotate_user = nobody\non_rotate_timeout = 1s\n"
     "delete_superseded = never\nmax_keys = 1\n[aap a]\nmode = 0444\n", NULL},
};

static void a_live_mount_keeps_what_cannot_change(void **state)
{
    struct config old, new;
    char reason[512] = "", expected[512];
    config_defaults(&old);
    for (size_t i = 0; i < sizeof(reloads) / sizeof(reloads[0]); i++) {
        assert_int_equal(read_text(reloads[i].text, strlen(reloads[i].text), &new, reason), 0);
        for (int turned = 0; turned < 2; turned++) {
            int r = turned ? config_check_reload(&new, &old, reason, sizeof(reason))
                           : config_check_reload(&old, &new, reason, sizeof(reason));
            assert_int_equal(r, reloads[i].key ? -EINVAL : 0);
            snprintf(expected, sizeof(expected), "%s: cannot change on a live mount; umount and mount again; nothing was "
                                                 "changed", reloads[i].key ? reloads[i].key : "");
            if (r < 0)
                assert_string_equal(reason, expected);
        }
        config_clear(&new);
    }
    config_clear(&old);
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
    assert_string_equal(config.region, "");
    assert_int_equal(config_set_region(&config, "eu-central-1", reason, sizeof(reason)), 0);
    assert_string_equal(config.endpoint, "https://kms.eu-central-1.aliyuncs.com");
    config_set_vpc(&config, true);
    assert_string_equal(config.endpoint, "https://kms-vpc.eu-central-1.aliyuncs.com");
    assert_int_equal(config_set_region(&config, "cn-beijing", reason, sizeof(reason)), 0);
    assert_string_equal(config.endpoint, "https://kms-vpc.cn-beijing.aliyuncs.com");
    assert_int_equal(config_set_endpoint(&config, "127.0.0.1:99", reason, sizeof(reason)), 0);
    assert_string_equal(config.endpoint, "https://127.0.0.1:99");
    assert_int_equal(config_set_region(&config, "cn-beijing", reason, sizeof(reason)), 0);
    config_set_vpc(&config, false);
    assert_string_equal(config.endpoint, "https://127.0.0.1:99");
    config_clear(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_whole_file),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(reads_the_settings_of_kms_and_mount),
        cmocka_unit_test(reads_the_settings_of_a_fleet),
        cmocka_unit_test(finds_each_of_many_sections),
        cmocka_unit_test(a_copy_keeps_what_was_read),
        cmocka_unit_test(a_copy_remembers_users_and_groups),
        cmocka_unit_test(a_copy_that_is_spoiled_is_refused),
        cmocka_unit_test(a_live_mount_keeps_what_cannot_change),
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
