#include "fs/base/stops.h"

#ifdef AAPFS_WITH_STOPS
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmsapi/cleanup.h"

static void write_rest(const char *path, const char *place, unsigned int passes, unsigned int deaths, int number)
{
    _cleanup_(fclose) FILE *file = fopen(path, "we");
    if (!file || fprintf(file, "%s %u %u %d\n", place, passes, deaths, number) < 0)
        abort();
}

static void look_at(const char *path, const char *place)
{
    char wanted[64] = "";
    unsigned int passes = 0, deaths = 1;
    int number = SIGKILL;
    _cleanup_(fclose) FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%63s %u %u %d", wanted, &passes, &deaths, &number) < 1 || strcmp(wanted, place) != 0)
        return;
    if (passes > 0) {
        write_rest(path, wanted, passes - 1, deaths, number);
        return;
    }
    if (deaths > 1)
        write_rest(path, wanted, 0, deaths - 1, number);
    else if (unlink(path) < 0)
        abort();
    raise(number);
}

void stop_here(const char *place)
{
    const char *path = getenv("AAPFS_STOPS");
    _cleanup_(free) char *second = NULL;
    if (!path || asprintf(&second, "%s.2", path) < 0)
        return;
    look_at(path, place);
    look_at(second, place);
}
#endif
