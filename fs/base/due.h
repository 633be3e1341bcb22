/*
 * A queue of what is to be looked at, by time: a heap, so that nothing looks at what is not due. What waits has an entry in
 * itself, which stays where it is while it is in the queue. Pure; one thread. The clock is the user's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct due_entry {
    uint32_t number; /* what it stands for, an AAP for instance, or 0; where it is not, what was never added has 0 */
    int64_t when;    /* INT64_MAX: never */
    size_t place;    /* in the heap */
};

/* Zeroed: empty. */
struct due {
    struct due_entry **heap;
    size_t count, room;
};

/* Room for one more. False: memory is short. */
bool due_reserve(struct due *due);

/* ENTRY belongs to the queue from now on, as NUMBER's, and is due never. There is room for it. */
void due_add(struct due *due, struct due_entry *entry, uint32_t number);

/* ENTRY, which was added, is due at WHEN; at WHEN or before. */
void due_at(struct due *due, struct due_entry *entry, int64_t when);
void due_by(struct due *due, struct due_entry *entry, int64_t when);

/* When the first one is due; INT64_MAX: none ever is. Those of one time come by their numbers. */
int64_t due_when(const struct due *due);

/* The first one if it is due at NOW, from then on never; NULL: none is. Its number; 0. */
struct due_entry *due_take_entry(struct due *due, int64_t now);
uint32_t due_take(struct due *due, int64_t now);

/* ENTRY is in no queue any more. */
void due_remove(struct due *due, struct due_entry *entry);

/* The entries are their owners'. */
void due_free(struct due *due);
