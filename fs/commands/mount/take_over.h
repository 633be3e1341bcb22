/*
 * This program was started by another version of itself, to take over a mount (fs/supervisor/handover.h). The main
 * thread.
 */
#pragma once

#include "fs/supervisor/handover.h"
#include "fs/supervisor/supervisor.h"

/* Does what HANDOVER asks for, to its end; *STATE, which PARTS points to, is filled. The exit status. */
int take_over(const struct supervisor_parts *parts, struct state *state, const struct handover *handover);

enum { ARGUMENTS_MOST = 20 };

struct mount_words {
    const char *file, *region, *endpoint, *source, *mountpoint; /* NULL: not given, but for MOUNTPOINT; FILE is absolute */
};

/*
 * The command line with which an upgrade starts the installed program: as this one was started.
 * *EXECUTABLE: the file that this program was started from. 0 or negative errno. Both live until the process ends.
 */
int take_over_command(const struct mount_words *words, char *arguments[static ARGUMENTS_MOST], const char **executable);
