/* Leaving the terminal: a daemon whose starter returns when the mount answers. The main thread, before any other. */
#pragma once

/*
 * Forks. In the child it returns the descriptor to which one byte is to be written when the mount is
 * ready: "/" as its directory, no terminal, errors to syslog, and to the starter while that waits. It
 * is in the starter's process group until then (supervisor.c). The starter never returns from here: *STATUS is its exit status and the
 * result -1. A failure to fork is told and is -1 too.
 */
int background_start(int *status);
