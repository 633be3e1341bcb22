/*
 * Starts one command by /bin/sh: in a session of its own, with nothing of this process but its stdout and stderr, or,
 * where it is given another stdout, neither. The runner's thread.
 */
#pragma once

#include <sys/types.h>

struct run_command {
    const char *command;
    uid_t uid; /* (uid_t)-1: this process's own, with its groups and capabilities */
    /* becomes its stdout, its stderr leads nowhere, and PATH, HOME, USER, LOGNAME and LANG are its environment; -1: see
     * below */
    int output;
    /* become AAPFS_AAP, AAPFS_CLIENT_KEY_ID and AAPFS_MOUNT; PATH is a fixed one, and there is nothing else */
    const char *aap, *client_key_id, *mountpoint;
};

/*
 * The process id, which is its session's and its process group's too, or negative errno. *FAILURE is for
 * run_command_failure.
 */
pid_t run_command_start(const struct run_command *command, int *failure);

/* Once the process has ended: 0, or the negative errno with which it did not become the command. Closes FAILURE. */
int run_command_failure(int failure);
