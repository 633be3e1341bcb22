#include "fs/stops.h"

#ifdef AAPFS_WITH_STOPS
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmsapi/cleanup.h"

void stop_here(const char *place)
{
    const char *path = getenv("AAPFS_STOPS");
    char wanted[64] = "", rest[128];
    unsigned int times = 0;
    _cleanup_(fclose) FILE *file = path ? fopen(path, "re") : NULL;
    if (!file || fscanf(file, "%63s %u", wanted, &times) < 1 || strcmp(wanted, place) != 0)
        return;
    if (times > 0) {
        int again = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        int size = snprintf(rest, sizeof(rest), "%s %u\n", wanted, times - 1);
        if (again < 0 || write(again, rest, (size_t)size) != size)
            abort();
        close(again);
        return;
    }
    if (unlink(path) == 0)
        raise(SIGKILL);
}
#endif
