/*
 * What is being published; publication.c, publication_names.c and nobody else.
 */
#ifndef AAPFS_FS_PUBLISHER_PUBLICATION_STATE_H
#define AAPFS_FS_PUBLISHER_PUBLICATION_STATE_H

#include "fs/publisher/publication.h"
#include "fs/publisher/publisher.h"

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

struct publications {
    struct registry *registry;
    int socket;
    struct mount_head *head;
    int fuse;
    int64_t settle_ms;
    struct publication *first; /* under the registry's lock: the session looks names up */
};

/* Fills the names of PUBLICATION, and what is to be done with them. With the registry's lock. */
bool publication_fill(struct registry *registry, struct publication *publication);

/* The path, below the mount, of the directory PARENT. With the registry's lock. */
void publication_directory(struct registry *registry, const struct node *parent, char *path, size_t size);

#endif
