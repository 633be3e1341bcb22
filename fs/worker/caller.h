/*
 * Who makes a request: process, user and group. Any thread.
 *
 * A kernel that was allowed idmapped binds (init_reply.h) names neither user nor group, and /proc is asked: whoever waits
 * for an answer cannot be gone. It knows the host's ids, which is what a bind maps from.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum { CALLER_UNKNOWN = -1 };

struct caller {
    pid_t pid; /* of the thread; 0: it is in a pid namespace that is not seen from where the mount was made */
    uid_t uid; /* (uid_t)CALLER_UNKNOWN: cannot be known */
    gid_t gid;
};

/* Of what a request says; (uid_t)CALLER_UNKNOWN is looked up. */
struct caller caller_find(pid_t pid, uid_t uid, gid_t gid);

/* Whether this process sees others in /proc, by the numbers that the kernel gives them here. */
bool caller_can_be_looked_up(void);

/* Whether processes can be outside of the pid namespace of this one. */
bool caller_can_be_elsewhere(void);
