#include "fs/store/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "fs/store/store_file.h"

enum { ID_SIZE = 32, HASH_SIZE = 32, TEXT_SIZE = 2 * HASH_SIZE + 1 };

static const char name[] = ".machine", label[] = "aapfs machine 1\n";

/* 32 hexadecimal digits; an image that was not started yet has an empty file, or another word in it. */
static int read_id(const char *id_file, char id[static ID_SIZE])
{
    struct store_file file;
    if (store_file_read(AT_FDCWD, id_file, 128, &file) < 0)
        return -ENOENT;
    size_t size = file.size;
    if (size > 0 && file.data[size - 1] == '\n')
        size--;
    int r = size == ID_SIZE ? 0 : -ENOENT;
    for (size_t i = 0; r == 0 && i < ID_SIZE; i++)
        if (file.data[i] == '\0' || !strchr("0123456789abcdef", file.data[i]))
            r = -ENOENT;
    if (r == 0)
        memcpy(id, file.data, ID_SIZE);
    store_file_clear(&file);
    return r;
}

/* What .machine holds of a machine. -ENOENT: it has no id. The id itself is not for everybody: machine-id(5). */
static int make_text(const char *id_file, char text[static TEXT_SIZE + 1])
{
    char hashed[sizeof(label) - 1 + ID_SIZE];
    unsigned char hash[HASH_SIZE];
    size_t size = 0;
    memcpy(hashed, label, sizeof(label) - 1);
    int r = read_id(id_file, hashed + sizeof(label) - 1);
    if (r == 0 && EVP_Q_digest(NULL, "SHA256", NULL, hashed, sizeof(hashed), hash, &size) != 1)
        r = -ENOMEM;
    for (size_t i = 0; r == 0 && i < HASH_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    text[TEXT_SIZE - 1] = '\n';
    text[TEXT_SIZE] = '\0';
    return r;
}

int machine_note(int directory, const char *id_file)
{
    char text[TEXT_SIZE + 1];
    int r = make_text(id_file, text);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : store_file_write(directory, name, text, TEXT_SIZE);
}

bool machine_is_noted(int directory)
{
    return faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

bool machine_is_other(int directory, const char *id_file)
{
    char text[TEXT_SIZE + 1];
    struct store_file file;
    if (make_text(id_file, text) < 0)
        return false;
    int r = store_file_read(directory, name, TEXT_SIZE, &file);
    if (r < 0)
        return r != -ENOENT;
    bool same = file.size == TEXT_SIZE && memcmp(file.data, text, TEXT_SIZE) == 0;
    store_file_clear(&file);
    return !same;
}
