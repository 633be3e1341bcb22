#include "fs/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

#include "fs/config_value.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/endpoint.h"

static const char default_file[] = "/etc/aapfs/aapfs.conf";

enum { FILE_SIZE_MAX = 1 << 20, SECTIONS_MAX = 20000 };

enum section_kind { SECTION_KMS, SECTION_MOUNT, SECTION_AAP };

/* What a line can set: [defaults] and [aap NAME] set the same things. */
struct setting {
    enum section_kind kind;
    const char *key;
    int (*parse)(const char *text, void *value, char *reason, size_t size);
    size_t offset; /* into struct config or struct config_aap */
};

static int parse_region(const char *text, void *config, char *reason, size_t size);
static int parse_endpoint(const char *text, void *config, char *reason, size_t size);
static int parse_aaps(const char *text, void *config, char *reason, size_t size);

static const struct setting settings[] = {
    {SECTION_KMS, "region", parse_region, 0},
    {SECTION_KMS, "endpoint", parse_endpoint, 0},
    {SECTION_KMS, "request_timeout", config_value_timeout,
     offsetof(struct config, request_timeout_ms)},
    {SECTION_KMS, "aaps", parse_aaps, 0},
    {SECTION_MOUNT, "state", config_value_path, offsetof(struct config, state)},
    {SECTION_MOUNT, "state_key", config_value_path, offsetof(struct config, state_key)},
    {SECTION_MOUNT, "settle", config_value_settle, offsetof(struct config, settle_ms)},
    {SECTION_MOUNT, "audit", config_value_switch, offsetof(struct config, audit)},
    {SECTION_MOUNT, "creation_guard", config_value_guard,
     offsetof(struct config, creation_guard_ms)},
    {SECTION_AAP, "owner", config_value_user, offsetof(struct config_aap, owner)},
    {SECTION_AAP, "group", config_value_group, offsetof(struct config_aap, group)},
    {SECTION_AAP, "mode", config_value_mode, offsetof(struct config_aap, mode)},
    {SECTION_AAP, "validity", config_value_validity, offsetof(struct config_aap, validity_seconds)},
    {SECTION_AAP, "max_keys", config_value_max_keys, offsetof(struct config_aap, max_keys)},
    {SECTION_AAP, "on_rotate", config_value_command, offsetof(struct config_aap, on_rotate)},
    {SECTION_AAP, "on_rotate_user", config_value_command_user,
     offsetof(struct config_aap, on_rotate_user)},
    {SECTION_AAP, "on_rotate_timeout", config_value_command_timeout,
     offsetof(struct config_aap, on_rotate_timeout_ms)},
};
enum { SETTING_COUNT = sizeof(settings) / sizeof(settings[0]) };

/* The file on its way through inih, which tells no line numbers and does not see empty sections. */
struct parser {
    struct config *config;
    const char *file;
    const char *text, *end; /* what inih has not read yet */
    unsigned int line;      /* of what inih read last */
    bool line_is_open;      /* inih has read a part of it */
    bool seen_kms, seen_mount, seen_defaults;
    unsigned int given;     /* of [kms], [mount] and [defaults]: settings by their index */
    char *reason;
    size_t reason_size;
    int result;
};

static void derive_endpoint(struct config *config)
{
    snprintf(config->endpoint, sizeof(config->endpoint), "https://kms.%s.aliyuncs.com",
             config->region);
}

void config_defaults(struct config *config)
{
    *config = (struct config){
        .region = "cn-hangzhou",
        .request_timeout_ms = 30 * 1000,
        .all_aaps = true,
        .requests_per_second = 2,
        .sync_interval_ms = 3600 * 1000,
        .control = true,
        .settle_ms = 60 * 1000,
        .creation_guard_ms = 5 * 1000,
        .defaults = {.owner = geteuid(),
                     .group = getegid(),
                     .mode = 0440,
                     .validity_seconds = 365 * CONFIG_DAY_SECONDS,
                     .max_keys = 8,
                     .control_group = (gid_t)-1,
                     .rotate_at = ROTATE_AT_PERCENT,
                     .rotate_at_percent = 66,
                     .on_rotate_user = (uid_t)-1,
                     .on_rotate_timeout_ms = 60 * 1000},
    };
    derive_endpoint(config);
}

