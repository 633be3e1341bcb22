/*
 * What the life of keys needs from above: running a command. Given to the engine at start as a function; the
 * mount has a process for it.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* How a command ended. The values go between processes: they do not change. */
enum run_ending {
    RUN_EXITED = 1,      /* with a status */
    RUN_KILLED = 2,      /* by a signal */
    RUN_TIMED_OUT = 3,
    RUN_NOT_STARTED = 4, /* an errno */
};

struct run_result {
    enum run_ending ending;
    int number; /* the status, signal or errno */
};

struct run_request {
    uint32_t aap; /* the AAP's number, for DONE */
    const char *command; /* copied */
    /* outlive the request */
    const char *aap_name, *client_key_id;
    uid_t uid; /* (uid_t)-1: the one that aapfs has */
    unsigned int timeout_ms;
    /* Called once, when the command has ended; not when the worker ends before. */
    void (*done)(void *user, uint32_t aap, const struct run_result *result);
    void *user;
};

/* Begins to run a command. The engine's thread, registry's lock not held; DONE may be called at once. */
typedef void run_begin(void *user, const struct run_request *request);
