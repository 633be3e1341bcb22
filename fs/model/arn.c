#include "fs/model/arn.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Its region and account; false: it is no Arn. */
static bool split(const char *arn, const char **region, size_t *region_size, const char **account, size_t *account_size)
{
    static const char head[] = "acs:kms:", digits[] = "0123456789";
    if (strncmp(arn, head, strlen(head)) != 0)
        return false;
    *region = arn + strlen(head);
    *region_size = strspn(*region, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (*region_size == 0 || *region_size >= ARN_REGION_SIZE || (*region)[*region_size] != ':')
        return false;
    *account = *region + *region_size + 1;
    *account_size = strspn(*account, digits);
    const char *end = *account + *account_size;
    return *account_size > 0 && *account_size < ACCOUNT_SIZE && end[0] == ':' && end[1] != '\0';
}

int arn_account(const char *arn, char account[static ACCOUNT_SIZE])
{
    const char *region, *number;
    size_t region_size, size;
    if (!split(arn, &region, &region_size, &number, &size))
        return -EINVAL;
    memcpy(account, number, size);
    account[size] = '\0';
    return 0;
}

int arn_region(const char *arn, char region[static ARN_REGION_SIZE])
{
    const char *name, *number;
    size_t size, number_size;
    if (!split(arn, &name, &size, &number, &number_size))
        return -EINVAL;
    memcpy(region, name, size);
    region[size] = '\0';
    return 0;
}
