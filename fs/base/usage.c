#include "fs/base/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

#include "fs/base/edit_distance.h"
#include "kmsapi/cleanup.h"

/* In 80 columns. */
static const struct {
    const char *command; /* "": the mount itself */
    const char *words;
} rows[] = {
    {"", "[-f] [-c FILE] [--region REGION] [--endpoint URL]\n"
         "             [--state DIRECTORY] [--state-key FILE] [-o OPTIONS] MOUNTPOINT"},
    {"", "--dev [-f] [-o OPTIONS] MOUNTPOINT"},
    {"create", "[-m MOUNTPOINT] [--password-file FILE|-] AAP"},
    {"rotate", "[-m MOUNTPOINT] [--password-file FILE|-] AAP"},
    {"adopt", "[-m MOUNTPOINT] AAP KEYFILE PASSWORDFILE"},
    {"delete", "[-m MOUNTPOINT] [--foreign] AAP CLIENT_KEY_ID"},
    {"export", "[-c FILE] [--region REGION] [--state DIRECTORY]\n"
               "             [--state-key FILE] AAP DIRECTORY"},
    {"check", "[-c FILE] [-m MOUNTPOINT]"},
    {"status", "[-m MOUNTPOINT] [--json] [AAP]"},
    {"reload", "[-m MOUNTPOINT]"},
    {"upgrade", "[-m MOUNTPOINT]"},
    {"volume-plugin", "[--socket PATH] [--state DIRECTORY]\n"
                      "             [--binds DIRECTORY] MOUNTPOINT"},
    {"with-mount", "[-o OPTIONS] MOUNTPOINT COMMAND [ARGUMENT]..."},
    {"help", "[COMMAND]"},
    {"version", ""},
    {"", "[COMMAND] --help"},
    {"", "--version"},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]), SLIPS_MOST = 2, SHORT = 4 };

static void print_row(FILE *stream, size_t i, const char *before)
{
    const char *command = rows[i].command, *words = rows[i].words;
    fprintf(stream, "%s aapfs %s%s%s\n", before, command, command[0] && words[0] ? " " : "", words);
}

static void print(FILE *stream, const char *command)
{
    const char *before = "usage:";
    for (size_t i = 0; i < ROWS; i++)
        if (!command || strcmp(rows[i].command, command) == 0) {
            print_row(stream, i, before);
            before = "      ";
        }
}

void usage_print(FILE *stream)
{
    print(stream, NULL);
}

bool usage_has(const char *command)
{
    for (size_t i = 0; i < ROWS; i++)
        if (*command && strcmp(rows[i].command, command) == 0)
            return true;
    return false;
}

const char *usage_nearest(const char *word)
{
    size_t size = strlen(word);
    unsigned int most = size < SHORT ? SLIPS_MOST - 1 : SLIPS_MOST;
    const char *nearest = NULL;
    for (size_t i = 0; i < ROWS; i++) {
        unsigned int distance = edit_distance(word, size, rows[i].command, strlen(rows[i].command));
        if (rows[i].command[0] && distance <= most) {
            nearest = rows[i].command;
            most = distance ? distance - 1 : 0;
        }
    }
    return nearest;
}

int usage_end(const char *command, int option)
{
    bool asked = option == USAGE_HELP;
    print(asked ? stdout : stderr, command);
    return asked ? 0 : 2;
}

bool usage_is_no_place(const char *word)
{
    if (strchr(word, '/'))
        return false;
    /* asks no filesystem that may be there: its daemon may be away */
    _cleanup_(close) int directory = open(word, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return directory < 0 && (errno == ENOENT || errno == ENOTDIR);
}

int usage_unknown(const char *word)
{
    const char *nearest = usage_nearest(word);
    fprintf(stderr, "aapfs: %s: no command, and no directory to mount on", word);
    if (nearest)
        fprintf(stderr, "; did you mean aapfs %s?", nearest);
    fprintf(stderr, "%s aapfs --help has all of them\n", nearest ? "" : ";");
    return 2;
}
