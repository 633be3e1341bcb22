#include "fs/tree/names.h"

#include <string.h>

static const char *const published_names[PUBLISHED_COUNT] = {
    [PUBLISHED_CURRENT] = "current",
    [PUBLISHED_CLIENT_KEY_JSON] = "client_key.json",
    [PUBLISHED_CLIENT_KEY_P12] = "client_key.p12",
    [PUBLISHED_PRIVATE_KEY_DATA] = "private_key_data",
    [PUBLISHED_PRIVATE_KEY_PEM] = "private_key.pem",
    [PUBLISHED_CERTIFICATE_PEM] = "certificate.pem",
    [PUBLISHED_CLIENT_KEY_ID] = "client_key_id",
    [PUBLISHED_KEY_ALGORITHM] = "key_algorithm",
    [PUBLISHED_NOT_BEFORE] = "not_before",
    [PUBLISHED_NOT_AFTER] = "not_after",
    [PUBLISHED_PASSWORD] = "password",
};

enum published_name published_name_of(const char *text)
{
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
        if (strcmp(published_names[i], text) == 0)
            return (enum published_name)i;
    return PUBLISHED_COUNT;
}

const char *published_name_text(enum published_name name)
{
    return published_names[name];
}

static const enum key_file published_files[PUBLISHED_COUNT] = {
    [PUBLISHED_CURRENT] = KEY_FILE_COUNT,
    [PUBLISHED_CLIENT_KEY_JSON] = KEY_FILE_CLIENT_KEY_JSON,
    [PUBLISHED_CLIENT_KEY_P12] = KEY_FILE_CLIENT_KEY_P12,
    [PUBLISHED_PRIVATE_KEY_DATA] = KEY_FILE_PRIVATE_KEY_DATA,
    [PUBLISHED_PRIVATE_KEY_PEM] = KEY_FILE_PRIVATE_KEY_PEM,
    [PUBLISHED_CERTIFICATE_PEM] = KEY_FILE_CERTIFICATE_PEM,
    [PUBLISHED_CLIENT_KEY_ID] = KEY_FILE_CLIENT_KEY_ID,
    [PUBLISHED_KEY_ALGORITHM] = KEY_FILE_KEY_ALGORITHM,
    [PUBLISHED_NOT_BEFORE] = KEY_FILE_NOT_BEFORE,
    [PUBLISHED_NOT_AFTER] = KEY_FILE_NOT_AFTER,
    [PUBLISHED_PASSWORD] = KEY_FILE_PASSWORD,
};

enum key_file published_name_file(enum published_name name)
{
    return published_files[name];
}
