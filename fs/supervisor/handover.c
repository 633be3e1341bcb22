#include "fs/supervisor/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmsapi/cleanup.h"

static const char magic[16] = "aapfs handover4";
static const char variable[] = "AAPFS_HANDOVER";

void handover_begin(struct handover *handover, enum handover_role role)
{
    *handover = (struct handover){.role = role};
    memcpy(handover->magic, magic, sizeof(magic));
    for (unsigned int i = 0; i < HANDOVER_DESCRIPTORS; i++)
        handover->descriptors[i] = -1;
}

static int set_all_inherited(const struct handover *handover, bool inherited)
{
    int r = 0;
    for (unsigned int i = 0; i < HANDOVER_DESCRIPTORS; i++)
        if (handover->descriptors[i] >= 0 && fcntl(handover->descriptors[i], F_SETFD, inherited ? 0 : FD_CLOEXEC) < 0)
            r = r < 0 ? r : -errno;
    return r;
}

int handover_write(const struct handover *handover)
{
    char number[16];
    _cleanup_(close) int memory = memfd_create("aapfs-handover", 0);
    if (memory < 0)
        return -errno;
    ssize_t written = write(memory, handover, sizeof(*handover));
    if (written != (ssize_t)sizeof(*handover))
        return written < 0 ? -errno : -EIO;
    snprintf(number, sizeof(number), "%d", memory);
    if (setenv(variable, number, 1) < 0)
        return -errno;
    int r = set_all_inherited(handover, true);
    return r < 0 ? r : steal_descriptor(&memory);
}

void handover_take_back(const struct handover *handover, int memory)
{
    (void)set_all_inherited(handover, false);
    unsetenv(variable);
    close(memory);
}

static bool parse_number(const char *text, int *number)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    bool good = errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && value > 2 && value <= INT_MAX;
    *number = good ? (int)value : -1;
    return good;
}

static bool makes_sense(const struct handover *handover)
{
    return memcmp(handover->magic, magic, sizeof(magic)) == 0 &&
           (handover->role == HANDOVER_STAND_BY || handover->role == HANDOVER_SUPERVISE) &&
           handover->mountpoint[0] == '/' && handover->worker >= 0 && handover->publisher >= 0 && handover->runner >= 0 &&
           memchr(handover->mountpoint, '\0', sizeof(handover->mountpoint)) &&
           memchr(handover->state, '\0', sizeof(handover->state)) &&
           memchr(handover->region, '\0', sizeof(handover->region)) &&
           set_all_inherited(handover, false) == 0;
}

int handover_read(struct handover *handover)
{
    const char *text = getenv(variable);
    _cleanup_(close) int memory = -1;
    if (!text)
        return 0;
    bool good = parse_number(text, &memory) &&
                pread(memory, handover, sizeof(*handover), 0) == (ssize_t)sizeof(*handover) && makes_sense(handover);
    unsetenv(variable);
    return good ? 1 : -EPROTO;
}
