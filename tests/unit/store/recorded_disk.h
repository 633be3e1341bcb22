/*
 * A disk that can lose power: the system calls of the program under test (linked with --wrap) are carried out, and recorded
 * in a model of what is synced and what is not. Every state that the disk may be left in can then be built: what was not
 * synced is there, half there, or not there; each name that was not synced independently of the others. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The test's to set. */
extern struct recorded_disk {
    bool recording; /* calls are seen; a test's own are not to be */
    int calls_left; /* then the process is dead: no call of it does anything; -1: it lives */
    int fsyncs;     /* so far */
    int ignored_fsync; /* the number of one that does nothing; -1: none */
} recorded_disk;

/* An empty disk, recording; what a descriptor is that was not opened here is its top. AFTER_CALL is called after every change. */
void recorded_disk_begin(void (*after_call)(void));
void recorded_disk_end(void);

/* How many names are not synced, and whether any bytes are not. */
unsigned int recorded_disk_pending(void);
bool recorded_disk_is_dirty(void);

/*
 * Makes PATH the disk as power loss may leave it: with those of the unsynced names that MASK says; VARIANT is what every
 * unsynced file holds: 0 what was synced, 1 half, 2 all of it.
 */
void recorded_disk_build(const char *path, uint64_t mask, unsigned int variant);
