#include "tests/unit/fleet/memory_store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct memory memory;

struct fleet_lease {
    struct fleet_lease_wish wish;
    int64_t id; /* 0: not granted yet */
    bool lost;
    struct fleet_lease *next;
};

/* A get or a commit, with texts of its own. */
struct request {
    struct fleet_get get;
    struct fleet_commit commit;
    struct fleet_compare compares[FLEET_PARTS_MOST];
    struct fleet_change changes[FLEET_PARTS_MOST];
    struct request *next;
};

/* A change that watches are to be told of. */
struct event {
    struct memory_entry *entry; /* of its own */
    struct event *next;
};

struct fleet_watch {
    struct fleet_watch_wish wish;
    char prefix[FLEET_KEY_SIZE];
    struct event *events, **end; /* that it was not told of yet */
    bool loses;
    struct fleet_watch *next;
};

static struct fleet_watch *watches;
static struct request *requests, **end = &requests;
static struct fleet_lease *leases;

/* -- what is in it ------------------------------------------------------------------------- */

static struct memory_entry **find(const char *key)
{
    struct memory_entry **link = &memory.entries;
    while (*link && strcmp((*link)->key, key) < 0)
        link = &(*link)->next;
    return link;
}

static bool is_at(struct memory_entry *const *link, const char *key)
{
    return *link && strcmp((*link)->key, key) == 0;
}

const struct memory_entry *memory_find(const char *key)
{
    struct memory_entry **link = find(key);
    return is_at(link, key) ? *link : NULL;
}

static void free_entry(struct memory_entry *entry)
{
    free(entry->value);
    free(entry);
}

static void tell_watch(struct fleet_watch *watch, const struct memory_entry *entry, bool removed)
{
    struct event *event = calloc(1, sizeof(*event));
    struct memory_entry *copied = calloc(1, sizeof(*copied));
    assert_true(event && copied);
    *copied = *entry;
    copied->value = removed ? NULL : malloc(entry->entry.size + 1);
    if (!removed)
        memcpy(copied->value, entry->value, entry->entry.size);
    copied->entry.key = copied->key;
    copied->entry.value = copied->value;
    copied->entry.mod_revision = memory.revision;
    if (removed)
        copied->entry.size = 0, copied->entry.version = 0;
    event->entry = copied;
    *watch->end = event;
    watch->end = &event->next;
}

static void tell_watches(const struct memory_entry *entry, bool removed)
{
    for (struct fleet_watch *watch = watches; watch; watch = watch->next)
        if (strncmp(entry->key, watch->prefix, strlen(watch->prefix)) == 0)
            tell_watch(watch, entry, removed);
}

static void take_away(struct memory_entry **link)
{
    struct memory_entry *entry = *link;
    *link = entry->next;
    tell_watches(entry, true);
    free_entry(entry);
}

static void put(const char *key, const void *value, size_t size, int64_t lease)
{
    struct memory_entry **link = find(key);
    if (!is_at(link, key)) {
        struct memory_entry *made = calloc(1, sizeof(*made));
        assert_non_null(made);
        snprintf(made->key, sizeof(made->key), "%s", key);
        made->entry = (struct fleet_entry){.key = made->key, .create_revision = memory.revision};
        made->next = *link;
        *link = made;
    }
    struct memory_entry *entry = *link;
    free(entry->value);
    entry->value = calloc(1, size + 1);
    assert_non_null(entry->value);
    memcpy(entry->value, value, size);
    entry->entry.value = entry->value;
    entry->entry.size = size;
    entry->entry.mod_revision = memory.revision;
    entry->entry.version++;
    entry->entry.lease = lease;
    tell_watches(entry, false);
}

void memory_put(const char *key, const void *value, size_t size)
{
    memory.revision++;
    put(key, value, size, 0);
}

void memory_remove(const char *key)
{
    struct memory_entry **link = find(key);
    assert_true(is_at(link, key));
    memory.revision++;
    take_away(link);
}

unsigned int memory_count(const char *prefix)
{
    unsigned int count = 0;
    for (const struct memory_entry *entry = memory.entries; entry; entry = entry->next)
        count += strncmp(entry->key, prefix, strlen(prefix)) == 0;
    return count;
}

/* -- requests ------------------------------------------------------------------------------ */

static char *copy(const char *text)
{
    char *copied = strdup(text);
    assert_non_null(copied);
    return copied;
}

static struct request *add(void)
{
    struct request *request = calloc(1, sizeof(*request));
    assert_non_null(request);
    *end = request;
    end = &request->next;
    return request;
}

static int get(struct fleet_store *store, const struct fleet_get *wish)
{
    struct request *request = add();
    request->get = *wish;
    request->get.key = copy(wish->key);
    memory.gets++;
    return 0;
}

