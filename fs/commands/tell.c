/*
 * aapfs reload|upgrade [-m MOUNTPOINT]: the word is written to the mount's control as it is; where that is
 * read-only its supervisor is asked.
 */
#include <getopt.h>
#include <stdio.h>

#include "fs/base/usage.h"
#include "fs/commands/ask_supervisor.h"
#include "fs/commands/commands.h"
#include "fs/commands/control_file.h"

int command_tell(int count, char **words)
{
    static const struct option options[] = {USAGE_OPTION, {0}};
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT;
    char command[32];
    int option;
    while ((option = getopt_long(count, words, "m:h", options, NULL)) != -1) {
        if (option != 'm')
            return usage_end(words[0], option);
        mountpoint = optarg;
    }
    if (count != optind)
        return usage_end(words[0], '?');
    if (ask_supervisor_is_needed(mountpoint))
        return ask_supervisor(mountpoint, words[0]) < 0;
    int size = snprintf(command, sizeof(command), "%s\n", words[0]);
    return control_file_write(mountpoint, ".aapfs", command, (size_t)size) < 0;
}
