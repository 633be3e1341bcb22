#include "fs/tree/report_history.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fs/model/numbers.h"

enum {
    KEPT = 8,        /* of an AAP's file, and of metrics.prom */
    KEPT_OF_MOUNT = 1024, /* its status counts requests: every look makes a new one, an open takes several */
    RING_SIZE = 16 * 1024 * 1024,
    LARGEST_IN_RING = RING_SIZE / 16,
    LARGEST = 16 * 1024 * 1024, /* metrics.prom; 700 bytes an AAP */
    REPORT_NUMBER_MASK = (1 << 26) - 1
};

struct kept {
    uint32_t report; /* 0: nothing; written last, so that a content half made is none */
    uint32_t size;
    uint64_t at;     /* of its first byte, counted from the ring's first round on; not for a large one */
    int64_t made_ns;
};

struct aap_history {
    struct kept kept[KEPT];
    uint32_t next; /* where the next one goes */
};

struct mount_history {
    struct kept kept[KEPT_OF_MOUNT];
    uint32_t next;
};

struct report_history {
    uint64_t end; /* bytes that were ever written */
    uint32_t last_report;
    struct mount_history of_mount[REPORT_KIND_COUNT];
    struct aap_history of_aaps[NUMBERS_MOST_AAPS + 1][REPORT_KINDS_OF_AAP];
    unsigned char ring[RING_SIZE];
    /* what would push everything else out of the ring: each kept one has a place of its own */
    unsigned char large[KEPT][LARGEST];
};

/* Where the contents of a file are noted. */
struct place {
    struct kept *kept;
    uint32_t *next;
    unsigned int count;
    bool large;
};

static bool find_place(const struct report_history *history, uint32_t number, enum report_kind kind,
                       struct place *place)
{
    struct report_history *writable = (struct report_history *)(uintptr_t)history;
    if (number > NUMBERS_MOST_AAPS || (number > 0 && kind >= REPORT_KINDS_OF_AAP))
        return false;
    if (number == 0) {
        struct mount_history *file = &writable->of_mount[kind];
        bool large = kind == REPORT_METRICS;
        *place = (struct place){file->kept, &file->next, large ? KEPT : KEPT_OF_MOUNT, large};
    } else {
        struct aap_history *file = &writable->of_aaps[number][kind];
        *place = (struct place){file->kept, &file->next, KEPT, false};
    }
    return true;
}

size_t report_history_size(void)
{
    return sizeof(struct report_history);
}

struct report_history *report_history_open(void *memory)
{
    return memory;
}

/* False for one that the ring has passed over, or that was never whole. */
static bool read_kept(const struct report_history *history, const struct place *place, unsigned int i,
                      struct report_content *content)
{
    const struct kept *kept = &place->kept[i];
    const unsigned char *data = history->large[place->large ? i : 0];
    if (kept->report == 0)
        return false;
    if (place->large) {
        if (kept->size > LARGEST)
            return false;
    } else {
        if (kept->at > history->end || kept->size > history->end - kept->at ||
            history->end - kept->at > RING_SIZE || kept->at % RING_SIZE + kept->size > RING_SIZE)
            return false;
        data = history->ring + kept->at % RING_SIZE;
    }
    *content = (struct report_content){kept->report, kept->made_ns, data, kept->size};
    return true;
}

int report_history_newest(const struct report_history *history, uint32_t number,
                          enum report_kind kind, struct report_content *content)
{
    struct place place;
    if (!find_place(history, number, kind, &place))
        return -ENOENT;
    unsigned int newest = (*place.next % place.count + place.count - 1) % place.count;
    return read_kept(history, &place, newest, content) ? 0 : -ENOENT;
}

int report_history_find(const struct report_history *history, uint32_t number,
                        enum report_kind kind, uint32_t report, struct report_content *content)
{
    struct place place;
    if (report == 0 || !find_place(history, number, kind, &place))
        return -ESTALE;
    for (unsigned int i = 0; i < place.count; i++)
        if (place.kept[i].report == report && read_kept(history, &place, i, content))
            return 0;
    return -ESTALE;
}

/* Room for SIZE bytes in the ring, in one piece. */
static uint64_t take_room(struct report_history *history, size_t size)
{
    uint64_t at = history->end, left = RING_SIZE - at % RING_SIZE;
    if (size > left)
        at += left;
    /* first the room, then the bytes, then the number: a worker killed in between leaves no half content */
    __atomic_store_n(&history->end, at + size, __ATOMIC_RELEASE);
    return at;
}

int report_history_add(struct report_history *history, uint32_t number, enum report_kind kind,
                       const void *data, size_t size, int64_t made_ns, struct report_content *content)
{
    struct place place;
    if (!find_place(history, number, kind, &place))
        return -ESTALE;
    if (size > (place.large ? LARGEST : LARGEST_IN_RING))
        return -EFBIG;
    unsigned int i = *place.next % place.count;
    struct kept *kept = &place.kept[i];
    __atomic_store_n(&kept->report, 0, __ATOMIC_RELEASE);
    kept->at = place.large ? 0 : take_room(history, size);
    memcpy(place.large ? history->large[i] : history->ring + kept->at % RING_SIZE, data, size);
    kept->size = (uint32_t)size;
    kept->made_ns = made_ns;
    history->last_report = (history->last_report + 1) & REPORT_NUMBER_MASK;
    if (history->last_report == 0)
        history->last_report = 1;
    __atomic_store_n(&kept->report, history->last_report, __ATOMIC_RELEASE);
    __atomic_store_n(place.next, i + 1, __ATOMIC_RELEASE);
    return read_kept(history, &place, i, content) ? 0 : -ESTALE;
}
