#include "fs/mount/pending.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct waiting {
    struct pending *pending;
    uint64_t number;
    fuse_req_t request;
    size_t size;
    int slot;
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
    if (result == 0)
        fuse_reply_write(waiting->request, waiting->size);
    else
        fuse_reply_err(waiting->request, -result);
    receive_slot_release(pending->slots, waiting->slot);
    free(waiting);
    return true;
}

/* With the lock: an answer would release the slot. */
static struct receive_slot_note *note_of(struct pending *pending, uint64_t number, int *slot)
{
    for (const struct waiting *waiting = pending->first; waiting; waiting = waiting->next)
        if (waiting->number == number) {
            *slot = waiting->slot;
            return receive_slot_note(pending->slots, waiting->slot);
        }
    return NULL;
}

void pending_begun(struct pending *pending, uint64_t number, enum receive_slot_stage stage)
{
    int slot;
    pthread_mutex_lock(&pending->lock);
    struct receive_slot_note *note = note_of(pending, number, &slot);
    if (note) {
        __atomic_store_n(&note->stage, (uint32_t)stage, __ATOMIC_SEQ_CST);
        receive_slot_wipe_payload(pending->slots, slot);
    }
    pthread_mutex_unlock(&pending->lock);
}

void pending_note_intent(struct pending *pending, uint64_t number, uint64_t intent)
{
    int slot;
    pthread_mutex_lock(&pending->lock);
    struct receive_slot_note *note = note_of(pending, number, &slot);
    if (note)
        __atomic_store_n(&note->intent, intent, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pending->lock);
}

static void interrupted(fuse_req_t request, void *number)
{
    pending_answer(the_pending, (uint64_t)(uintptr_t)number, -EINTR);
}

void pending_allow_interrupt(struct pending *pending, uint64_t number, fuse_req_t request)
{
    fuse_req_interrupt_func(request, interrupted, (void *)(uintptr_t)number);
}

void pending_leave(struct pending *pending)
{
    pthread_mutex_lock(&pending->lock);
    while (pending->first) {
        struct waiting *waiting = pending->first;
        pending->first = waiting->next;
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
