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

enum { TIMEOUT_MS = 60000, OUTPUT_MOST = 64 * 1024 };

static int read_members(const json_t *object, struct session *session, char *reason, size_t size)
{
    static const char *const names[] = {"mode", "access_key_id", "access_key_secret", "sts_token",
                                        "expiration"};
    const char *values[5];
    for (size_t i = 0; i < 5; i++)
        if (session_answer_string(object, names[i], &values[i], reason, size) < 0)
            return -EINVAL;
    bool sts = values[0] && strcasecmp(values[0], "StsToken") == 0;
    if (!sts && (!values[0] || strcasecmp(values[0], "AK") != 0)) {
        snprintf(reason, size, "its mode is neither AK nor StsToken");
        return -EINVAL;
    }
    if (sts && (!values[3] || !values[3][0])) {
        snprintf(reason, size, "sts_token is missing");
        return -EINVAL;
    }
    const struct session_clocks clocks = {.ours = time(NULL)};
    if (values[4] && values[4][0] &&
        session_answer_life(values[4], clocks, &session->life_s, reason, size) < 0)
        return -EINVAL;
    return credentials_set(&session->credentials, values[1], values[2], sts ? values[3] : NULL,
                           reason, size);
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
