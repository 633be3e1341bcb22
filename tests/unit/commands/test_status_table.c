/* What people see of a status, and whether somebody is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/commands/status/status_judge.h"
#include "fs/commands/status/status_table.h"

#define NOW  "2026-11-25T00:00:00Z"
#define ID   "KAAP.66abf237-63f6-4625-b8cf-47e1086e0000"

static struct status_style style(void)
{
    struct status_style style = {.width = 130};
    json_t *time = json_pack("{s:s}", "T", NOW);
    style.now = status_time_of(time, "T");
    json_decref(time);
    return style;
}

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static char *print(void (*function)(FILE *out, const json_t *value, const struct status_style *style),
                   const char *json, const struct status_style *how)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    json_t *value = parse(json);
    function(out, value, how);
    json_decref(value);
    fclose(out);
    return text;
}

static const char aaps[] =
    "[{\"AapName\": \"orders\", \"State\": \"expiring\", \"ClientKeyId\": \"" ID "\", "
    "\"NotAfter\": \"2027-11-25T00:00:00Z\", \"InUseUntil\": \"2026-12-05T00:00:00Z\", "
    "\"NextRotation\": \"2027-07-24T00:00:00Z\", \"LastError\": null},"
    "{\"AapName\": \"payments\", \"State\": \"failing\", \"ClientKeyId\": \"" ID "\", "
    "\"NotAfter\": \"2026-11-25T03:00:00Z\", \"InUseUntil\": null, \"NextRotation\": \"2026-11-24T00:00:00Z\", "
    "\"LastError\": {\"Code\": \"Network.Timeout\", \"Message\": \"no answer in time, and more to say\"}}]";

static void every_column_is_filled(void **state)
{
    const struct status_style how = style();
    char *text = print(status_print_aaps, aaps, &how);
    assert_string_equal(
        text,
        "AAP       STATE     KEY ID                                     EXPIRES IN  IN USE UNTIL  NEXT ROTATION  LAST ERROR\n"
        "orders    expiring  " ID "  365 d       in 10 d       in 241 d       -\n"
        "payments  failing   " ID "  3 h         -             24 h ago       Network.Timeout: no ans...\n");
    free(text);
}

static void on_a_narrow_terminal_ids_are_cut(void **state)
{
    struct status_style how = style();
    how.terminal = true;
    how.width = 100;
    char *text = print(status_print_aaps, aaps, &how);
    assert_non_null(strstr(text, "KAAP.66abf237...  365 d"));
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") <= 100);
    free(text);
}

static void nothing_from_outside_reaches_the_terminal(void **state)
{
    static const char hostile[] =
        "[{\"AapName\": \"a\\u001b[2J\\n\", \"State\": \"\\u009b31m\", \"ClientKeyId\": \"\\r\\b\\u007f\", "
        "\"LastError\": {\"Code\": \"\\u001b]0;x\\u0007\", \"Message\": \"\\u202e\"}}]";
    static const char mount[] = "{\"Version\": \"\\u001b[2J\", \"Region\": \"\\n\", \"Account\": \"\\u001b\", "
                                "\"Note\": \"\\u001b[2J\", \"LastError\": {\"Code\": \"\\u001b\", \"Message\": \"\\n\"}}";
    const struct status_style how = style();
    json_t *list = parse(hostile);
    char *one = json_dumps(json_array_get(list, 0), 0);
    char *texts[] = {print(status_print_aaps, hostile, &how), print(status_print_aap, one, &how),
                     print(status_print_mount, mount, &how)};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (const char *c = texts[i]; *c; c++)
            assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
        free(texts[i]);
    }
    free(one);
    json_decref(list);
}

static void a_clock_that_is_off_is_told(void **state)
{
    const struct status_style how = style();
    char *text = print(status_print_mount,
                       "{\"Version\": \"0.1.0\", \"Region\": \"cn-hangzhou\", \"Account\": \"1\", \"LastSync\": "
                       "\"2026-11-24T23:58:00Z\", \"ClockOffsetMilliseconds\": -3250, \"Note\": null, \"LastError\": null}",
                       &how);
    assert_string_equal(text, "aapfs 0.1.0, cn-hangzhou, account 1, last sync 2 min ago, KMS's clock -3.2 s from ours\n");
    free(text);
}

static void somebody_is_needed_for_what_fails_or_ends(void **state)
{
    static const struct {
        const char *aap;
        bool needed;
    } cases[] = {
        {"{\"State\": \"none\"}", false},
        {"{\"State\": \"none\", \"LastError\": null}", false},
        /* its creation was refused, or what is asked before one */
        {"{\"State\": \"none\", \"LastError\": {\"Operation\": \"CreateClientKey\"}}", true},
        {"{\"State\": \"none\", \"LastError\": {\"Operation\": \"DescribeApplicationAccessPoint\"}}", true},
        {"{\"State\": \"none\", \"LastError\": {\"Operation\": \"control\"}}", false},
        {"{\"State\": \"none\", \"LastError\": {\"Operation\": \"ListClientKeys\"}}", false},
        {"{\"State\": \"active\", \"NotAfter\": \"2027-01-01T00:00:00Z\", \"NextRotation\": \"2026-12-25T12:00:00Z\", "
         "\"LastError\": {\"Operation\": \"CreateClientKey\"}}", false},
        /* nobody told the applications */
        {"{\"State\": \"active\", \"LastHook\": {\"Result\": \"status 3\"}, \"InUseUntil\": \"2027-01-01T00:00:00Z\"}", true},
        {"{\"State\": \"active\", \"LastHook\": {\"Result\": \"status 3\"}, \"InUseUntil\": null}", false},
        {"{\"State\": \"active\", \"LastHook\": {\"Result\": \"ok\"}, \"InUseUntil\": \"2027-01-01T00:00:00Z\"}", false},
        {"{\"State\": \"active\", \"LastHook\": null, \"InUseUntil\": \"2027-01-01T00:00:00Z\"}", false},
        {"{\"State\": \"active\", \"NotAfter\": \"2027-01-01T00:00:00Z\"}", false},
        {"{\"State\": \"failing\", \"NotAfter\": \"2027-01-01T00:00:00Z\"}", true},
        {"{\"State\": \"expired\"}", true},
        {"{\"State\": \"deleted\"}", true},
        /* nothing will replace it */
        {"{\"State\": \"expiring\", \"NotAfter\": \"2026-12-01T23:59:59Z\"}", true},
        {"{\"State\": \"expiring\", \"NotAfter\": \"2026-12-02T00:00:00Z\"}", false},
        /* something will */
        {"{\"State\": \"active\", \"NotAfter\": \"2026-11-26T00:00:00Z\", \"NextRotation\": \"2026-11-25T12:00:00Z\"}", false},
        /* but the applications have the one before */
        {"{\"State\": \"expiring\", \"NotAfter\": \"2027-11-26T00:00:00Z\", \"NextRotation\": "
         "\"2027-06-25T12:00:00Z\", \"InUseUntil\": \"2026-11-30T00:00:00Z\"}", true},
        {"{\"State\": \"active\", \"NotAfter\": \"2027-11-01T00:00:00Z\", \"NextRotation\": \"2027-06-25T12:00:00Z\", "
         "\"Note\": \"no place for the next rotation: KMS gives this AAP 3 client keys: ...\"}", true},
        {"{\"State\": \"active\", \"NotAfter\": \"2027-11-01T00:00:00Z\", \"NextRotation\": \"2027-06-25T12:00:00Z\", "
         "\"Note\": \"no place for another client key: ...\"}", false},
        {"{\"State\": \"none\", \"Note\": \"no place for the first client key: KMS gives this AAP 3 client keys: ...\"}", true},
        {"{\"State\": \"none\", \"Note\": \"its first key is made by itself, ...\"}", false},
        {"{}", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *aap = parse(cases[i].aap);
        const char *advice = status_aap_advice(aap, style().now);
        if ((advice && *advice) != cases[i].needed)
            fail_msg("%s", cases[i].aap);
        json_decref(aap);
    }
}

