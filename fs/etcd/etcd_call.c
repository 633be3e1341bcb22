#include "fs/etcd/etcd_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "fs/engine/kms_clock.h"
#include "fs/etcd/etcd_attempt.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/openssl_cleanup.h"

/* Each that is under way has a connection of its own. */
enum { AT_ONCE_MOST = 8, TOKENS_MOST = 4, TOKEN_WAIT_MS = 50 };

struct etcd_call {
    struct etcd_call_wish wish;
    enum { WAITING, RUNNING, DONE } state;
    struct etcd_attempt attempt;
    int64_t deadline_ms;           /* CLOCK_MONOTONIC */
    int64_t not_before_ms;         /* the next try */
    int64_t again_ms;              /* when to look whether it can be made; something else may come first */
    unsigned int tokens;           /* that were refused */
    unsigned int nowhere;          /* tries in a row for which no member is the right one */
    bool tried;
    bool maybe_done;
    struct fleet_error error;      /* of the last try; at the end: the result */
    struct etcd_call *next;
};

DEFINE_CLEANUP(json, json_t *, json_decref)

int etcd_call_begin(struct etcd *etcd, const struct etcd_call_wish *wish)
{
    struct etcd_call *call = wish->body ? calloc(1, sizeof(*call)) : NULL;
    if (!call) {
        char *body = wish->body;
        cleanup_secret_string(&body);
        return -ENOMEM;
    }
    call->wish = *wish;
    call->deadline_ms = clock_monotonic_ms() + wish->timeout_ms;
    struct etcd_call **end = &etcd->calls;
    while (*end)
        end = &(*end)->next;
    *end = call;
    exchanges_wake_up(etcd->exchanges);
    return 0;
}

static void free_call(struct etcd *etcd, struct etcd_call *call)
{
    etcd_attempt_clear(etcd, &call->attempt);
    cleanup_secret_string(&call->wish.body);
    free(call);
}

void etcd_calls_drop(struct etcd *etcd)
{
    while (etcd->calls) {
        struct etcd_call *call = etcd->calls;
        etcd->calls = call->next;
        call->wish.drop(call->wish.user);
        free_call(etcd, call);
    }
}

static void end(struct etcd_call *call, const struct fleet_error *error)
{
    call->error = *error;
    call->error.maybe_done = call->maybe_done;
    call->state = DONE;
}

/* A try failed. */
static void fail(struct etcd *etcd, struct etcd_call *call, const struct trouble *trouble)
{
    enum trouble_next next = trouble->next;
    etcd_attempt_failed(etcd, &call->attempt, trouble);
    call->maybe_done = call->maybe_done || (call->wish.change && trouble->error.maybe_done);
    call->error = trouble->error;
    if (call->wish.open) /* it is what all others wait for */
        etcd->token.error = trouble->error;
    call->state = WAITING;
    call->not_before_ms = 0;
    call->nowhere = next == TROUBLE_NOWHERE ? call->nowhere + 1 : 0;
    if (next == TROUBLE_TOKEN) {
        if (call->tokens > 0) /* a member may not know yet what another one gave */
            etcd_attempt_blame(etcd, &call->attempt);
        call->not_before_ms = clock_monotonic_ms() + call->tokens * TOKEN_WAIT_MS;
        if (!etcd->user[0] || call->wish.open || ++call->tokens == TOKENS_MOST)
            next = TROUBLE_FINAL;
    }
    if (next == TROUBLE_FINAL || call->nowhere == etcd->endpoints.count)
        end(call, &trouble->error);
    etcd_attempt_clear(etcd, &call->attempt);
}

/* What streams of one answer have around it. */
static const json_t *inner_of(const json_t *answer)
{
    const json_t *result = json_object_get(answer, "result");
    return json_is_object(result) ? result : answer;
}

static void take_answer(struct etcd *etcd, struct etcd_call *call)
{
    struct trouble trouble;
    const struct exchange *exchange = &call->attempt.exchange;
    const char *url = etcd_attempt_url(etcd, &call->attempt);
    _cleanup_(json) json_t *answer = answer_parse(exchange->body ? exchange->body : "", exchange->size);
    if (json_object_get(answer, "error")) {
        trouble_of_error(&trouble, answer, url);
        fail(etcd, call, &trouble);
        return;
    }
    int r = answer ? call->wish.take(call->wish.user, inner_of(answer), call->attempt.sent_ms) : -EBADMSG;
    if (r < 0) {
        trouble_set(&trouble, r == -ENOMEM ? TROUBLE_FINAL : TROUBLE_ELSEWHERE, -r, url,
                    r == -ENOMEM ? "memory is short" : "its answer cannot be read");
        fail(etcd, call, &trouble);
        return;
    }
    etcd_attempt_answered(etcd, &call->attempt);
    call->error = (struct fleet_error){0};
    call->state = DONE;
}

