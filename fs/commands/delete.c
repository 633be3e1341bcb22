/*
 * aapfs delete [-m MOUNTPOINT] AAP CLIENT_KEY_ID
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/commands/commands.h"
#include "fs/commands/control_file.h"
#include "kmsapi/cleanup.h"

int command_delete(int count, char **words)
{
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT;
    int option;
    while ((option = getopt(count, words, "m:")) != -1) {
        if (option != 'm')
            return 2;
        mountpoint = optarg;
    }
    if (count - optind != 2) {
        fputs("usage: aapfs delete [-m MOUNTPOINT] AAP CLIENT_KEY_ID\n", stderr);
        return 2;
    }
    _cleanup_(free) char *command = NULL;
    int size = asprintf(&command, "delete %s\n", words[optind + 1]);
    if (size < 0) {
        command = NULL;
        return 1;
    }
    return control_file_write(mountpoint, words[optind], command, (size_t)size) < 0;
}
