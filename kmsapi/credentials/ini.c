#include "kmsapi/credentials/ini.h"

#include <errno.h>
#include <string.h>

static const char blanks[] = " \t\r\v\f";

struct reading {
    char *next;        /* what is not read yet; NULL: nothing */
    unsigned int line; /* number of the last physical line read */
};

static bool is_blank(char c)
{
    return c && strchr(blanks, c);
}

static bool is_comment(char c)
{
    return c == '#' || c == ';';
}

static char *trim(char *text)
{
    text += strspn(text, blanks);
    size_t length = strlen(text);
    while (length > 0 && strchr(blanks, text[length - 1]))
        text[--length] = '\0';
    return text;
}

/* Cuts the next physical line off. */
static char *next_physical(struct reading *reading)
{
    char *line = reading->next;
    size_t length = strcspn(line, "\n");
    reading->next = line[length] ? line + length + 1 : NULL;
    line[length] = '\0';
    reading->line++;
    return line;
}

/* Whether LINE has a delimiter behind a word: "name = value", and not a line of a policy. */
static bool is_assignment(const char *line, size_t length)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t i = 0;
    while (i < length && strchr(letters, line[i]))
        i++;
    size_t name = i;
    while (i < length && is_blank(line[i]))
        i++;
    return name > 0 && i < length && (line[i] == '=' || line[i] == ':');
}

/* Whether the next physical line is indented and nothing of its own. */
static bool is_continued(const struct reading *reading)
{
    const char *line = reading->next;
    if (!line || !is_blank(line[0]))
        return false;
    line += strspn(line, blanks);
    size_t length = strcspn(line, "\n");
    return length > 0 && line[0] != '[' && !is_comment(line[0]) && !is_assignment(line, length);
}

/* Moves the next physical line behind what LINE (LENGTH bytes of it) is, which stands before it. */
static void append_next(struct reading *reading, char *line, size_t length)
{
    char *next = trim(next_physical(reading));
    memmove(line + length, next, strlen(next) + 1);
}

/* The next line with all that continues it, trimmed. */
static char *next_line(struct reading *reading)
{
    char *line = trim(next_physical(reading));
    if (line[0] == '\0' || is_comment(line[0]) || line[0] == '[')
        return line;
    for (;;) {
        size_t length = strlen(line);
        if (length > 0 && line[length - 1] == '\\' && reading->next) {
            append_next(reading, line, length - 1);
        } else if (is_assignment(line, length) && is_continued(reading)) {
            line[length] = ' '; /* where the NUL was: the next line is at least a blank away */
            append_next(reading, line, length + 1);
        } else {
            return line;
        }
    }
}

/* Whether nothing but a comment stands there. */
static bool is_end(const char *rest)
{
    rest += strspn(rest, blanks);
    return rest[0] == '\0' || is_comment(rest[0]);
}

/* The first ] behind which nothing but a comment stands ends it. */
static bool is_section(char *line, const char **name)
{
    char *end = line[0] == '[' ? strchr(line, ']') : NULL;
    while (end && !is_end(end + 1))
        end = strchr(end + 1, ']');
    if (!end)
        return false;
    *end = '\0';
    *name = trim(line + 1);
    return true;
}

/* TEXT is what stands behind the delimiter. */
static char *clean_value(char *text)
{
    char *begin = text + strspn(text, blanks);
    char *closing = begin[0] && strchr("\"'`", begin[0]) ? strchr(begin + 1, begin[0]) : NULL;
    if (closing && is_end(closing + 1)) {
        *closing = '\0';
        return begin + 1;
    }
    for (char *c = text; *c; c++)
        if (is_blank(*c) && is_comment(c[1])) {
            *c = '\0';
            break;
        }
    return trim(text);
}

int ini_read_section(char *text, const char *name,
                     bool (*found)(void *user, const char *key, const char *value), void *user,
                     unsigned int *line_number)
{
    struct reading reading = {.next = text};
    bool any = false, inside = false, elsewhere = false;
    *line_number = 0;
    while (reading.next) {
        const char *section;
        *line_number = reading.line + 1;
        char *line = next_line(&reading);
        if (line[0] == '\0' || is_comment(line[0]))
            continue;
        if (is_section(line, &section)) {
            inside = strcmp(section, name) == 0;
            elsewhere = !inside;
            any = any || inside;
            continue;
        }
        size_t key_size = strcspn(line, "=:");
        if (elsewhere && line[0] != '[')
            continue; /* whatever it is: not ours */
        if (key_size == 0 || !line[key_size])
            return -EINVAL;
        line[key_size] = '\0';
        if (inside && !found(user, trim(line), clean_value(line + key_size + 1)))
            return -EINVAL;
    }
    return any ? 0 : -ENOENT;
}
