/*
 * A read-only mount is told to reload or upgrade by its supervisor's socket (fs/supervisor/request_socket.h), since nobody can
 * write its control. The main thread.
 */
#pragma once

#include <stdbool.h>

/* Whether nobody can write to MOUNTPOINT, as it is seen from here. */
bool ask_supervisor_is_needed(const char *mountpoint);

/* COMMAND: reload or upgrade. 0; or negative errno after a line on stderr. */
int ask_supervisor(const char *mountpoint, const char *command);
