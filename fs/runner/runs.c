#include "fs/runner/runs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fs/runner/runner.h"

struct run {
    uint64_t id;
    struct run_request request;
    char *command; /* the request's: the configuration may change before the runner has it */
    bool sent;
    struct run *next;
};

struct runs {
    int socket;
    const char *mountpoint;
    struct mount_head *head;
    struct run *first, **end; /* in the order in which they began */
};

struct runs *runs_new(int socket, const char *mountpoint, struct mount_head *head)
{
    struct runs *runs = calloc(1, sizeof(*runs));
    if (!runs)
        return NULL;
    *runs = (struct runs){.socket = socket, .mountpoint = mountpoint, .head = head};
    runs->end = &runs->first;
    return runs;
}

static void free_run(struct run *run)
{
    if (run)
        free(run->command);
    free(run);
}

void runs_free(struct runs *runs)
{
    while (runs && runs->first) {
        struct run *run = runs->first;
        runs->first = run->next;
        free_run(run);
    }
    free(runs);
}

static int send_one(const struct runs *runs, const struct run *run)
{
    const struct run_request *request = &run->request;
    struct runner_work work = {.id = run->id, .timeout_ms = request->timeout_ms, .uid = request->uid};
    snprintf(work.command, sizeof(work.command), "%s", request->command);
    snprintf(work.aap, sizeof(work.aap), "%s", request->aap_name);
    snprintf(work.client_key_id, sizeof(work.client_key_id), "%s", request->client_key_id);
    snprintf(work.mountpoint, sizeof(work.mountpoint), "%s", runs->mountpoint);
    return send(runs->socket, &work, sizeof(work), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* As far as the socket has room: a runner that is not there must not stop the engine. */
static void send_unsent(struct runs *runs)
{
    for (struct run *run = runs->first; run; run = run->next) {
        if (run->sent)
            continue;
        if (send_one(runs, run) < 0)
            return;
        run->sent = true;
    }
}

void runs_begin(void *user, const struct run_request *request)
{
    struct runs *runs = user;
    struct run *run = calloc(1, sizeof(*run));
    if (run)
        run->command = strdup(request->command);
    if (!run || !run->command) {
        free_run(run);
        const struct run_result refused = {RUN_NOT_STARTED, ENOMEM};
        request->done(request->user, request->aap, &refused);
        return;
    }
    run->id = ++runs->head->runs;
    run->request = *request;
    run->request.command = run->command;
    *runs->end = run;
    runs->end = &run->next;
    send_unsent(runs);
}

/* What an earlier worker began is nobody's here. */
static void finish(struct runs *runs, const struct runner_result *told)
{
    for (struct run **link = &runs->first; *link; link = &(*link)->next) {
        struct run *run = *link;
        if (run->id != told->id)
            continue;
        *link = run->next;
        if (!run->next)
            runs->end = link;
        const struct run_result result = {(enum run_ending)told->ending, told->number};
        run->request.done(run->request.user, run->request.aap, &result);
        free_run(run);
        return;
    }
}

bool runs_receive(void *user)
{
    struct runs *runs = user;
    for (;;) {
        struct runner_result told;
        ssize_t size = recv(runs->socket, &told, sizeof(told), MSG_DONTWAIT);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0) {
            bool waiting = errno == EAGAIN;
            send_unsent(runs);
            return waiting;
        }
        if (size == 0)
            return false;
        if (size == sizeof(told) && told.id == RUNNER_HELLO) { /* a new one, which has got nothing yet */
            for (struct run *run = runs->first; run; run = run->next)
                run->sent = false;
        } else if (size == sizeof(told) && told.ending >= RUN_EXITED && told.ending <= RUN_NOT_STARTED) {
            runs->head->ran++;
            finish(runs, &told);
        }
    }
}
