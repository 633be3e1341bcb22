/* Whose an AAP is: the region and the account in its Arn. Pure, any thread. */
#pragma once

enum { ACCOUNT_SIZE = 33, ARN_REGION_SIZE = 64 };

/*
 * ARN is acs:kms:REGION:ACCOUNT:RESOURCE, REGION up to 63 of a-z 0-9 -, ACCOUNT 1 to 32 digits. 0, or -EINVAL for
 * anything else.
 */
int arn_account(const char *arn, char account[static ACCOUNT_SIZE]);
int arn_region(const char *arn, char region[static ARN_REGION_SIZE]);
