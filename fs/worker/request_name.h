/* The kernel's names of FUSE requests (linux/fuse.h), for counters. Pure, any thread. */
#ifndef AAPFS_FS_WORKER_REQUEST_NAME_H
#define AAPFS_FS_WORKER_REQUEST_NAME_H

#include <stddef.h>

/* "LOOKUP", …; NULL for an opcode that has no name here. */
const char *request_name(size_t opcode);

#endif
