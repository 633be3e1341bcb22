#include "fs/engine/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "fs/config/config.h"
#include "fs/engine/control_words.h"
#include "kmsapi/iso_time.h"

enum { PASSWORD_MIN = 8, PASSWORD_MAX = 64, ADOPTED_PASSWORD_MAX = 128, WORDS_MAX = 4 };

struct word {
    const char *text;
    size_t size;
};

static int refuse(char *reason, size_t size, const char *text)
{
    snprintf(reason, size, "%s", text);
    return -EINVAL;
}

static bool word_is(const struct word *word, const char *text)
{
    return word->size == strlen(text) && memcmp(word->text, text, word->size) == 0;
}

bool control_password_is_valid(const char *password, size_t size, char *reason,
                               size_t reason_size)
{
    static const char rule[] = "a password is 8 to 64 characters of digits, letters and "
                               "~ ! @ # $ % ^ & * ? _ -, of at least two of these three kinds";
    bool digit = false, letter = false, special = false;
    const char *wrong = NULL;

    for (size_t i = 0; i < size && !wrong; i++) {
        char c = password[i];
        if (c >= '0' && c <= '9')
            digit = true;
        else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            letter = true;
        else if (c && strchr("~!@#$%^&*?_-", c))
            special = true;
        else
            wrong = c == '\r' && i + 1 == size
                        ? "it ends in a carriage return (CRLF, as on Windows); end the line in a newline alone"
                    : i == 0 && size > 3 && memcmp(password, "\xef\xbb\xbf", 3) == 0
                        ? "it begins with a byte-order mark; save the file as UTF-8 without"
                        : "a character that is not allowed";
    }
    if (!wrong && size < PASSWORD_MIN)
        wrong = "too short";
    else if (!wrong && size > PASSWORD_MAX)
        wrong = "too long";
    else if (!wrong && digit + letter + special < 2)
        wrong = "only one kind of character";
    if (wrong)
        snprintf(reason, reason_size, "the password is refused: %s; %s", wrong, rule);
    return !wrong;
}

static int set_password(struct control_command *command, const struct word *word, char *reason,
                        size_t size)
{
    if (!control_password_is_valid(word->text, word->size, reason, size))
        return -EINVAL;
    command->verb = CONTROL_CREATE;
    memcpy(command->password, word->text, word->size);
    command->password[word->size] = '\0';
    return 0;
}

static int set_dates(struct control_command *command, const struct word *not_before,
                     const struct word *not_after, int64_t now, char *reason, size_t size)
{
    if (iso_time_parse(not_before->text, not_before->size, &command->not_before_time) < 0)
        return refuse(reason, size, "NotBefore is not a date of the form yyyy-MM-ddTHH:mm:ssZ, UTC");
    if (iso_time_parse(not_after->text, not_after->size, &command->not_after_time) < 0)
        return refuse(reason, size, "NotAfter is not a date of the form yyyy-MM-ddTHH:mm:ssZ, UTC");
    if (command->not_after_time <= command->not_before_time)
        return refuse(reason, size, "NotAfter is not later than NotBefore");
    if (command->not_after_time <= now)
        return refuse(reason, size, "NotAfter has passed; give a date in the future");
    command->has_dates = true;
    memcpy(command->not_before, not_before->text, not_before->size);
    memcpy(command->not_after, not_after->text, not_after->size);
    return 0;
}

static bool set_id(struct control_command *command, const struct word *id)
{
    bool valid = id->size > 0 && id->size < sizeof(command->client_key_id) && id->text[0] != '.';
    for (size_t i = 0; valid && i < id->size; i++) {
        char c = id->text[i];
        valid = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                c == '.' || c == '_' || c == '-';
    }
    if (!valid)
        return false;
    memcpy(command->client_key_id, id->text, id->size);
    command->client_key_id[id->size] = '\0';
    return true;
}

static int set_delete(struct control_command *command, enum control_verb verb, const struct word *id,
                      char *reason, size_t size)
{
    command->verb = verb;
    return set_id(command, id) ? 0
                               : refuse(reason, size, "delete and delete-foreign take one ClientKeyId, as keys/ shows "
                                                      "it: delete KAAP.…");
}

/* Older keys have passwords that break today's rules. */
static bool set_adopted_password(struct control_command *command, const struct word *password)
{
    bool valid = password->size > 0 && password->size <= ADOPTED_PASSWORD_MAX;
    for (size_t i = 0; valid && i < password->size; i++)
        valid = password->text[i] >= ' ' && password->text[i] <= '~';
    if (!valid)
        return false;
    memcpy(command->password, password->text, password->size);
    command->password[password->size] = '\0';
    return true;
}

