/* The unix socket at which container runtimes find the plugin. The main thread, at the start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * A listening socket: the one that systemd made, where this was started by socket activation (*OURS is false then),
 * else a new one at PATH, mode 0600, with the directories above it. One that nobody listens to any more is replaced.
 * The descriptor; or negative errno and REASON.
 */
int plugin_socket_open(const char *path, bool *ours, char *reason, size_t size);
