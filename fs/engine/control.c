#include "fs/engine/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "fs/base/reason.h"
#include "fs/config/config.h"
#include "fs/engine/control_words.h"
#include "kmsapi/iso_time.h"

enum { PASSWORD_MIN = 8, PASSWORD_MAX = 64, WORDS_MAX = 4 };

struct word {
    const char *text;
    size_t size;
};

struct parsing {
    struct control_command *command;
    int64_t now;
    char *reason;
    size_t reason_size;
};

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static int refuse(const struct parsing *parsing, const char *text)
{
    return reason_give(parsing->reason, parsing->reason_size, -EINVAL, "%s", text);
}

static int set_verb(const struct parsing *parsing, enum control_verb verb)
{
    parsing->command->verb = verb;
    return 0;
}

static bool word_is(const struct word *word, const char *text)
{
    return word->size == strlen(text) && memcmp(word->text, text, word->size) == 0;
}

static bool has_only(const struct word *word, size_t size, const char *alphabet)
{
    for (size_t i = 0; i < size; i++)
        if (!memchr(alphabet, word->text[i], strlen(alphabet)))
            return false;
    return size > 0;
}

static bool copy(char *to, size_t room, const struct word *word)
{
    if (word->size >= room)
        return false;
    memcpy(to, word->text, word->size);
    to[word->size] = '\0';
    return true;
}

bool control_password_is_valid(const char *password, size_t size, char *reason, size_t reason_size)
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

static int set_password(const struct parsing *parsing, const struct word *word)
{
    struct control_command *command = parsing->command;
    if (!control_password_is_valid(word->text, word->size, parsing->reason, parsing->reason_size))
        return -EINVAL;
    (void)copy(command->password, sizeof(command->password), word); /* a valid one has room */
    return set_verb(parsing, CONTROL_CREATE);
}

static int set_dates(const struct parsing *parsing, const struct word *not_before, const struct word *not_after)
{
    struct control_command *command = parsing->command;
    if (iso_time_parse(not_before->text, not_before->size, &command->not_before_time) < 0)
        return refuse(parsing, "NotBefore is not a date of the form yyyy-MM-ddTHH:mm:ssZ, UTC");
    if (iso_time_parse(not_after->text, not_after->size, &command->not_after_time) < 0)
        return refuse(parsing, "NotAfter is not a date of the form yyyy-MM-ddTHH:mm:ssZ, UTC");
    if (command->not_after_time <= command->not_before_time)
        return refuse(parsing, "NotAfter is not later than NotBefore");
    if (command->not_after_time <= parsing->now)
        return refuse(parsing, "NotAfter has passed; give a date in the future");
    command->has_dates = true;
    (void)copy(command->not_before, sizeof(command->not_before), not_before); /* dates have one length */
    (void)copy(command->not_after, sizeof(command->not_after), not_after);
    return 0;
}

static bool set_id(const struct parsing *parsing, const struct word *id)
{
    return has_only(id, id->size, LETTERS_AND_DIGITS "._-") && id->text[0] != '.' &&
           copy(parsing->command->client_key_id, sizeof(parsing->command->client_key_id), id);
}

static int set_delete(const struct parsing *parsing, enum control_verb verb, const struct word *id)
{
    return set_id(parsing, id) ? set_verb(parsing, verb)
                               : refuse(parsing, "delete and delete-foreign take one ClientKeyId, as keys/ shows it: delete KAAP.…");
}

/* Older keys have passwords that break today's rules. */
static bool set_adopted_password(const struct parsing *parsing, const struct word *password)
{
    for (size_t i = 0; i < password->size; i++)
        if (password->text[i] < ' ' || password->text[i] > '~')
            return false;
    return password->size > 0 && copy(parsing->command->password, sizeof(parsing->command->password), password);
}

static bool set_private_key_data(const struct parsing *parsing, const struct word *data)
{
    size_t digits = data->size;
    while (digits > 0 && data->size - digits < 2 && data->text[digits - 1] == '=')
        digits--;
    return data->size % 4 == 0 && has_only(data, digits, LETTERS_AND_DIGITS "+/") &&
           copy(parsing->command->private_key_data, sizeof(parsing->command->private_key_data), data);
}

static int set_adopt(const struct parsing *parsing, const struct word *id, const struct word *data, const struct word *password)
{
    if (!id->text || !data->text || !password->text)
        return refuse(parsing, "a key is adopted by KeyId, PrivateKeyData and Password; one of them is missing");
    if (!set_id(parsing, id))
        return refuse(parsing, "KeyId is not a ClientKeyId like KAAP.…");
    if (!set_private_key_data(parsing, data))
        return refuse(parsing, "PrivateKeyData is not base64 on one line, as in a client key file");
    if (!set_adopted_password(parsing, password))
        return refuse(parsing, "the Password of a key is 1 to 128 printable ASCII characters");
    return set_verb(parsing, CONTROL_ADOPT);
}

