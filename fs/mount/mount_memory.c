#include "fs/mount/mount_memory.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/keys/numbers.h"

int mount_memory_make(struct mount_memory *memory)
{
    *memory = (struct mount_memory){.descriptor = memfd_create("aapfs-mount", MFD_CLOEXEC)};
    if (memory->descriptor < 0)
        return -errno;
    /* sparse: only what is used costs memory */
    if (ftruncate(memory->descriptor, (off_t)numbers_size()) < 0) {
        int error = errno;
        mount_memory_drop(memory);
        return -error;
    }
    void *mapped = mmap(NULL, numbers_size(), PROT_READ | PROT_WRITE, MAP_SHARED,
                        memory->descriptor, 0);
    if (mapped == MAP_FAILED) {
        int error = errno;
        mount_memory_drop(memory);
        return -error;
    }
    memory->numbers = mapped;
    return 0;
}

void mount_memory_drop(struct mount_memory *memory)
{
    if (memory->numbers)
        munmap(memory->numbers, numbers_size());
    if (memory->descriptor >= 0)
        close(memory->descriptor);
    *memory = (struct mount_memory){.descriptor = -1};
}
