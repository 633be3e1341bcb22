/*
 * Control writes that wait for their result. The session puts a request in, the engine answers it;
 * whoever comes first, the engine's answer or the kernel's interrupt, takes it out. Any thread.
 */
#ifndef AAPFS_FS_MOUNT_PENDING_H
#define AAPFS_FS_MOUNT_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

struct pending;

struct pending *pending_new(void);
/* Answers what still waits with EIO. */
void pending_free(struct pending *pending);

/* Keeps REQUEST, a WRITE of SIZE bytes; its number, never 0, or 0 when memory is short. */
uint64_t pending_add(struct pending *pending, fuse_req_t request, size_t size);

/*
 * From now on an interrupt of the caller answers the request with EINTR; the operation goes on.
 * After pending_add, by the session's thread.
 */
void pending_allow_interrupt(struct pending *pending, uint64_t number, fuse_req_t request);

/*
 * Answers with success (RESULT 0) or -RESULT. False, and nothing happens, when it was interrupted
 * before.
 */
bool pending_answer(struct pending *pending, uint64_t number, int result);

#endif
