/*
 * The worker's side of publishing: hidden one-time names, what each of them leads to, and what the publisher has made
 * of them.
 *
 * A publication renames, in one directory, hidden names over the names that readers know. A hidden name is "." and 32
 * random hexadecimal digits: whoever knows it is the publisher. It is never listed and is spent by its RENAME.
 *
 * publication_* by the engine's thread; hidden_* by the session's, with the registry's lock held.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/engine/publish.h"
#include "fs/model/registry.h"
#include "fs/mount/mount_memory.h"
#include "fs/tree/node_id.h"

struct publications;

/*
 * SOCKET: to the publisher, and FUSE, the mount's descriptor, stay the caller's. HEAD: publications are numbered there, so
 * that a result for an earlier worker's is known. NULL when memory is short.
 */
struct publications *publications_new(struct registry *registry, int socket, struct mount_head *head, int fuse,
                                      int64_t settle_ms);
void publications_free(struct publications *publications);

/* As engine/publish.h says. */
void publication_begin(void *publications, const struct publish_request *request);

/* Moves names that wait for a publisher when none lives (tree/lifetime.h). When to look again, CLOCK_MONOTONIC. */
int64_t publication_tend(void *publications);

/* Reads what the publisher has sent and calls back. False when the publisher is gone. */
bool publication_receive(void *publications);

/* The node that the hidden NAME leads to in PARENT; false when NAME is no hidden name of ours. */
bool hidden_lookup(struct publications *publications, struct node parent, const char *name, struct node *node);

/* RENAME of the hidden FROM to TO in PARENT: moves what the name shows. 0; -EPERM when it is not a publication. */
int hidden_rename(struct publications *publications, struct node parent, const char *from, const char *to);

/* A write of one byte to the file of NODE: 0 when a publication is to be heard by it, once, else -EPERM. */
int hidden_write(struct publications *publications, struct node node);

/*
 * Whether the kernel may have a hidden name for the file of NODE. It must not think then that the file has no name:
 * when it forgets this one it would take the file's watchers from it.
 */
bool hidden_has_name(const struct publications *publications, struct node node);

/* UNLINK of NAME in PARENT: 0 when a publication's key has no such file; -ENOENT when it is gone already; else -EPERM. */
int hidden_unlink(struct publications *publications, struct node parent, const char *name);

/* RMDIR of NAME in PARENT: 0 when the engine asked for it, else -EPERM. */
int hidden_rmdir(struct publications *publications, struct node parent, const char *name);