static int parse_region(const char *text, void *user, char *reason, size_t size)
{
    return config_set_region(user, text, reason, size);
}

static int parse_endpoint(const char *text, void *user, char *reason, size_t size)
{
    return text[0] ? config_set_endpoint(user, text, reason, size) : 0;
}

int config_set_region(struct config *config, const char *region, char *reason, size_t reason_size)
{
    size_t length = strlen(region);
    bool valid = length > 0 && length < sizeof(config->region) && region[0] != '-' &&
                 region[length - 1] != '-' &&
                 strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
    if (!valid) {
        snprintf(reason, reason_size, "not a region id; right is one like cn-hangzhou");
        return -EINVAL;
    }
    char derived[CONFIG_TEXT_SIZE];
    memcpy(derived, config->endpoint, sizeof(derived));
    derive_endpoint(config);
    bool was_derived = strcmp(derived, config->endpoint) == 0;
    memcpy(config->region, region, length + 1);
    if (was_derived)
        derive_endpoint(config);
    else
        memcpy(config->endpoint, derived, sizeof(derived));
    return 0;
}

int config_set_endpoint(struct config *config, const char *endpoint, char *reason,
                        size_t reason_size)
{
    struct endpoint parts;
    int r = endpoint_parse(endpoint, &parts, reason, reason_size);
    if (r < 0)
        return r;
    int length = snprintf(config->endpoint, sizeof(config->endpoint), "%s://%s",
                          parts.tls ? "https" : "http", parts.authority);
    if (length >= (int)sizeof(config->endpoint)) {
        snprintf(reason, reason_size, "the host's name is too long");
        return -EINVAL;
    }
    return 0;
}

static int set_path(char to[static CONFIG_PATH_SIZE], const char *path, char *reason,
                    size_t reason_size)
{
    char whole[2 * CONFIG_PATH_SIZE], here[CONFIG_PATH_SIZE] = "";
    if (path[0] != '/' && !getcwd(here, sizeof(here))) {
        snprintf(reason, reason_size, "the directory of now has no path; give a whole one");
        return -errno;
    }
    if (path[0] == '\0' ||
        snprintf(whole, sizeof(whole), "%s%s%s", here, here[0] ? "/" : "", path) >=
            (int)sizeof(whole)) {
        snprintf(reason, reason_size, "empty or too long; right is a path");
        return -EINVAL;
    }
    return config_value_path(whole, to, reason, reason_size);
}

int config_set_state(struct config *config, const char *path, char *reason, size_t reason_size)
{
    return set_path(config->state, path, reason, reason_size);
}

int config_set_state_key(struct config *config, const char *path, char *reason,
                         size_t reason_size)
{
    return set_path(config->state_key, path, reason, reason_size);
}

bool config_aap_name_is_shown(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length < CONFIG_NAME_SIZE && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") ==
               length;
}

static int add_aap_name(struct config *config, const char *name, char *reason, size_t size)
{
    if (!config_aap_name_is_shown(name)) {
        snprintf(reason, size, "not an AAP's name; right are names of A-Z a-z 0-9 _ - . without a "
                               "dot in front, separated by spaces, or all");
        return -EINVAL;
    }
    for (size_t i = 0; i < config->aap_name_count; i++)
        if (strcmp(config->aap_names[i], name) == 0) {
            snprintf(reason, size, "a name stands twice");
            return -EINVAL;
        }
    char(*grown)[CONFIG_NAME_SIZE] =
        reallocarray(config->aap_names, config->aap_name_count + 1, sizeof(*grown));
    if (!grown) {
        snprintf(reason, size, "memory is short");
        return -ENOMEM;
    }
    config->aap_names = grown;
    strcpy(config->aap_names[config->aap_name_count++], name);
    return 0;
}

