/*
 * What systemd was told to hand to the service: LoadCredential= or LoadCredentialEncrypted= with
 * aapfs.access-key-id and aapfs.access-key-secret.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kmsapi/credentials/private_file.h"
#include "kmsapi/credentials/provider.h"
#include "kmsapi/openssl_cleanup.h"

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
