/*
 * Control writes that wait for their result. The session puts a request in, the engine answers it; an interrupt by the
 * kernel may answer its caller before. Its slot stays until the engine is done with it all the same: a worker that dies
 * meanwhile leaves it to the next one, which tells its result. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUSE_USE_VERSION 310
#include <fuse_lowlevel.h>

#include "fs/mount/receive_slots.h"

struct pending;

/* SLOTS outlives it. */
struct pending *pending_new(struct receive_slots *slots);
/* Answers what still waits with EIO. */
void pending_free(struct pending *pending);

/* Forgets what still waits without an answer: it stays in its slots, for another worker. */
void pending_leave(struct pending *pending);

/*
 * Keeps REQUEST, a WRITE of SIZE bytes in SLOT, which is released when it has been answered; its number, never
 * 0, or 0 when memory is short.
 */
uint64_t pending_add(struct pending *pending, fuse_req_t request, size_t size, int slot);

/* The write is being carried out: from here on no worker may carry it out again. Its bytes are wiped. */
void pending_begun(struct pending *pending, uint64_t number, enum receive_slot_stage stage);

/* The intent of a write is on disk. */
void pending_note_intent(void *pending, uint64_t number, uint64_t intent);

/*
 * From now on an interrupt of the caller answers the request with EINTR; the operation goes on. Not for one whose caller
 * had that answer from an earlier worker. After pending_add, by the session's thread.
 */
void pending_allow_interrupt(struct pending *pending, uint64_t number, fuse_req_t request);

/* Answers with success (RESULT 0) or -RESULT, and releases the slot. False: its caller was interrupted before. */
bool pending_answer(struct pending *pending, uint64_t number, int result);
