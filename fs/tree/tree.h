/* Names to nodes: lookup and listing. With the registry's lock held. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/model/registry.h"
#include "fs/tree/node_id.h"
#include "fs/tree/report.h"

struct tree {
    struct registry *registry;
    struct reports *reports;
};

/* The moment of a request. */
struct tree_time {
    int64_t now_ns; /* local, nanoseconds since 1970 */
    int64_t now;    /* KMS's, seconds since 1970 */
};

/*
 * The node that NAME shows in PARENT. 0; -ENOENT; -ESTALE for a PARENT that is no directory here. "." of a file is the
 * file: the kernel asks so for a file handle whose file it has dropped. Whether that still is one, its attributes tell.
 */
int tree_lookup(const struct tree *tree, struct node parent, const char *name,
                struct tree_time time, struct node *node);

struct tree_entry {
    const char *name;
    struct node node;
    uint64_t next; /* where the listing goes on after this entry */
};

/*
 * The first entry of DIRECTORY at or after OFFSET (0: the beginning), "." and ".." included. False
 * at the end. Offsets are made of numbers and stay right while entries come and go.
 */
bool tree_list(const struct tree *tree, struct node directory, uint64_t offset,
               struct tree_time time, struct tree_entry *entry);
