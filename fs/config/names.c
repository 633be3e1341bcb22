#include "fs/config/names.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { USER = 'u', GROUP = 'g', ENTRY = 'e' };

/* A line for each answer: the kind, the number or "-", and what was asked, to the end of the line; then this. */
static const char end_line[] = ".\n";

static _Thread_local struct {
    const char *note; /* NULL: the databases are asked */
    size_t note_size;
    FILE *stream; /* NULL: nothing is noted */
    char *text;
    size_t size;
} reading;

void config_names_use(const char *note, size_t size)
{
    reading.note = note;
    reading.note_size = size;
}

void config_names_begin(void)
{
    reading.stream = open_memstream(&reading.text, &reading.size);
}

char *config_names_end(size_t *size)
{
    bool good = reading.stream && fputs(end_line, reading.stream) >= 0;
    good = reading.stream && fclose(reading.stream) == 0 && good;
    char *text = reading.text;
    *size = reading.size;
    memset(&reading, 0, sizeof(reading));
    if (!good)
        free(text);
    return good ? text : NULL;
}

static int find(enum kind kind, const char *asked, uint32_t *number)
{
    size_t length = strlen(asked);
    const char *line = reading.note, *end = reading.note + reading.note_size;
    for (const char *next; line < end; line = next) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        next = stop ? stop + 1 : end;
        const char *name = stop && line[0] == (char)kind ? memchr(line + 2, ' ', (size_t)(stop - line)) : NULL;
        if (!name || name > stop || (size_t)(stop - name - 1) != length || memcmp(name + 1, asked, length) != 0)
            continue;
        *number = (uint32_t)strtoul(line + 2, NULL, 10);
        return line[2] == '-' ? -ENOENT : 0;
    }
    return -ENOENT;
}

static int answer(enum kind kind, const char *asked, bool found, uint32_t number)
{
    if (reading.stream && found)
        fprintf(reading.stream, "%c %u %s\n", kind, number, asked);
    else if (reading.stream)
        fprintf(reading.stream, "%c - %s\n", kind, asked);
    return found ? 0 : -ENOENT;
}

int config_names_user(const char *name, uid_t *uid)
{
    char buffer[4096];
    struct passwd entry, *found = NULL;
    if (reading.note)
        return find(USER, name, uid);
    if (getpwnam_r(name, &entry, buffer, sizeof(buffer), &found) == 0 && found)
        *uid = found->pw_uid;
    return answer(USER, name, found, *uid);
}

int config_names_group(const char *name, gid_t *gid)
{
    char buffer[16384];
    struct group entry, *found = NULL;
    if (reading.note)
        return find(GROUP, name, gid);
    if (getgrnam_r(name, &entry, buffer, sizeof(buffer), &found) == 0 && found)
        *gid = found->gr_gid;
    return answer(GROUP, name, found, *gid);
}

bool config_names_has_entry(uid_t uid)
{
    char buffer[4096], asked[16];
    struct passwd entry, *found = NULL;
    uint32_t same;
    snprintf(asked, sizeof(asked), "%u", uid);
    if (reading.note)
        return find(ENTRY, asked, &same) == 0;
    bool has = getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found;
    return answer(ENTRY, asked, has, uid) == 0;
}
