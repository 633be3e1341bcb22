#include "fs/etcd/etcd_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "fs/engine/kms_clock.h"
#include "fs/etcd/etcd_attempt.h"
#include "fs/etcd/etcd_call.h"
#include "fs/etcd/questions.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/openssl_cleanup.h"

enum { CHECK_MS = 15000, REFUSED_MS = 2000 };

struct fleet_watch {
    struct fleet_watch_wish wish; /* its prefix is PREFIX */
    char prefix[FLEET_KEY_SIZE];
    int64_t next_revision;
    char cluster[ANSWER_ID_SIZE]; /* "": not known yet */
    enum { CLOSED, OPENING, OPEN, LOST } state;
    struct etcd_attempt attempt;  /* OPENING, OPEN */
    int64_t not_before_ms;        /* CLOSED: the next stream */
    int64_t until_ms;             /* OPENING: must be open then; OPEN: is begun anew then. CLOCK_MONOTONIC */
    int told;                     /* the error that was told last; 0: it goes on */
    unsigned int refused;         /* tries in a row that were refused */
    bool checking, put_back;      /* whether the store was put back is being asked; it was */
    bool ended;                   /* by its user; freed in the next turn */
    struct fleet_watch *next;
};

DEFINE_CLEANUP(json, json_t *, json_decref)

struct fleet_watch *etcd_watch(struct fleet_store *store, const struct fleet_watch_wish *wish)
{
    struct etcd *etcd = etcd_of(store);
    struct fleet_watch *watch = strlen(wish->prefix) < FLEET_KEY_SIZE ? calloc(1, sizeof(*watch)) : NULL;
    if (!watch)
        return NULL;
    watch->wish = *wish;
    strcpy(watch->prefix, wish->prefix);
    watch->wish.prefix = watch->prefix;
    watch->next_revision = wish->after + 1;
    watch->next = etcd->watches;
    etcd->watches = watch;
    exchanges_wake_up(etcd->exchanges);
    return watch;
}

void etcd_end_watch(struct fleet_store *store, struct fleet_watch *watch)
{
    watch->ended = true;
    exchanges_wake_up(etcd_of(store)->exchanges);
}

static void close_stream(struct etcd *etcd, struct fleet_watch *watch)
{
    etcd_attempt_clear(etcd, &watch->attempt);
    watch->state = CLOSED;
    watch->not_before_ms = 0;
}

static void tell(struct fleet_watch *watch, const struct fleet_error *error)
{
    if (watch->ended || watch->told == error->number)
        return;
    watch->told = error->number;
    watch->wish.interrupted(watch->wish.user, error);
}

/* The stream, or the try to have one. That a token has ended is not worth a word: the next try has another. */
static void fail(struct etcd *etcd, struct fleet_watch *watch, const struct trouble *trouble)
{
    bool first = trouble->next == TROUBLE_TOKEN && watch->refused == 0;
    etcd_attempt_failed(etcd, &watch->attempt, trouble);
    if (trouble->next == TROUBLE_TOKEN && !first)
        etcd_attempt_blame(etcd, &watch->attempt);
    close_stream(etcd, watch);
    watch->refused += trouble->next != TROUBLE_ELSEWHERE;
    if (trouble->next != TROUBLE_ELSEWHERE && !first)
        watch->not_before_ms = clock_monotonic_ms() + REFUSED_MS;
    if (!first)
        tell(watch, &trouble->error);
}

static void lose(struct etcd *etcd, struct fleet_watch *watch)
{
    close_stream(etcd, watch);
    watch->state = LOST;
    if (!watch->ended)
        watch->wish.lost(watch->wish.user);
}

/* -- a store that was put back ---------------------------------------------------------------- */

static int take_revision(void *user, const json_t *answer, int64_t sent_ms)
{
    struct fleet_watch *watch = user;
    int64_t revision;
    int r = answer_revision(answer, &revision);
    watch->put_back = r == 0 && revision + 1 < watch->next_revision;
    if (watch->put_back)
        watch->until_ms = 0; /* the next stream finds it so */
    return r;
}

static void checked(void *user, const struct fleet_error *error)
{
    struct fleet_watch *watch = user;
    watch->checking = false;
}

