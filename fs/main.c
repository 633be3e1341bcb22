/*
 * aapfs: dispatch. A first word that names a sub-command is one; everything else mounts, but for what is meant as one.
 */
#include <signal.h>
#include <string.h>

#include "fs/base/usage.h"
#include "fs/commands/commands.h"

static const struct {
    const char *name;
    sub_command *run;
} commands[] = {
    {"adopt", command_adopt},
    {"check", command_check},
    {"create", command_create},
    {"rotate", command_create},
    {"delete", command_delete},
    {"export", command_export},
    {"help", command_help},
    {"status", command_status},
    {"reload", command_tell},
    {"upgrade", command_tell},
    {"version", command_version},
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
    /* with more words it may be mount(8)'s source, of which mounting says what it should be */
    if (count > 1 && arguments[1][0] != '-' && (count == 2 || usage_nearest(arguments[1])) &&
        usage_is_no_place(arguments[1]))
        return usage_unknown(arguments[1]);
    return command_mount(count, arguments);
}
