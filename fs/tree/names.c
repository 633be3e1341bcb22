#include "fs/tree/names.h"

#include <string.h>

static const struct {
    const char *text;
    enum key_file file;
} names[PUBLISHED_COUNT] = {
    [PUBLISHED_CURRENT] = {"current", KEY_FILE_COUNT},
    [PUBLISHED_CLIENT_KEY_JSON] = {"client_key.json", KEY_FILE_CLIENT_KEY_JSON},
    [PUBLISHED_CLIENT_KEY_P12] = {"client_key.p12", KEY_FILE_CLIENT_KEY_P12},
    [PUBLISHED_PRIVATE_KEY_DATA] = {"private_key_data", KEY_FILE_PRIVATE_KEY_DATA},
    [PUBLISHED_PRIVATE_KEY_PEM] = {"private_key.pem", KEY_FILE_PRIVATE_KEY_PEM},
    [PUBLISHED_CERTIFICATE_PEM] = {"certificate.pem", KEY_FILE_CERTIFICATE_PEM},
    [PUBLISHED_CLIENT_KEY_ID] = {"client_key_id", KEY_FILE_CLIENT_KEY_ID},
    [PUBLISHED_KEY_ALGORITHM] = {"key_algorithm", KEY_FILE_KEY_ALGORITHM},
    [PUBLISHED_NOT_BEFORE] = {"not_before", KEY_FILE_NOT_BEFORE},
    [PUBLISHED_NOT_AFTER] = {"not_after", KEY_FILE_NOT_AFTER},
    [PUBLISHED_PASSWORD] = {"password", KEY_FILE_PASSWORD},
};

enum published_name published_name_of(const char *text)
{
    unsigned int i = 0;
    while (i < PUBLISHED_COUNT && strcmp(names[i].text, text) != 0)
        i++;
    return (enum published_name)i;
}

const char *published_name_text(enum published_name name)
{
    return names[name].text;
}

enum key_file published_name_file(enum published_name name)
{
    return names[name].file;
}
