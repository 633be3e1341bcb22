/* What fstab may say, and what becomes of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/commands/mount/mount_options.h"

static void check_passed_on(const char *given, const char *passed_on)
{
    struct mount_options options = {0};
    char reason[256];
    assert_int_equal(mount_options_sort(given, &options, reason, sizeof(reason)), 0);
    if (passed_on)
        assert_string_equal(options.passed_on, passed_on);
    else
        assert_null(options.passed_on);
    mount_options_clear(&options);
}

static void what_is_for_others_or_always_so_is_dropped(void **state)
{
    check_passed_on("defaults,noauto,nofail,_netdev,x-systemd.requires=network-online.target,X-mount.mkdir,comment=x", NULL);
    check_passed_on("rw,suid,dev,exec,nosuid,nodev,noexec,atime,noatime,user,users,nouser,owner,group,user=alice,auto", NULL);
    check_passed_on("relatime,norelatime,strictatime,nostrictatime,diratime,nodiratime,lazytime,nolazytime", NULL);
    check_passed_on("iversion,noiversion,mand,nomand,silent,loud,nousers,noowner,nogroup", NULL);
    check_passed_on("", NULL);
    check_passed_on(",,", NULL);
}

static void what_the_mount_gets_is_passed_on(void **state)
{
    check_passed_on("ro,noauto,allow_other", "ro,allow_other");
    check_passed_on("context=system_u:object_r:tmp_t:s0,ro", "context=system_u:object_r:tmp_t:s0,ro");
    check_passed_on("fscontext=\"a:b:c:s0:c1,c2\",x-a=\"1,2\",ro", "fscontext=\"a:b:c:s0:c1\\,c2\",ro");
    check_passed_on("nonsense=a\\b", "nonsense=a\\\\b");
}

static void aapfs_takes_its_own(void **state)
{
    struct mount_options options = {0};
    char reason[256];
    assert_int_equal(mount_options_sort("config=/etc/a.conf,region=cn-beijing,ro,endpoint=http://127.0.0.1:1,"
                                        "state=/s,state_key=/k",
                                        &options, reason, sizeof(reason)), 0);
    assert_string_equal(options.config, "/etc/a.conf");
    assert_string_equal(options.region, "cn-beijing");
    assert_string_equal(options.endpoint, "http://127.0.0.1:1");
    assert_string_equal(options.state, "/s");
    assert_string_equal(options.state_key, "/k");
    assert_string_equal(options.passed_on, "ro");
    mount_options_clear(&options);
    assert_int_equal(mount_options_sort("state=\"/a b,c\",ro,config=\"/a.conf\",region=\"cn-beijing\",state_key=/\"k\"",
                                        &options, reason, sizeof(reason)), 0);
    assert_string_equal(options.state, "/a b,c");
    assert_string_equal(options.config, "/a.conf");
    assert_string_equal(options.region, "cn-beijing");
    assert_string_equal(options.state_key, "/\"k\"");
    assert_string_equal(options.passed_on, "ro");
    mount_options_clear(&options);
}

static void the_source_is_shown_as_such(void **state)
{
    struct mount_options options = {0};
    char reason[256];
    assert_int_equal(mount_options_name_source(&options, "/etc/a,b\\.conf"), 0);
    assert_string_equal(options.passed_on, "fsname=/etc/a\\,b\\\\.conf");
    mount_options_clear(&options);
    assert_int_equal(mount_options_sort("ro,fsname=keys", &options, reason, sizeof(reason)), 0);
    assert_int_equal(mount_options_name_source(&options, "aapfs"), 0);
    assert_string_equal(options.passed_on, "fsname=aapfs,ro,fsname=keys");
    mount_options_clear(&options);
}

static void what_is_wrong_is_refused_in_a_line(void **state)
{
    static const struct {
        const char *given, *reason;
    } cases[] = {
        {"ro,config=", "-o config: without a value"},
        {"config=/a,config=/b", "-o config: given twice"},
        {"state=\"\"", "-o state: without a value"},
        {"config=a.conf", "-o config: right is a path from the root, as mount(8) may be called anywhere"},
        {"state=\"a,b\"", "-o state: right is a path from the root, as mount(8) may be called anywhere"},
        {"state_key=./k", "-o state_key: right is a path from the root, as mount(8) may be called anywhere"},
        {"ro,state=\"/a,b", "-o state=\"/a,b: a quotation mark is missing"},
        {"remount,ro", "-o remount: a mount is not mounted again; `aapfs reload -m MOUNTPOINT` reads its configuration"},
        {"subtype=other", "-o subtype=other: aapfs gives the type itself"},
        {"fd=3", "-o fd=3: a descriptor is not taken this way"},
        {"context=\"a,b", "-o context=\"a,b: a quotation mark is missing"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mount_options options = {0};
        char reason[256] = "";
        assert_int_equal(mount_options_sort(cases[i].given, &options, reason, sizeof(reason)), -EINVAL);
        assert_string_equal(reason, cases[i].reason);
        mount_options_clear(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_for_others_or_always_so_is_dropped),
        cmocka_unit_test(what_the_mount_gets_is_passed_on),
        cmocka_unit_test(aapfs_takes_its_own),
        cmocka_unit_test(the_source_is_shown_as_such),
        cmocka_unit_test(what_is_wrong_is_refused_in_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
