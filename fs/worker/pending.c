#include "fs/worker/pending.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <linux/fuse.h>

struct waiting {
    uint64_t number;
    fuse_req_t request; /* NULL: it was interrupted here, and answered */
    size_t size;
    int slot;
    bool told; /* its caller was interrupted */
    struct waiting *next;
};

struct pending {
    pthread_mutex_t lock;
    uint64_t last_number;
    struct waiting *first;
    struct receive_slots *slots;
};

/*
 * libfuse calls back with one pointer, at a time when the engine may be answering: so it is not a
 * pointer to what waits but the number, looked up here. One table a process.
 */
static struct pending *the_pending;

struct pending *pending_new(struct receive_slots *slots)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    if (pending) {
        pthread_mutex_init(&pending->lock, NULL);
        pending->slots = slots;
    }
    the_pending = pending;
    return pending;
}

uint64_t pending_add(struct pending *pending, fuse_req_t request, size_t size, int slot)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    if (!waiting)
        return 0;
    waiting->request = request;
    waiting->size = size;
    waiting->slot = slot;
    waiting->told = receive_slot_note(pending->slots, slot)->told;
    pthread_mutex_lock(&pending->lock);
    uint64_t number = waiting->number = ++pending->last_number;
    waiting->next = pending->first;
    pending->first = waiting;
    pthread_mutex_unlock(&pending->lock);
    return number;
}

static struct waiting *take(struct pending *pending, uint64_t number)
{
    struct waiting *taken = NULL;
    pthread_mutex_lock(&pending->lock);
    for (struct waiting **link = &pending->first; *link; link = &(*link)->next) {
        if ((*link)->number != number)
            continue;
        taken = *link;
        *link = taken->next;
        break;
    }
    pthread_mutex_unlock(&pending->lock);
    return taken;
}

bool pending_answer(struct pending *pending, uint64_t number, int result)
{
    struct waiting *waiting = take(pending, number);
    if (!waiting)
        return false;
    bool told = waiting->told;
    if (told && waiting->request)
        fuse_reply_none(waiting->request);
    else if (!told && result == 0)
        fuse_reply_write(waiting->request, waiting->size);
    else if (!told)
        fuse_reply_err(waiting->request, -result);
    receive_slot_release(pending->slots, waiting->slot);
    free(waiting);
    return !told;
}

/* With the lock: an answer would release the slot. */
static struct waiting *find(const struct pending *pending, uint64_t number)
{
    struct waiting *waiting = pending->first;
    while (waiting && waiting->number != number)
        waiting = waiting->next;
    return waiting;
}

static struct receive_slot_note *note_of(const struct pending *pending, const struct waiting *waiting)
{
    return receive_slot_note(pending->slots, waiting->slot);
}

void pending_begun(struct pending *pending, uint64_t number, enum receive_slot_stage stage)
{
    pthread_mutex_lock(&pending->lock);
    const struct waiting *waiting = find(pending, number);
    if (waiting) {
        __atomic_store_n(&note_of(pending, waiting)->stage, (uint32_t)stage, __ATOMIC_SEQ_CST);
        receive_slot_wipe_payload(pending->slots, waiting->slot);
    }
    pthread_mutex_unlock(&pending->lock);
}

void pending_note_intent(void *user, uint64_t number, uint64_t intent)
{
    struct pending *pending = user;
    pthread_mutex_lock(&pending->lock);
    const struct waiting *waiting = find(pending, number);
    if (waiting)
        __atomic_store_n(&note_of(pending, waiting)->intent, intent, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pending->lock);
}

static uint64_t control_of(const struct pending *pending, const struct waiting *waiting)
{
    return ((const struct fuse_in_header *)receive_slot_bytes(pending->slots, waiting->slot))->nodeid;
}

/*
 * A control has one operation at a time, and so one write whose caller is gone is enough of it: programs that repeat what
 * was interrupted would fill the slots.
 */
static void drop_told_before(struct pending *pending, const struct waiting *newest)
{
    for (struct waiting **link = &pending->first; *link;) {
        struct waiting *waiting = *link;
        if (waiting == newest || !waiting->told || control_of(pending, waiting) != control_of(pending, newest)) {
            link = &waiting->next;
            continue;
        }
        *link = waiting->next;
        if (waiting->request)
            fuse_reply_none(waiting->request);
        receive_slot_release(pending->slots, waiting->slot);
        free(waiting);
    }
}

/* The note follows the answer: a worker that dies between the two leaves a caller who is answered twice, and not never. */
static void interrupted(fuse_req_t request, void *number)
{
    struct pending *pending = the_pending;
    pthread_mutex_lock(&pending->lock);
    struct waiting *waiting = find(pending, (uint64_t)(uintptr_t)number);
    if (waiting && !waiting->told) {
        fuse_reply_err(waiting->request, EINTR);
        waiting->request = NULL;
        waiting->told = true;
        __atomic_store_n(&note_of(pending, waiting)->told, 1, __ATOMIC_SEQ_CST);
        drop_told_before(pending, waiting);
    }
    pthread_mutex_unlock(&pending->lock);
}

void pending_allow_interrupt(struct pending *pending, uint64_t number, fuse_req_t request)
{
    pthread_mutex_lock(&pending->lock);
    const struct waiting *waiting = find(pending, number);
    bool told = !waiting || note_of(pending, waiting)->told;
    pthread_mutex_unlock(&pending->lock);
    if (!told)
        fuse_req_interrupt_func(request, interrupted, (void *)(uintptr_t)number);
}

void pending_leave(struct pending *pending)
{
    pthread_mutex_lock(&pending->lock);
    while (pending->first) {
        struct waiting *waiting = pending->first;
        pending->first = waiting->next;
        if (waiting->request)
            fuse_reply_none(waiting->request);
        free(waiting);
    }
    pthread_mutex_unlock(&pending->lock);
}

void pending_free(struct pending *pending)
{
    if (!pending)
        return;
    while (pending->first)
        pending_answer(pending, pending->first->number, -EIO);
    pthread_mutex_destroy(&pending->lock);
    free(pending);
    the_pending = NULL;
}