static bool set_private_key_data(struct control_command *command, const struct word *data)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t digits = data->size;
    while (digits > 0 && data->size - digits < 2 && data->text[digits - 1] == '=')
        digits--;
    bool valid = digits > 0 && data->size % 4 == 0 && data->size < sizeof(command->private_key_data);
    for (size_t i = 0; valid && i < digits; i++)
        valid = memchr(alphabet, data->text[i], sizeof(alphabet) - 1);
    if (!valid)
        return false;
    memcpy(command->private_key_data, data->text, data->size);
    command->private_key_data[data->size] = '\0';
    return true;
}

static int set_adopt(struct control_command *command, const struct word *id, const struct word *data,
                     const struct word *password, char *reason, size_t size)
{
    command->verb = CONTROL_ADOPT;
    if (!id->text || !data->text || !password->text)
        return refuse(reason, size, "a key is adopted by KeyId, PrivateKeyData and Password; one of them is missing");
    if (!set_id(command, id))
        return refuse(reason, size, "KeyId is not a ClientKeyId like KAAP.…");
    if (!set_private_key_data(command, data))
        return refuse(reason, size, "PrivateKeyData is not base64 on one line, as in a client key file");
    if (!set_adopted_password(command, password))
        return refuse(reason, size, "the Password of a key is 1 to 128 printable ASCII characters");
    return 0;
}

static int set_forget(struct control_command *command, const struct word *aap, char *reason, size_t size)
{
    if (aap->size >= sizeof(command->aap_name))
        return refuse(reason, size, "forget takes the name of one AAP");
    memcpy(command->aap_name, aap->text, aap->size);
    command->aap_name[aap->size] = '\0';
    if (!config_aap_name_is_shown(command->aap_name))
        return refuse(reason, size, "forget takes the name of one AAP, as its directory has it");
    command->verb = CONTROL_FORGET;
    return 0;
}

/* Splits at single spaces; the count, or -EINVAL for empty words or too many. */
static int split(const char *text, size_t size, struct word words[WORDS_MAX])
{
    int count = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && text[i] != ' ')
            continue;
        if (i == begin || count == WORDS_MAX)
            return -EINVAL;
        words[count++] = (struct word){text + begin, i - begin};
        begin = i + 1;
    }
    return count;
}

static const char aap_rule[] =
    "it looks like a command, not like a password, and nothing was done; commands here: rotate, reloaded, retry-check, "
    "delete KAAP.…, delete-foreign KAAP.…; a password that looks like one is written as JSON: {\"Password\": \"…\"}";
static const char mount_rule[] =
    "the mount's control takes: sync, rotate-due, reload, upgrade, adopt-state, forget NAME";

