/*
 * What must outlive a worker, in a memfd that the supervisor holds for the life of the mount: the kernel's first
 * INIT message, the numbers (fs/model/numbers.h), the contents of changing files (fs/tree/report_history.h), the
 * receive slots (receive_slots.h), what is counted (fs/model/counters.h) and who opened keys (fs/tree/audit.h).
 *
 * The supervisor maps the head only: passwords go through the slots, and it holds no secrets. A worker maps all
 * of it, and checks what it finds there like any input.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOUNT_MEMORY_INIT_SIZE = 512, MOUNT_MEMORY_OPCODES = 64 };

/* A bit of WANTED that is none of libfuse's: idmapped binds are allowed (init_reply.h). */
#define MOUNT_AGREEMENT_IDMAP (UINT32_C(1) << 31)

/* What a worker's answer to INIT settles for the life of the mount. */
struct mount_agreement {
    uint32_t protocol_minor, wanted, max_write, max_readahead, max_background, congestion_threshold,
        time_granularity;
};

/* So many crashes in a row, and no worker will ever serve with this memory and this program. */
enum { MOUNT_MEMORY_CRASHES_MOST = 3 };

enum mount_audit { MOUNT_AUDIT_UNKNOWN, MOUNT_AUDIT_NO, MOUNT_AUDIT_YES };

struct mount_head {
    char magic[16];
    int64_t mounted_ns;     /* mtime of what never changes; since 1970 */
    uint32_t generation;    /* of every node, and in every file handle: at random, so that another mount's are stale */
    uint32_t init_size;
    unsigned char init[MOUNT_MEMORY_INIT_SIZE];
    struct mount_agreement agreement; /* protocol_minor 0: none yet */
    uint32_t served;        /* a worker has begun to answer: the kernel may know names */
    uint32_t config;        /* counts the configurations that workers were given */
    uint32_t config_told;   /* of which the kernel has been told: owners and modes */
    uint64_t answered;      /* requests that the workers took from the kernel and were done with */
    uint64_t publications;  /* the number of the last one */
    uint64_t published;     /* pieces of work that publishers have finished */
    uint64_t runs;          /* the number of the last command for the runner */
    uint64_t ran;           /* commands that runners have told the end of */
    uint64_t requests[MOUNT_MEMORY_OPCODES]; /* received, by opcode; see session.c */
    uint64_t worker_restarts;
    uint32_t audit;         /* whether opens are told, for the life of the mount: enum mount_audit */
    uint32_t publisher_lives; /* there is one, or has just been */
    uint32_t unreachable;   /* the last publication went by notification: watchers heard nothing of it */
    uint32_t worker_was_killed; /* the one before, by SIGKILL: not by what it had in hand */
    uint32_t crashes;       /* of workers in a row that had not begun to serve */
};

struct mount_memory {
    int descriptor;
    struct mount_head *head;
    /* of a worker; NULL in the supervisor */
    void *numbers, *reports, *slots, *counters, *audit;
};

/* New, with the head mapped; its size is sealed. 0 or negative errno. */
int mount_memory_make(struct mount_memory *memory);

/* Whether the memory behind DESCRIPTOR keeps its size, whoever else has it. False for what is no memory. */
bool mount_memory_is_sealed(int descriptor);

/*
 * Maps all of what DESCRIPTOR holds. 0; negative errno; -EPROTO when another version of aapfs laid it out, or it
 * makes no sense.
 */
int mount_memory_map(struct mount_memory *memory, int descriptor);

/* The head only, in a supervisor that was replaced. As mount_memory_map. */
int mount_memory_map_head(struct mount_memory *memory, int descriptor);

/* Unmaps and closes. Safe on what was never made ({.descriptor = -1}). */
void mount_memory_drop(struct mount_memory *memory);
