/* Whether an id was listed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fs/sync/listed_ids.h"

static void those_that_were_listed_are_found_and_no_others(void **unused)
{
    const struct kms_client_key keys[] = {{.client_key_id = "KAAP.3"}, {.client_key_id = "KAAP.1"}, {.client_key_id = "KAAP.20"},
                                          {.client_key_id = "KAAP.1"}, {.client_key_id = ""}};
    struct listed_ids listed;
    assert_true(listed_ids_sort(&listed, keys, 5));
    for (size_t i = 0; i < 5; i++)
        assert_true(listed_ids_have(&listed, keys[i].client_key_id));
    assert_false(listed_ids_have(&listed, "KAAP.2"));
    assert_false(listed_ids_have(&listed, "KAAP."));
    assert_false(listed_ids_have(&listed, "kaap.1"));
    free(listed.ids);
    assert_true(listed_ids_sort(&listed, keys, 1));
    assert_true(listed_ids_have(&listed, "KAAP.3"));
    free(listed.ids);
}

static void an_empty_listing_has_none(void **unused)
{
    struct listed_ids listed;
    assert_true(listed_ids_sort(&listed, NULL, 0));
    assert_false(listed_ids_have(&listed, "KAAP.1"));
    free(listed.ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_were_listed_are_found_and_no_others),
        cmocka_unit_test(an_empty_listing_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
