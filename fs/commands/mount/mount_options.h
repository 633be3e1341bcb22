/*
 * The options of -o as mount(8) and fstab(5) give them: aapfs's own, those for whoever called mount, and those that
 * the mount itself gets. Pure.
 */
#pragma once

#include <stddef.h>

/* Each NULL when it was not given. */
struct mount_options {
    char *config, *region, *endpoint, *state, *state_key;
    char *passed_on; /* to libfuse, a comma within a value escaped */
};

/* The options of one -o more behind OPTIONS, which grows; NULL: none yet. 0 or -ENOMEM. */
int mount_options_join(char **options, const char *more);

/* Sorts GIVEN. 0, or negative errno and REASON, one line. */
int mount_options_sort(const char *given, struct mount_options *options, char *reason, size_t size);

/*
 * The mount shows SOURCE as its own, by which mount(8) knows that a line of fstab is mounted already; an fsname= that
 * was given comes after it and holds. 0 or -ENOMEM.
 */
int mount_options_name_source(struct mount_options *options, const char *source);

void mount_options_clear(struct mount_options *options);
