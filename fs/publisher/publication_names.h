/* What a publication is, and the names that it is made of. With the registry's lock held. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/engine/publish.h"
#include "fs/model/registry.h"
#include "fs/publisher/publisher.h"
#include "fs/tree/node_id.h"

/* One name of a publication. */
struct hidden {
    char from[HIDDEN_NAME_SIZE]; /* "": TO is not to be there any more */
    const char *to;
    struct node parent, node;
    uint64_t before; /* node id of what TO has shown so far; 0: nothing */
    bool looked_up; /* PUBLISHER_FOLLOW: good for one write */
    bool spent;
};

struct publication {
    uint64_t id;
    struct publish_request request;
    enum publisher_action action;
    struct hidden names[PUBLISHER_STEPS];
    uint32_t count;
    bool notifying;   /* the kernel is being notified: nothing else is wanted, or */
    bool unreachable; /* the mount could not be reached: */
    bool loosening;   /* first the names are loosened, and do not move yet */
    bool early;       /* the names were moved without the publisher */
    int64_t look_ms;  /* CLOCK_MONOTONIC: when to see whether there is one */
    bool sent;      /* to the publisher; the engine's */
    struct publication *next;
};

/* Fills the names of PUBLICATION, and what is to be done with them. */
bool publication_fill(struct registry *registry, struct publication *publication);

/* The path, below the mount, of the directory PARENT. */
void publication_directory(struct registry *registry, const struct node *parent, char *path, size_t size);
