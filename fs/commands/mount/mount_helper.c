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

/* aapfs's own exit status as one of mount(8)'s. */
static int status_for_mount(int status)
{
    return status == 0 ? 0 : status == 2 ? WRONG_CALL : MOUNT_FAILED;
}

int command_mount_helper(int count, char **words)
{
    static const struct option options[] = {USAGE_OPTION, {0}};
    static char name[] = "aapfs", option[] = "-o", end[] = "--";
    char *mount[2 * OPTIONS_MOST + 8] = {name};
    int many = 1, given = 0, word;
    bool fake = false;
    while ((word = getopt_long(count, words, "fnsvN:t:o:h", options, NULL)) != -1) {
        switch (word) {
        case 'o':
            if (++given > OPTIONS_MOST) {
                fputs(usage, stderr);
                return WRONG_CALL;
            }
            mount[many++] = option;
            mount[many++] = optarg;
            break;
        case 'f':
            fake = true;
            break;
        case 'N':
            fputs("mount.aapfs: -N: mount in that namespace: nsenter(1)\n", stderr);
            return WRONG_CALL;
        case USAGE_HELP:
            fputs(usage, stdout);
            return 0;
        case 'n': /* there is no mtab */
        case 's':
        case 't':
        case 'v':
            break;
        default:
            fputs(usage, stderr);
            return WRONG_CALL;
        }
    }
    if (count - optind != 2) {
        fputs(usage, stderr);
        return WRONG_CALL;
    }
    mount[many++] = end;
    mount[many++] = words[optind];
    mount[many++] = words[optind + 1];
    mount[many] = NULL;
    optind = 0; /* glibc: from the beginning */
    return fake ? 0 : status_for_mount(command_mount(many, mount));
}
