/* The inside of a store, for its own files. */
#pragma once

#include <string.h>

#include "fs/store/store.h"

enum { STORE_PATH_SIZE = 512 };

struct store {
    int directory;
    char *account, *region;
    struct record_owner owner; /* points to the two above */
    unsigned char key[SEAL_KEY_SIZE];
};

/* Whether it can name a file beside the store's own. */
static inline bool store_is_file_name(const char *name)
{
    return name[0] != '.' && name[0] != '\0' && strlen(name) <= 200 && !strchr(name, '/');
}
