/*
 * Cleanup attributes: what a function owns is freed when its variable goes out of scope.
 * For every file of the project; no state, any thread.
 *
 * Usage: `_cleanup_(free_char) char *name = NULL;`, and steal_pointer(&name) to give it away.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(name) __attribute__((cleanup(cleanup_##name)))

/* Defines cleanup_NAME for variables of TYPE (a pointer type), freed by FREE(pointer). */
#define DEFINE_CLEANUP(name, type, free_function)                                                  \
    static inline void cleanup_##name(type *pointer)                                               \
    {                                                                                              \
        if (*pointer)                                                                              \
            free_function(*pointer);                                                               \
        *pointer = NULL;                                                                           \
    }

static inline void cleanup_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

/* Closes a descriptor and keeps errno, so that it can stand in an error path. */
static inline void cleanup_close(int *descriptor)
{
    if (*descriptor >= 0) {
        int saved = errno;
        (void)close(*descriptor);
        errno = saved;
    }
    *descriptor = -1;
}

DEFINE_CLEANUP(fclose, FILE *, fclose)
DEFINE_CLEANUP(closedir, DIR *, closedir)

/* The pointer's value; the variable no longer owns it. */
#define steal_pointer(pointer)                                                                     \
    ({                                                                                             \
        __typeof__(*(pointer)) stolen_ = *(pointer);                                               \
        *(pointer) = NULL;                                                                         \
        stolen_;                                                                                   \
    })

static inline int steal_descriptor(int *descriptor)
{
    int stolen = *descriptor;
    *descriptor = -1;
    return stolen;
}