static int set_mount_command(struct control_command *command, int count, const struct word *word,
                             char *reason, size_t size)
{
    static const struct {
        const char *word;
        enum control_verb verb;
    } commands[] = {{"sync", CONTROL_SYNC}, {"reload", CONTROL_RELOAD}, {"upgrade", CONTROL_UPGRADE},
                    {"adopt-state", CONTROL_ADOPT_STATE}, {"rotate-due", CONTROL_ROTATE_DUE}};
    for (size_t i = 0; count == 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (word_is(word, commands[i].word)) {
            command->verb = commands[i].verb;
            return 0;
        }
    if (count == 2 && word_is(&word[0], "forget"))
        return set_forget(command, &word[1], reason, size);
    return refuse(reason, size, mount_rule);
}

static int parse_line(bool mount, const char *text, size_t size, int64_t now,
                      struct control_command *command, char *reason, size_t reason_size)
{
    struct word words[WORDS_MAX];
    if (text[size - 1] != '\n')
        return refuse(reason, reason_size, "the command does not end in a newline; nothing was "
                                           "done: write the whole command at once");
    if (size == 1)
        return refuse(reason, reason_size, "an empty line; write a password or a command");
    if (memchr(text, '\n', size - 1))
        return refuse(reason, reason_size, "more than one line; write one command at a time");
    int count = split(text, size - 1, words);
    if (count < 0)
        return refuse(reason, reason_size, "words are separated by exactly one space, with none "
                                           "before and after, and there are at most three");
    if (mount)
        return set_mount_command(command, count, &words[0], reason, reason_size);
    if (count == 1 && word_is(&words[0], "retry-check")) {
        command->verb = CONTROL_RETRY_CHECK;
        return 0;
    }
    if (count == 1 && word_is(&words[0], "rotate")) {
        command->verb = CONTROL_ROTATE;
        return 0;
    }
    if (count == 1 && word_is(&words[0], "reloaded")) {
        command->verb = CONTROL_RELOADED;
        return 0;
    }
    if (count == 2 && word_is(&words[0], "delete"))
        return set_delete(command, CONTROL_DELETE, &words[1], reason, reason_size);
    if (count == 2 && word_is(&words[0], "delete-foreign"))
        return set_delete(command, CONTROL_DELETE_FOREIGN, &words[1], reason, reason_size);
    if (control_word_is_like_a_command(words[0].text, words[0].size))
        return refuse(reason, reason_size, aap_rule);
    if (count == 2)
        return refuse(reason, reason_size, "a password takes two dates or none: "
                                           "PASSWORD NotBefore NotAfter");
    if (count > 3)
        return refuse(reason, reason_size, "too many words; a password takes two dates or none");
    int r = set_password(command, &words[0], reason, reason_size);
    if (r == 0 && count == 3)
        r = set_dates(command, &words[1], &words[2], now, reason, reason_size);
    return r;
}

static int parse_members(const json_t *object, int64_t now, struct control_command *command,
                         char *reason, size_t size)
{
    struct word password = {0}, not_before = {0}, not_after = {0}, key_id = {0}, data = {0};
    struct {
        const char *name;
        struct word *word;
    } const known[] = {
        {"Password", &password}, {"NotBefore", &not_before}, {"NotAfter", &not_after},
        {"KeyId", &key_id}, {"PrivateKeyData", &data}};
    const size_t count = sizeof(known) / sizeof(known[0]);
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, known[i].name);
        if (!value)
            continue;
        found++;
        if (!json_is_string(value))
            return refuse(reason, size, "the members of a command as JSON are strings");
        *known[i].word = (struct word){json_string_value(value), json_string_length(value)};
    }
    if (found != json_object_size(object))
        return refuse(reason, size, "an unknown member; a command as JSON has Password and, "
                                    "both or neither, NotBefore and NotAfter");
    if (key_id.text || data.text)
        return found == 3 && !not_before.text && !not_after.text
                   ? set_adopt(command, &key_id, &data, &password, reason, size)
                   : refuse(reason, size, "a key is adopted by KeyId, PrivateKeyData and Password, and nothing else");
    if (!password.text)
        return refuse(reason, size, "the member Password is missing");
    if (!not_before.text != !not_after.text)
        return refuse(reason, size, "NotBefore and NotAfter go together: both or neither");
    int r = set_password(command, &password, reason, size);
    if (r == 0 && not_before.text)
        r = set_dates(command, &not_before, &not_after, now, reason, size);
    return r;
}

static int parse_json(bool mount, const char *text, size_t size, int64_t now,
                      struct control_command *command, char *reason, size_t reason_size)
{
    if (mount)
        return refuse(reason, reason_size, mount_rule);
    json_error_t error;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        bool repeated = json_error_code(&error) == json_error_duplicate_key;
        return refuse(reason, reason_size,
                      repeated ? "a JSON member stands twice"
                               : "not one complete JSON object; nothing was done: write the whole "
                                 "command at once");
    }
    int r = parse_members(object, now, command, reason, reason_size);
    json_decref(object);
    return r;
}

int control_parse(bool mount, const char *text, size_t size, int64_t offset, int64_t now,
                  struct control_command *command, char *reason, size_t reason_size)
{
    memset(command, 0, sizeof(*command));
    if (offset != 0)
        return refuse(reason, reason_size, "a piece of a longer write, or a write that does not "
                                           "begin at 0; nothing was done: open, write once, close");
    if (size > CONTROL_SIZE)
        return refuse(reason, reason_size, "a command has at most 4096 bytes");
    if (size == 0)
        return refuse(reason, reason_size, "nothing was written");
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\r')
            return refuse(reason, reason_size, "a carriage return; end the line in a newline alone");
        if ((c < 0x20 && c != '\n') || c == 0x7f)
            return refuse(reason, reason_size, "a NUL or another control character");
    }
    int r = text[0] == '{' ? parse_json(mount, text, size, now, command, reason, reason_size)
                           : parse_line(mount, text, size, now, command, reason, reason_size);
    if (r < 0)
        control_clear(command);
    return r;
}

void control_wipe_secrets(struct control_command *command)
{
    OPENSSL_cleanse(command->password, sizeof(command->password));
    OPENSSL_cleanse(command->private_key_data, sizeof(command->private_key_data));
}

void control_clear(struct control_command *command)
{
    OPENSSL_cleanse(command, sizeof(*command));
}
