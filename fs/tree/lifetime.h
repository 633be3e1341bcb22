/*
 * How long the kernel may believe a name, or attributes, without asking. With the registry's lock held.
 *
 * What is at rest it believes for a day, so that who stops this daemon (docker pause, a debugger) stops nobody who reads
 * what was read before. What is about to change is loose. A name changes in this order, whoever is killed in between:
 *
 *   1. The change is in the numbers (a newer generation, `removed`, `deleted`): what is handed out from here on is loose.
 *   2. The publisher has the kernel look each name up once more (publisher.c), whatever it believed. When that is done
 *      nothing in it is older than loose: numbered_aap.loose.
 *   3. The names move, each with the kernel's own rename(2) or rmdir(2), or, where the mount cannot be reached, with a
 *      notification.
 *   4. The publication has ended, which is what its writer waits for: at rest again.
 *
 * Before 2 is done no name moves: all readers see all names as they were, as long as it takes. After it the kernel need
 * not be told for a change to be seen: a worker that comes, or that finds the publisher gone, moves the names by
 * itself, and by the time that loose ones live every reader sees it. Nobody is wrong for longer than `settle`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/model/registry.h"
#include "fs/tree/node_id.h"
#include "fs/tree/shown.h"

enum { LIFETIME_AT_REST_MS = 24 * 60 * 60 * 1000 };

/*
 * When names that are loose, and whose publisher is gone, are moved without it. Together with what a loose name lives
 * that is less than the settle time.
 */
static inline int64_t lifetime_patience_ms(int64_t settle_ms)
{
    return settle_ms / 4;
}

/* Of the name, or the names, that lead to NODE, in milliseconds. 0 for a report: its name always asks. */
int64_t lifetime_of_name_ms(struct registry *registry, struct node node, const struct moment *moment);

/* Of the attributes that NODE has at MOMENT. */
int64_t lifetime_of_attributes_ms(struct registry *registry, struct node node, const struct moment *moment);
