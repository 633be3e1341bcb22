#include "fs/mount/pending.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct waiting {
    struct pending *pending;
    uint64_t number;
    fuse_req_t request;
    size_t size;
    struct waiting *next;
};

struct pending {
    pthread_mutex_t lock;
    uint64_t last_number;
    struct waiting *first;
};

/*
 * libfuse calls back with one pointer, at a time when the engine may be answering: so it is not a
 * pointer to what waits but the number, looked up here. One table a process.
 */
static struct pending *the_pending;

struct pending *pending_new(void)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    if (pending)
        pthread_mutex_init(&pending->lock, NULL);
    the_pending = pending;
    return pending;
}

uint64_t pending_add(struct pending *pending, fuse_req_t request, size_t size)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    if (!waiting)
        return 0;
    waiting->request = request;
    waiting->size = size;
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
    free(waiting);
    return true;
}

static void interrupted(fuse_req_t request, void *number)
{
    pending_answer(the_pending, (uint64_t)(uintptr_t)number, -EINTR);
}

void pending_allow_interrupt(struct pending *pending, uint64_t number, fuse_req_t request)
{
    fuse_req_interrupt_func(request, interrupted, (void *)(uintptr_t)number);
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
