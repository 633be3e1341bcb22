/*
 * A user database that may hang, for LD_PRELOAD: while the file $SLOW_NAMES is there every look-up waits, and each one
 * writes the process that asked into $SLOW_NAMES.asked.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_and_note(void)
{
    static const struct timespec moment = {.tv_nsec = 5000000};
    const char *path = getenv("SLOW_NAMES");
    char name[4096], line[32];
    snprintf(name, sizeof(name), "%s.asked", path);
    int file = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int size = snprintf(line, sizeof(line), "%d\n", (int)getpid());
    if (file < 0 || write(file, line, (size_t)size) != size)
        abort();
    close(file);
    while (access(path, F_OK) == 0)
        nanosleep(&moment, NULL);
}

#define NEXT(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

__attribute__((visibility("default"))) int getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size,
                                                      struct passwd **found)
{
    wait_and_note();
    return NEXT(getpwnam_r)(name, entry, buffer, size, found);
}

__attribute__((visibility("default"))) int getgrnam_r(const char *name, struct group *entry, char *buffer, size_t size,
                                                      struct group **found)
{
    wait_and_note();
    return NEXT(getgrnam_r)(name, entry, buffer, size, found);
}

__attribute__((visibility("default"))) int getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size,
                                                      struct passwd **found)
{
    wait_and_note();
    return NEXT(getpwuid_r)(uid, entry, buffer, size, found);
}
