#include "kmsapi/credentials/provider.h"

#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

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
