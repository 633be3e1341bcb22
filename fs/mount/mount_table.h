/*
 * What is mounted where, as /proc/self/mountinfo tells, and whether one of ours still has its daemon. Any
 * thread; the second forks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mounted {
    dev_t device;  /* 0: nothing is mounted there */
    bool is_aapfs; /* type fuse.aapfs */
    bool read_only;
};

/*
 * What is mounted at PATH (a real path), the topmost, without touching the mount: a stat would ask a
 * daemon that may not answer.
 */
struct mounted mount_table_at(const char *path);

/*
 * Where the whole filesystem of DEVICE, one of aapfs, is mounted now (a bind of a part does not count), into PATH of SIZE
 * bytes; the topmost. False: nowhere in this mount namespace. The kernel gives a DEVICE anew at once: to whom it belongs
 * is the caller's to know.
 */
bool mount_table_find(dev_t device, char *path, size_t size);

/*
 * Calls FOUND for every mount of the type fuse.aapfs, a bind of a part too, in the file MOUNTINFO, any process's. ROOT:
 * what of the mount is at PATH, as that process sees it. 0 or negative errno.
 */
int mount_table_walk(const char *mountinfo, void (*found)(void *user, const char *root, const char *path), void *user);

/* What the mount at PATH says to a statfs within a second: ENOTCONN is DEAD. */
enum mount_answer { MOUNT_ALIVE, MOUNT_DEAD, MOUNT_SILENT };
enum mount_answer mount_table_ask(const char *path);

/*
 * Whether the mount at PATH has lost its daemon (ENOTCONN). A daemon that does not answer within a second is
 * taken to be alive.
 */
bool mount_table_is_dead(const char *path);
