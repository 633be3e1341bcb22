/* aapfs delete [-m MOUNTPOINT] AAP CLIENT_KEY_ID [--foreign] */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/base/usage.h"
#include "fs/commands/commands.h"
#include "fs/commands/control_file.h"
#include "kmsapi/cleanup.h"

int command_delete(int count, char **words)
{
    static const struct option options[] = {{"foreign", no_argument, NULL, 'f'}, USAGE_OPTION, {0}};
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT, *verb = "delete";
    int option;
    while ((option = getopt_long(count, words, "m:h", options, NULL)) != -1) {
        if (option == 'm')
            mountpoint = optarg;
        else if (option == 'f')
            verb = "delete-foreign";
        else
            return usage_end(words[0], option);
    }
    if (count - optind != 2)
        return usage_end(words[0], '?');
    _cleanup_(free) char *command = NULL;
    int size = asprintf(&command, "%s %s\n", verb, words[optind + 1]);
    if (size < 0) {
        command = NULL;
        return 1;
    }
    return control_file_write(mountpoint, words[optind], command, (size_t)size) < 0;
}
