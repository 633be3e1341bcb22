/*
 * The V4 request signature of Alibaba Cloud's OpenAPI, ACS4-HMAC-SHA256: V3's canonical request, signed with a key that
 * holds for one day, region and product. Some SDKs sign so when they are told to. Pure, any thread.
 */
#ifndef AAPFS_EMULATOR_ACS4_H
#define AAPFS_EMULATOR_ACS4_H

#include "kmsapi/acs3.h"

/* What the key holds for, as the credential of an Authorization names it. */
struct acs4_scope {
    char date[9]; /* yyyyMMdd */
    char region[65], product[65];
};

/* As acs3_sign. */
int acs4_sign(const struct acs3_request *request, const char *access_key_secret, const struct acs4_scope *scope,
              struct acs3_signature *signature);

#endif
