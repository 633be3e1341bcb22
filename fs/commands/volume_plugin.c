/*
 * aapfs volume-plugin [--socket PATH] [--state DIRECTORY] [--binds DIRECTORY] MOUNTPOINT: another program does it, see
 * fs/volumes/main.c.
 */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/commands/commands.h"

#define PROGRAM "aapfs-volume-plugin"

int command_volume_plugin(int count, char **words)
{
    char self[PATH_MAX], path[PATH_MAX + sizeof(PROGRAM) + 1];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (size > 0) { /* in the build folder: beside this one, whatever is installed */
        self[size] = '\0';
        snprintf(path, sizeof(path), "%s/" PROGRAM, dirname(self));
        execv(path, words);
    }
    execv(AAPFS_LIBEXEC "/" PROGRAM, words);
    return log_failure(1, "volume-plugin: " AAPFS_LIBEXEC "/" PROGRAM " cannot be started: %m");
}