static int parse_aaps(const char *text, void *user, char *reason, size_t size)
{
    struct config *config = user;
    config->all_aaps = strcmp(text, "all") == 0;
    if (config->all_aaps)
        return 0;
    _cleanup_(free) char *names = strdup(text);
    if (!names) {
        snprintf(reason, size, "memory is short");
        return -ENOMEM;
    }
    char *rest = NULL;
    for (char *name = strtok_r(names, " ,\t", &rest); name; name = strtok_r(NULL, " ,\t", &rest)) {
        int r = add_aap_name(config, name, reason, size);
        if (r < 0)
            return r;
    }
    if (config->aap_name_count == 0) {
        snprintf(reason, size, "empty; right is all, or names separated by spaces");
        return -EINVAL;
    }
    return 0;
}

/* Keeps the first error, with its place. */
static void __attribute__((format(printf, 3, 4)))
fail(struct parser *parser, int result, const char *format, ...)
{
    if (parser->result < 0)
        return;
    int length = snprintf(parser->reason, parser->reason_size, "%s:%u: ", parser->file,
                          parser->line);
    if (length >= 0 && (size_t)length < parser->reason_size) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(parser->reason + length, parser->reason_size - (size_t)length, format,
                  arguments);
        va_end(arguments);
    }
    parser->result = result;
}

static void begin_aap_section(struct parser *parser, const char *name)
{
    struct config *config = parser->config;
    if (!config_aap_name_is_shown(name)) {
        fail(parser, -EINVAL, "[aap …] names no AAP that can be shown; right is [aap NAME], a name "
                              "of A-Z a-z 0-9 _ - . without a dot in front");
        return;
    }
    for (size_t i = 0; i < config->section_count; i++)
        if (strcmp(config->sections[i].name, name) == 0) {
            fail(parser, -EINVAL, "the section [aap %s] stands twice; put them together", name);
            return;
        }
    struct config_section *grown =
        config->section_count == SECTIONS_MAX
            ? NULL
            : reallocarray(config->sections, config->section_count + 1, sizeof(*grown));
    if (!grown) {
        fail(parser, -ENOMEM, "too many sections");
        return;
    }
    config->sections = grown;
    struct config_section *section = &config->sections[config->section_count++];
    *section = (struct config_section){.values = config->defaults};
    strcpy(section->name, name);
}

/* inih does not tell where a section begins. */
static void begin_section(struct parser *parser, const char *name)
{
    bool *seen = NULL;
    if (strcmp(name, "kms") == 0)
        seen = &parser->seen_kms;
    else if (strcmp(name, "mount") == 0)
        seen = &parser->seen_mount;
    else if (strcmp(name, "defaults") == 0)
        seen = &parser->seen_defaults;
    else if (strncmp(name, "aap ", 4) == 0)
        begin_aap_section(parser, name + 4);
    else
        fail(parser, -EINVAL,
             "unknown section; right are [kms], [mount], [defaults] and [aap NAME]");
    if (seen && *seen)
        fail(parser, -EINVAL, "the section [%s] stands twice; put them together", name);
    if (seen)
        *seen = true;
}

static void look_at_line(struct parser *parser, const char *line, size_t size)
{
    while (size > 0 && strchr(" \t\r\n", line[size - 1]))
        size--;
    while (size > 0 && (line[0] == ' ' || line[0] == '\t')) {
        line++;
        size--;
    }
    if (size == 0 || line[0] != '[')
        return;
    char name[CONFIG_NAME_SIZE + 8];
    if (line[size - 1] != ']' || memchr(line, ']', size - 1) || size - 2 >= sizeof(name)) {
        fail(parser, -EINVAL, "not a section; right is [NAME] on a line of its own");
        return;
    }
    memcpy(name, line + 1, size - 2);
    name[size - 2] = '\0';
    begin_section(parser, name);
}

