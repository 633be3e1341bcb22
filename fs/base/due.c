#include "fs/base/due.h"

#include <stdlib.h>

static bool is_before(const struct due_entry *one, const struct due_entry *other)
{
    return one->when != other->when ? one->when < other->when : one->number < other->number;
}

static void put(struct due *due, size_t place, struct due_entry *entry)
{
    due->heap[place] = entry;
    entry->place = place;
}

static void move_up(struct due *due, struct due_entry *entry)
{
    size_t place = entry->place;
    while (place > 0 && is_before(entry, due->heap[(place - 1) / 2])) {
        put(due, place, due->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(due, place, entry);
}

static void move_down(struct due *due, struct due_entry *entry)
{
    size_t place = entry->place;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < due->count && is_before(due->heap[child + 1], due->heap[child]))
            child++;
        if (child >= due->count || !is_before(due->heap[child], entry))
            break;
        put(due, place, due->heap[child]);
        place = child;
    }
    put(due, place, entry);
}

bool due_reserve(struct due *due)
{
    size_t room = due->room ? 2 * due->room : 64;
    if (due->count < due->room)
        return true;
    struct due_entry **grown = reallocarray(due->heap, room, sizeof(struct due_entry *));
    if (!grown)
        return false;
    due->heap = grown;
    due->room = room;
    return true;
}

void due_add(struct due *due, struct due_entry *entry, uint32_t number)
{
    *entry = (struct due_entry){.number = number, .when = INT64_MAX};
    put(due, due->count++, entry);
    move_up(due, entry);
}

void due_at(struct due *due, struct due_entry *entry, int64_t when)
{
    bool sooner = when < entry->when;
    entry->when = when;
    if (sooner)
        move_up(due, entry);
    else
        move_down(due, entry);
}

void due_by(struct due *due, struct due_entry *entry, int64_t when)
{
    if (when < entry->when)
        due_at(due, entry, when);
}

int64_t due_when(const struct due *due)
{
    return due->count > 0 ? due->heap[0]->when : INT64_MAX;
}

struct due_entry *due_take_entry(struct due *due, int64_t now)
{
    if (due_when(due) == INT64_MAX || due_when(due) > now)
        return NULL;
    struct due_entry *entry = due->heap[0];
    due_at(due, entry, INT64_MAX);
    return entry;
}

uint32_t due_take(struct due *due, int64_t now)
{
    const struct due_entry *entry = due_take_entry(due, now);
    return entry ? entry->number : 0;
}

void due_remove(struct due *due, struct due_entry *entry)
{
    struct due_entry *last = due->heap[--due->count];
    if (last == entry)
        return;
    put(due, entry->place, last);
    move_up(due, last);
    move_down(due, last);
}

void due_free(struct due *due)
{
    free(due->heap);
    *due = (struct due){0};
}
