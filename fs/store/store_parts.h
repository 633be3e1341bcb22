/*
 * The inside of a store: store.c's (directory and creations) and store_load.c's (what stands in it) own.
 */
#ifndef AAPFS_FS_STORE_STORE_PARTS_H
#define AAPFS_FS_STORE_STORE_PARTS_H

#include "fs/store/store.h"

enum { STORE_PATH_SIZE = 512 };

struct store {
    int directory;
    char *account, *region;
    struct record_owner owner; /* points to the two above */
    unsigned char key[SEAL_KEY_SIZE];
};

/* ".intent-NUMBER", ".room-NUMBER" */
void store_name_of(uint64_t number, const char *kind, char name[static 64]);

/* Renames a room that is filled to PATH, in AAP_NAME's directory, which is made when it is missing. 0 or -errno. */
int store_move_room(struct store *store, const char *room, const char *aap_name, const char *path);

/* Whether it can name a file beside the store's own. */
bool store_is_file_name(const char *name);

#endif
