/*
 * Drives fs/etcd/etcd.h as the engine's thread does, from inside transport_run: takes commands from stdin and prints what
 * comes of them, a JSON object a line each.
 *
 *     etcd_calls '{"endpoints": ["https://…", …], "ca_file": …, "certificate": …, "certificate_key": …, "user": …,
 *                  "password_file": …, "renew_ms": …}'
 *
 *     {"tag": T, "do": "get", "key": K, "prefix": false, "keys_only": false, "timeout_ms": N}
 *     {"tag": T, "do": "commit", "compare": [[K, "version"|"create"|"mod", N], …], "change": [[K, VALUE|null, LEASE], …], "timeout_ms": N}
 *     {"tag": T, "do": "watch", "key": PREFIX, "after": N}        {"tag": T, "do": "end-watch"}
 *     {"tag": T, "do": "lease", "ttl_s": N, "timeout_ms": N}      {"tag": T, "do": "end-lease"}      {"tag": T, "do": "left"}
 *
 * Each line has T as "tag" and what happened as "what".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "fs/engine/kms_clock.h"
#include "fs/etcd/etcd.h"
#include "kmsapi/transport.h"
#include "kmsapi/wiping_memory.h"

enum { ENDPOINTS_MOST = 16, TAG_SIZE = 32, LINE_MOST = 1 << 20 };

struct called {
    char tag[TAG_SIZE];
    struct fleet_watch *watch;
    struct fleet_lease *lease;
    struct called *next;
};

static struct fleet_store *store;
static struct called *all;

static void print(json_t *line)
{
    if (!line)
        exit(3);
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(line);
}

static json_t *line_of(const struct called *called, const char *what)
{
    return json_pack("{s:s, s:s, s:I}", "tag", called->tag, "what", what, "ms", (json_int_t)clock_monotonic_ms());
}

static json_t *error_line(const struct called *called, const char *what, const struct fleet_error *error)
{
    json_t *line = line_of(called, what);
    json_object_set_new(line, "errno", json_string(error->number ? strerrorname_np(error->number) : "0"));
    json_object_set_new(line, "maybe_done", json_boolean(error->maybe_done));
    json_object_set_new(line, "text", json_string(error->text));
    return line;
}

static json_t *entry_of(const struct fleet_entry *entry)
{
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I}", "key", entry->key, "value",
                     entry->value ? json_stringn((const char *)entry->value, entry->size) : json_null(), "create",
                     (json_int_t)entry->create_revision, "mod", (json_int_t)entry->mod_revision, "version",
                     (json_int_t)entry->version, "lease", (json_int_t)entry->lease);
}

static void found(void *user, const struct fleet_entry *entry)
{
    json_t *line = line_of(user, "found");
    json_object_set_new(line, "entry", entry_of(entry));
    print(line);
}

static void get_ended(void *user, const struct fleet_error *error, int64_t revision)
{
    json_t *line = error_line(user, "ended", error);
    json_object_set_new(line, "revision", json_integer(revision));
    print(line);
}

static struct called *called_by(const json_t *command)
{
    const char *tag = json_string_value(json_object_get(command, "tag"));
    for (struct called *called = all; called; called = called->next)
        if (strcmp(called->tag, tag) == 0)
            return called;
    struct called *called = calloc(1, sizeof(*called));
    snprintf(called->tag, sizeof(called->tag), "%s", tag);
    called->next = all;
    return all = called;
}

static const char *text(const json_t *command, const char *name)
{
    const char *value = json_string_value(json_object_get(command, name));
    return value ? value : "";
}

static int64_t number(const json_t *command, const char *name)
{
    return json_integer_value(json_object_get(command, name));
}

static void refused(const struct called *called, int r)
{
    if (r < 0)
        print(error_line(called, "refused", &(struct fleet_error){.number = -r}));
}

static void do_get(const json_t *command, struct called *called)
{
    refused(called, fleet_get(store, &(struct fleet_get){
        .key = text(command, "key"),
        .prefix = json_is_true(json_object_get(command, "prefix")),
        .keys_only = json_is_true(json_object_get(command, "keys_only")),
        .timeout_ms = (unsigned int)number(command, "timeout_ms"),
        .found = found,
        .ended = get_ended,
        .user = called,
    }));
}

struct committed {
    struct called *called;
    size_t count;
};

static void commit_ended(void *user, const struct fleet_error *error, bool done, int64_t revision,
                         const struct fleet_entry *entries)
{
    struct committed *committed = user;
    json_t *line = error_line(committed->called, "ended", error), *list = json_array();
    json_object_set_new(line, "done", json_boolean(done));
    json_object_set_new(line, "revision", json_integer(revision));
    for (size_t i = 0; entries && i < committed->count; i++)
        json_array_append_new(list, entry_of(&entries[i]));
    json_object_set_new(line, "found", list);
    print(line);
    free(committed);
}

static void do_commit(const json_t *command, struct called *called)
{
    const json_t *compare = json_object_get(command, "compare"), *change = json_object_get(command, "change");
    struct fleet_compare compares[FLEET_PARTS_MOST + 1];
    struct fleet_change changes[FLEET_PARTS_MOST + 1];
    struct committed *committed = calloc(1, sizeof(*committed));
    *committed = (struct committed){called, json_array_size(compare)};
    for (size_t i = 0; i < json_array_size(compare) && i <= FLEET_PARTS_MOST; i++) {
        const json_t *one = json_array_get(compare, i);
        const char *what = json_string_value(json_array_get(one, 1));
        compares[i] = (struct fleet_compare){json_string_value(json_array_get(one, 0)),
                                             what[0] == 'v'   ? FLEET_VERSION
                                             : what[0] == 'c' ? FLEET_CREATE_REVISION
                                                              : FLEET_MOD_REVISION,
                                             json_integer_value(json_array_get(one, 2))};
    }
    for (size_t i = 0; i < json_array_size(change) && i <= FLEET_PARTS_MOST; i++) {
        const json_t *one = json_array_get(change, i), *value = json_array_get(one, 1);
        changes[i] = (struct fleet_change){json_string_value(json_array_get(one, 0)), json_string_value(value),
                                           json_string_length(value), json_integer_value(json_array_get(one, 2))};
    }
    int r = fleet_commit(store, &(struct fleet_commit){
        .compares = compares,
        .compare_count = json_array_size(compare),
        .changes = changes,
        .change_count = json_array_size(change),
        .timeout_ms = (unsigned int)number(command, "timeout_ms"),
        .ended = commit_ended,
        .user = committed,
    });
    if (r < 0)
        free(committed);
    refused(called, r);
}

static void changed(void *user, const struct fleet_entry *entry)
{
    json_t *line = line_of(user, "changed");
    json_object_set_new(line, "entry", entry_of(entry));
    print(line);
}

static void reached(void *user, int64_t revision)
{
    json_t *line = line_of(user, "reached");
    json_object_set_new(line, "revision", json_integer(revision));
    print(line);
}

static void lost_watch(void *user)
{
    print(line_of(user, "lost"));
}

static void interrupted(void *user, const struct fleet_error *error)
{
    print(error_line(user, error->number ? "interrupted" : "goes on", error));
}

static void do_watch(const json_t *command, struct called *called)
{
    called->watch = fleet_watch(store, &(struct fleet_watch_wish){
        .prefix = text(command, "key"),
        .after = number(command, "after"),
        .changed = changed,
        .reached = reached,
        .lost = lost_watch,
        .interrupted = interrupted,
        .user = called,
    });
}

static void granted(void *user, int64_t id)
{
    json_t *line = line_of(user, "granted");
    json_object_set_new(line, "id", json_integer(id));
    print(line);
}

static void lost_lease(void *user, const struct fleet_error *error)
{
    print(error_line(user, "lost", error));
}

static void do_lease(const json_t *command, struct called *called)
{
    called->lease = fleet_lease(store, &(struct fleet_lease_wish){
        .ttl_s = (unsigned int)number(command, "ttl_s"),
        .timeout_ms = (unsigned int)number(command, "timeout_ms"),
        .granted = granted,
        .lost = lost_lease,
        .user = called,
    });
}

static void do_left(const struct called *called)
{
    json_t *line = line_of(called, "left");
    json_object_set_new(line, "left_ms", json_integer(fleet_lease_left_ms(store, called->lease)));
    print(line);
}

static void obey(const char *line, size_t size)
{
    json_t *command = json_loadb(line, size, 0, NULL);
    const char *verb = text(command, "do");
    struct called *called = called_by(command);
    if (strcmp(verb, "get") == 0)
        do_get(command, called);
    else if (strcmp(verb, "commit") == 0)
        do_commit(command, called);
    else if (strcmp(verb, "watch") == 0)
        do_watch(command, called);
    else if (strcmp(verb, "end-watch") == 0)
        fleet_end_watch(store, called->watch);
    else if (strcmp(verb, "lease") == 0)
        do_lease(command, called);
    else if (strcmp(verb, "end-lease") == 0)
        fleet_end_lease(store, called->lease);
    else if (strcmp(verb, "left") == 0)
        do_left(called);
    else
        exit(2);
    json_decref(command);
}

/* What can be read of stdin now. False: its end. */
static bool read_commands(void)
{
    static char buffer[LINE_MOST];
    static size_t size;
    ssize_t got = read(STDIN_FILENO, buffer + size, sizeof(buffer) - size);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        return false;
    size += got > 0 ? (size_t)got : 0;
    char *end;
    while ((end = memchr(buffer, '\n', size))) {
        size_t length = (size_t)(end - buffer);
        obey(buffer, length);
        size -= length + 1;
        memmove(buffer, end + 1, size);
    }
    return true;
}

