/* The kernel's names of FUSE requests (linux/fuse.h), for counters. Pure, any thread. */
#pragma once

#include <stddef.h>

/* "LOOKUP", …; NULL for an opcode that has no name here. */
const char *request_name(size_t opcode);
