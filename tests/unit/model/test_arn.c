/* The account in an Arn: one form, and nothing near it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/model/arn.h"

#define DIGITS_32 "12345678901234567890123456789012"

static const struct {
    const char *arn, *account; /* NULL: refused */
} cases[] = {
    {"acs:kms:cn-hangzhou:1192853035110000:applicationaccesspoint/payments", "1192853035110000"},
    {"acs:kms:eu-central-1:1:x", "1"},
    {"acs:kms:" DIGITS_32 "-2345678901234567890123456789012:1:x", NULL},
    {"acs:kms:cn-hangzhou:" DIGITS_32 ":x", DIGITS_32},
    {"acs:kms:cn-hangzhou:" DIGITS_32 "3:x", NULL},
    {"acs:kms:cn-hangzhou::x", NULL},
    {"acs:kms:cn-hangzhou:12a4:x", NULL},
    {"acs:kms:cn-hangzhou:../x:y", NULL},
    {"acs:kms:cn-hangzhou:1234", NULL},
    {"acs:kms:cn-hangzhou:1234:", NULL},
    {"acs:kms::1234:x", NULL},
    {"acs:kms:CN:1234:x", NULL},
    {"acs:ram:cn-hangzhou:1234:x", NULL},
    {" acs:kms:cn-hangzhou:1234:x", NULL},
    {"", NULL},
};

static void the_account_or_nothing(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char account[ACCOUNT_SIZE] = "none", region[ARN_REGION_SIZE];
        int r = arn_account(cases[i].arn, account);
        if (r != (cases[i].account ? 0 : -EINVAL) ||
            strcmp(account, cases[i].account ? cases[i].account : "none") != 0 ||
            arn_region(cases[i].arn, region) != r)
            fail_msg("%s: %d, %s", cases[i].arn, r, account);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_account_or_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