static int set_forget(const struct parsing *parsing, const struct word *aap)
{
    char *name = parsing->command->aap_name;
    if (!copy(name, sizeof(parsing->command->aap_name), aap))
        return refuse(parsing, "forget takes the name of one AAP");
    if (!config_aap_name_is_shown(name))
        return refuse(parsing, "forget takes the name of one AAP, as its directory has it");
    return set_verb(parsing, CONTROL_FORGET);
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
static const char mount_rule[] = "the mount's control takes: sync, rotate-due, reload, upgrade, adopt-state, forget NAME";

/* A command of one word; CONTROL_NOT_PARSED: it is none. */
static enum control_verb verb_of(bool mount, const struct word *word)
{
    static const struct {
        bool mount;
        const char *word;
        enum control_verb verb;
    } commands[] = {{false, "retry-check", CONTROL_RETRY_CHECK}, {false, "rotate", CONTROL_ROTATE},
                    {false, "reloaded", CONTROL_RELOADED},       {true, "sync", CONTROL_SYNC},
                    {true, "reload", CONTROL_RELOAD},            {true, "upgrade", CONTROL_UPGRADE},
                    {true, "adopt-state", CONTROL_ADOPT_STATE},  {true, "rotate-due", CONTROL_ROTATE_DUE}};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (commands[i].mount == mount && word_is(word, commands[i].word))
            return commands[i].verb;
    return CONTROL_NOT_PARSED;
}

static int parse_line(const struct parsing *parsing, bool mount, const char *text, size_t size)
{
    struct word words[WORDS_MAX];
    if (text[size - 1] != '\n')
        return refuse(parsing, "the command does not end in a newline; nothing was done: write the whole command at once");
    if (size == 1)
        return refuse(parsing, "an empty line; write a password or a command");
    if (memchr(text, '\n', size - 1))
        return refuse(parsing, "more than one line; write one command at a time");
    int count = split(text, size - 1, words);
    if (count < 0)
        return refuse(parsing, "words are separated by exactly one space, with none before and after, and there are at most three");
    enum control_verb verb = count == 1 ? verb_of(mount, &words[0]) : CONTROL_NOT_PARSED;
    if (verb != CONTROL_NOT_PARSED)
        return set_verb(parsing, verb);
    if (mount)
        return count == 2 && word_is(&words[0], "forget") ? set_forget(parsing, &words[1]) : refuse(parsing, mount_rule);
    if (count == 2 && word_is(&words[0], "delete"))
        return set_delete(parsing, CONTROL_DELETE, &words[1]);
    if (count == 2 && word_is(&words[0], "delete-foreign"))
        return set_delete(parsing, CONTROL_DELETE_FOREIGN, &words[1]);
    if (control_word_is_like_a_command(words[0].text, words[0].size))
        return refuse(parsing, aap_rule);
    if (count == 2)
        return refuse(parsing, "a password takes two dates or none: PASSWORD NotBefore NotAfter");
    if (count > 3)
        return refuse(parsing, "too many words; a password takes two dates or none");
    int r = set_password(parsing, &words[0]);
    return r == 0 && count == 3 ? set_dates(parsing, &words[1], &words[2]) : r;
}

static int parse_members(const struct parsing *parsing, const json_t *object)
{
    struct word password = {0}, not_before = {0}, not_after = {0}, key_id = {0}, data = {0};
    struct {
        const char *name;
        struct word *word;
    } const known[] = {{"Password", &password}, {"NotBefore", &not_before}, {"NotAfter", &not_after},
                       {"KeyId", &key_id}, {"PrivateKeyData", &data}};
    size_t found = 0;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const json_t *value = json_object_get(object, known[i].name);
        if (!value)
            continue;
        found++;
        if (!json_is_string(value))
            return refuse(parsing, "the members of a command as JSON are strings");
        *known[i].word = (struct word){json_string_value(value), json_string_length(value)};
    }
    if (found != json_object_size(object))
        return refuse(parsing, "an unknown member; a command as JSON has Password and, both or neither, NotBefore and NotAfter");
    if (key_id.text || data.text)
        return found == 3 && !not_before.text && !not_after.text
                   ? set_adopt(parsing, &key_id, &data, &password)
                   : refuse(parsing, "a key is adopted by KeyId, PrivateKeyData and Password, and nothing else");
    if (!password.text)
        return refuse(parsing, "the member Password is missing");
    if (!not_before.text != !not_after.text)
        return refuse(parsing, "NotBefore and NotAfter go together: both or neither");
    int r = set_password(parsing, &password);
    return r == 0 && not_before.text ? set_dates(parsing, &not_before, &not_after) : r;
}

static int parse_json(const struct parsing *parsing, bool mount, const char *text, size_t size)
{
    if (mount)
        return refuse(parsing, mount_rule);
    json_error_t error;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        return refuse(parsing, json_error_code(&error) == json_error_duplicate_key
                                   ? "a JSON member stands twice"
                                   : "not one complete JSON object; nothing was done: write the whole command at once");
    int r = parse_members(parsing, object);
    json_decref(object);
    return r;
}

int control_parse(bool mount, const char *text, size_t size, int64_t offset, int64_t now,
                  struct control_command *command, char *reason, size_t reason_size)
{
    const struct parsing parsing = {command, now, reason, reason_size};
    memset(command, 0, sizeof(*command));
    if (offset != 0)
        return refuse(&parsing, "a piece of a longer write, or a write that does not begin at 0; nothing was done: open, write "
                                "once, close");
    if (size > CONTROL_SIZE)
        return refuse(&parsing, "a command has at most 4096 bytes");
    if (size == 0)
        return refuse(&parsing, "nothing was written");
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\r')
            return refuse(&parsing, "a carriage return; end the line in a newline alone");
        if ((c < 0x20 && c != '\n') || c == 0x7f)
            return refuse(&parsing, "a NUL or another control character");
    }
    int r = text[0] == '{' ? parse_json(&parsing, mount, text, size) : parse_line(&parsing, mount, text, size);
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