static void drop_check(void *user)
{
}

/*
 * The member is behind what was seen. It may lag, and will come to it; or the whole store was put back, and nothing of what
 * happens there would be told until it has come so far again.
 */
static void check_revision(struct etcd *etcd, struct fleet_watch *watch)
{
    const struct question_range range = {.key = watch->prefix, .key_size = strlen(watch->prefix), .limit = 1, .keys_only = true};
    if (!watch->checking)
        watch->checking = etcd_call_begin(etcd, &(struct etcd_call_wish){
            .path = "kv/range",
            .body = question_range(&range),
            .timeout_ms = CHECK_MS,
            .take = take_revision,
            .ended = checked,
            .drop = drop_check,
            .user = watch,
        }) == 0;
}

/* -- what comes ------------------------------------------------------------------------------- */

static bool is_other_store(struct fleet_watch *watch, const struct answer_watch *answer)
{
    if (!watch->cluster[0])
        memcpy(watch->cluster, answer->cluster, sizeof(watch->cluster));
    return watch->put_back || strcmp(watch->cluster, answer->cluster) != 0;
}

/* Not all hosts at once. */
static int64_t renewal_ms(const struct etcd *etcd)
{
    uint32_t random = 0;
    if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
        random = 0;
    return etcd->renew_ms - random % (etcd->renew_ms / 4 + 1);
}

static void take_created(struct etcd *etcd, struct fleet_watch *watch, const struct answer_watch *answer)
{
    if (is_other_store(watch, answer)) {
        lose(etcd, watch);
        return;
    }
    if (answer->revision + 1 < watch->next_revision)
        check_revision(etcd, watch);
    etcd_attempt_answered(etcd, &watch->attempt);
    watch->state = OPEN;
    watch->refused = 0;
    watch->until_ms = clock_monotonic_ms() + renewal_ms(etcd);
    tell(watch, &(struct fleet_error){0});
}

static void take_canceled(struct etcd *etcd, struct fleet_watch *watch, const struct answer_watch *answer)
{
    struct trouble trouble;
    if (answer->compact_revision) {
        lose(etcd, watch);
        return;
    }
    trouble_of_reason(&trouble, answer->reason, etcd_attempt_url(etcd, &watch->attempt));
    if (trouble.error.number == EACCES && watch->refused == 0) /* some versions say so of a token that has ended */
        trouble.next = TROUBLE_TOKEN;
    fail(etcd, watch, &trouble);
}

/* False: there is an event that was not asked for. */
static bool take_events(struct fleet_watch *watch, const struct answer_watch *answer)
{
    for (size_t i = 0; i < answer->entries.count && !watch->ended; i++) {
        const struct fleet_entry *entry = &answer->entries.list[i];
        if (entry->mod_revision < watch->next_revision)
            return false;
        watch->wish.changed(watch->wish.user, entry);
    }
    if (!answer->fragment && answer->reached >= watch->next_revision && !watch->ended) {
        watch->next_revision = answer->reached + 1;
        watch->wish.reached(watch->wish.user, answer->reached);
    }
    return true;
}

/* One line of the stream. */
static void take_line(struct etcd *etcd, struct fleet_watch *watch, const char *line, size_t length)
{
    struct answer_watch answer = {0};
    struct trouble trouble;
    const char *url = etcd_attempt_url(etcd, &watch->attempt);
    _cleanup_(json) json_t *parsed = answer_parse(line, length);
    const json_t *error = json_object_get(parsed, "error");
    int r = error ? 0 : answer_watch(json_object_get(parsed, "result"), watch->prefix, &answer);
    bool good = r == 0 && !error;
    if (error) {
        trouble_of_error(&trouble, parsed, url);
        fail(etcd, watch, &trouble);
    } else if (good && answer.canceled) {
        take_canceled(etcd, watch, &answer);
    } else if (good && answer.created) {
        take_created(etcd, watch, &answer);
    } else if (!good || watch->state != OPEN || !take_events(watch, &answer)) {
        trouble_set(&trouble, TROUBLE_ELSEWHERE, r == -ENOMEM ? ENOMEM : EBADMSG, url, "its watch cannot be read");
        fail(etcd, watch, &trouble);
    }
    answer_entries_free(&answer.entries);
}

