/*
 * The engine: the loop that carries out what control writes ask for, and the only writer of the
 * registry. A thread of its own, which alone talks to KMS; the session hands it writes and never
 * waits for it.
 */
#ifndef AAPFS_FS_ENGINE_ENGINE_H
#define AAPFS_FS_ENGINE_ENGINE_H

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

struct engine;

/* What the engine is given from above and below; all of it outlives the engine. */
struct engine_parts {
    struct registry *registry;
    struct counters *counters; /* NULL: nobody counts */
    const struct config *config;
    struct transport *transport; /* the engine's thread alone uses it from engine_start on */
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
    /*
     * The write asks for an upgrade; engine_verdict ends it. INHERITED: an earlier worker has asked for it
     * already.
     */
    void (*upgrade)(void *user, uint64_t number, bool inherited);
    /* A write asks for the configuration to be read again; engine_reload or engine_refuse_reload ends it. */
    void (*reload)(void *user);
    /*
     * After engine_reload or with REFRESH: whoever looks at owners and modes sees those of the configuration. Not TOLD:
     * memory was short, and the kernel may believe others as long as it believes them.
     */
    void (*reloaded)(void *user, bool told);
    /* After engine_drain: nothing is under way. */
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

/*
 * Opens the store, where there is one yet, fills the registry from it, and starts the thread. NULL after a line: the
 * store does not open, memory is short …
 */
struct engine *engine_start(const struct engine_parts *parts);

/* Hands over a write; any thread. False when memory is short: the caller answers it then. */
bool engine_submit(struct engine *engine, const struct engine_write *write);

/* Those below: from receive_messages only. */

/*
 * DRAIN: no write is begun any more, and DRAINED called once when none is under way and every key is saved. Else goes
 * on as before.
 */
void engine_drain(struct engine *engine, bool drain);

/* Ends the writes that asked for an upgrade: NUMBER 0, or an errno and why. */
void engine_verdict(struct engine *engine, int number, const char *text);

/*
 * From now on CONFIG holds, which outlives the engine or the next engine_reload; nothing uses the one before. ASKED:
 * it is what a write has asked for.
 */
void engine_reload(struct engine *engine, const struct config *config, bool asked);

/* Ends the writes that asked for that: an errno and why. */
void engine_refuse_reload(struct engine *engine, int number, const char *text);

/* Ends the thread and frees; writes that still wait are answered with EIO. */
void engine_stop(struct engine *engine);

#endif
