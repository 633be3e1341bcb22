#include "fs/config/parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "fs/config/settings.h"

enum { SECTIONS_MAX = 20000 };

/* Where each key stands; 0: it does not. */
struct lines {
    unsigned int of[CONFIG_SETTINGS];
};

/* The file on its way through inih, which tells no line numbers and does not see empty sections. */
struct parser {
    struct config *config;
    const char *file;
    const char *text, *end; /* what inih has not read yet */
    unsigned int line;      /* of what inih read last */
    bool line_is_open;      /* inih has read a part of it */
    bool seen_kms, seen_mount, seen_fleet, seen_defaults;
    unsigned int fleet_line;     /* of [fleet] */
    struct lines lines;          /* in [kms], [mount], [fleet] and [defaults] */
    struct lines *section_lines; /* in config->sections */
    size_t section_room;         /* of both */
    char *reason;
    size_t reason_size;
    int result;
};

/* Keeps the first error, with the place where the parser is. */
static void __attribute__((format(printf, 3, 4)))
fail(struct parser *parser, int result, const char *format, ...)
{
    if (parser->result < 0)
        return;
    int length = snprintf(parser->reason, parser->reason_size, "%s:%u: ", parser->file, parser->line);
    if (length >= 0 && (size_t)length < parser->reason_size) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(parser->reason + length, parser->reason_size - (size_t)length, format, arguments);
        va_end(arguments);
    }
    parser->result = result;
}

