#include "fs/mount/mount_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/engine/kms_clock.h"
#include "fs/model/counters.h"
#include "fs/model/numbers.h"
#include "fs/mount/receive_slots.h"
#include "fs/tree/audit.h"
#include "fs/tree/report_history.h"
#include "kmsapi/cleanup.h"

/* Changes whenever anything in the memory does: a worker of another version must not guess. */
static const char magic[16] = "aapfs mount 5";

enum { PAGE = 4096 };

/* Whoever else has the descriptor cannot cut it: what is mapped would be read past its end. */
enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

/* Where each part begins, and the end. */
struct layout {
    size_t numbers, reports, slots, counters, audit, end;
};

static size_t whole_pages(size_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE;
}

static struct layout layout(void)
{
    struct layout layout = {.numbers = whole_pages(sizeof(struct mount_head))};
    layout.reports = layout.numbers + whole_pages(numbers_size());
    layout.slots = layout.reports + whole_pages(report_history_size());
    layout.counters = layout.slots + whole_pages(receive_slots_size());
    layout.audit = layout.counters + whole_pages(sizeof(struct counters));
    layout.end = layout.audit + whole_pages(audit_size());
    return layout;
}

static int map(struct mount_memory *memory, size_t size)
{
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->descriptor, 0);
    if (mapped == MAP_FAILED)
        return -errno;
    memory->head = mapped;
    return 0;
}

int mount_memory_make(struct mount_memory *memory)
{
    *memory = (struct mount_memory){.descriptor = memfd_create("aapfs-mount", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (memory->descriptor < 0)
        return -errno;
    /* sparse: only what is used costs memory */
    int r = ftruncate(memory->descriptor, (off_t)layout().end) < 0 || fcntl(memory->descriptor, F_ADD_SEALS, SEALS) < 0
                ? -errno : 0;
    if (r == 0)
        r = map(memory, whole_pages(sizeof(struct mount_head)));
    if (r < 0) {
        mount_memory_drop(memory);
        return r;
    }
    memcpy(memory->head->magic, magic, sizeof(magic));
    memory->head->mounted_ns = clock_local_ns();
    if (getrandom(&memory->head->generation, sizeof(memory->head->generation), 0) < 0)
        memory->head->generation = (uint32_t)memory->head->mounted_ns; /* a kernel without it: no two of them are one */
    return 0;
}

bool mount_memory_is_sealed(int descriptor)
{
    int seals = fcntl(descriptor, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS;
}

/* A memory of another size is another version's as well: to map it would mean to read past its end. */
static int attach(struct mount_memory *memory, int descriptor, size_t size)
{
    struct stat attributes;
    *memory = (struct mount_memory){.descriptor = descriptor};
    if (fstat(descriptor, &attributes) < 0)
        return -errno;
    int r = attributes.st_size == (off_t)layout().end ? map(memory, size) : -EPROTO;
    if (r == 0 && (memcmp(memory->head->magic, magic, sizeof(magic)) != 0 ||
                   memory->head->init_size > MOUNT_MEMORY_INIT_SIZE || memory->head->audit > MOUNT_AUDIT_YES)) {
        munmap(memory->head, size);
        memory->head = NULL;
        r = -EPROTO;
    }
    return r;
}

int mount_memory_map_head(struct mount_memory *memory, int descriptor)
{
    return attach(memory, descriptor, whole_pages(sizeof(struct mount_head)));
}

int mount_memory_map(struct mount_memory *memory, int descriptor)
{
    const struct layout parts = layout();
    int r = attach(memory, descriptor, parts.end);
    if (r < 0)
        return r;
    char *begin = (char *)memory->head;
    memory->numbers = begin + parts.numbers;
    memory->reports = begin + parts.reports;
    memory->slots = begin + parts.slots;
    memory->counters = begin + parts.counters;
    memory->audit = begin + parts.audit;
    return 0;
}

void mount_memory_drop(struct mount_memory *memory)
{
    if (memory->head)
        munmap(memory->head, memory->slots ? layout().end : whole_pages(sizeof(struct mount_head)));
    cleanup_close(&memory->descriptor);
    *memory = (struct mount_memory){.descriptor = -1};
}
