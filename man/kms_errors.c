/*
 * kms_errors PAGE: prints PAGE, a manual in mdoc, with the table of what KMS's codes become in the place of the line
 * "@KMS_ERRORS@". The table is the one that kmsapi goes by.
 */
#include <stdio.h>
#include <string.h>

#include "kmsapi/kms_error.h"

static const char *retry_text(enum kms_retry retry)
{
    switch (retry) {
    case KMS_RETRY_THROTTLED:
        return "yes, and all requests slow down";
    case KMS_RETRY_CLOCK:
        return "yes, with the time of KMS";
    case KMS_RETRY_CREDENTIALS:
        return "once, with other credentials";
    case KMS_RETRY_NOT_CREATIONS:
        return "yes, but for creations";
    case KMS_RETRY_READ_ONCE:
        return "once, but for changes";
    case KMS_RETRY_NEVER:
        break;
    }
    return "no";
}

static void print_code(const struct kms_error_rule *rule)
{
    printf("%s", strcmp(rule->pattern, "*") == 0 ? "any other" : rule->pattern);
    if (rule->about)
        printf(" of %s", rule->about);
    if (rule->status_most && rule->status_least == rule->status_most)
        printf(", HTTP %ld", rule->status_least);
    else if (rule->status_most)
        printf(", HTTP %ld to %ld", rule->status_least, rule->status_most);
}

static void print_table(void)
{
    const struct kms_error_rule *rule;
    printf(".Bl -column \"*ApplicationAccessPoint*, HTTP 404\" \"EACCES\" \"yes, and all requests slow down\" -compact\n"
           ".It Em Code Ta Em errno Ta Em sent again\n");
    for (size_t i = 0; (rule = kms_error_rule(i)); i++) {
        printf(".It ");
        print_code(rule);
        printf(" Ta Er %s Ta %s\n", strerrorname_np(rule->number), retry_text(rule->retry));
    }
    printf(".El\n");
}

int main(int count, char **words)
{
    char line[4096];
    FILE *page = count == 2 ? fopen(words[1], "r") : NULL;
    int tables = 0;
    if (!page) {
        fprintf(stderr, "usage: kms_errors PAGE\n");
        return 2;
    }
    while (fgets(line, sizeof(line), page)) {
        if (strcmp(line, "@KMS_ERRORS@\n") == 0) {
            print_table();
            tables++;
        } else {
            fputs(line, stdout);
        }
    }
    int failed = ferror(page) || tables != 1 || fflush(stdout) != 0;
    fclose(page);
    return failed;
}
