/*
 * aapfs reload|upgrade [-m MOUNTPOINT]: the word is written to the mount's control as it is.
 */
#include <stdio.h>
#include <unistd.h>

#include "fs/commands/commands.h"
#include "fs/commands/control_file.h"

int command_tell(int count, char **words)
{
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT;
    char command[32];
    int option;
    while ((option = getopt(count, words, "m:")) != -1) {
        if (option != 'm')
            return 2;
        mountpoint = optarg;
    }
    if (count != optind) {
        fprintf(stderr, "usage: aapfs %s [-m MOUNTPOINT]\n", words[0]);
        return 2;
    }
    int size = snprintf(command, sizeof(command), "%s\n", words[0]);
    return control_file_write(mountpoint, ".aapfs", command, (size_t)size) < 0;
}
