#include "fs/etcd/etcd_attempt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "fs/engine/kms_clock.h"
#include "kmsapi/cleanup.h"

static void member_failed(struct etcd *etcd, size_t member)
{
    uint32_t random = 0;
    if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
        random = UINT32_MAX;
    endpoints_failed(&etcd->endpoints, member, clock_monotonic_ms(), random);
}

/* Whether a token is there, or none is needed. */
static enum etcd_begun find_token(struct etcd *etcd, int64_t *again_ms, struct trouble *trouble)
{
    struct etcd_token *token = &etcd->token;
    if (!etcd->user[0] || token->off || token->text[0])
        return ETCD_BEGUN;
    if (!token->wanted)
        exchanges_wake_up(etcd->exchanges); /* whoever asks for it */
    token->wanted = true;
    trouble->error = token->error;
    if (token->refused && token->again_ms > clock_monotonic_ms()) {
        trouble->next = TROUBLE_FINAL;
        *again_ms = token->again_ms;
        return ETCD_NOT;
    }
    *again_ms = INT64_MAX; /* it is the end of that request that wakes */
    return ETCD_LATER;
}

/* A name that takes too long is a member that failed: there are others. */
static enum etcd_begun wait_for_name(struct etcd *etcd, size_t number, int64_t *again_ms, struct trouble *trouble)
{
    struct endpoints_member *member = &etcd->endpoints.members[number];
    int64_t now_ms = clock_monotonic_ms();
    if (!member->resolving_ms)
        member->resolving_ms = now_ms;
    *again_ms = member->resolving_ms + ETCD_CONNECT_MS;
    if (now_ms >= *again_ms) {
        trouble_set(trouble, TROUBLE_ELSEWHERE, EHOSTUNREACH, member->url, "no nameserver answers in time");
        member_failed(etcd, number);
        *again_ms = now_ms;
    }
    return ETCD_LATER;
}

static int begin_exchange(struct etcd *etcd, const struct etcd_question *question, const struct endpoints_member *member,
                          const char *addresses, struct etcd_attempt *attempt)
{
    char url[sizeof(member->url) + 64];
    _cleanup_(free) char *resolve = NULL;
    snprintf(url, sizeof(url), "%s/v3/%s", member->url, question->path);
    if (!member->where.literal && asprintf(&resolve, "%s:%u:%s", member->where.host, member->where.port, addresses) < 0) {
        resolve = NULL;
        return -ENOMEM;
    }
    const struct exchange_request request = {
        .url = url,
        .resolve = resolve,
        .body = question->body,
        .token = !question->open && etcd->token.text[0] ? etcd->token.text : NULL,
        .limit = ETCD_ANSWER_MOST,
        .connect_ms = ETCD_CONNECT_MS,
        .whole_ms = question->stream ? 0 : ETCD_ATTEMPT_MS,
        .fresh = question->stream || question->fresh,
    };
    attempt->token = request.token ? etcd->token.serial : 0;
    return exchange_begin(etcd->exchanges, &request, &attempt->exchange);
}

enum etcd_begun etcd_attempt_begin(struct etcd *etcd, const struct etcd_question *question, struct etcd_attempt *attempt,
                                   int64_t *again_ms, struct trouble *trouble)
{
    _cleanup_(free) char *addresses = NULL;
    const char *why;
    enum etcd_begun begun = question->open ? ETCD_BEGUN : find_token(etcd, again_ms, trouble);
    if (begun != ETCD_BEGUN)
        return begun;
    int64_t now_ms = clock_monotonic_ms();
    size_t number = endpoints_choose(&etcd->endpoints, now_ms, again_ms);
    if (number == ENDPOINTS_NONE)
        return ETCD_LATER;
    const struct endpoints_member *member = &etcd->endpoints.members[number];
    char text[192];
    switch (resolver_look_up(etcd->resolver, member->where.host, &addresses, &why)) {
    case RESOLVE_PENDING:
        return wait_for_name(etcd, number, again_ms, trouble);
    case RESOLVE_FAILED:
        snprintf(text, sizeof(text), "the name does not resolve: %.128s", why);
        trouble_set(trouble, TROUBLE_ELSEWHERE, EHOSTUNREACH, member->url, text);
        member_failed(etcd, number);
        *again_ms = now_ms;
        return ETCD_LATER;
    case RESOLVE_FOUND:
        break;
    }
    *attempt = (struct etcd_attempt){.member = number, .failed = member->failed, .sent_ms = clock_boottime_ms()};
    if (begin_exchange(etcd, question, member, addresses, attempt) == 0)
        return ETCD_BEGUN;
    trouble_set(trouble, TROUBLE_FINAL, ENOMEM, member->url, "memory is short");
    return ETCD_NOT;
}

const char *etcd_attempt_url(const struct etcd *etcd, const struct etcd_attempt *attempt)
{
    return etcd->endpoints.members[attempt->member].url;
}

bool etcd_attempt_is_answered(const struct etcd *etcd, const struct etcd_attempt *attempt, struct trouble *trouble)
{
    const struct exchange *exchange = &attempt->exchange;
    const char *url = etcd_attempt_url(etcd, attempt);
    if (exchange->code != CURLE_OK)
        trouble_of_curl(trouble, exchange, url);
    else if (exchange_status(exchange) != 200)
        trouble_of_answer(trouble, exchange_status(exchange), exchange->body ? exchange->body + exchange->taken : "",
                          exchange->size - exchange->taken, url);
    else
        return true;
    return false;
}

void etcd_attempt_answered(struct etcd *etcd, const struct etcd_attempt *attempt)
{
    endpoints_answered(&etcd->endpoints, attempt->member);
}

void etcd_attempt_blame(struct etcd *etcd, const struct etcd_attempt *attempt)
{
    member_failed(etcd, attempt->member);
}

void etcd_attempt_failed(struct etcd *etcd, const struct etcd_attempt *attempt, const struct trouble *trouble)
{
    struct etcd_token *token = &etcd->token;
    switch (trouble->next) {
    case TROUBLE_ELSEWHERE:
    case TROUBLE_NOWHERE:
        member_failed(etcd, attempt->member);
        break;
    case TROUBLE_TOKEN: /* unless there is another one by now */
        if (attempt->token == (token->text[0] ? token->serial : 0)) {
            OPENSSL_cleanse(token->text, sizeof(token->text));
            token->off = false;
        }
        break;
    case TROUBLE_FINAL:
        break;
    }
}

void etcd_attempt_clear(struct etcd *etcd, struct etcd_attempt *attempt)
{
    exchange_clear(etcd->exchanges, &attempt->exchange);
    *attempt = (struct etcd_attempt){0};
}
