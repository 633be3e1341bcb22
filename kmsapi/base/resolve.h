/*
 * Names to addresses on a thread of its own, cached. getaddrinfo cannot be interrupted, and libcurl
 * was seen to block 9 s on a nameserver that never answers: here a query that does not end holds
 * up nobody but those who ask for the same name.
 *
 * resolver_* may be called from one thread (the engine's); the callback given to resolver_new is
 * called from the resolver's own threads.
 */
#pragma once

#include <stdbool.h>

struct resolver;

enum resolve_state {
    RESOLVE_PENDING, /* being asked; the wake-up tells when to look again */
    RESOLVE_FOUND,
    RESOLVE_FAILED, /* the name does not resolve; asked again at the next look */
};

/* WAKE_UP(USER) is called whenever a name's state changed. NULL when memory is short. */
struct resolver *resolver_new(void (*wake_up)(void *user), void *user);

/*
 * Forgets the resolver at once; its threads that are still inside getaddrinfo end by themselves
 * later and call nobody.
 */
void resolver_free(struct resolver *resolver);

/*
 * Looks HOST up: a literal address, or a name answered less than 60 s ago, is FOUND at once. On
 * FOUND *ADDRESSES is a malloc'ed, comma-separated list of numeric addresses (IPv6 in brackets),
 * the form of CURLOPT_RESOLVE. On FAILED *REASON is a static text (gai_strerror). A name whose
 * refresh is pending or failed less than 10 minutes after it was last good is FOUND with its old
 * addresses.
 */
enum resolve_state resolver_look_up(struct resolver *resolver, const char *host, char **addresses,
                                    const char **reason);