static int commit(struct fleet_store *store, const struct fleet_commit *wish)
{
    struct request *request = add();
    request->commit = *wish;
    for (size_t i = 0; i < wish->compare_count; i++) {
        request->compares[i] = wish->compares[i];
        request->compares[i].key = copy(wish->compares[i].key);
    }
    for (size_t i = 0; i < wish->change_count; i++) {
        struct fleet_change *change = &request->changes[i];
        *change = wish->changes[i];
        change->key = copy(change->key);
        if (change->value)
            change->value = memcpy(malloc(change->size + 1), change->value, change->size);
    }
    memory.commits++;
    return 0;
}

static void free_request(struct request *request)
{
    free((void *)(uintptr_t)request->get.key);
    for (size_t i = 0; i < request->commit.compare_count; i++)
        free((void *)(uintptr_t)request->compares[i].key);
    for (size_t i = 0; i < request->commit.change_count; i++) {
        free((void *)(uintptr_t)request->changes[i].key);
        free((void *)(uintptr_t)request->changes[i].value);
    }
    free(request);
}

static void answer_get(const struct fleet_get *wish, const struct fleet_error *error)
{
    for (const struct memory_entry *entry = memory.entries; entry && !error->number; entry = entry->next)
        if (wish->prefix ? strncmp(entry->key, wish->key, strlen(wish->key)) == 0 : strcmp(entry->key, wish->key) == 0) {
            struct fleet_entry found = entry->entry;
            if (wish->keys_only)
                found.value = NULL, found.size = 0;
            wish->found(wish->user, &found);
        }
    wish->ended(wish->user, error, memory.revision);
}

static bool holds(const struct fleet_compare *compare, struct fleet_entry *found)
{
    const struct memory_entry *entry = memory_find(compare->key);
    *found = entry ? entry->entry : (struct fleet_entry){.key = compare->key};
    int64_t is = compare->what == FLEET_VERSION ? found->version
                 : compare->what == FLEET_CREATE_REVISION ? found->create_revision : found->mod_revision;
    return is == compare->equals;
}

static bool lease_is_there(int64_t id)
{
    const struct fleet_lease *lease = leases;
    while (lease && (lease->id != id || lease->lost))
        lease = lease->next;
    return id == 0 || lease;
}

static void answer_commit(const struct request *request, const struct fleet_error *error)
{
    const struct fleet_commit *wish = &request->commit;
    struct fleet_entry found[FLEET_PARTS_MOST];
    struct fleet_error lost = {.number = ETIMEDOUT, .maybe_done = true, .text = "its answer is lost"};
    bool all = !error->number;
    if (error->number) {
        wish->ended(wish->user, error, false, 0, NULL);
        return;
    }
    for (size_t i = 0; i < wish->compare_count; i++)
        all = holds(&request->compares[i], &found[i]) && all;
    for (size_t i = 0; all && i < wish->change_count; i++)
        if (!lease_is_there(request->changes[i].lease)) {
            wish->ended(wish->user, &(struct fleet_error){.number = ENOENT, .text = "there is no such lease"}, false, 0, NULL);
            return;
        }
    memory.revision += all;
    for (size_t i = 0; all && i < wish->change_count; i++) {
        const struct fleet_change *change = &request->changes[i];
        struct memory_entry **link = find(change->key);
        if (change->value)
            put(change->key, change->value, change->size, change->lease);
        else if (is_at(link, change->key))
            take_away(link);
    }
    bool loses = memory.loses;
    memory.loses = false;
    if (loses)
        wish->ended(wish->user, &lost, false, 0, NULL);
    else
        wish->ended(wish->user, error, all, memory.revision, all ? NULL : found);
}

/* -- leases -------------------------------------------------------------------------------- */

static struct fleet_lease *lease(struct fleet_store *store, const struct fleet_lease_wish *wish)
{
    struct fleet_lease *made = calloc(1, sizeof(*made));
    assert_non_null(made);
    made->wish = *wish;
    made->next = leases;
    leases = made;
    memory.leases++;
    return made;
}

static int64_t lease_left_ms(struct fleet_store *store, const struct fleet_lease *lease)
{
    int64_t left_ms = (int64_t)lease->wish.ttl_s * 1000;
    return lease->lost || !lease->id ? 0 : left_ms < memory.left_ms ? left_ms : memory.left_ms;
}

static void remove_bound(int64_t id)
{
    struct memory_entry **link = &memory.entries;
    memory.revision++;
    while (*link)
        if (id && (*link)->entry.lease == id)
            take_away(link);
        else
            link = &(*link)->next;
}

static void end_lease(struct fleet_store *store, struct fleet_lease *lease)
{
    struct fleet_lease **link = &leases;
    while (*link != lease)
        link = &(*link)->next;
    *link = lease->next;
    remove_bound(lease->id);
    free(lease);
}

void memory_end_leases(bool tell)
{
    const struct fleet_error error = {.number = ENOENT, .text = "the lease has ended"};
    for (struct fleet_lease *lease = leases, *next; lease; lease = next) {
        next = lease->next;
        remove_bound(lease->id);
        lease->lost = true;
        if (tell)
            lease->wish.lost(lease->wish.user, &error);
    }
}