static int make_store(const char *words)
{
    char reason[512];
    const char *endpoints[ENDPOINTS_MOST];
    json_t *given = json_loads(words, 0, NULL);
    const json_t *list = json_object_get(given, "endpoints");
    for (size_t i = 0; i < json_array_size(list) && i < ENDPOINTS_MOST; i++)
        endpoints[i] = json_string_value(json_array_get(list, i));
    const struct etcd_options options = {
        .endpoints = endpoints,
        .endpoint_count = json_array_size(list),
        .ca_file = text(given, "ca_file"),
        .certificate = text(given, "certificate"),
        .certificate_key = text(given, "certificate_key"),
        .user = text(given, "user"),
        .password_file = text(given, "password_file"),
        .renew_ms = (unsigned int)number(given, "renew_ms"),
    };
    int r = etcd_new(&options, &store, reason, sizeof(reason));
    if (r < 0)
        fprintf(stderr, "%s\n", reason);
    json_decref(given);
    return r;
}

int main(int count, char **words)
{
    struct transport *transport;
    char reason[256];
    /* nobody asks it anything: it is the engine's way to wait */
    const struct transport_options options = {.endpoint = "http://127.0.0.1:1", .proxy = ""};
    if (count != 2 || fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) < 0 || wiping_memory_install() < 0 || make_store(words[1]) < 0 ||
        transport_new(&options, &transport, reason, sizeof(reason)) < 0)
        return 2;
    transport_watch(transport, fleet_descriptor(store));
    transport_watch(transport, STDIN_FILENO);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (bool more = true; more;) {
        int64_t wait_ms = fleet_tend(store) - clock_monotonic_ms();
        transport_run(transport, wait_ms < 0 ? 0 : wait_ms > 3600 * 1000 ? 3600 * 1000 : (int)wait_ms);
        more = read_commands();
    }
    fleet_free(store);
    transport_free(transport);
    while (all) {
        struct called *called = all;
        all = called->next;
        free(called);
    }
    return 0;
}
