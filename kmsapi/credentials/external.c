#include "kmsapi/credentials/external.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/crypto.h>

#include "kmsapi/cleanup.h"
#include "kmsapi/credentials/session_answer.h"
#include "kmsapi/credentials/words.h"
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
