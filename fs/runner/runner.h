/*
 * The runner: a process of its own that runs commands for the worker, which has given up what they may need. Forked
 * before the mount exists, it has neither /dev/fuse nor a secret: nothing of either can reach a command.
 *
 * Work comes and results go as single messages of a SOCK_SEQPACKET socket, whose ends outlive runner and worker.
 * Four commands run at once, one of an AAP; the rest wait in order. At its timeout a command's process group gets
 * SIGTERM, and SIGKILL 5 s later. Work that is sent again is carried out once by the same runner. A command that runs
 * when the runner dies goes on, and nobody ends it; but one for credentials is killed when the runner ends by itself or by
 * SIGTERM.
 */
#pragma once

#include <stdint.h>

#include "fs/config/config.h"
#include "fs/model/numbers.h"
#include "fs/mount/mount_point.h"

/*
 * In the place of an AAP: a program that prints credentials. Two descriptors come along: its stdout, which nobody reads
 * here, and a SOCK_SEQPACKET socket that gets its result. It waits for no other command.
 */
#define RUNNER_FOR_CREDENTIALS ".credentials"

enum {
    RUNNER_HELLO = 0,
    RUNNER_AT_ONCE = 4,
    RUNNER_GRACE_MS = 5000,
    RUNNER_TIMEOUT_MOST_MS = 3600 * 1000,
};

struct runner_work {
    uint64_t id; /* not RUNNER_HELLO */
    uint32_t timeout_ms;
    uint32_t uid; /* UINT32_MAX: the runner's own */
    char command[CONFIG_COMMAND_SIZE];
    char aap[AAP_NAME_SIZE];
    char client_key_id[CLIENT_KEY_ID_SIZE];
    char mountpoint[MOUNT_POINT_PATH_SIZE];
};

struct runner_result {
    uint64_t id;     /* RUNNER_HELLO: a runner has begun, and knows of no work yet */
    uint32_t ending; /* enum run_ending */
    int32_t number;
};

/*
 * The runner's life, called in its process: until SOCKET is closed at the other end, or SIGTERM, or, after SIGUSR1, until
 * nothing is left to do. Returns the exit status, for _exit.
 */
int runner_run(int socket);
