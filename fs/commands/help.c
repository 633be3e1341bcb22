/*
 * aapfs help [COMMAND], aapfs version: --help and --version by the words that other programs have for them.
 */
#include <stdio.h>

#include "fs/base/usage.h"
#include "fs/commands/commands.h"
#include "fs/commands/unknown_word.h"

int command_help(int count, char **words)
{
    if (count < 2)
        usage_print(stdout);
    else if (usage_has(words[1]))
        return usage_end(words[1], USAGE_HELP);
    else
        return unknown_word_tell(words[1]);
    return 0;
}

int command_version(int count, char **words)
{
    (void)count;
    (void)words;
    puts("aapfs " AAPFS_VERSION);
    return 0;
}
