#include "fs/commands/status/status_time.h"

#include <inttypes.h>
#include <stdio.h>

static void say(int64_t seconds, const char *before, char text[static STATUS_TIME_SIZE])
{
    /* a unit is used up to as many of it */
    static const struct {
        int64_t seconds, most;
        const char *name;
    } units[] = {{1, 60, "s"}, {60, 60, "min"}, {3600, 48, "h"}, {86400, 730, "d"}, {365 * 86400, INT64_MAX, "y"}};
    if (seconds == 0 && *before) {
        snprintf(text, STATUS_TIME_SIZE, "now");
        return;
    }
    int64_t size = seconds < 0 ? seconds == INT64_MIN ? INT64_MAX : -seconds : seconds;
    size_t i = 0;
    while (size / units[i].seconds >= units[i].most)
        i++;
    snprintf(text, STATUS_TIME_SIZE, "%s%" PRId64 " %s%s", seconds < 0 ? "" : before, size / units[i].seconds,
             units[i].name, seconds < 0 ? " ago" : "");
}

void status_time_relative(int64_t seconds, char text[static STATUS_TIME_SIZE])
{
    say(seconds, "in ", text);
}

void status_time_left(int64_t seconds, char text[static STATUS_TIME_SIZE])
{
    say(seconds, "", text);
}