/* For one more [aap NAME]. */
static bool make_room(struct parser *parser)
{
    struct config *config = parser->config;
    if (config->section_count < parser->section_room)
        return true;
    size_t room = parser->section_room ? 2 * parser->section_room : 16;
    struct config_section *sections = reallocarray(config->sections, room, sizeof(*sections));
    if (sections)
        config->sections = sections;
    struct lines *lines = sections ? reallocarray(parser->section_lines, room, sizeof(*lines)) : NULL;
    if (!lines)
        return false;
    parser->section_lines = lines;
    parser->section_room = room;
    return true;
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
    if (config->section_count == SECTIONS_MAX) {
        fail(parser, -EINVAL, "more than %d sections", SECTIONS_MAX);
        return;
    }
    if (!make_room(parser)) {
        fail(parser, -ENOMEM, "memory is short");
        return;
    }
    memset(&parser->section_lines[config->section_count], 0, sizeof(parser->section_lines[0]));
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
    else if (strcmp(name, "fleet") == 0)
        seen = &parser->seen_fleet;
    else if (strcmp(name, "defaults") == 0)
        seen = &parser->seen_defaults;
    else if (strncmp(name, "aap ", 4) == 0)
        begin_aap_section(parser, name + 4);
    else
        fail(parser, -EINVAL, "unknown section; right are [kms], [mount], [fleet], [defaults] and [aap NAME]");
    if (seen && *seen)
        fail(parser, -EINVAL, "the section [%s] stands twice; put them together", name);
    if (seen == &parser->seen_fleet)
        parser->fleet_line = parser->line;
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
static bool find_section(struct parser *parser, const char *section, enum config_section_kind *kind,
                         void **values, struct lines **lines)
{
    struct config *config = parser->config;
    *values = config;
    *lines = &parser->lines;
    if (strcmp(section, "kms") == 0) {
        *kind = SECTION_KMS;
    } else if (strcmp(section, "mount") == 0) {
        *kind = SECTION_MOUNT;
    } else if (strcmp(section, "fleet") == 0) {
        *kind = SECTION_FLEET;
    } else if (strcmp(section, "defaults") == 0) {
        *kind = SECTION_AAP;
        *values = &config->defaults;
    } else if (section[0] && config->section_count > 0) {
        *kind = SECTION_AAP;
        *values = &config->sections[config->section_count - 1].values;
        *lines = &parser->section_lines[config->section_count - 1];
    } else {
        return false;
    }
    return true;
}

/* To the shell of a command " ;" is no comment. */
static bool has_comment(const struct config_setting *setting, const char *value)
{
    bool semicolon = setting->parse != config_value_command;
    return strstr(value, " #") || strstr(value, "\t#") ||
           (semicolon && (strstr(value, " ;") || strstr(value, "\t;")));
}

static int take_value(void *user, const char *section, const char *key, const char *value)
{
    struct parser *parser = user;
    enum config_section_kind kind;
    struct lines *lines;
    void *values;
    char why[256];

    if (!find_section(parser, section, &kind, &values, &lines)) {
        fail(parser, -EINVAL, "a key before any section; right is a section first, like [kms]");
        return 0;
    }
    size_t i = config_setting_find(kind, key);
    if (i == CONFIG_SETTINGS) {
        fail(parser, -EINVAL, "unknown key \"%.64s\" in [%.210s]; see aapfs.conf(5) for what can stand here",
             key, section);
        return 0;
    }
    const struct config_setting *setting = &config_settings[i];
    if (lines->of[i])
        fail(parser, -EINVAL, "%s stands twice in [%s]; leave one", key, section);
    else if (has_comment(setting, value))
        fail(parser, -EINVAL, "%s: a comment behind a value; put it on a line of its own", key);
    else if (setting->parse(value, (char *)values + setting->value, why, sizeof(why)) < 0)
        fail(parser, -EINVAL, "%s: %s", key, why);
    lines->of[i] = parser->line;
    return parser->result == 0;
}

/* The line of KEY in a section, of what overrides it there, or in [defaults]. */
static unsigned int line_of(const struct parser *parser, const struct lines *own, const char *key, const char *other)
{
    size_t k = config_setting_find(SECTION_AAP, key), o = config_setting_find(SECTION_AAP, other);
    const struct lines *defaults = &parser->lines;
    return own->of[k] ? own->of[k] : own->of[o] ? own->of[o] : defaults->of[k] ? defaults->of[k] : defaults->of[o];
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/*
 * How many unexpired keys there may be when rotations come as close together as they can: as schedule.c places them, and
 * for as long as delete_superseded leaves them. 0: that cannot be told.
 */
static int64_t keys_needed(const struct config_aap *aap)
{
    static const int64_t shortest = INT64_C(365) * 86400; /* of KMS's own validities, by its documentation */
    int64_t validity = aap->validity_seconds ? aap->validity_seconds : shortest, at = 0;
    if (aap->rotate_at == ROTATE_AT_PERCENT)
        at = validity / 100 * aap->rotate_at_percent + validity % 100 * aap->rotate_at_percent / 100;
    else if (aap->rotate_at == ROTATE_BEFORE_END && aap->validity_seconds)
        at = validity - least(aap->rotate_before_seconds, validity - validity / ROTATE_SHORTEST_SHARE);
    if (at <= 0)
        return 0;
    int64_t between = at - least(validity / 100 * ROTATE_JITTER_PERCENT, at / 2), kept = validity;
    /* whoever is never told uses a key to its end */
    if (aap->delete_superseded == DELETE_AFTER && aap->on_rotate[0])
        kept = least(validity, at + aap->delete_after_seconds);
    return (kept + between - 1) / between;
}

/* Whether its rotations find their places among those that KMS gives. */
static void check_places(struct parser *parser, const struct config_aap *aap, const struct lines *own, const char *section)
{
    int64_t needed = keys_needed(aap);
    /* from there on a key has ended when the next but one is made */
    const unsigned int percent = 100 / CONFIG_KEYS_AT_ONCE + ROTATE_JITTER_PERCENT;
    if (needed > CONFIG_KEYS_AT_ONCE) {
        parser->line = line_of(parser, own, "rotate_at", "validity");
        fail(parser, -EINVAL, "rotate_at: in [%s] as many as %lld client keys would be unexpired at once, and KMS gives an "
                              "AAP %d, of which one is for the next; right is rotate_at = %u%% or later, never, or with a "
                              "command or none as on_rotate a short delete_superseded like 7d",
             section, (long long)needed, CONFIG_QUOTA_KEYS, percent);
    } else if (needed > aap->max_keys) {
        parser->line = line_of(parser, own, "max_keys", "rotate_at");
        fail(parser, -EINVAL, "max_keys: %u in [%s], but a rotation needs a place for the key that it replaces and one for "
                              "the new one; right is rotate_at = never, or max_keys = %d, which is what KMS gives",
             aap->max_keys, section, CONFIG_QUOTA_KEYS);
    }
}

/* KEY says generate. OTHER: what is right in its place. */
static void check_generated(struct parser *parser, const struct config_aap *aap, const struct lines *own, const char *section,
                            const char *key, const char *other)
{
    if (aap->expose_password)
        return;
    parser->line = line_of(parser, own, key, "expose_password");
    fail(parser, -EINVAL, "%s: generate without expose_password = yes in [%s]: nobody could open the keys; right is %s, "
                          "file:PATH, or expose_password = yes", key, section, other);
}

/* What holds between the keys of [defaults] or of an AAP. */
static void check_aap(struct parser *parser, const struct config_aap *aap, const struct lines *own, const char *section)
{
    if (aap->password_source == PASSWORD_GENERATE)
        check_generated(parser, aap, own, section, "password_source", "keep");
    if (aap->first_key == FIRST_KEY_GENERATE)
        check_generated(parser, aap, own, section, "first_key", "nothing");
    if (aap->rotate_at == ROTATE_BEFORE_END && aap->validity_seconds > 0 &&
        aap->rotate_before_seconds >= aap->validity_seconds) {
        parser->line = line_of(parser, own, "rotate_at", "validity");
        fail(parser, -EINVAL, "rotate_at: not shorter than the validity in [%s]: a new key would be replaced at once; "
                              "right is a shorter time before its end, or a longer validity", section);
    }
    check_places(parser, aap, own, section);
}

/* Two keys of [fleet] that are of no use alone. */
static void check_pair(struct parser *parser, const char *one, const char *one_value, const char *other, const char *other_value)
{
    if (!one_value[0] == !other_value[0])
        return;
    const char *there = one_value[0] ? one : other, *missing = one_value[0] ? other : one;
    parser->line = parser->lines.of[config_setting_find(SECTION_FLEET, there)];
    fail(parser, -EINVAL, "%s: without %s; right are both, or neither", there, missing);
}

static void check_fleet(struct parser *parser)
{
    const struct config_fleet *fleet = &parser->config->fleet;
    if (parser->seen_fleet && fleet->etcd_count == 0) {
        parser->line = parser->fleet_line;
        fail(parser, -EINVAL, "[fleet] without etcd; right is etcd = https://HOST:2379, or several with commas between");
    }
    check_pair(parser, "certificate", fleet->certificate, "certificate_key", fleet->certificate_key);
    check_pair(parser, "user", fleet->user, "password_file", fleet->password_file);
}

/* [aap NAME] gets what it does not say from [defaults], wherever that stood. */
static void finish_sections(struct parser *parser)
{
    struct config *config = parser->config;
    char name[CONFIG_NAME_SIZE + 8];
    check_fleet(parser);
    check_aap(parser, &config->defaults, &parser->lines, "defaults");
    for (size_t i = 0; i < config->section_count && parser->result == 0; i++) {
        struct config_section *section = &config->sections[i];
        config_inherit(&section->values, &config->defaults, parser->section_lines[i].of);
        snprintf(name, sizeof(name), "aap %s", section->name);
        check_aap(parser, &section->values, &parser->section_lines[i], name);
    }
}

static int compare_sections(const void *left, const void *right)
{
    return strcmp(((const struct config_section *)left)->name, ((const struct config_section *)right)->name);
}

static void parse(struct parser *parser, const char *text, size_t size)
{
    const char *nul = memchr(text, '\0', size);
    if (nul) {
        parser->line = 1;
        for (const char *c = text; c < nul; c++)
            parser->line += *c == '\n';
        fail(parser, -EINVAL, "a NUL character; right is plain text");
        return;
    }
    ini_use_stack = false;
    ini_allow_realloc = true;
    ini_max_line = CONFIG_FILE_MOST;
    ini_allow_inline_comments = false;
    ini_allow_multiline = false;
    ini_stop_on_first_error = true;
    int r = ini_parse_stream(read_line, parser, take_value, parser);
    if (r > 0)
        fail(parser, -EINVAL, "neither a comment, nor a [section], nor key = value");
    else if (r < 0)
        fail(parser, -ENOMEM, "memory is short");
    if (parser->result == 0)
        finish_sections(parser);
    if (parser->config->section_count > 0)
        qsort(parser->config->sections, parser->config->section_count, sizeof(parser->config->sections[0]),
              compare_sections);
}

int config_parse(const char *file, const char *text, size_t size, struct config *config, char *reason,
                 size_t reason_size)
{
    struct parser parser = {
        .config = config,
        .file = file,
        .text = text,
        .end = text + size,
        .reason = reason,
        .reason_size = reason_size,
    };
    snprintf(config->file, sizeof(config->file), "%s", file);
    parse(&parser, text, size);
    free(parser.section_lines);
    return parser.result;
}
