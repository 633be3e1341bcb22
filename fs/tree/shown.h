/*
 * Which generation a published file shows: its own while that is current or was superseded less than the settle time
 * ago, then the one that was current the settle time ago. With the registry's lock held.
 *
 * Size, mtime and bytes must be of one key. So what counts is what the kernel was last told: a file moves on when
 * somebody asks for its attributes, and its bytes are then of the same generation until it is told the next. Who reads
 * in pieces is asked after before each piece; he may end as he began, for FOLLOW_GRACE_MS after the switch, unless
 * somebody else opens the file or looks at it meanwhile.
 *
 * Then his rest is the newer key's. That cannot be helped: the kernel keeps one size and one set of pages for a file, for
 * all who have it open. Who comes after the switch would read the old key for as long as one is in the middle of it, and
 * of readers who overlap there is no last one; and nothing that the kernel asks tells that somebody has ended.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/model/registry.h"
#include "fs/tree/node_id.h"

/* The moment of a request. */
struct moment {
    int64_t now_ms; /* CLOCK_MONOTONIC */
    int64_t settle_ms;
    bool reading;   /* it is part of a read(2) */
    int64_t rest_ms; /* how long the kernel may believe what is at rest: lifetime.h */
};

struct shown {
    const struct registry_key *key;
    int64_t made_ns; /* of the generation */
};

/* The attributes of a published NODE are asked for at MOMENT: it moves on where it is time. */
void shown_move(struct registry *registry, struct node node, const struct moment *moment);

/* What it shows since. False: the number means nothing (any more). */
bool shown_now(struct registry *registry, struct node node, struct shown *shown);

/* How long the kernel may use the attributes that NODE, which is not at rest, has at MOMENT, in milliseconds. */
int64_t shown_timeout_ms(struct registry *registry, struct node node, const struct moment *moment);
