#include "fs/mount/receive_slots.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <linux/fuse.h>
#include <openssl/crypto.h>

/* Slots that are used when few requests wait, and how much of each an ordinary request needs. */
enum { USUAL_SLOTS = 8, USUAL_SIZE = 12 * 1024 };

struct shared {
    uint32_t used; /* slots at and after this one were never taken */
    struct receive_slot_note notes[RECEIVE_SLOT_COUNT];
    _Alignas(4096) unsigned char bytes[RECEIVE_SLOT_COUNT][RECEIVE_SLOT_SIZE];
};

struct receive_slots {
    struct shared *shared;
    atomic_bool taken[RECEIVE_SLOT_COUNT];
    atomic_uint left;
};

size_t receive_slots_size(void)
{
    return sizeof(struct shared);
}

/* The kernel writes the length first, with the rest of the header: it tells whether there is a request. */
static volatile uint32_t *length_of(struct receive_slots *slots, int slot)
{
    return &((struct fuse_in_header *)slots->shared->bytes[slot])->len;
}

/*
 * The kernel takes a shortcut to pages that are there, which no signal interrupts: a request that it is just
 * copying out when the worker is killed must not be lost.
 */
static void make_present(struct shared *shared)
{
    for (int slot = 0; slot < USUAL_SLOTS; slot++)
        for (size_t at = 0; at < USUAL_SIZE; at += 4096) {
            volatile unsigned char *byte = &shared->bytes[slot][at];
            *byte = *byte; /* written, and the same */
        }
}

struct receive_slots *receive_slots_new(void *memory)
{
    struct receive_slots *slots = calloc(1, sizeof(*slots));
    if (!slots)
        return NULL;
    slots->shared = memory;
    atomic_store(&slots->left, RECEIVE_SLOT_COUNT);
    for (int slot = 0; slot < RECEIVE_SLOT_COUNT && (uint32_t)slot < slots->shared->used; slot++) {
        bool wiping = receive_slot_note(slots, slot)->stage == SLOT_WIPING;
        if (!wiping && *length_of(slots, slot) == 0)
            continue;
        atomic_store(&slots->taken[slot], true);
        atomic_fetch_sub(&slots->left, 1);
        if (wiping)
            receive_slot_release(slots, slot);
    }
    make_present(slots->shared);
    return slots;
}

void receive_slots_free(struct receive_slots *slots)
{
    free(slots);
}

int receive_slots_take(struct receive_slots *slots)
{
    for (int slot = 0; slot < RECEIVE_SLOT_COUNT; slot++)
        if (!atomic_load(&slots->taken[slot])) {
            atomic_store(&slots->taken[slot], true);
            atomic_fetch_sub(&slots->left, 1);
            if ((uint32_t)slot >= slots->shared->used)
                __atomic_store_n(&slots->shared->used, (uint32_t)slot + 1, __ATOMIC_SEQ_CST);
            return slot;
        }
    return -1;
}

unsigned int receive_slots_left(struct receive_slots *slots)
{
    return atomic_load(&slots->left);
}

void *receive_slot_bytes(struct receive_slots *slots, int slot)
{
    return slots->shared->bytes[slot];
}

struct receive_slot_note *receive_slot_note(struct receive_slots *slots, int slot)
{
    return &slots->shared->notes[slot];
}

size_t receive_slot_request_size(struct receive_slots *slots, int slot)
{
    size_t size = *length_of(slots, slot);
    return size < RECEIVE_SLOT_SIZE ? size : RECEIVE_SLOT_SIZE;
}

void receive_slot_wipe_payload(struct receive_slots *slots, int slot)
{
    static const size_t header = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in);
    size_t size = receive_slot_request_size(slots, slot);
    if (size > header)
        OPENSSL_cleanse(slots->shared->bytes[slot] + header, size - header);
}

void receive_slot_release(struct receive_slots *slots, int slot)
{
    struct receive_slot_note *note = receive_slot_note(slots, slot);
    size_t size = receive_slot_request_size(slots, slot);
    if (note->stage == SLOT_WIPING)
        size = RECEIVE_SLOT_SIZE; /* a worker was killed at it */
    __atomic_store_n(&note->stage, SLOT_WIPING, __ATOMIC_SEQ_CST);
    *length_of(slots, slot) = 0;
    OPENSSL_cleanse(slots->shared->bytes[slot], size);
    note->blame = 0;
    note->intent = 0;
    note->told = 0;
    __atomic_store_n(&note->stage, SLOT_RECEIVED, __ATOMIC_SEQ_CST);
    atomic_store(&slots->taken[slot], false);
    atomic_fetch_add(&slots->left, 1);
}

int receive_slots_next_left(struct receive_slots *slots, int from)
{
    for (int slot = from; slot < RECEIVE_SLOT_COUNT; slot++)
        if (atomic_load(&slots->taken[slot]))
            return slot;
    return -1;
}
