/*
 * The providers that variables of the environment set up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsapi/credentials/http.h"
#include "kmsapi/credentials/private_file.h"
#include "kmsapi/credentials/provider.h"
#include "kmsapi/credentials/session_answer.h"
#include "kmsapi/credentials/sts.h"
#include "kmsapi/openssl_cleanup.h"

enum { CONNECT_MS = 5000, WHOLE_MS = 15000 };

/* -- systemd: LoadCredential= or LoadCredentialEncrypted= with aapfs.access-key-id and aapfs.access-key-secret -- */

/* The exact content; one line end is an editor's. */
static int read_one(const char *directory, const char *name, char **text, char *reason, size_t size)
{
    _cleanup_(free) char *path = NULL;
    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    int r = private_file_read(path, text, reason, size);
    size_t length = r == 0 ? strlen(*text) : 0;
    if (length > 0 && (*text)[length - 1] == '\n') {
        (*text)[--length] = '\0';
        if (length > 0 && (*text)[length - 1] == '\r')
            (*text)[length - 1] = '\0';
    }
    return r;
}

int provider_systemd(const struct fetching *fetching, const char *argument, struct session *session,
                     char *reason, size_t size)
{
    _cleanup_(secret_string) char *id = NULL, *secret = NULL;
    const char *directory = provider_variable("CREDENTIALS_DIRECTORY");
    if (!directory) {
        snprintf(reason, size, "CREDENTIALS_DIRECTORY");
        return -ENOENT;
    }
    int r = read_one(directory, "aapfs.access-key-id", &id, reason, size);
    if (r < 0)
        return r;
    r = read_one(directory, "aapfs.access-key-secret", &secret, reason, size);
    if (r == -ENOENT) { /* half of it is a mistake, and not another provider's turn in silence */
        snprintf(reason, size, "aapfs.access-key-secret is missing beside aapfs.access-key-id");
        return -EINVAL;
    }
    return r < 0 ? r : credentials_set(&session->credentials, id, secret, NULL, reason, size);
}

/* -- the first of the official SDKs' chain ------------------------------------------------- */

int provider_environment(const struct fetching *fetching, const char *argument,
                         struct session *session, char *reason, size_t size)
{
    int r = credentials_from_environment(&session->credentials, reason, size);
    if (r == -ENOENT) {
        const char *id = getenv("ALIBABA_CLOUD_ACCESS_KEY_ID");
        snprintf(reason, size, "%s", id && id[0] ? "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
                                                 : "ALIBABA_CLOUD_ACCESS_KEY_ID");
    }
    return r;
}

/* -- a role for an OIDC token that something else keeps fresh in a file: RRSA in Kubernetes - */

int provider_oidc(const struct fetching *fetching, const char *argument, struct session *session,
                  char *reason, size_t size)
{
    static const char *const names[] = {"ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                                        "ALIBABA_CLOUD_OIDC_TOKEN_FILE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!provider_variable(names[i])) {
            snprintf(reason, size, "%s", names[i]);
            return -ENOENT;
        }
    struct sts_role role = {0};
    sts_role_complete(&role);
    return sts_assume_role_with_oidc(fetching, provider_variable(names[1]), provider_variable(names[2]),
                                     &role, session, reason, size);
}

/* -- a credentials URI: a local server that hands out sessions ------------------------------ */

int provider_uri(const struct fetching *fetching, const char *argument, struct session *session,
                 char *reason, size_t size)
{
    const char *url = argument ? argument : provider_variable("ALIBABA_CLOUD_CREDENTIALS_URI");
    struct http_answer answer;
    if (!url) {
        snprintf(reason, size, "ALIBABA_CLOUD_CREDENTIALS_URI");
        return -ENOENT;
    }
    const struct http_request request = {
        .method = "GET", .url = url, .connect_ms = CONNECT_MS, .whole_ms = WHOLE_MS};
    int r = http_ask_for_success(fetching, &request, &answer, reason, size);
    if (r == 0)
        r = session_answer_read_http(&answer, session, reason, size);
    http_answer_clear(&answer);
    return r;
}
