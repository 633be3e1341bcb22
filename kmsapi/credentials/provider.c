#include "kmsapi/credentials/provider.h"

#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 200, BEGUN_WITHIN_MS = 5000 };

bool provider_given_up(const struct fetching *fetching)
{
    struct pollfd polled = {.fd = fetching->given_up, .events = POLLIN};
    return poll(&polled, 1, 0) > 0;
}

const char *provider_variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

bool provider_switch(const char *name)
{
    const char *value = provider_variable(name);
    return value && strcasecmp(value, "true") == 0;
}

char *provider_home_file(const char *name)
{
    char *path = NULL, buffer[4096];
    struct passwd entry, *found = NULL;
    const char *home = provider_variable("HOME");
    if (!home && getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found)
        home = found->pw_dir;
    if (!home || asprintf(&path, "%s/%s", home, name) < 0)
        return NULL;
    return path;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct again again_begin(void)
{
    return (struct again){.began_ms = now_ms()};
}

bool again_after_pause(struct again *again, const struct fetching *fetching)
{
    static const unsigned int halves[] = {2, 5, 10}; /* 0.2 s, 0.5 s, 1 s */
    if (again->count == sizeof(halves) / sizeof(halves[0]))
        return false;
    unsigned int first_ms = fetching->options->pause_ms ? fetching->options->pause_ms : PAUSE_MS;
    int64_t pause_ms = (int64_t)first_ms * halves[again->count++] / 2;
    int64_t end_ms = now_ms() + pause_ms, left_ms = pause_ms;
    if (end_ms - again->began_ms > BEGUN_WITHIN_MS)
        return false;
    while (left_ms > 0) {
        struct pollfd given_up = {.fd = fetching->given_up, .events = POLLIN};
        if (poll(&given_up, 1, (int)left_ms) > 0)
            return false;
        left_ms = end_ms - now_ms();
    }
    return !provider_given_up(fetching);
}
