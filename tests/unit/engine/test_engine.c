/* What the rooms share: KMS's time, its requests counted, and notes on AAPs. */
#include "fs/engine/engine.h"
#include "tests/unit/engine_rig.h"

static uint64_t counted(const char *operation, const char *code)
{
    for (unsigned int i = 0; i < COUNTERS_REQUEST_ROWS; i++)
        if (strcmp(rig.counters->requests[i].operation, operation) == 0 && strcmp(rig.counters->requests[i].code, code) == 0)
            return rig.counters->requests[i].count;
    return 0;
}

static void requests_are_counted_by_their_ends(void **unused)
{
    table_add("payments");
    rig_start();
    rig_lose();
    rig_pass(1000);
    table_serve();
    rig_do(NULL, "sync");
    assert_int_equal(counted("ListApplicationAccessPoints", ""), 2);
    assert_int_equal(counted("ListApplicationAccessPoints", "Network.Reset"), 1);
    assert_int_equal(counted("DescribeApplicationAccessPoint", ""), 1);
    assert_int_equal(rig.counters->duration_ms, RIG_ANSWER_MS * (counted("ListClientKeys", "") + 4));
}

static void what_is_due_by_kmss_time_is_looked_at_when_that_is_learnt(void **unused)
{
    rig_save(&(struct rig_key){"payments", "KAAP.1", "2023-11-14T00:00:00Z", "2024-11-14T00:00:00Z"});
    rig.kms_ms = 300 * RIG_DAY * 1000; /* the machine's clock is that much behind */
    rig_start();
    assert_int_equal(rig_aap("payments")->rotation.state, ROTATION_PLANNED);
    rig_expect(RIG_LIST_AAPS, "");
    rig_refuse(EAGAIN, "Throttling.User", 429);
    assert_int_equal(rig_aap("payments")->rotation.state, ROTATION_DUE);
    int64_t now = engine_now(rig.engine);
    assert_in_range(now, RIG_BEGIN + 300 * RIG_DAY - 1, RIG_BEGIN + 300 * RIG_DAY + 1);
    assert_in_range(registry_mount(rig.registry)->clock_offset_ms, rig.kms_ms - 1000, rig.kms_ms + 1000);
}

static void notes_are_made_once_and_stay_where_they_are(void **unused)
{
    rig_start();
    assert_null(engine_noted(rig.engine, 5));
    struct engine_aap *notes = engine_aap(rig.engine, 5);
    assert_non_null(notes);
    assert_non_null(engine_aap(rig.engine, 5000)); /* for which their table has to grow */
    assert_ptr_equal(engine_aap(rig.engine, 5), notes);
    assert_ptr_equal(engine_noted(rig.engine, 5), notes);
    assert_null(engine_noted(rig.engine, 4999));
    assert_null(engine_noted(rig.engine, 1000000));
}

static void one_that_is_on_its_way_out_is_not_there(void **unused)
{
    table_add("orders");
    table_add("payments");
    rig_start();
    table_serve();
    uint32_t number = rig_aap("orders")->number;
    assert_int_equal(engine_aap_count(rig.engine), 2);
    assert_true(engine_has_aap(rig.engine, number));
    table_find("orders")->gone = true;
    rig.holds_publications = true;
    rig_write(NULL, "sync");
    table_serve();
    assert_false(engine_has_aap(rig.engine, number)); /* its directory still is */
    assert_false(engine_has_aap(rig.engine, 3));
    assert_int_equal(engine_aap_count(rig.engine), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(requests_are_counted_by_their_ends),
        rig_test(what_is_due_by_kmss_time_is_looked_at_when_that_is_learnt),
        rig_test(notes_are_made_once_and_stay_where_they_are),
        rig_test(one_that_is_on_its_way_out_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
