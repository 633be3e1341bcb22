#include "fs/base/stops.h"

#ifdef AAPFS_WITH_STOPS
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmsapi/cleanup.h"

/* In place: a test that takes the file away meanwhile does not find it again. */
static void write_rest(FILE *file, const char *place, unsigned int passes, unsigned int deaths, int number)
{
    rewind(file);
    if (fprintf(file, "%s %u %u %d\n", place, passes, deaths, number) < 0 || fflush(file) != 0 ||
        ftruncate(fileno(file), ftello(file)) < 0)
        abort();
}

static void look_at(const char *path, const char *place)
{
    char wanted[64] = "";
    unsigned int passes = 0, deaths = 1;
    int number = SIGKILL;
    _cleanup_(fclose) FILE *file = fopen(path, "r+e");
    if (!file || fscanf(file, "%63s %u %u %d", wanted, &passes, &deaths, &number) < 1 || strcmp(wanted, place) != 0)
        return;
    if (passes > 0) {
        write_rest(file, wanted, passes - 1, deaths, number);
        return;
    }
    if (deaths > 1)
        write_rest(file, wanted, 0, deaths - 1, number);
    else
        (void)unlink(path); /* a test may have done so */
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
