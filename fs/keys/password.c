#include "fs/keys/password.h"

#include <errno.h>
#include <string.h>

#include <openssl/rand.h>

#include "fs/base/reason.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/password_file.h"
#include "fs/keys/unsaved.h"

enum { GENERATED_LENGTH = 32 };

static int keep(struct engine *engine, const char *aap_name, const char *newest, char password[static PASSWORD_SIZE],
                char *reason, size_t size)
{
    struct record record = {0};
    const struct record *unsaved = unsaved_record(engine, newest);
    int r = unsaved ? 0 : store_read(engine->store, aap_name, newest, &record);
    const char *kept = unsaved ? unsaved->password : record.password;
    if (r < 0)
        r = reason_give(reason, size, -EINVAL, "password_source = keep, and the record of %s cannot be read: %s", newest,
                        strerror(-r));
    else if (!control_password_is_valid(kept, strlen(kept), reason, size))
        r = reason_give(reason, size, -EINVAL, "password_source = keep, and the password of %s is not one that KMS takes for a "
                        "new key; write a new password", newest);
    else
        memcpy(password, kept, strlen(kept) + 1);
    record_clear(&record);
    return r;
}

/* Of all three kinds; each password that has them is as likely as any other. */
static int generate(const char *setting, char password[static PASSWORD_SIZE], char *reason, size_t size)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789~!@#$%^&*?_-";
    enum { LETTERS = 52, DIGITS = 10, COUNT = sizeof(alphabet) - 1 };
    bool kinds[3];
    do {
        memset(kinds, 0, sizeof(kinds));
        for (size_t length = 0; length < GENERATED_LENGTH;) {
            unsigned char random;
            if (RAND_bytes(&random, 1) != 1)
                return reason_give(reason, size, -EINVAL, "%s = generate: no random numbers", setting);
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

static void choose_first(struct operation *operation, const struct config_aap *config, password_chosen *chosen)
{
    char reason[64] = "first_key: it is empty";
    int r = -EINVAL;
    switch (config->first_key) {
    case FIRST_KEY_BY_HAND:
        break;
    case FIRST_KEY_GENERATE:
        r = generate("first_key", operation->command.password, reason, sizeof(reason));
        break;
    case FIRST_KEY_FILE:
        password_file_begin(operation, "first_key", config->first_key_file, chosen);
        return;
    }
    chosen(operation, r, reason);
}

void password_choose(struct operation *operation, const char *aap_name, const struct config_aap *config, const char *newest,
                     password_chosen *chosen)
{
    if (!newest[0]) {
        choose_first(operation, config, chosen);
        return;
    }
    char reason[CONFIG_PATH_SIZE + 256] = "";
    char *password = operation->command.password;
    int r = -EINVAL;
    switch (config->password_source) {
    case PASSWORD_KEEP:
        r = keep(operation->engine, aap_name, newest, password, reason, sizeof(reason));
        break;
    case PASSWORD_GENERATE:
        r = generate("password_source", password, reason, sizeof(reason));
        break;
    case PASSWORD_FILE:
        password_file_begin(operation, "password_source", config->password_file, chosen);
        return;
    }
    chosen(operation, r, reason);
}
