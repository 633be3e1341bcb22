/*
 * mount.aapfs SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]: as mount(8) calls it.
 *
 * Source: mount(8), "EXTERNAL HELPERS".
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fs/commands/commands.h"

static const char usage[] = "usage: mount.aapfs CONFIGURATION|aapfs MOUNTPOINT [-fnsv] [-o OPTIONS]\n";

enum { OPTIONS_MOST = 64 };

int command_mount_helper(int count, char **words)
{
    static char name[] = "aapfs", option[] = "-o", end[] = "--";
    char *mount[2 * OPTIONS_MOST + 8] = {name};
    int many = 1, given = 0, word;
    bool fake = false;
    while ((word = getopt(count, words, "fnsvN:t:o:h")) != -1) {
        switch (word) {
        case 'o':
            if (++given > OPTIONS_MOST) {
                fputs(usage, stderr);
                return 2;
            }
            mount[many++] = option;
            mount[many++] = optarg;
            break;
        case 'f':
            fake = true;
            break;
        case 'N':
            fputs("mount.aapfs: -N: mount in that namespace: nsenter(1)\n", stderr);
            return 2;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case 'n': /* there is no mtab */
        case 's':
        case 't':
        case 'v':
            break;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (count - optind != 2) {
        fputs(usage, stderr);
        return 2;
    }
    mount[many++] = end;
    mount[many++] = words[optind];
    mount[many++] = words[optind + 1];
    mount[many] = NULL;
    optind = 0; /* glibc: from the beginning */
    return fake ? 0 : command_mount(many, mount);
}
