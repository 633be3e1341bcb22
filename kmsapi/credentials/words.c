#include "kmsapi/credentials/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t\r\n";

/* Copies a word without its quotes; what follows it, or NULL for a quote that stays open. */
static const char *take_word(const char *line, char **out)
{
    char quote = '\0';
    for (; *line && (quote || !strchr(blanks, *line)); line++) {
        if (quote && *line == quote)
            quote = '\0';
        else if (!quote && (*line == '"' || *line == '\''))
            quote = *line;
        else if (*line == '\\' && quote != '\'' && line[1] &&
                 (!quote || line[1] == '"' || line[1] == '\\'))
            *(*out)++ = *++line;
        else
            *(*out)++ = *line;
    }
    *(*out)++ = '\0';
    return quote ? NULL : line;
}

int words_split(const char *line, char ***words)
{
    char **block = calloc(1, (WORDS_MOST + 1) * sizeof(char *) + 2 * strlen(line) + 2);
    if (!block)
        return -ENOMEM;
    char *out = (char *)(block + WORDS_MOST + 1);
    size_t count = 0;
    for (line += strspn(line, blanks); line && *line && count < WORDS_MOST; count++) {
        block[count] = out;
        line = take_word(line, &out);
        line = line ? line + strspn(line, blanks) : NULL;
    }
    if (line && !*line && count > 0) {
        *words = block;
        return 0;
    }
    free(block);
    return -EINVAL;
}
