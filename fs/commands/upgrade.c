/*
 * aapfs upgrade [-m MOUNTPOINT]
 */
#include <stdio.h>
#include <unistd.h>

#include "fs/commands/commands.h"
#include "fs/commands/control_file.h"

int command_upgrade(int count, char **words)
{
    static const char command[] = "upgrade\n";
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT;
    int option;
    while ((option = getopt(count, words, "m:")) != -1) {
        if (option != 'm')
            return 2;
        mountpoint = optarg;
    }
    if (count != optind) {
        fputs("usage: aapfs upgrade [-m MOUNTPOINT]\n", stderr);
        return 2;
    }
    return control_file_write(mountpoint, ".aapfs", command, sizeof(command) - 1) < 0;
}
