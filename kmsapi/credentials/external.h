/*
 * Credentials that a program prints: mode External of config.json. The caller of kmsapi runs it.
 */
#ifndef AAPFS_KMSAPI_EXTERNAL_H
#define AAPFS_KMSAPI_EXTERNAL_H

#include "kmsapi/credentials/provider.h"

int external_fetch(const struct fetching *fetching, const char *command, struct session *session,
                   char *reason, size_t size);

/* What such a program prints; for tests apart from it. */
int external_read(const char *output, struct session *session, char *reason, size_t size);

#endif