static void grant(const struct fleet_error *error)
{
    for (struct fleet_lease *lease = leases, *next; lease; lease = next) {
        next = lease->next;
        if (lease->id || lease->lost)
            continue;
        if (error->number) {
            lease->lost = true;
            lease->wish.lost(lease->wish.user, error);
        } else {
            lease->id = ++memory.last_lease;
            lease->wish.granted(lease->wish.user, lease->id);
        }
    }
}

/* -- watches ------------------------------------------------------------------------------- */

/* What changed after its revision and before it was begun is told by a real one: the test lets nothing change there. */
static struct fleet_watch *watch(struct fleet_store *store, const struct fleet_watch_wish *wish)
{
    struct fleet_watch *made = calloc(1, sizeof(*made));
    assert_non_null(made);
    assert_int_equal(wish->after, memory.revision);
    made->wish = *wish;
    snprintf(made->prefix, sizeof(made->prefix), "%s", wish->prefix);
    made->end = &made->events;
    made->next = watches;
    return watches = made;
}

static void drop_event(struct fleet_watch *watch)
{
    struct event *event = watch->events;
    watch->events = event->next;
    if (!watch->events)
        watch->end = &watch->events;
    free_entry(event->entry);
    free(event);
}

static void end_watch(struct fleet_store *store, struct fleet_watch *watch)
{
    struct fleet_watch **link = &watches;
    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
    while (watch->events)
        drop_event(watch);
    free(watch);
}

static struct fleet_watch *watch_to_tell(void)
{
    struct fleet_watch *watch = watches;
    while (watch && !watch->loses && !watch->events)
        watch = watch->next;
    return watch;
}

static bool is_watch(const struct fleet_watch *watch)
{
    const struct fleet_watch *one = watches;
    while (one && one != watch)
        one = one->next;
    return one;
}

/* It may be ended then. */
static void tell_one(struct fleet_watch *watch)
{
    if (watch->loses) {
        watch->loses = false;
        watch->wish.lost(watch->wish.user);
        return;
    }
    struct event *event = watch->events;
    watch->events = event->next;
    if (!watch->events)
        watch->end = &watch->events;
    watch->wish.changed(watch->wish.user, &event->entry->entry);
    if (is_watch(watch) && !watch->events)
        watch->wish.reached(watch->wish.user, event->entry->entry.mod_revision);
    free_entry(event->entry);
    free(event);
}

void memory_lose_watches(void)
{
    for (struct fleet_watch *watch = watches; watch; watch = watch->next) {
        while (watch->events)
            drop_event(watch);
        watch->loses = true;
    }
}

/* -- the store ----------------------------------------------------------------------------- */

static bool has_request_for_lease(void)
{
    const struct fleet_lease *lease = leases;
    while (lease && (lease->id || lease->lost))
        lease = lease->next;
    return lease;
}

bool memory_is_asked(void)
{
    return (requests || has_request_for_lease() || watch_to_tell()) && (!memory.holds || memory.allowed > 0);
}

static void answer_one(void)
{
    const struct fleet_error error = {.number = memory.error, .text = "it is not there"};
    if (has_request_for_lease()) {
        grant(&error);
        return;
    }
    struct request *request = requests;
    struct fleet_watch *watch = watch_to_tell();
    if (!request && watch)
        tell_one(watch);
    if (!request)
        return;
    requests = request->next;
    if (!requests)
        end = &requests;
    if (request->get.key)
        answer_get(&request->get, &error);
    else
        answer_commit(request, &error);
    free_request(request);
}

/* What the engine asks for in its callbacks is answered in its next turn, which comes at once. */
static int64_t tend(struct fleet_store *store)
{
    unsigned int waiting = 100;
    while (memory_is_asked() && waiting-- > 0) {
        memory.allowed -= memory.holds;
        answer_one();
    }
    return memory_is_asked() ? 0 : INT64_MAX;
}

static int descriptor(struct fleet_store *store)
{
    return -1;
}

static void free_store(struct fleet_store *store)
{
    while (requests) {
        struct request *request = requests;
        requests = request->next;
        free_request(request);
    }
    end = &requests;
    while (watches)
        end_watch(store, watches);
    while (leases) {
        struct fleet_lease *lease = leases;
        leases = lease->next;
        free(lease);
    }
}

struct fleet_store *memory_store(void)
{
    static const struct fleet_store_calls calls = {get, commit, watch, end_watch, lease, lease_left_ms, end_lease,
                                                   descriptor, tend, free_store};
    static struct fleet_store store = {&calls};
    return &store;
}

void memory_clear(void)
{
    while (memory.entries)
        take_away(&memory.entries);
    memory = (struct memory){.revision = 100, .left_ms = INT64_MAX};
}