/* As fgets(3): inih reads a long line in pieces. */
static char *read_line(char *buffer, int size, void *user)
{
    struct parser *parser = user;
    size_t left = (size_t)(parser->end - parser->text);
    if (left == 0 || parser->result < 0)
        return NULL;
    const char *newline = memchr(parser->text, '\n', left);
    size_t whole = newline ? (size_t)(newline - parser->text) + 1 : left;
    if (!parser->line_is_open) {
        parser->line++;
        look_at_line(parser, parser->text, whole);
        if (parser->result < 0)
            return NULL;
    }
    size_t length = whole < (size_t)size - 1 ? whole : (size_t)size - 1;
    memcpy(buffer, parser->text, length);
    buffer[length] = '\0';
    parser->text += length;
    parser->line_is_open = length < whole;
    return buffer;
}

/* Where a key of SECTION stands and what it sets: false for a section that [..] did not open. */
static bool find_section(struct parser *parser, const char *section, enum section_kind *kind,
                         void **values, unsigned int **given)
{
    struct config *config = parser->config;
    *values = config;
    *given = &parser->given;
    if (strcmp(section, "kms") == 0) {
        *kind = SECTION_KMS;
    } else if (strcmp(section, "mount") == 0) {
        *kind = SECTION_MOUNT;
    } else if (strcmp(section, "defaults") == 0) {
        *kind = SECTION_AAP;
        *values = &config->defaults;
    } else if (section[0] && config->section_count > 0) {
        struct config_section *last = &config->sections[config->section_count - 1];
        *kind = SECTION_AAP;
        *values = &last->values;
        *given = &last->given;
    } else {
        return false;
    }
    return true;
}

/* To the shell of a command " ;" is no comment. */
static bool has_comment(const struct setting *setting, const char *value)
{
    bool semicolon = setting->parse != config_value_command;
    return strstr(value, " #") || strstr(value, "\t#") ||
           (semicolon && (strstr(value, " ;") || strstr(value, "\t;")));
}

static int take_value(void *user, const char *section, const char *key, const char *value)
{
    struct parser *parser = user;
    enum section_kind kind;
    void *values;
    unsigned int *given;

    if (!find_section(parser, section, &kind, &values, &given)) {
        fail(parser, -EINVAL, "a key before any section; right is a section first, like [kms]");
        return 0;
    }
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        if (setting->kind != kind || strcmp(setting->key, key) != 0)
            continue;
        char why[256];
        if (*given & 1u << i)
            fail(parser, -EINVAL, "%s stands twice in [%s]; leave one", key, section);
        else if (has_comment(setting, value))
            fail(parser, -EINVAL, "%s: a comment behind a value; put it on a line of its own", key);
        else if (setting->parse(value, (char *)values + setting->offset, why, sizeof(why)) < 0)
            fail(parser, -EINVAL, "%s: %s", key, why);
        *given |= 1u << i;
        return parser->result == 0;
    }
    fail(parser, -EINVAL, "unknown key \"%.64s\" in [%.210s]; see aapfs(1) for what can stand here",
         key, section);
    return 0;
}

/* [aap NAME] gets what it does not say from [defaults], wherever that stood. */
static void inherit(struct config *config)
{
    for (size_t i = 0; i < config->section_count; i++) {
        struct config_section *section = &config->sections[i];
        struct config_aap own = section->values;
        section->values = config->defaults;
        for (size_t s = 0; s < SETTING_COUNT; s++) {
            if (!(section->given & 1u << s))
                continue;
            const char *key = settings[s].key;
            if (strcmp(key, "owner") == 0)
                section->values.owner = own.owner;
            else if (strcmp(key, "group") == 0)
                section->values.group = own.group;
            else if (strcmp(key, "mode") == 0)
                section->values.mode = own.mode;
            else if (strcmp(key, "validity") == 0)
                section->values.validity_seconds = own.validity_seconds;
            else if (strcmp(key, "on_rotate") == 0)
                memcpy(section->values.on_rotate, own.on_rotate, sizeof(own.on_rotate));
            else if (strcmp(key, "on_rotate_user") == 0)
                section->values.on_rotate_user = own.on_rotate_user;
            else if (strcmp(key, "on_rotate_timeout") == 0)
                section->values.on_rotate_timeout_ms = own.on_rotate_timeout_ms;
            else
                section->values.max_keys = own.max_keys;
        }
    }
}

