/*
 * The configuration as a command line gives it: the file, and what stands in its place; and the region, where neither
 * names one. The main thread, and a worker's engine.
 */
#pragma once

#include "fs/config/file.h"

/* Each NULL: not given. */
struct configure_words {
    const char *file, *region, *endpoint, *state, *state_key;
    char found_region[64]; /* where the environment, a profile or ECS had to say it; "": not asked yet */
};

/*
 * Fills *CONFIG (config_clear it), and found_region of WORDS, which then holds for as long as this mount lives. 0, or
 * negative errno after a line.
 */
int configure(struct configure_words *words, struct config *config);

/* The same from a COPY of the file (config_copy). */
int configure_from_copy(struct configure_words *words, int copy, struct config *config);

/* For supervisor_run: reads the same again. WORDS, with whole paths, outlive it. */
struct configurer configure_again(const struct configure_words *words);

/* PATH from the root, symbolic links in it as they are; NULL: memory is short, or the current directory has no path. */
char *configure_whole_path(const char *path);
