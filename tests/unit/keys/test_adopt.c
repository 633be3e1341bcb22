/* A key that was made elsewhere: nothing is changed before it is known to be usable and this AAP's. */
#include "kmsapi/certificate.h"
#include "tests/unit/engine_rig.h"

#define ID "KAAP.77"
#define OURS "the certificate of " RIG_KEY

/* -- certificates: any text that begins so is one ------------------------------------------ */

int __wrap_certificate_read(const char *pem, struct client_key_bytes *bytes)
{
    *bytes = (struct client_key_bytes){0};
    return strncmp(pem, "the certificate", strlen("the certificate")) == 0 ? 0 : -EINVAL;
}

bool __wrap_certificate_is_of(const char *pem, const struct client_key *key, const char *password)
{
    return strcmp(pem, OURS) == 0;
}

/* ------------------------------------------------------------------------------------------ */

static uint64_t number; /* of the write */

static void write_key(const char *private_key_data)
{
    char text[256];
    snprintf(text, sizeof(text), "{\"KeyId\": \"" ID "\", \"PrivateKeyData\": \"%s\", \"Password\": \"old\"}", private_key_data);
    number = rig_write("payments", text);
}

/* An engine; the key with that PrivateKeyData was written to PAYMENTS, which has KAAP.1. */
static void adopt(const char *private_key_data)
{
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
    rig.noted_intent = 0;
    write_key(private_key_data);
}

/* What KMS says of it: this AAP's, in force, its certificate. */
static struct kms_client_key key(void)
{
    return (struct kms_client_key){.client_key_id = ID, .key_algorithm = "RSA_2048", .not_before = "2023-01-01T00:00:00Z",
                                   .not_after = "2027-01-01T00:00:00Z", .public_key_data = OURS, .aap_name = "payments"};
}

static void answer(struct kms_client_key key_of_kms)
{
    rig_expect(RIG_GET, ID);
    rig_answer(&(struct rig_result){.keys = &key_of_kms});
}

static void assert_refused(int result, const char *code)
{
    rig_assert_failed(number, "payments", result, code);
    rig_expect_nothing();
    assert_true(rig_shows("payments", "KAAP.1"));
    assert_null(registry_find_key(rig_aap("payments"), ID));
    assert_int_equal(rig_count_files("payments/" ID) + rig_count_files(".intent-"), 0);
}

static void one_that_is_usable_is_saved_and_shown_like_one_that_was_made_here(void **unused)
{
    adopt(RIG_KEY);
    rig.holds_publications = true;
    answer(key());
    assert_int_equal(rig_count_files("payments/" ID), 1);
    assert_int_not_equal(rig.noted_intent, 0);
    rig_publish(0);
    assert_false(rig_is_answered(number));
    rig_publish(0);
    assert_int_equal(rig_result(number), 0);
    assert_true(rig_shows("payments", ID));
    assert_true(rig_aap("payments")->current->adopted); /* so it is never deleted in KMS by itself */
    assert_true(rig_has_logged("payments: adopted " ID " in the place of KAAP.1"));
}

static void one_that_does_not_open_is_not_even_asked_for(void **unused)
{
    adopt(RIG_NO_KEY);
    assert_refused(-EKEYREJECTED, "KeyRejected");
}

static void what_kms_says_of_it_must_fit(void (*change)(struct kms_client_key *key), int result, const char *code)
{
    struct kms_client_key changed = key();
    adopt(RIG_KEY);
    change(&changed);
    answer(changed);
    assert_refused(result, code);
}

static void give_away(struct kms_client_key *changed)
{
    changed->aap_name = "orders";
}

static void one_of_another_aap_is_refused(void **unused)
{
    what_kms_says_of_it_must_fit(give_away, -EINVAL, "OtherAap");
}

static void exchange(struct kms_client_key *changed)
{
    changed->client_key_id = "KAAP.78";
}

static void an_answer_of_another_key_is_refused(void **unused)
{
    what_kms_says_of_it_must_fit(exchange, -EIO, "Answer.Malformed");
}

static void end(struct kms_client_key *changed)
{
    changed->not_after = "2023-11-01T00:00:00Z";
}

static void an_expired_one_is_refused(void **unused)
{
    what_kms_says_of_it_must_fit(end, -EINVAL, "Expired");
}

static void certify_another(struct kms_client_key *changed)
{
    changed->public_key_data = "the certificate of another";
}

static void one_whose_certificate_is_of_another_key_is_refused(void **unused)
{
    what_kms_says_of_it_must_fit(certify_another, -EKEYREJECTED, "OtherCertificate");
}

static void certify_nothing(struct kms_client_key *changed)
{
    changed->public_key_data = "";
}

static void one_that_cannot_be_compared_is_refused(void **unused)
{
    what_kms_says_of_it_must_fit(certify_nothing, -EIO, "Answer.Malformed");
}

static void one_that_cannot_be_saved_is_not_shown(void **unused)
{
    adopt(RIG_KEY);
    for (unsigned int writes = 0; writes < 6; writes++) {
        rig.disk_error = ENOSPC;
        rig.good_writes = writes;
        answer(key());
        rig.disk_error = 0;
        assert_refused(-ENOSPC, "State");
        write_key(RIG_KEY);
    }
}

static void nothing_is_changed_for_whom_nobody_waits_any_more(void **unused)
{
    adopt(RIG_KEY);
    rig_pass(rig.config.request_timeout_ms + 500);
    assert_int_equal(rig_result(number), -ETIMEDOUT);
    answer(key());
    assert_refused(-ETIMEDOUT, "Network.Timeout");
}

static void one_whose_private_half_is_here_is_known(void **unused)
{
    adopt(RIG_KEY);
    answer(key());
    write_key(RIG_KEY);
    rig_assert_failed(number, "payments", -EEXIST, "KnownKey");
    rig_expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(one_that_is_usable_is_saved_and_shown_like_one_that_was_made_here),
        rig_test(one_that_does_not_open_is_not_even_asked_for),
        rig_test(one_of_another_aap_is_refused),
        rig_test(an_answer_of_another_key_is_refused),
        rig_test(an_expired_one_is_refused),
        rig_test(one_whose_certificate_is_of_another_key_is_refused),
        rig_test(one_that_cannot_be_compared_is_refused),
        rig_test(one_that_cannot_be_saved_is_not_shown),
        rig_test(nothing_is_changed_for_whom_nobody_waits_any_more),
        rig_test(one_whose_private_half_is_here_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
