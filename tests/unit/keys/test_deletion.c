/* Deleting a client key: which may be, in KMS first, and what goes when. */
#include "tests/unit/engine_rig.h"

/* An engine; PAYMENTS has KAAP.1, superseded, and KAAP.2. */
static void start(void)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    rig_do("payments", RIG_PASSWORD);
}

static unsigned int on_disk(const char *id)
{
    char path[64], forms[64];
    snprintf(path, sizeof(path), "payments/%s", id);
    snprintf(forms, sizeof(forms), "payments/.%s.forms", id);
    return rig_count_files(path) + rig_count_files(forms);
}

static void assert_refused(const char *command, int result, const char *code)
{
    uint64_t number = rig_write("payments", command);
    rig_expect_nothing();
    rig_assert_failed(number, "payments", result, code);
}

static void kms_comes_first_then_the_directory_then_the_record(void **unused)
{
    start();
    uint64_t number = rig_write("payments", "delete KAAP.1");
    rig_expect(RIG_DELETE, "KAAP.1");
    rig.holds_publications = true;
    rig_answer_well();
    assert_int_equal(rig.publications[rig.publications_ended].kind, PUBLISH_REMOVE_KEY);
    assert_int_equal(on_disk("KAAP.1"), 2);
    assert_false(rig_is_answered(number));
    rig_publish(0);
    assert_int_equal(on_disk("KAAP.1"), 0);
    assert_null(registry_find_key(rig_aap("payments"), "KAAP.1"));
    assert_int_equal(rig_result(number), 0);
    assert_true(rig_has_logged("payments: deleted KAAP.1"));
}

static void where_kms_does_not_delete_it_it_stays(void **unused)
{
    start();
    uint64_t number = rig_write("payments", "delete KAAP.1");
    rig_refuse(EACCES, "Forbidden.NoPermission", 403);
    rig_assert_failed(number, "payments", -EACCES, "Forbidden.NoPermission");
    number = rig_write("payments", "delete KAAP.1");
    rig_refuse(ENOENT, "Forbidden.InstanceNotFound", 404); /* which says nothing of the key */
    assert_int_equal(rig_result(number), -ENOENT);
    number = rig_write("payments", "delete KAAP.1");
    rig_lose();
    assert_int_equal(rig_result(number), -ECONNRESET);
    assert_int_equal(on_disk("KAAP.1"), 2);
    assert_non_null(registry_find_key(rig_aap("payments"), "KAAP.1"));
}

static void what_kms_does_not_know_is_gone_already(void **unused)
{
    start();
    uint64_t number = rig_write("payments", "delete KAAP.1");
    rig_refuse(ENOENT, "Forbidden.ResourceNotFound", 404);
    assert_int_equal(rig_result(number), 0);
    assert_int_equal(on_disk("KAAP.1"), 0);
}

static void the_current_one_stays(void **unused)
{
    start();
    assert_refused("delete KAAP.2", -EBUSY, "CurrentKey");
    assert_refused("delete-foreign KAAP.2", -EBUSY, "CurrentKey");
}

static void whose_it_is_has_to_be_known_and_said(void **unused)
{
    start();
    table_make(table_find("payments"), "2023-11-01T00:00:00Z", "2024-11-01T00:00:00Z"); /* KAAP.3, by somebody */
    rig_do(NULL, "sync");
    assert_refused("delete KAAP.9", -ENOENT, "UnknownKey");
    assert_refused("delete KAAP.3", -EPERM, "NotOurs");
    assert_refused("delete-foreign KAAP.1", -EPERM, "NotOurs");
    rig_do("payments", "delete-foreign KAAP.3");
    assert_null(registry_find_foreign(rig_aap("payments"), "KAAP.3"));
    assert_int_equal(table_count(table_find("payments")), 2);
}

static void a_rejected_one_goes_with_its_record(void **unused)
{
    start();
    rig_write("payments", RIG_PASSWORD);
    rig_answer_no_key("KAAP.77");
    assert_int_equal(on_disk("KAAP.77"), 1);
    rig_write("payments", "delete KAAP.77");
    rig_expect(RIG_DELETE, "KAAP.77");
    rig_answer_well();
    assert_false(registry_has_id(rig_aap("payments")->rejected, "KAAP.77"));
    assert_int_equal(on_disk("KAAP.77"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(kms_comes_first_then_the_directory_then_the_record),
        rig_test(where_kms_does_not_delete_it_it_stays),
        rig_test(what_kms_does_not_know_is_gone_already),
        rig_test(the_current_one_stays),
        rig_test(whose_it_is_has_to_be_known_and_said),
        rig_test(a_rejected_one_goes_with_its_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
