#include "kmsapi/credentials/external.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/crypto.h>

#include "kmsapi/cleanup.h"
#include "kmsapi/credentials/session_answer.h"
#include "kmsapi/iso_time.h"

enum { TIMEOUT_MS = 60000, OUTPUT_MOST = 64 * 1024 };

/* "": none is known, as where it is no time; whoever refuses the credentials has the program run again. */
static int read_life(const char *expiration, struct session *session, char *reason, size_t size)
{
    const struct session_clocks clocks = {.ours = time(NULL)};
    int64_t end;
    if (!expiration || iso_time_parse_foreign(expiration, &end) < 0)
        return 0;
    return session_answer_life(expiration, clocks, &session->life_s, reason, size);
}

/* With any other mode than StsToken, or none, what is there counts, as in the SDKs. */
static int read_members(const json_t *object, struct session *session, char *reason, size_t size)
{
    enum { MODE, ID, SECRET, TOKEN, END, COUNT };
    static const char *const names[] = {"mode", "access_key_id", "access_key_secret", "sts_token",
                                        "expiration"};
    const char *values[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        if (session_answer_string(object, names[i], &values[i], reason, size) < 0)
            return -EINVAL;
    bool sts = values[MODE] && strcasecmp(values[MODE], "StsToken") == 0;
    if (sts && (!values[TOKEN] || !values[TOKEN][0])) {
        snprintf(reason, size, "sts_token is missing");
        return -EINVAL;
    }
    int r = read_life(values[END], session, reason, size);
    return r < 0 ? r : credentials_set(&session->credentials, values[ID], values[SECRET], values[TOKEN], reason, size);
}

int external_read(const char *output, struct session *session, char *reason, size_t size)
{
    json_t *object = session_answer_parse(output, strlen(output), reason, size);
    int r = object ? read_members(object, session, reason, size) : -EINVAL;
    json_decref(object);
    return r;
}

int external_fetch(const struct fetching *fetching, const char *command, struct session *session,
                   char *reason, size_t size)
{
    const struct credentials_source_options *options = fetching->options;
    _cleanup_(free) char **words = NULL;
    if (!options->run) {
        snprintf(reason, size, "mode External runs a program, which is not possible here");
        return -EINVAL;
    }
    int r = words_split(command, &words);
    if (r < 0) {
        snprintf(reason, size, "its process_command is no command line");
        return r;
    }
    char *output = OPENSSL_zalloc(OUTPUT_MOST + 1);
    if (!output)
        return -ENOMEM;
    r = options->run(options->run_user, words, TIMEOUT_MS, output, OUTPUT_MOST + 1, reason, size);
    if (r == 0)
        r = external_read(output, session, reason, size);
    OPENSSL_clear_free(output, OUTPUT_MOST + 1);
    return r;
}

/* -- a command line ------------------------------------------------------------------------ */

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
