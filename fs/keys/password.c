#include "fs/keys/password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "fs/keys/operation.h"
#include "kmsapi/cleanup.h"

enum { GENERATED_LENGTH = 32, LINE_MOST = 256 };

static int keep(struct engine *engine, const char *aap_name, const char *newest, char password[static PASSWORD_SIZE],
                char *reason, size_t size)
{
    struct record record = {0};
    const struct record *unsaved = unsaved_record(engine, newest);
    int r = unsaved ? 0 : store_read(engine->store, aap_name, newest, &record);
    const char *kept = unsaved ? unsaved->password : record.password;
    if (r < 0)
        snprintf(reason, size, "password_source = keep, and the record of %s cannot be read: %s", newest, strerror(-r));
    else if (!control_password_is_valid(kept, strlen(kept), reason, size)) {
        snprintf(reason, size, "password_source = keep, and the password of %s is not one that KMS takes for a new key; "
                               "write a new password", newest);
        r = -EINVAL;
    } else
        memcpy(password, kept, strlen(kept) + 1);
    record_clear(&record);
    return r < 0 ? -EINVAL : 0;
}

/* Of all three kinds; each password that has them is as likely as any other. */
static int generate(char password[static PASSWORD_SIZE], char *reason, size_t size)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789~!@#$%^&*?_-";
    enum { LETTERS = 52, DIGITS = 10, COUNT = sizeof(alphabet) - 1 };
    bool kinds[3];
    do {
        memset(kinds, 0, sizeof(kinds));
        for (size_t length = 0; length < GENERATED_LENGTH;) {
            unsigned char random;
            if (RAND_bytes(&random, 1) != 1) {
                snprintf(reason, size, "password_source = generate: no random numbers");
                return -EINVAL;
            }
            if (random >= 256 / COUNT * COUNT)
                continue;
            random %= COUNT;
            kinds[random < LETTERS ? 0 : random < LETTERS + DIGITS ? 1 : 2] = true;
            password[length++] = alphabet[random];
        }
        password[GENERATED_LENGTH] = '\0';
    } while (!kinds[0] || !kinds[1] || !kinds[2]);
    return 0;
}

/* The first line, into LINE; its length, or negative errno. */
static ssize_t read_line(int file, char line[static LINE_MOST])
{
    ssize_t got;
    do
        got = read(file, line, LINE_MOST);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    const char *end = memchr(line, '\n', (size_t)got);
    return end ? end - line : got;
}

int password_from_file(const char *path, char password[static PASSWORD_SIZE], char *reason, size_t size)
{
    struct stat attributes;
    char line[LINE_MOST] = "", why[256];
    _cleanup_(close) int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t length = -EINVAL;
    if (file < 0 || fstat(file, &attributes) < 0)
        snprintf(reason, size, "password_source: %s: %s", path, strerror(errno));
    else if (!S_ISREG(attributes.st_mode) || (attributes.st_mode & 077) ||
             (attributes.st_uid != 0 && attributes.st_uid != geteuid()))
        snprintf(reason, size, "password_source: %s: it must be a file that its owner, this user or root, alone can read: "
                               "chown it and chmod 0600", path);
    else if ((length = read_line(file, line)) < 0)
        snprintf(reason, size, "password_source: %s: %s", path, strerror((int)-length));
    else if (!control_password_is_valid(line, (size_t)length, why, sizeof(why))) {
        snprintf(reason, size, "password_source: %s: the first line: %s", path, why);
        length = -EINVAL;
    } else {
        memcpy(password, line, (size_t)length);
        password[length] = '\0';
    }
    OPENSSL_cleanse(line, sizeof(line));
    return length < 0 ? -EINVAL : 0;
}

int password_choose(struct engine *engine, const char *aap_name, const struct config_aap *config, const char *newest,
                    char password[static PASSWORD_SIZE], char *reason, size_t size)
{
    switch (config->password_source) {
    case PASSWORD_KEEP:
        return keep(engine, aap_name, newest, password, reason, size);
    case PASSWORD_GENERATE:
        return generate(password, reason, size);
    case PASSWORD_FILE:
        break;
    }
    return password_from_file(config->password_file, password, reason, size);
}