static void settle(struct etcd *etcd, struct etcd_call *call)
{
    struct trouble trouble;
    if (etcd_attempt_is_answered(etcd, &call->attempt, &trouble))
        take_answer(etcd, call);
    else
        fail(etcd, call, &trouble);
}

static void begin(struct etcd *etcd, struct etcd_call *call, int64_t now_ms)
{
    struct trouble trouble = {0};
    call->again_ms = call->not_before_ms;
    if (now_ms < call->not_before_ms)
        return;
    const struct etcd_question question = {call->wish.path, call->wish.body, call->wish.open, .fresh = call->tried};
    switch (etcd_attempt_begin(etcd, &question, &call->attempt, &call->again_ms, &trouble)) {
    case ETCD_BEGUN:
        call->state = RUNNING;
        call->tried = true;
        break;
    case ETCD_LATER:
        if (trouble.error.number)
            call->error = trouble.error;
        break;
    case ETCD_NOT:
        end(call, &trouble.error);
        break;
    }
}

static void time_is_up(struct etcd *etcd, struct etcd_call *call)
{
    struct trouble trouble;
    if (call->state == RUNNING) {
        bool sent = exchange_maybe_sent(&call->attempt.exchange);
        trouble_set(&trouble, TROUBLE_ELSEWHERE, ETIMEDOUT, etcd_attempt_url(etcd, &call->attempt), "no answer in time");
        call->maybe_done = call->maybe_done || (call->wish.change && sent);
        etcd_attempt_clear(etcd, &call->attempt);
    } else {
        trouble_set(&trouble, TROUBLE_ELSEWHERE, ETIMEDOUT, "etcd", "no member answered in time");
    }
    end(call, call->error.number ? &call->error : &trouble.error); /* an earlier one says more */
}

static unsigned int count_running(const struct etcd *etcd)
{
    unsigned int running = 0;
    for (const struct etcd_call *call = etcd->calls; call; call = call->next)
        running += call->state == RUNNING && !call->wish.urgent;
    return running;
}

/* Moves on what needs no callback; when to come again. */
static int64_t move_on(struct etcd *etcd)
{
    int64_t next_ms = INT64_MAX;
    unsigned int running = count_running(etcd);
    for (struct etcd_call *call = etcd->calls; call; call = call->next) {
        int64_t now_ms = clock_monotonic_ms();
        if (call->state != DONE && !call->attempt.exchange.ended && now_ms >= call->deadline_ms)
            time_is_up(etcd, call);
        bool may_begin = call->wish.urgent || running < AT_ONCE_MOST;
        if (call->state == WAITING && may_begin) {
            begin(etcd, call, now_ms);
            running += call->state == RUNNING && !call->wish.urgent;
        }
        int64_t wake_ms = call->state == DONE || call->attempt.exchange.ended ? now_ms : call->deadline_ms;
        if (call->state == WAITING && may_begin && call->again_ms < wake_ms)
            wake_ms = call->again_ms;
        next_ms = wake_ms < next_ms ? wake_ms : next_ms;
    }
    return next_ms;
}

/* Whether one was answered: then the list may be another one. */
static bool settle_one(struct etcd *etcd)
{
    struct etcd_call **link = &etcd->calls;
    while (*link && (*link)->state != DONE && !(*link)->attempt.exchange.ended)
        link = &(*link)->next;
    struct etcd_call *call = *link;
    if (!call)
        return false;
    if (call->state == RUNNING)
        settle(etcd, call); /* a callback may have put others in front */
    if (call->state != DONE)
        return true;
    for (link = &etcd->calls; *link != call; link = &(*link)->next)
        ;
    *link = call->next;
    call->wish.ended(call->wish.user, &call->error);
    free_call(etcd, call);
    exchanges_wake_up(etcd->exchanges); /* those who waited for it */
    return true;
}

int64_t etcd_calls_tend(struct etcd *etcd)
{
    while (settle_one(etcd))
        ;
    return move_on(etcd);
}
