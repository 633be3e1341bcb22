/*
 * What must outlive a worker: a memfd that the supervisor holds for the life of the mount. Today it
 * holds the numbers (fs/keys/numbers.h).
 *
 * Made by the supervisor before it forks; every process maps the same memory.
 */
#ifndef AAPFS_FS_MOUNT_MOUNT_MEMORY_H
#define AAPFS_FS_MOUNT_MOUNT_MEMORY_H

struct mount_memory {
    int descriptor;
    void *numbers;
};

/* 0 or negative errno. */
int mount_memory_make(struct mount_memory *memory);

void mount_memory_drop(struct mount_memory *memory);

#endif
