/*
 * The operations on application access points: operations.c's own. Any thread.
 */
#ifndef AAPFS_EMULATOR_AAP_OPERATIONS_H
#define AAPFS_EMULATOR_AAP_OPERATIONS_H

#include "kmsapi/emulator/operations.h"

void aap_create(const struct operations *operations, const struct request *request,
                enum fault_kind fault, struct reply *reply);
void aap_describe(const struct operations *operations, const struct request *request,
                  enum fault_kind fault, struct reply *reply);
void aap_update(const struct operations *operations, const struct request *request,
                enum fault_kind fault, struct reply *reply);
void aap_list(const struct operations *operations, const struct request *request,
              enum fault_kind fault, struct reply *reply);
void aap_delete(const struct operations *operations, const struct request *request,
                enum fault_kind fault, struct reply *reply);

/* False: it exists, or the name is not one. */
bool aap_add(const struct operations *operations, const char *name, const char *policies,
             const char *description);

#endif
