/*
 * Files that survive a power loss: written, synced, renamed, their directory synced. The store's, and what else keeps a state; one
 * thread. Each returns 0 or negative errno where nothing else is said, and leaves nothing half done under a name that counts.
 */
#pragma once

#include <dirent.h>
#include <stddef.h>

struct store_file {
    unsigned char *data; /* wiped and freed by store_file_clear */
    size_t size;
};

/* A whole file; -EMSGSIZE over MOST, -EINVAL for what is no regular file. */
int store_file_read(int directory, const char *path, size_t most, struct store_file *file);
void store_file_clear(struct store_file *file);

/* A new file NAME in DIRECTORY with these bytes, or in place of one. */
int store_file_write(int directory, const char *name, const void *data, size_t size);

/* The same for a cache: after a power loss it may be torn or absent. */
int store_file_write_unsynced(int directory, const char *name, const void *data, size_t size);

/* Whether DIRECTORY is this user's alone: 0; -EACCES and REASON; another errno. */
int store_file_check_owner(int directory, const char *path, char *reason, size_t size);

/* The entries of the directory NAME; NULL and errno. */
DIR *store_file_list(int directory, const char *name);

/* The directory NAME (0700), there or made; whoever calls syncs DIRECTORY. */
int store_file_make_directory(int directory, const char *name);

/* The directory PATH with all that are missing above it (0700 each), every new name synced. */
int store_file_make_path(const char *path);

/* A new file NAME with SIZE bytes of room on the disk: its descriptor. Whoever calls syncs DIRECTORY. */
int store_file_reserve(int directory, const char *name, size_t size);

/* FILE's content becomes these bytes, in the room that it has, synced. */
int store_file_fill(int file, const void *data, size_t size);

/*
 * A name is on the disk when its directory is synced: BELOW, or with NULL DIRECTORY itself. BELOW may be a file
 * too: its content.
 */
int store_file_sync(int directory, const char *below);

/* Removes PATH, which lies in the directory BELOW (NULL: in DIRECTORY itself). */
int store_file_remove(int directory, const char *below, const char *path);
