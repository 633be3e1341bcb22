#include "kmsapi/credentials/words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t\r\n\v\f";

/* Whether a backslash takes its meaning from C, within QUOTE ('\0': none). */
static bool is_escaped(char quote, char c)
{
    return quote == '\0' || (quote == '"' && c && strchr("\"\\$`", c));
}

/* How long a backslash with the line's end behind it is; 0: LINE does not begin with one. */
static size_t joint_size(const char *line)
{
    return strncmp(line, "\\\n", 2) == 0 ? 2 : strncmp(line, "\\\r\n", 3) == 0 ? 3 : 0;
}

/* Copies a word without its quotes; what follows it, or NULL for a quote that stays open or a backslash at the very end. */
static const char *take_word(const char *line, char **out)
{
    char quote = '\0';
    for (; *line && (quote || !strchr(blanks, *line)); line++) {
        if (quote && *line == quote)
            quote = '\0';
        else if (!quote && (*line == '"' || *line == '\''))
            quote = *line;
        else if (quote != '\'' && joint_size(line))
            line += joint_size(line) - 1;
        else if (*line == '\\' && !quote && !line[1])
            return NULL;
        else if (*line == '\\' && is_escaped(quote, line[1]))
            *(*out)++ = *++line;
        else
            *(*out)++ = *line;
    }
    *(*out)++ = '\0';
    return quote ? NULL : line;
}

/* What separates words: blanks, and lines that go on in the next one. */
static const char *skip_blanks(const char *line)
{
    size_t blank, joint;
    do {
        blank = strspn(line, blanks);
        joint = joint_size(line + blank);
        line += blank + joint;
    } while (joint);
    return line;
}

int words_split(const char *line, char ***words)
{
    char **block = calloc(1, (WORDS_MOST + 1) * sizeof(char *) + 2 * strlen(line) + 2);
    if (!block)
        return -ENOMEM;
    char *out = (char *)(block + WORDS_MOST + 1);
    size_t count = 0;
    for (line = skip_blanks(line); line && *line && count < WORDS_MOST; count++) {
        block[count] = out;
        line = take_word(line, &out);
        line = line ? skip_blanks(line) : NULL;
    }
    if (line && !*line && count > 0 && block[0][0]) {
        *words = block;
        return 0;
    }
    free(block);
    return -EINVAL;
}
