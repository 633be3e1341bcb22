/*
 * Users and groups by their names, for the configuration. The databases behind them may be slow, or hang (LDAP): who reads
 * the configuration for a mount that serves leaves it to a process of its own, which notes what it was told. Whoever has
 * the note asks nobody.
 *
 * One reading at a time in a thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* 0, or -ENOENT. */
int config_names_user(const char *name, uid_t *uid);
int config_names_group(const char *name, gid_t *gid);

/* Whether UID has an entry of its own, and thus groups. */
bool config_names_has_entry(uid_t uid);

/* From now on the three above ask the NOTE of SIZE bytes, made by config_names_end, alone. It outlives the reading. */
void config_names_use(const char *note, size_t size);

/* Or they ask the databases, and note the answers. */
void config_names_begin(void);

/* The end of either. The note, malloc'ed and never empty, and its size; NULL: it was in use, or memory is short. */
char *config_names_end(size_t *size);
