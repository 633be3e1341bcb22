#include "kmsapi/credentials/ini.h"

#include <errno.h>
#include <string.h>

static const char blanks[] = " \t\r";

static char *trim(char *text)
{
    text += strspn(text, blanks);
    size_t length = strlen(text);
    while (length > 0 && strchr(blanks, text[length - 1]))
        text[--length] = '\0';
    return text;
}

/* Cuts the next line off *TEXT. */
static char *next_line(char **text)
{
    char *line = *text;
    size_t length = strcspn(line, "\n");
    *text = line[length] ? line + length + 1 : NULL;
    line[length] = '\0';
    return trim(line);
}

static bool is_section(char *line, const char **name)
{
    size_t length = strlen(line);
    if (line[0] != '[' || line[length - 1] != ']')
        return false;
    line[length - 1] = '\0';
    *name = trim(line + 1);
    return true;
}

int ini_read_section(char *text, const char *name,
                     bool (*found)(void *user, const char *key, const char *value), void *user,
                     unsigned int *line_number)
{
    bool any = false, inside = false;
    *line_number = 0;
    while (text) {
        const char *section;
        char *line = next_line(&text);
        ++*line_number;
        if (line[0] == '\0' || line[0] == ';' || line[0] == '#')
            continue;
        if (is_section(line, &section)) {
            inside = strcmp(section, name) == 0;
            any = any || inside;
            continue;
        }
        char *equals = strchr(line, '=');
        if (!equals || equals == line)
            return -EINVAL;
        *equals = '\0';
        if (inside && !found(user, trim(line), trim(equals + 1)))
            return -EINVAL;
    }
    return any ? 0 : -ENOENT;
}
