/*
 * The read-only bind mount of an AAP's directory that a container is given. One thread.
 *
 * What a container runtime binds into a container it remounts there with flags of its own, and that clears
 * "read-only": root in the container could write to `control`. So the bind comes from a user namespace: what went
 * through one has its flag locked, and the kernel refuses to clear it, in every copy and for whoever asks.
 *
 * A mount of aapfs whose daemon is stopped keeps those waiting who look into it: all of this is done by a child, for
 * which nobody waits longer than BIND_MS.
 */
#pragma once

#include <stddef.h>

enum { BIND_MS = 5000, BIND_REASON_SIZE = 384 };

/* Whether the mount at MOUNTPOINT shows AAP: 0, or negative errno and REASON; -ENOENT (below, too): it does not. */
int bind_find_aap(const char *mountpoint, const char *aap, char reason[static BIND_REASON_SIZE]);

/*
 * Binds AAP's directory at TARGET, a directory that is made. A bind that is there stays if it is
 * of this mount, else it is detached first: that mount of aapfs has ended. 0, or negative errno and REASON.
 */
int bind_make(const char *mountpoint, const char *aap, const char *target, char reason[static BIND_REASON_SIZE]);

/*
 * Detaches what is mounted at TARGET and removes that directory; whoever has it open keeps it. 0, or negative errno
 * and REASON.
 */
int bind_undo(const char *target, char reason[static BIND_REASON_SIZE]);
