/*
 * aapfs: dispatch. A first word that names a sub-command is one; everything else mounts.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/commands/commands.h"

static const struct {
    const char *name;
    int (*run)(int count, char **arguments);
} commands[] = {
    {"adopt", command_adopt},
    {"check", command_check},
    {"create", command_create},
    {"rotate", command_create},
    {"delete", command_delete},
    {"export", command_export},
    {"status", command_status},
    {"reload", command_tell},
    {"upgrade", command_tell},
    {"volume-plugin", command_volume_plugin},
    {"with-mount", command_with_mount},
};

int main(int count, char **arguments)
{
    signal(SIGPIPE, SIG_IGN);
    const char *slash = count > 0 ? strrchr(arguments[0], '/') : NULL;
    if (count > 0 && strncmp(slash ? slash + 1 : arguments[0], "mount.", strlen("mount.")) == 0)
        return command_mount_helper(count, arguments);
    for (size_t i = 0; count > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(arguments[1], commands[i].name) == 0)
            return commands[i].run(count - 1, arguments + 1);
    return command_mount(count, arguments);
}
