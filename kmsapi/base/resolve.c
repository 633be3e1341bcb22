#include "kmsapi/base/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FRESH_SECONDS = 60, STALE_SECONDS = 600, ADDRESSES_MOST = 16 };

struct name {
    char *host;
    char *addresses;     /* NULL: never found */
    int64_t found_at;    /* CLOCK_MONOTONIC, seconds */
    bool asking, failed; /* failed: the last query did, and nobody has looked since */
    const char *reason;
    struct name *next;
};

/* Lives as long as the resolver or any of its threads. */
struct resolver {
    pthread_mutex_t lock;
    unsigned int users; /* threads, and the resolver's owner */
    bool closed;
    struct name *names;
    void (*wake_up)(void *user);
    void *user;
};

struct query {
    struct resolver *resolver;
    struct name *name; /* stays: names go with the resolver's last user */
};

static int64_t now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Gives up one use, with the lock held; the last one frees. */
static void release(struct resolver *resolver)
{
    bool last = --resolver->users == 0;
    pthread_mutex_unlock(&resolver->lock);
    if (!last)
        return;
    while (resolver->names) {
        struct name *name = resolver->names;
        resolver->names = name->next;
        free(name->host);
        free(name->addresses);
        free(name);
    }
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

struct resolver *resolver_new(void (*wake_up)(void *user), void *user)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver)
        return NULL;
    pthread_mutex_init(&resolver->lock, NULL);
    resolver->users = 1;
    resolver->wake_up = wake_up;
    resolver->user = user;
    return resolver;
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    pthread_mutex_lock(&resolver->lock);
    resolver->closed = true;
    release(resolver);
}

/* Numeric, comma-separated, as CURLOPT_RESOLVE takes them. NULL when memory is short or none fits. */
static char *write_addresses(const struct addrinfo *list)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    int count = 0;
    for (; list && count < ADDRESSES_MOST; list = list->ai_next) {
        char address[INET6_ADDRSTRLEN];
        if (getnameinfo(list->ai_addr, list->ai_addrlen, address, sizeof(address), NULL, 0,
                        NI_NUMERICHOST) != 0 ||
            strchr(address, '%')) /* a link-local scope: libcurl does not take it */
            continue;
        bool six = list->ai_family == AF_INET6;
        fprintf(stream, "%s%s%s%s", count++ ? "," : "", six ? "[" : "", address, six ? "]" : "");
    }
    if (fclose(stream) != 0 || count == 0) {
        free(text);
        return NULL;
    }
    return text;
}

static struct name *find(struct resolver *resolver, const char *host)
{
    struct name *name = resolver->names;
    while (name && strcmp(name->host, host) != 0)
        name = name->next;
    return name;
}

static void *ask(void *argument)
{
    struct query *query = argument;
    struct resolver *resolver = query->resolver;
    struct name *name = query->name;
    free(query);
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int r = getaddrinfo(name->host, NULL, &wanted, &list);
    char *addresses = r == 0 ? write_addresses(list) : NULL;
    if (list)
        freeaddrinfo(list);

    pthread_mutex_lock(&resolver->lock);
    name->asking = false;
    name->failed = !addresses;
    if (addresses) {
        free(name->addresses);
        name->addresses = addresses;
        name->found_at = now_seconds();
    } else {
        name->reason = r ? gai_strerror(r) : "no usable address";
    }
    if (!resolver->closed)
        resolver->wake_up(resolver->user);
    release(resolver);
    return NULL;
}

/* Begins a query of NAME on a thread of its own, with the lock held. */
static void begin_query(struct resolver *resolver, struct name *name)
{
    struct query *query = malloc(sizeof(*query));
    pthread_attr_t detached;
    pthread_t thread;

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    if (query) {
        *query = (struct query){resolver, name};
        name->asking = pthread_create(&thread, &detached, ask, query) == 0;
    }
    pthread_attr_destroy(&detached);
    name->failed = !name->asking;
    if (name->asking) {
        resolver->users++;
        return;
    }
    name->reason = "memory is short";
    free(query);
}

static struct name *add(struct resolver *resolver, const char *host)
{
    struct name *name = calloc(1, sizeof(*name));
    if (name)
        name->host = strdup(host);
    if (!name || !name->host) {
        free(name);
        return NULL;
    }
    name->next = resolver->names;
    resolver->names = name;
    return name;
}

static bool is_literal(const char *host, char **addresses)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool six = inet_pton(AF_INET6, host, address) == 1;
    if (!six && inet_pton(AF_INET, host, address) != 1)
        return false;
    if (asprintf(addresses, "%s%s%s", six ? "[" : "", host, six ? "]" : "") < 0)
        *addresses = NULL;
    return true;
}

enum resolve_state resolver_look_up(struct resolver *resolver, const char *host, char **addresses,
                                    const char **reason)
{
    enum resolve_state state = RESOLVE_PENDING;
    *addresses = NULL;
    *reason = "memory is short";
    if (is_literal(host, addresses))
        return *addresses ? RESOLVE_FOUND : RESOLVE_FAILED;

    pthread_mutex_lock(&resolver->lock);
    struct name *name = find(resolver, host);
    if (!name)
        name = add(resolver, host);
    int64_t age = name && name->addresses ? now_seconds() - name->found_at : INT64_MAX;
    if (!name) {
        state = RESOLVE_FAILED;
    } else if (name->failed && age >= STALE_SECONDS) {
        *reason = name->reason;
        name->failed = false;
        state = RESOLVE_FAILED;
    } else {
        if (age >= FRESH_SECONDS && !name->asking)
            begin_query(resolver, name);
        if (age < STALE_SECONDS) {
            *addresses = strdup(name->addresses);
            state = *addresses ? RESOLVE_FOUND : RESOLVE_FAILED;
        }
    }
    pthread_mutex_unlock(&resolver->lock);
    return state;
}
