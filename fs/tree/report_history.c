#include "fs/tree/report_history.h"

#include <errno.h>
#include <string.h>

#include "fs/keys/numbers.h"

enum { KEPT = 8, RING_SIZE = 16 * 1024 * 1024, REPORT_NUMBER_MASK = (1 << 26) - 1 };

struct kept {
    uint32_t report; /* 0: nothing; written last, so that a content half made is none */
    uint32_t size;
    uint64_t at;     /* of its first byte, counted from the ring's first round on */
    int64_t made_ns;
};

struct file_history {
    struct kept kept[KEPT];
    uint32_t next; /* where the next one goes */
};

struct report_history {
    uint64_t end; /* bytes that were ever written */
    uint32_t last_report;
    struct file_history files[NUMBERS_MOST_AAPS + 1][REPORT_KIND_COUNT];
    unsigned char ring[RING_SIZE];
};

size_t report_history_size(void)
{
    return sizeof(struct report_history);
}

struct report_history *report_history_open(void *memory)
{
    return memory;
}

/* False for one that the ring has passed over, or that was never whole. */
static bool read_kept(const struct report_history *history, const struct kept *kept,
                      struct report_content *content)
{
    if (kept->report == 0 || kept->at > history->end || kept->size > history->end - kept->at ||
        history->end - kept->at > RING_SIZE || kept->at % RING_SIZE + kept->size > RING_SIZE)
        return false;
    *content = (struct report_content){kept->report, kept->made_ns,
                                       history->ring + kept->at % RING_SIZE, kept->size};
    return true;
}

int report_history_newest(const struct report_history *history, uint32_t number,
                          enum report_kind kind, struct report_content *content)
{
    if (number > NUMBERS_MOST_AAPS)
        return -ENOENT;
    const struct file_history *file = &history->files[number][kind];
    const struct kept *newest = &file->kept[(file->next % KEPT + KEPT - 1) % KEPT];
    return read_kept(history, newest, content) ? 0 : -ENOENT;
}

int report_history_find(const struct report_history *history, uint32_t number,
                        enum report_kind kind, uint32_t report, struct report_content *content)
{
    if (number > NUMBERS_MOST_AAPS || report == 0)
        return -ESTALE;
    const struct file_history *file = &history->files[number][kind];
    for (unsigned int i = 0; i < KEPT; i++)
        if (file->kept[i].report == report && read_kept(history, &file->kept[i], content))
            return 0;
    return -ESTALE;
}

int report_history_add(struct report_history *history, uint32_t number, enum report_kind kind,
                       const void *data, size_t size, int64_t made_ns,
                       struct report_content *content)
{
    if (size > RING_SIZE / (2 * KEPT))
        return -EFBIG;
    if (number > NUMBERS_MOST_AAPS)
        return -ESTALE;
    uint64_t at = history->end, left = RING_SIZE - at % RING_SIZE;
    if (size > left)
        at += left; /* a content lies in one piece */
    /* first the room, then the bytes, then the number: a worker killed in between leaves no half content */
    __atomic_store_n(&history->end, at + size, __ATOMIC_RELEASE);
    memcpy(history->ring + at % RING_SIZE, data, size);

    struct file_history *file = &history->files[number][kind];
    struct kept *kept = &file->kept[file->next % KEPT];
    __atomic_store_n(&kept->report, 0, __ATOMIC_RELEASE);
    kept->size = (uint32_t)size;
    kept->at = at;
    kept->made_ns = made_ns;
    history->last_report = (history->last_report + 1) & REPORT_NUMBER_MASK;
    if (history->last_report == 0)
        history->last_report = 1;
    __atomic_store_n(&kept->report, history->last_report, __ATOMIC_RELEASE);
    __atomic_store_n(&file->next, file->next % KEPT + 1, __ATOMIC_RELEASE);
    return read_kept(history, kept, content) ? 0 : -ESTALE;
}
