/*
 * A password from a file. It may lie on a filesystem that does not answer, where open(2) and read(2) hang for ever: each
 * is read by a thread of its own, and the engine waits for that no longer than request_timeout. The engine's thread.
 */
#pragma once

#include <stdint.h>

#include "fs/keys/password.h"

struct engine;
struct operation;

/*
 * The first line of the file PATH, which SETTING of the configuration names, however long that takes: any thread. 0;
 * -EINVAL and REASON: it cannot be read, others can read it, or it is no password that follows KMS's rules.
 */
int password_from_file(const char *setting, const char *path, char password[static PASSWORD_SIZE], char *reason,
                       size_t size);

/*
 * Reads the first line of PATH into OPERATION's password and calls CHOSEN, later: from password_file_tend. A thread that
 * hangs is left alone, and until it has ended nothing else is read for that AAP. SETTING stays the caller's.
 */
void password_file_begin(struct operation *operation, const char *setting, const char *path, password_chosen *chosen);

/* Goes on with what was read, and with what took too long. When to look again, CLOCK_MONOTONIC. */
int64_t password_file_tend(struct engine *engine);

/* Nobody waits any more. Before the operations and the transport go. */
void password_file_end(struct engine *engine);
