/*
 * Whose an AAP is: the account in its Arn. Pure, any thread.
 */
#ifndef AAPFS_FS_KEYS_ARN_H
#define AAPFS_FS_KEYS_ARN_H

enum { ACCOUNT_SIZE = 33 };

/* ARN is acs:kms:REGION:ACCOUNT:RESOURCE, ACCOUNT 1 to 32 digits. 0, or -EINVAL for anything else. */
int arn_account(const char *arn, char account[static ACCOUNT_SIZE]);

#endif
