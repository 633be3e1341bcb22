#include "kmsapi/credentials/credentials.h"

#include <string.h>

#include <openssl/crypto.h>

static void clear(char **text)
{
    if (*text)
        OPENSSL_clear_free(*text, strlen(*text));
    *text = NULL;
}

void credentials_clear(struct credentials *credentials)
{
    clear(&credentials->access_key_id);
    clear(&credentials->access_key_secret);
    clear(&credentials->security_token);
}