static int parse(struct parser *parser, const char *text, size_t size)
{
    const char *nul = memchr(text, '\0', size);
    parser->text = text;
    parser->end = text + size;
    if (nul) {
        parser->line = 1;
        for (const char *c = text; c < nul; c++)
            parser->line += *c == '\n';
        fail(parser, -EINVAL, "a NUL character; right is plain text");
        return parser->result;
    }
    ini_use_stack = false;
    ini_allow_realloc = true;
    ini_max_line = FILE_SIZE_MAX;
    ini_allow_inline_comments = false;
    ini_allow_multiline = false;
    ini_stop_on_first_error = true;
    int r = ini_parse_stream(read_line, parser, take_value, parser);
    if (r > 0)
        fail(parser, -EINVAL, "neither a comment, nor a [section], nor key = value");
    else if (r < 0)
        fail(parser, -ENOMEM, "memory is short");
    if (parser->result == 0)
        inherit(parser->config);
    return parser->result;
}

/* The file's text; refuses what somebody else could have written. */
static int load(const char *file, char **text, size_t *size, char *reason, size_t reason_size)
{
    _cleanup_(close) int descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) < 0) {
        int r = -errno;
        snprintf(reason, reason_size, "%s: %s", file, strerror(-r));
        return r;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > FILE_SIZE_MAX) {
        snprintf(reason, reason_size, "%s: not a plain file of at most 1 MiB", file);
        return -EINVAL;
    }
    if ((status.st_mode & 0022) || (status.st_uid != 0 && status.st_uid != geteuid())) {
        snprintf(reason, reason_size,
                 "%s: others can write it; right is an owner of root or you, and chmod go-w", file);
        return -EACCES;
    }
    *text = malloc((size_t)status.st_size + 1);
    if (!*text) {
        snprintf(reason, reason_size, "%s: memory is short", file);
        return -ENOMEM;
    }
    ssize_t got = read(descriptor, *text, (size_t)status.st_size);
    if (got < 0) {
        int r = -errno;
        snprintf(reason, reason_size, "%s: %s", file, strerror(-r));
        return r;
    }
    *size = (size_t)got;
    return 0;
}

int config_copy(const char *file)
{
    _cleanup_(free) char *text = NULL;
    size_t size = 0;
    char reason[640];
    _cleanup_(close) int copy = memfd_create("aapfs-config", MFD_CLOEXEC);
    if (copy < 0 || fchmod(copy, 0600) < 0)
        return -errno;
    int r = load(file ? file : default_file, &text, &size, reason, sizeof(reason));
    if (r < 0 && (r != -ENOENT || file))
        return r;
    if (size > 0 && write(copy, text, size) != (ssize_t)size)
        return -EIO;
    return steal_descriptor(&copy);
}

int config_read(const char *file, struct config *config, char *reason, size_t reason_size)
{
    _cleanup_(free) char *text = NULL;
    size_t size = 0;

    config_defaults(config);
    int r = load(file ? file : default_file, &text, &size, reason, reason_size);
    if (r == -ENOENT && !file)
        return 0;
    struct parser parser = {
        .config = config,
        .file = file ? file : default_file,
        .reason = reason,
        .reason_size = reason_size,
    };
    if (r == 0)
        r = parse(&parser, text, size);
    if (r < 0)
        config_clear(config);
    return r;
}

bool config_has_command(const struct config_aap *aap)
{
    return aap->on_rotate[0] && strcmp(aap->on_rotate, "none") != 0;
}

const struct config_aap *config_for_aap(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->section_count; i++)
        if (strcmp(config->sections[i].name, name) == 0)
            return &config->sections[i].values;
    return &config->defaults;
}

void config_clear(struct config *config)
{
    free(config->aap_names);
    free(config->sections);
    *config = (struct config){0};
}
