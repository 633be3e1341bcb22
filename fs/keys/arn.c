#include "fs/keys/arn.h"

#include <errno.h>
#include <string.h>

int arn_account(const char *arn, char account[static ACCOUNT_SIZE])
{
    static const char head[] = "acs:kms:", digits[] = "0123456789";
    if (strncmp(arn, head, strlen(head)) != 0)
        return -EINVAL;
    const char *region = arn + strlen(head);
    size_t region_size = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (region_size == 0 || region[region_size] != ':')
        return -EINVAL;
    const char *number = region + region_size + 1;
    size_t size = strspn(number, digits);
    if (size == 0 || size >= ACCOUNT_SIZE || number[size] != ':' || number[size + 1] == '\0')
        return -EINVAL;
    memcpy(account, number, size);
    account[size] = '\0';
    return 0;
}
