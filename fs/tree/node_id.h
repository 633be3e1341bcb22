/*
 * Node ids: the numbers by which the kernel names what it looked up. They are made of the numbers in
 * fs/model/numbers.h and nothing else, so that any worker understands any other's. Pure, any thread.
 *
 *   bits 58-62  kind       (bit 63 stays free)
 *   bits 52-57  file       a published_name, a key_file or a report_kind
 *   bits 26-51  report     which content of a report
 *   bits  0-25  number     an AAP, key or generation
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define NODE_ROOT 1 /* FUSE_ROOT_ID */

enum node_kind {
    NODE_KIND_ROOT,
    NODE_KIND_MOUNT,         /* .aapfs */
    NODE_KIND_MOUNT_CONTROL, /* .aapfs/control */
    /* those with a number */
    NODE_KIND_AAP,           /* number: AAP */
    NODE_KIND_AAP_CONTROL,   /* number: AAP */
    NODE_KIND_KEYS,          /* number: AAP */
    NODE_KIND_KEY,           /* number: key */
    NODE_KIND_KEY_FILE,      /* number: key, file: key_file */
    NODE_KIND_PUBLISHED,     /* number: generation, file: published_name */
    NODE_KIND_REPORT,        /* number: AAP or 0, file: report_kind, report: its content */
    NODE_KIND_COUNT
};

/* Files that change: each content is a node of its own. */
enum report_kind {
    REPORT_STATUS,
    REPORT_LAST_ERROR,
    /* of the mount alone */
    REPORT_METRICS,
    REPORT_AUDIT,
    REPORT_KIND_COUNT,
    REPORT_KINDS_OF_AAP = REPORT_METRICS
};

struct node {
    enum node_kind kind;
    unsigned int file;
    uint32_t number;
    uint32_t report; /* 26 bits: it wraps */
};

uint64_t node_id_of(struct node node);

/* False for an id that node_id_of never makes. Whether the numbers were given is not looked at. */
bool node_from_id(uint64_t id, struct node *node);

/*
 * The st_ino of NODE: another one for every node whose numbers were given, and the same one to every worker. Below 2^53,
 * so that a double has it exactly (Node.js, JSON), and below 2^32 for 32-bit programs: always, but for a report of an
 * AAP that has had more than 32,768 contents.
 */
uint64_t node_inode_number(struct node node);
