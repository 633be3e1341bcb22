/*
 * Where the configuration comes from: the file, or a copy of its text, from which a mount that serves reads it again.
 */
#pragma once

#include <stddef.h>

#include "fs/config/config.h"

/*
 * Fills *CONFIG with the defaults, then with FILE; free it with config_clear. FILE NULL: the default file, which may be
 * absent. Owner and group default to those of this process (root:root for root).
 *
 * 0; or -EINVAL, -ENOENT, -EACCES … and REASON, one line: "FILE:LINE: what is wrong; what would be right".
 */
int config_read(const char *file, struct config *config, char *reason, size_t reason_size);

/*
 * A memfd for a copy of the configuration; config_copy_fill puts the text of FILE (as config_read takes it) into it, by
 * whichever process. Negative errno and REASON.
 */
int config_copy_new(char *reason, size_t reason_size);
int config_copy_fill(int copy, const char *file, char *reason, size_t reason_size);

/* Both. */
int config_copy(const char *file, char *reason, size_t reason_size);

/*
 * As config_read, from such a COPY. Who reads it first looks users and groups up, and notes in it what they are; everybody
 * later takes them from there, and waits for nobody (names.h).
 */
int config_read_copy(const char *file, int copy, struct config *config, char *reason, size_t reason_size);

/* From now on nobody can change COPY. 0 or negative errno. */
int config_copy_seal(int copy);

/* How it is read again, by the supervisor and by each worker, as it was at the start: with what the command line says. */
struct configurer {
    /* From a copy of FILE's text into *CONFIG. 0, or negative errno and REASON. */
    int (*read)(const struct configurer *configurer, int copy, struct config *config, char *reason, size_t size);
    const char *file;     /* NULL: the default one, which may be absent */
    const void *words;    /* READ's */
};
