/*
 * Bytes and attributes of each node: a pure function of the node, the registry and the moment. With the
 * registry's lock held; what is returned lives until it is released.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "fs/model/registry.h"
#include "fs/tree/audit.h"
#include "fs/tree/node_id.h"
#include "fs/tree/report.h"
#include "fs/tree/shown.h"

/* Whose the directories, control files and reports are: the one who mounted. */
struct content_owner {
    uid_t uid;
    gid_t gid;
    int64_t mounted_ns; /* mtime of what never changes */
};

/*
 * Bytes of a regular file's node that can be read, or the target of a link. 0; -ESTALE when the
 * node's numbers mean nothing (any more); -EACCES for control, -EISDIR for a directory.
 */
int content_bytes(struct registry *registry, struct reports *reports, struct node node,
                  const struct moment *moment, const void **data, size_t *size);

/* st_ino, mode, owner, size, times, links: what a published file's bytes are of from now on. 0 or -ESTALE. */
int content_attributes(struct registry *registry, struct reports *reports, const struct content_owner *owner,
                       struct node node, const struct moment *moment, struct stat *attributes);

/*
 * Which open is told: that of a key's private half or password. What it reads: FILE and CLIENT_KEY_ID of OPENED; false for
 * any other node.
 */
bool content_audited(struct registry *registry, struct node node, struct audit_open *opened);