static void take_lines(struct etcd *etcd, struct fleet_watch *watch)
{
    const char *line;
    size_t length;
    struct exchange *exchange = &watch->attempt.exchange;
    if (watch->state == CLOSED || exchange_status(exchange) != 200)
        return;
    while (!watch->ended && (watch->state == OPEN || watch->state == OPENING) && (line = exchange_line(exchange, &length))) {
        take_line(etcd, watch, line, length);
        if (watch->state == OPEN || watch->state == OPENING)
            exchange_took_line(exchange);
    }
}

/* -- turns ------------------------------------------------------------------------------------ */

static void open_stream(struct etcd *etcd, struct fleet_watch *watch, int64_t now_ms)
{
    struct trouble trouble = {0};
    int64_t again_ms = watch->until_ms = watch->not_before_ms;
    if (now_ms < again_ms)
        return;
    _cleanup_(secret_string) char *body = question_watch(watch->prefix, watch->next_revision);
    const struct etcd_question question = {.path = "watch", .body = body, .stream = true};
    enum etcd_begun begun =
        body ? etcd_attempt_begin(etcd, &question, &watch->attempt, &again_ms, &trouble) : ETCD_LATER;
    watch->until_ms = again_ms;
    if (begun == ETCD_BEGUN) {
        watch->state = OPENING;
        watch->until_ms = now_ms + ETCD_ATTEMPT_MS;
    } else if (trouble.error.number) {
        tell(watch, &trouble.error);
    }
    if (begun == ETCD_NOT)
        watch->until_ms = watch->not_before_ms = now_ms + REFUSED_MS;
}

/* The stream's end, and what time brings. */
static void look_at_stream(struct etcd *etcd, struct fleet_watch *watch, int64_t now_ms)
{
    struct trouble trouble;
    const char *url = etcd_attempt_url(etcd, &watch->attempt);
    if (watch->attempt.exchange.ended) {
        if (etcd_attempt_is_answered(etcd, &watch->attempt, &trouble))
            trouble_set(&trouble, TROUBLE_ELSEWHERE, ECONNRESET, url, "it has ended the watch");
        fail(etcd, watch, &trouble);
    } else if (watch->state == OPENING && now_ms >= watch->until_ms) {
        trouble_set(&trouble, TROUBLE_ELSEWHERE, ETIMEDOUT, url, "no answer in time");
        fail(etcd, watch, &trouble);
    } else if (watch->state == OPEN && (now_ms >= watch->until_ms ||
               etcd->endpoints.members[watch->attempt.member].failed != watch->attempt.failed)) {
        close_stream(etcd, watch);
    }
}

static void free_ended(struct etcd *etcd)
{
    struct fleet_watch **link = &etcd->watches;
    while (*link) {
        struct fleet_watch *watch = *link;
        if (watch->ended && watch->state != CLOSED)
            close_stream(etcd, watch);
        if (!watch->ended || watch->checking) {
            link = &watch->next;
            continue;
        }
        *link = watch->next;
        free(watch);
    }
}

int64_t etcd_watches_tend(struct etcd *etcd)
{
    int64_t next_ms = INT64_MAX;
    for (struct fleet_watch *watch = etcd->watches; watch; watch = watch->next) {
        int64_t now_ms = clock_monotonic_ms();
        if (watch->ended || watch->state == LOST)
            continue;
        take_lines(etcd, watch);
        if (watch->state == OPENING || watch->state == OPEN)
            look_at_stream(etcd, watch, now_ms);
        if (watch->state == CLOSED && !watch->ended)
            open_stream(etcd, watch, now_ms);
        if (watch->until_ms < next_ms)
            next_ms = watch->until_ms;
    }
    free_ended(etcd);
    return next_ms;
}

void etcd_watches_drop(struct etcd *etcd)
{
    for (struct fleet_watch *watch = etcd->watches; watch; watch = watch->next) {
        watch->ended = true;
        watch->checking = false;
    }
    free_ended(etcd);
}
