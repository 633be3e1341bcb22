/*
 * Where a worker receives requests: each directly into a slot of the mount memory, which is wiped when the
 * request has been answered. What an earlier worker left unanswered is found there by its successor. Works on
 * every kernel: nothing has to be sent again.
 *
 * receive_slot_release by any thread; everything else by the session's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RECEIVE_SLOT_COUNT = 1024,
    /* a request's most: headers, and what is written; FUSE's own least is 8,192 (linux/fuse.h) */
    RECEIVE_SLOT_MAX_WRITE = 64 * 1024,
    RECEIVE_SLOT_SIZE = RECEIVE_SLOT_MAX_WRITE + 8192,
};

/* The result of a request. The values are in shared memory: they do not change between versions. */
enum receive_slot_stage {
    SLOT_RECEIVED = 0, /* or empty; the request's own length tells */
    SLOT_IN_HAND = 1,  /* the session is at it */
    SLOT_HELD = 2,     /* a control write that was not begun */
    SLOT_WAITING = 3,  /* a control write that was begun; its bytes are wiped, its header is there */
    SLOT_UPGRADE = 4,  /* the control write that asked for an upgrade which is under way */
    SLOT_WIPING = 5,   /* answered */
};

/* Of each slot, in shared memory too. */
struct receive_slot_note {
    uint32_t stage;
    uint32_t blame;  /* for the deaths of workers that had it in hand: session.c */
    uint64_t intent; /* of a write that waits: the intent on disk; 0: nothing was sent */
    uint32_t told;   /* its caller was interrupted and has its answer; what it asked for goes on */
};

struct receive_slots;

size_t receive_slots_size(void);

/* MEMORY, zeroed or as an earlier worker left it. Wipes what was being wiped. NULL when memory is short. */
struct receive_slots *receive_slots_new(void *memory);
void receive_slots_free(struct receive_slots *slots);

/* The first empty slot, taken; negative when all of them are. */
int receive_slots_take(struct receive_slots *slots);

/* How many slots are empty. */
unsigned int receive_slots_left(struct receive_slots *slots);

/* RECEIVE_SLOT_SIZE bytes, present in memory as far as a small request goes. */
void *receive_slot_bytes(struct receive_slots *slots, int slot);
struct receive_slot_note *receive_slot_note(struct receive_slots *slots, int slot);

/* The size of the request in SLOT, as it says itself; 0: empty; never beyond the slot. */
size_t receive_slot_request_size(struct receive_slots *slots, int slot);

/* A write has begun: what it wrote is wiped, its header stays. */
void receive_slot_wipe_payload(struct receive_slots *slots, int slot);

/* Wipes SLOT and gives it back. */
void receive_slot_release(struct receive_slots *slots, int slot);

/* The first slot at or after FROM that holds a request; negative when none does. For a take-over. */
int receive_slots_next_left(struct receive_slots *slots, int from);
