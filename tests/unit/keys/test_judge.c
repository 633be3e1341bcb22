/* From a record to a key: what is usable, and from when on it counts. */
#include "fs/engine/engine.h"
#include "fs/keys/judge.h"
#include "tests/unit/engine_rig.h"

/* One that was asked for when the test began. */
static struct record record(const char *not_before, const char *not_after)
{
    static char aap[] = "payments", id[] = "KAAP.1", algorithm[] = "RSA_2048", data[] = RIG_KEY, password[] = RIG_PASSWORD, empty[] = "";
    return (struct record){.aap_name = aap, .client_key_id = id, .key_algorithm = algorithm,
                           .not_before = (char *)(uintptr_t)not_before, .not_after = (char *)(uintptr_t)not_after,
                           .private_key_data = data, .password = password, .request_id = empty, .asked = RIG_BEGIN};
}

static char reason[256];

static int judge(const struct record *judged)
{
    struct client_key key;
    int r = judge_record(NULL, judged, &key, reason, sizeof(reason));
    client_key_clear(&key);
    return r;
}

static void what_opens_and_has_dates_is_usable(void **unused)
{
    static char no_key[] = RIG_NO_KEY;
    struct record good = record("2023-11-14T00:00:00Z", "2024-11-14T00:00:00Z");
    assert_int_equal(judge(&good), 0);
    struct record other = record("2023-11-14T00:00:00Z", "soon");
    assert_int_equal(judge(&other), -EKEYREJECTED);
    assert_non_null(strstr(reason, "NotAfter"));
    good.private_key_data = no_key;
    assert_int_equal(judge(&good), -EKEYREJECTED);
    assert_string_equal(reason, "it does not open");
}

static void one_that_had_expired_before_it_was_asked_for_is_not(void **unused)
{
    struct record over = record("2023-11-01T00:00:00Z", "2023-11-14T22:13:20Z"); /* that second */
    assert_int_equal(judge(&over), -EKEYREJECTED);
    assert_non_null(strstr(reason, "had passed before it was asked for"));
    over.adopted = true; /* whoever gave it to us wants it */
    assert_int_equal(judge(&over), 0);
    struct record short_one = record("2023-11-01T00:00:00Z", "2023-11-14T22:13:21Z");
    assert_int_equal(judge(&short_one), 0);
}

static void one_that_was_judged_before_is_restored_from_its_forms(void **unused)
{
    struct client_key key;
    const struct record saved = record("2023-11-14T00:00:00Z", "2024-11-14T00:00:00Z");
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.1"});
    rig_save(&(struct rig_key){.aap_name = "payments", .client_key_id = "KAAP.2", .private_key_data = RIG_KEY});
    rig_start();
    assert_int_equal(judge_restore(rig.engine->store, &saved, &key), 0);
    assert_string_equal((const char *)key.private_key_pem.data, "pem\n");
    client_key_clear(&key);
    struct record without = saved;
    static char id[] = "KAAP.3";
    without.client_key_id = id;
    assert_int_equal(judge_restore(rig.engine->store, &without, &key), -ENOENT);
}

static void it_comes_after_those_that_are_here_and_waits_if_it_begins_later(void **unused)
{
    struct registry_key current = {.made_ns = (RIG_BEGIN + 10) * 1000000000}; /* the local clock was set back since */
    struct registry_aap aap = {.name = "payments"};
    struct record later = record("2023-11-14T22:14:21Z", "2024-11-14T00:00:00Z"); /* 61 s after now */
    rig.now_ms = RIG_BEGIN * 1000;
    judge_set_times(&aap, RIG_BEGIN, &later);
    assert_false(later.scheduled); /* it is the only one */
    aap.keys = aap.current = &current;
    judge_set_times(&aap, RIG_BEGIN, &later);
    assert_true(later.scheduled);
    assert_true(later.made_ns > current.made_ns);
    judge_set_times(&aap, RIG_BEGIN + 1, &later);
    assert_false(later.scheduled); /* a minute does not count: clocks differ */
    current.scheduled = true;
    current.not_before_time = RIG_BEGIN + 100;
    judge_set_times(&aap, RIG_BEGIN, &later);
    assert_int_equal(later.asked, RIG_BEGIN + 101); /* after what it replaces */
}

static void when_one_was_asked_for_that_does_not_say_is_when_it_came(void **unused)
{
    struct record old = {.made_ns = 5999999999};
    assert_int_equal(judge_asked(&old), 5);
    old.asked = 3;
    assert_int_equal(judge_asked(&old), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(what_opens_and_has_dates_is_usable),
        rig_test(one_that_had_expired_before_it_was_asked_for_is_not),
        rig_test(one_that_was_judged_before_is_restored_from_its_forms),
        rig_test(it_comes_after_those_that_are_here_and_waits_if_it_begins_later),
        rig_test(when_one_was_asked_for_that_does_not_say_is_when_it_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
