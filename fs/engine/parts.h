/*
 * What the engine is given from above and below, and the writes that it is handed: plain data, for the loop's user and for
 * the rooms that call what they were given.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/config/config.h"
#include "fs/engine/publish.h"
#include "fs/engine/run.h"
#include "fs/model/counters.h"
#include "fs/model/registry.h"
#include "fs/store/state.h"
#include "kmsapi/client_key.h"
#include "kmsapi/transport.h"

/* What the engine is given from above and below; all of it outlives the engine. */
struct engine_parts {
    struct registry *registry;
    struct counters *counters; /* NULL: nobody counts */
    const struct config *config;
    struct transport *transport; /* the engine's thread alone uses it from loop_start on */
    struct client_key_library *library;
    const struct state *state; /* where keys are kept */
    bool refresh; /* the configuration may be another one than the kernel was told of */
    bool first; /* no worker has served this mount before: what is loaded is shown at once */

    publish_begin *publish;
    void *publish_user;
    int publish_socket;                   /* readable: call publish_receive */
    bool (*publish_receive)(void *user);  /* false: the publisher is gone */
    int64_t (*publish_tend)(void *user);  /* when to call it again, CLOCK_MONOTONIC; NULL: never */

    run_begin *run;
    void *run_user;
    int run_socket;                       /* readable: call run_receive */
    bool (*run_receive)(void *user);      /* false: the runner is gone */

    /* A write is begun: from here on nobody may begin it again. */
    void (*begin)(void *user, uint64_t number);
    /* The write asks for an upgrade; loop_verdict ends it. INHERITED: an earlier worker has asked for it already. */
    void (*upgrade)(void *user, uint64_t number, bool inherited);
    /* A write asks for the configuration to be read again; reload_config or reload_refused ends it. */
    void (*reload)(void *user);
    /*
     * After reload_config or with REFRESH: whoever looks at owners and modes sees those of the configuration. Not TOLD:
     * memory was short, and the kernel may believe others as long as it believes them.
     */
    void (*reloaded)(void *user, bool told);
    /* After loop_drain: nothing is under way. */
    void (*drained)(void *user);
    int message_socket;                   /* readable: call receive_messages */
    void (*receive_messages)(void *user);

    /* The result of a write: 0 or negative errno. False when its caller was interrupted before. */
    bool (*answer)(void *user, uint64_t number, int result);
    void *answer_user;

    /*
     * Called for every write that waits for a creation, once the creation's intent is on the disk, before its request
     * is sent; for a write that joins it, when it joins. INTENT: the intent's number, never 0.
     */
    void (*note_intent)(void *user, uint64_t number, uint64_t intent);
    void *note_user;

    /* Called once, when the first listing of the AAPs has ended, well or not. Any use of it. */
    void (*first_sync_ended)(void *user);
    /* Called when the engine cannot go on: the publisher or the runner is gone. */
    void (*failed)(void *user);
    void *event_user;
};

/* A write to a control file. */
struct engine_write {
    uint64_t number; /* names it in ANSWER */
    uint32_t aap;    /* the AAP's number; 0: .aapfs/control */
    int64_t offset;
    const void *data; /* copied */
    size_t size;
    pid_t pid;
    uid_t uid; /* (uid_t)-1: not known; it is nobody's repeated write then */
    bool inherited;  /* an earlier worker had begun it: it is answered, and never carried out again */
    uint64_t intent; /* of an inherited one; 0: nothing was sent */
    bool upgrade;    /* an inherited one: it asked for an upgrade */
};
