/*
 * What programs share that use a mount under load and check what they see: the time, threads, whole reads and listings.
 * The first broken promise is told on stderr and ends the program with 1. Any thread may call all of it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { ID_SIZE = 64, CONTENT_MOST = 16384 };

/* What load_read and load_list have done, and the longest that one call of theirs took. */
struct load_counts {
    atomic_long reads, listings, looks, longest_us;
};

extern struct load_counts load_counts;

void broken(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

int64_t load_now_us(void);

pthread_t load_start(void *(*run)(void *), void *user);

/* A descriptor of PATH below a directory, for reading; FLAGS besides. */
int load_open(int below, const char *path, int flags);

/* To the end, in PIECES of so many bytes: the size. */
size_t load_read_pieces(int file, size_t piece, char content[static CONTENT_MOST]);

/* A whole file, by one read; its st_size is that of what was read: the size. */
size_t load_read(int below, const char *path, char content[static CONTENT_MOST]);

/* How many names a directory lists; each of them is there. */
long load_list(int below, const char *path);

/* The id inside client_key.json; that the frame is whole. */
void load_id_in_json(const char *content, size_t size, char id[static ID_SIZE]);

/* One write(2) of a line to a directory's control: 0 or an errno. */
int load_write_control(int directory, const char *line);
