/*
 * aapfs reload [-m MOUNTPOINT]
 */
#include <stdio.h>
#include <unistd.h>

#include "fs/commands/commands.h"
#include "fs/commands/control_file.h"

int command_reload(int count, char **words)
{
    static const char command[] = "reload\n";
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT;
    int option;
    while ((option = getopt(count, words, "m:")) != -1) {
        if (option != 'm')
            return 2;
        mountpoint = optarg;
    }
    if (count != optind) {
        fputs("usage: aapfs reload [-m MOUNTPOINT]\n", stderr);
        return 2;
    }
    return control_file_write(mountpoint, ".aapfs", command, sizeof(command) - 1) < 0;
}
