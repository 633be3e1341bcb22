/* A process that the supervisor keeps running: forked, awaited, forked again. The supervisor's thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
    const char *name;      /* for ps, and for messages behind "aapfs-" */
    pid_t process;         /* 0: not running */
    unsigned int failures; /* ends in a row that came before it had done anything */
    int64_t start_ms;      /* CLOCK_MONOTONIC from when on it may be started again */
    bool replaced;         /* it was made to end, for another to be started */
};

/*
 * Forks; 0 in the child, which has the name, does not outlive its supervisor, and has its signals as a
 * program expects them. Else the process id, kept in CHILD too, or negative errno.
 */
pid_t child_start(struct child *child);

/* Moves it to a process group of its own, before it has called exec: the one it was forked in is its starter's. */
void child_leave_group(const struct child *child);

/*
 * CHILD has ended with STATUS (waitpid's); tells so. It may be started again at once; after ends in a row
 * without anything USEFUL done it may after 0, 0.1, 1, 10, then 30 s. SIGKILL is somebody else's deed: after it only a
 * longer row (CHILD_KILLS_AT_ONCE, as when memory is short) begins to wait.
 */
void child_ended(struct child *child, int status, bool useful);

enum { CHILD_KILLS_AT_ONCE = 20 };

/* Closes every descriptor above the standard ones but the COUNT in KEPT. In a child. */
void child_keep_only(const int kept[], unsigned int count);
