/*
 * The commands of control: what each is called in last_error, and what begins it. The engine's thread.
 */
#ifndef AAPFS_FS_LOOP_VERBS_H
#define AAPFS_FS_LOOP_VERBS_H

#include <stdbool.h>

#include "fs/engine/control.h"

struct operation;

/* The name of its operation in last_error. */
const char *verbs_name(enum control_verb verb);

/* Whether it asks KMS for anything. */
bool verbs_asks_kms(enum control_verb verb);

/* Begins OPERATION, which is its AAP's from now on. */
void verbs_begin(struct operation *operation);

#endif
