/*
 * Which opens are told: those of the files with the private half. With the registry's lock held.
 */
#ifndef AAPFS_FS_TREE_AUDITED_H
#define AAPFS_FS_TREE_AUDITED_H

#include "fs/model/registry.h"
#include "fs/tree/audit.h"
#include "fs/tree/node_id.h"

/*
 * What the open of NODE reads: FILE and CLIENT_KEY_ID of OPENED. False for a node that is no private file of a key
 * (the private half and the password).
 */
bool audited_name(struct registry *registry, struct node node, struct audit_open *opened);

#endif
