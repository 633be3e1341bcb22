/*
 * mount.aapfs SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]: as mount(8) calls it.
 *
 * Source: mount(8), "EXTERNAL HELPERS".
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/usage.h"
#include "fs/commands/commands.h"

static const char usage[] = "usage: mount.aapfs CONFIGURATION|aapfs MOUNTPOINT [-fnsv] [-o OPTIONS]\n";

enum { OPTIONS_MOST = 64 };

/* Source: mount(8), "EXIT STATUS". */
enum { WRONG_CALL = 1, MOUNT_FAILED = 32 };

int command_mount_helper(int count, char **words)
{
    static const struct option options[] = {USAGE_OPTION, {0}};
    static char name[] = "aapfs", option[] = "-o", end[] = "--";
    char *mount[2 * OPTIONS_MOST + 8] = {name};
    int many = 1, given = 0, word;
    bool fake = false, wrong = false;
    while (!wrong && (word = getopt_long(count, words, "fnsvN:t:o:h", options, NULL)) != -1) {
        if (word == 'N') {
            fputs("mount.aapfs: -N: mount in that namespace: nsenter(1)\n", stderr);
            return WRONG_CALL;
        } else if (word == USAGE_HELP) {
            fputs(usage, stdout);
            return 0;
        } else if (word == 'o' && ++given <= OPTIONS_MOST) {
            mount[many++] = option;
            mount[many++] = optarg;
        } else {
            fake = fake || word == 'f';
            wrong = !strchr("fnstv", word); /* -n: there is no mtab */
        }
    }
    if (wrong || count - optind != 2) {
        fputs(usage, stderr);
        return WRONG_CALL;
    }
    mount[many++] = end;
    mount[many++] = words[optind];
    mount[many++] = words[optind + 1];
    mount[many] = NULL;
    optind = 0; /* glibc: from the beginning */
    int status = fake ? 0 : command_mount(many, mount);
    return status == 0 ? 0 : status == 2 ? WRONG_CALL : MOUNT_FAILED;
}
