/* Giving up what a process does not need. At its start, while it has one thread. */
#pragma once

#include <stdint.h>

/*
 * From here on this process has of its capabilities only those of KEPT (bits by CAP_*'s number),
 * cannot get others back, and no program that it starts gains any. 0 or negative errno.
 */
int privileges_keep_only(uint64_t kept);

/*
 * Wipes what is or may hold a secret from the environment that this process was started with, and takes it out of
 * environ: access keys, where others are, and proxies, whose URLs may have passwords.
 */
void privileges_forget_secrets(void);

/*
 * Keys and passwords are in this process and its children: no core dump holds them, no other process of the
 * same user reads them (prctl(2), PR_SET_DUMPABLE). 0 or negative errno. A build with a sanitizer only
 * forbids core dumps: its leak check reads its own process from outside.
 */
int privileges_hide_memory(void);

/*
 * Keeps this process's memory, as far as it is used, out of swap. Without CAP_IPC_LOCK, which must
 * then stay, and with a limit (RLIMIT_MEMLOCK) nothing is locked: a limit that is reached later would make
 * allocations fail. 0 or negative errno.
 */
int privileges_lock_memory(void);
