/* aapfs help [COMMAND], aapfs version: --help and --version by the words that other programs have for them. */
#include <getopt.h>
#include <stdio.h>

#include "fs/base/usage.h"
#include "fs/commands/commands.h"

/* Where it may go on with at most MOST words: -1, and otherwise its exit status. */
static int take_words(int count, char **words, int most)
{
    static const struct option options[] = {USAGE_OPTION, {0}};
    int option = getopt_long(count, words, "h", options, NULL);
    if (option != -1)
        return usage_end(words[0], option);
    return count - optind > most ? usage_end(words[0], '?') : -1;
}

int command_help(int count, char **words)
{
    int r = take_words(count, words, 1);
    if (r >= 0)
        return r;
    const char *command = words[optind];
    if (!command)
        usage_print(stdout);
    else if (usage_has(command))
        return usage_end(command, USAGE_HELP);
    else
        return usage_unknown(command);
    return 0;
}

int command_version(int count, char **words)
{
    int r = take_words(count, words, 0);
    if (r >= 0)
        return r;
    puts("aapfs " AAPFS_VERSION);
    return 0;
}
