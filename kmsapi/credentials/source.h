/*
 * Credentials that are there when they are needed: a thread of its own fetches them from a
 * provider, or from the first of the default chain that answers, and renews sessions before they
 * end. get() never waits.
 *
 * The chain: $CREDENTIALS_DIRECTORY (systemd), environment, OIDC, ~/.aliyun/config.json,
 * ~/.alibabacloud/credentials, ECS RAM role, credentials URI. The provider that answered stays
 * until it fails; one that failed is asked again the next time. A renewal that fails keeps a
 * session that still holds, and is tried again.
 *
 * credentials_source_* may be called from any thread. The environment is read on the source's
 * thread: it must not be changed while there is one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmsapi/credentials/credentials.h"

struct credentials_source;

/*
 * Runs a program (WORDS, ended by NULL, no shell) for at most TIMEOUT_MS and puts what it printed
 * into OUTPUT (SIZE bytes with the NUL). 0, or negative errno and REASON: what kept it from
 * running, a status other than 0, more output than that. Called on the source's thread.
 */
typedef int credentials_run(void *user, char *const *words, unsigned int timeout_ms, char *output,
                            size_t output_size, char *reason, size_t size);

/* The texts are copied. */
struct credentials_source_options {
    /* default, environment, profile:NAME, oidc, ecs-ram-role[:NAME], uri:URL; NULL: default */
    const char *provider;
    const char *user_agent;
    const char *ca_file; /* NULL: the system's */
    const char *proxy;   /* NULL: as the environment says. Never used for http:// nor for local URIs. */
    const char *vpc_region; /* STS is asked inside this region's VPC, where nobody says more; NULL: from outside */
    credentials_run *run; /* for profiles of mode External; NULL: they are refused */
    void *run_user;
    /* for tests */
    const char *metadata; /* NULL: http://100.100.100.200 */
    const char *sts;      /* NULL: the service's; http:// only for a loopback literal */
    unsigned int timeout_ms; /* of one HTTP request; 0: as the SDKs have it */
    unsigned int pause_ms;   /* before the second try of one that failed in passing; 0: 200 */
};

/* Whether PROVIDER is one, as options have it: 0; -EINVAL and REASON, what would be right; -ENOMEM. */
int credentials_source_check(const char *provider, char *reason, size_t size);

/* 0, or negative errno and REASON: no such provider (-EINVAL), -ENOMEM. Nothing is fetched yet. */
int credentials_source_new(const struct credentials_source_options *options,
                           struct credentials_source **source, char *reason, size_t size);

/* Ends at once whatever it waits for, but for a RUN that is under way. Safe on NULL. */
void credentials_source_free(struct credentials_source *source);

/*
 * WAKE_UP(USER) is called, on the source's thread, when a get() that said "not yet" would say
 * something else. NULL: nobody any more; a call under way has ended then.
 */
void credentials_source_on_change(struct credentials_source *source, void (*wake_up)(void *user),
                                  void *user);

/*
 * 0; -EAGAIN: not yet, REASON says who is asked; -EACCES: there are none, and REASON names each
 * provider and why; -ENOMEM. The shape of transport_options' get_credentials, SOURCE as its user.
 */
int credentials_source_get(void *source, struct credentials *credentials, char *reason,
                           size_t size);

/*
 * The service refused the credentials with this SERIAL. True: others are there or are being
 * fetched (get() may then find that they are the same, with the same serial).
 */
bool credentials_source_refused(void *source, uint64_t serial);

/* Who answered, and until when: "ecs-ram-role, until 2026-01-02T03:04:05Z"; empty before. */
void credentials_source_describe(struct credentials_source *source, char *text, size_t size);
