/*
 * What one account holds: application access points and client keys, without private keys, as KMS.
 * Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct account;

/*
 * PATH (NULL: none) is read when it exists and written after every change, as JSON. FROM (NULL: none) is read in its place,
 * and has to exist. 0, or negative errno and REASON.
 */
int account_open(const char *path, const char *from, struct account **account, char *reason, size_t size);
void account_close(struct account *account);

/*
 * Between these two the lists may be used: objects by Name and by ClientKeyId, in the order in which
 * they were made. CHANGED: they are written, and a failure is said on stderr.
 */
void account_lock(struct account *account);
void account_unlock(struct account *account, bool changed);
json_t *account_aaps(struct account *account);
json_t *account_client_keys(struct account *account);
