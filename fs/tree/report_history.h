/*
 * The contents that changing files had, in memory that outlives a worker: a reader who has looked one up
 * reads it to its end, whichever worker answers. A content never changes; the last 8 of each file (1,024 of the mount's
 * own: whoever looks makes a new one) are kept, as long as the ring that holds the bytes has not come round.
 *
 * The session's thread only, with the registry's lock held. What is found in the memory is checked.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fs/tree/node_id.h"

struct report_history;

/* How much memory report_history_open needs. Most of it is never touched: give it sparse. */
size_t report_history_size(void);

/* MEMORY, zeroed or as an earlier worker left it. */
struct report_history *report_history_open(void *memory);

struct report_content {
    uint32_t report; /* its number, never 0 */
    int64_t made_ns;
    const void *data;
    size_t size;
};

/* The newest content of a file (NUMBER: an AAP's number, 0 for the mount). 0; -ENOENT when it has none. */
int report_history_newest(const struct report_history *history, uint32_t number,
                          enum report_kind kind, struct report_content *content);

/* The content of that number. 0; -ESTALE when it is no longer kept. */
int report_history_find(const struct report_history *history, uint32_t number,
                        enum report_kind kind, uint32_t report, struct report_content *content);

/*
 * A new content of SIZE bytes: copied, and given a number. 0; -EFBIG when it is larger than can be kept;
 * -ESTALE for a file that there cannot be.
 */
int report_history_add(struct report_history *history, uint32_t number, enum report_kind kind,
                       const void *data, size_t size, int64_t made_ns, struct report_content *content);
