/*
 * A key that can be used comes in: into the registry, and before the readers, its directory first, then the names. For all
 * that bring one: a creation, an adoption, judging again; and for a Scheduled one that begins. The engine's thread.
 */
#pragma once

#include "fs/store/record.h"
#include "kmsapi/client_key.h"

struct operation;

/*
 * Adds RECORD's key, with its FORMS (taken over), to the operation's AAP: as the current one unless it is Scheduled, or
 * was judged again, or comes from the fleet, and is not the one to be. 0 or negative errno.
 */
int admit_key(struct operation *operation, const struct record *record, struct client_key *forms);

/*
 * Shows keys/<id>, and has the names lead to it where it is the current one; or the latter alone. Then goes on with THEN,
 * which ends the operation, and has the applications told; where the publisher does not answer, that is the end.
 */
void admit_show_key(struct operation *operation, void (*then)(struct operation *operation));
void admit_show_names(struct operation *operation, void (*then)(struct operation *operation));
