/*
 * Who opened which key, in memory that outlives a worker: the last of it, shown as .aapfs/audit (JSON, a line for each
 * open, newest last; before them a line with the counts), and what is on its way to the log. A worker that is killed
 * leaves the rest to the next one: each open is logged once, and twice only if it died right after it had logged it.
 *
 * The session's thread, but for what is said of the log's. What is found in the memory is checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/model/registry.h"

enum {
    AUDIT_KEPT = 256,
    AUDIT_FILE_SIZE = AAP_NAME_SIZE + CLIENT_KEY_ID_SIZE + 32, /* AAP/keys/ID/NAME */
    AUDIT_PROGRAM_SIZE = 17,
    AUDIT_LINE_SIZE = 768,
    AUDIT_QUEUED = 512, /* for the log */
};

/* One open. */
struct audit_open {
    int64_t time; /* seconds since 1970, KMS's time */
    char file[AUDIT_FILE_SIZE];
    char client_key_id[CLIENT_KEY_ID_SIZE];
    pid_t pid;
    uid_t uid;
    gid_t gid;
    char program[AUDIT_PROGRAM_SIZE];
};

struct audit;

size_t audit_size(void);

/* MEMORY, zeroed or as an earlier worker left it. */
struct audit *audit_open(void *memory);

/* The program that PID runs, as the kernel calls it and with nothing but printable characters; "?" for one that is gone. */
void audit_find_program(pid_t pid, char program[static AUDIT_PROGRAM_SIZE]);

/*
 * Keeps OPENED, of the kernel's request of that number, in place of the oldest one, and for the log; what that has no room
 * for is counted.
 */
void audit_add(struct audit *audit, uint64_t request, const struct audit_open *opened);

/* The log's thread: the oldest open that it has not logged; false: there is none. */
bool audit_next(const struct audit *audit, struct audit_open *opened);
/* The log's thread: it is logged. */
void audit_logged(struct audit *audit);

/* The log's thread: how many had no room since it told so; COUNT of them are told. */
uint64_t audit_dropped(const struct audit *audit);
void audit_told_dropped(struct audit *audit, uint64_t count);

/* Whether the last one is of this request: a worker killed right after its answer leaves it to the next one. */
bool audit_has(const struct audit *audit, uint64_t request);

/* All of it, malloc'ed; NULL when memory is short. */
char *audit_text(const struct audit *audit);