/* The mount's own word is the better one, where it has one. */
static void advice_is_the_note_where_there_is_one(void **state)
{
    json_t *aap = parse("{\"State\": \"expired\", \"Note\": \"write a password\"}");
    assert_string_equal(status_aap_advice(aap, style().now), "write a password");
    json_decref(aap);
    aap = parse("{\"State\": \"active\", \"Note\": \"no place for the next rotation: KAAP.x fills one\"}");
    assert_string_equal(status_aap_advice(aap, style().now), "no place for the next rotation: KAAP.x fills one");
    json_decref(aap);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    status_print_advice(out, "pay\033ments", "an\neye");
    fclose(out);
    assert_string_equal(text, "pay?ments: an?eye\n");
    free(text);
}

static void somebody_is_needed_when_nothing_is_listed(void **state)
{
    static const struct {
        const char *mount;
        bool needed;
    } cases[] = {
        {"{\"LastSync\": \"2026-11-24T21:00:00Z\", \"SyncIntervalSeconds\": 3600}", false},
        {"{\"LastSync\": \"2026-11-24T20:59:59Z\", \"SyncIntervalSeconds\": 3600}", true},
        /* never yet: since it was mounted */
        {"{\"LastSync\": null, \"Mounted\": \"2026-11-24T23:00:00Z\", \"SyncIntervalSeconds\": 3600}", false},
        {"{\"LastSync\": null, \"Mounted\": \"2026-11-24T20:00:00Z\", \"SyncIntervalSeconds\": 3600}", true},
        /* nor will it be */
        {"{\"LastSync\": null, \"Mounted\": \"" NOW "\", \"SyncIntervalSeconds\": 3600, \"Aaps\": {}, "
         "\"LastError\": {\"Operation\": \"ListApplicationAccessPoints\"}}", true},
        {"{\"LastSync\": null, \"Mounted\": \"" NOW "\", \"SyncIntervalSeconds\": 3600, \"Aaps\": {}, "
         "\"LastError\": {\"Operation\": \"control\"}}", false},
        {"{\"LastSync\": \"" NOW "\", \"SyncIntervalSeconds\": 3600, \"Aaps\": {\"none\": 1}, "
         "\"LastError\": {\"Operation\": \"ListApplicationAccessPoints\"}}", false},
        /* there is no AAP */
        {"{\"LastSync\": null, \"Mounted\": \"" NOW "\", \"SyncIntervalSeconds\": 3600, \"Aaps\": {}, \"LastError\": null}", false},
        {"{\"LastSync\": \"" NOW "\", \"SyncIntervalSeconds\": 3600, \"Aaps\": {}}", true},
        {"{\"LastSync\": \"" NOW "\", \"SyncIntervalSeconds\": 3600, \"Aaps\": {\"none\": 1}}", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *mount = parse(cases[i].mount);
        const char *advice = status_mount_advice(mount, style().now);
        if ((advice && *advice) != cases[i].needed)
            fail_msg("%s", cases[i].mount);
        json_decref(mount);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_column_is_filled),
        cmocka_unit_test(on_a_narrow_terminal_ids_are_cut),
        cmocka_unit_test(nothing_from_outside_reaches_the_terminal),
        cmocka_unit_test(a_clock_that_is_off_is_told),
        cmocka_unit_test(somebody_is_needed_for_what_fails_or_ends),
        cmocka_unit_test(somebody_is_needed_when_nothing_is_listed),
        cmocka_unit_test(advice_is_the_note_where_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
