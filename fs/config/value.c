#include "fs/config/value.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "fs/config/config.h"
#include "fs/config/names.h"
#include "kmsapi/base/endpoint.h"
#include "kmsapi/base/proxy.h"
#include "kmsapi/credentials/source.h"

enum { HOUR_MS = 3600 * 1000 };

static int refuse(char *reason, size_t size, const char *right)
{
    snprintf(reason, size, "%s", right);
    return -EINVAL;
}

/* Decimal digits alone, at most MOST; the first character behind them, or NULL. */
static const char *take_number(const char *text, uint64_t most, uint64_t *number)
{
    if (*text < '0' || *text > '9')
        return NULL;
    *number = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        *number = *number * 10 + (uint64_t)(*text - '0');
        if (*number > most)
            return NULL;
    }
    return text;
}

/*
 * A number and one of ms, s, m, h, d, y (365 days), in milliseconds. 0, or -EINVAL for any other form and for more than
 * 100 years.
 */
static int take_duration(const char *text, int64_t *milliseconds)
{
    static const struct {
        const char *unit;
        int64_t milliseconds;
    } units[] = {
        {"ms", 1},
        {"s", 1000},
        {"m", 60 * 1000},
        {"h", HOUR_MS},
        {"d", CONFIG_DAY_SECONDS * 1000},
        {"y", 365 * CONFIG_DAY_SECONDS * 1000},
    };
    const int64_t most = 100 * 365 * CONFIG_DAY_SECONDS * 1000;
    uint64_t number;
    const char *unit = take_number(text, (uint64_t)most, &number);
    for (size_t i = 0; unit && i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(unit, units[i].unit) == 0 && (int64_t)number <= most / units[i].milliseconds) {
            *milliseconds = (int64_t)number * units[i].milliseconds;
            return 0;
        }
    return -EINVAL;
}

static int take_time(const char *text, int64_t least, int64_t most, unsigned int *value, const char *right, char *reason,
                     size_t size)
{
    int64_t milliseconds;
    if (take_duration(text, &milliseconds) < 0 || milliseconds < least || milliseconds > most)
        return refuse(reason, size, right);
    *value = (unsigned int)milliseconds;
    return 0;
}

int config_value_timeout(const char *text, void *value, char *reason, size_t size)
{
    return take_time(text, 100, HOUR_MS, value, "not a time from 100ms to 1h; right is one like 30s", reason, size);
}

int config_value_guard(const char *text, void *value, char *reason, size_t size)
{
    return take_time(text, 0, HOUR_MS, value, "not a time from 0s to 1h; right is one like 5s", reason, size);
}

int config_value_while(const char *text, void *value, char *reason, size_t size)
{
    return take_time(text, 1000, HOUR_MS, value, "not a time from 1s to 1h; right is one like 60s", reason, size);
}

int config_value_validity(const char *text, void *value, char *reason, size_t size)
{
    const int64_t least = 1000, most = 10 * 365 * CONFIG_DAY_SECONDS * 1000, year = 365 * CONFIG_DAY_SECONDS;
    int64_t milliseconds = 0;
    struct config_aap *aap = value;
    bool none = strcmp(text, "kms") == 0;
    if (!none && (take_duration(text, &milliseconds) < 0 || milliseconds < least || milliseconds > most))
        return refuse(reason, size, "not a time from 1s to 10y, nor kms; right is one like 1y or "
                                    "365d");
    aap->validity_seconds = milliseconds / 1000;
    aap->validity_years = text[strlen(text) - 1] == 'y' ? (unsigned int)(aap->validity_seconds / year) : 0;
    return 0;
}

static int take_count(const char *text, unsigned int most, unsigned int *value, char *reason, size_t size)
{
    uint64_t number;
    const char *end = take_number(text, most, &number);
    if (end && !*end && number >= 1) {
        *value = (unsigned int)number;
        return 0;
    }
    snprintf(reason, size, "not a number from 1 to %u", most);
    return -EINVAL;
}

int config_value_max_keys(const char *text, void *value, char *reason, size_t size)
{
    return take_count(text, 100000, value, reason, size);
}

int config_value_rate(const char *text, void *value, char *reason, size_t size)
{
    return take_count(text, 1000, value, reason, size);
}

/* A number stands for itself, as in chown(1); (uid_t)-1 means "unchanged" to the kernel. */
static bool take_id(const char *text, uint32_t *id)
{
    uint64_t number;
    const char *end = take_number(text, UINT32_MAX - 1, &number);
    if (!end || *end)
        return false;
    *id = (uint32_t)number;
    return true;
}

int config_value_user(const char *text, void *value, char *reason, size_t size)
{
    if (take_id(text, value) || (text[0] && config_names_user(text, value) == 0))
        return 0;
    return refuse(reason, size, "no such user; right is a user's name or number");
}

int config_value_group(const char *text, void *value, char *reason, size_t size)
{
    if (take_id(text, value) || (text[0] && config_names_group(text, value) == 0))
        return 0;
    return refuse(reason, size, "no such group; right is a group's name or number");
}

int config_value_path(const char *text, void *value, char *reason, size_t size)
{
    if ((text[0] && text[0] != '/') || strlen(text) >= CONFIG_PATH_SIZE)
        return refuse(reason, size, "not a whole path; right is one that begins with / and has at "
                                    "most 1023 bytes");
    strcpy(value, text);
    return 0;
}

int config_value_command(const char *text, void *value, char *reason, size_t size)
{
    if (strlen(text) >= CONFIG_COMMAND_SIZE)
        return refuse(reason, size, "longer than 1023 bytes; put it into a script");
    if (text[0] == '#' || text[0] == ';')
        return refuse(reason, size, "a comment behind the key; put it on a line of its own");
    if (strncmp(text, "none", 4) == 0 && strchr(" \t;", text[4]) && text[4])
        return refuse(reason, size, "more behind none; right is none alone, a command, or nothing");
    strcpy(value, text);
    return 0;
}

int config_value_command_user(const char *text, void *value, char *reason, size_t size)
{
    uid_t *uid = value;
    *uid = (uid_t)-1;
    if (!text[0])
        return 0;
    int r = config_value_user(text, uid, reason, size);
    if (r < 0)
        return r;
    if (!config_names_has_entry(*uid))
        return refuse(reason, size, "no such user; right is a user's name");
    if (*uid == geteuid() && *uid != 0)
        *uid = (uid_t)-1;
    return 0;
}

int config_value_switch(const char *text, void *value, char *reason, size_t size)
{
    bool yes = strcmp(text, "yes") == 0;
    if (!yes && strcmp(text, "no") != 0)
        return refuse(reason, size, "neither yes nor no");
    *(bool *)value = yes;
    return 0;
}

int config_value_mode(const char *text, void *value, char *reason, size_t size)
{
    size_t length = strlen(text);
    mode_t mode = 0;
    if (length >= 3 && length <= 4 && strspn(text, "01234567") == length)
        for (size_t i = 0; i < length; i++)
            mode = mode * 8 + (mode_t)(text[i] - '0');
    if (!(mode & 0400) || (mode & ~(mode_t)0444))
        return refuse(reason, size, "not a mode that only reads; right is one of 0400, 0440, 0444");
    *(mode_t *)value = mode;
    return 0;
}

int config_value_sync_interval(const char *text, void *value, char *reason, size_t size)
{
    int64_t milliseconds;
    if (take_duration(text, &milliseconds) < 0 || milliseconds < 1000 || milliseconds > 30 * CONFIG_DAY_SECONDS * 1000)
        return refuse(reason, size, "not a time from 1s to 30d; right is one like 1h");
    *(int64_t *)value = milliseconds;
    return 0;
}

int config_value_control_group(const char *text, void *value, char *reason, size_t size)
{
    *(gid_t *)value = (gid_t)-1;
    return text[0] ? config_value_group(text, value, reason, size) : 0;
}

int config_value_credentials(const char *text, void *value, char *reason, size_t size)
{
    if (strlen(text) >= CONFIG_TEXT_SIZE)
        return refuse(reason, size, "longer than 255 bytes; right is a shorter one");
    if (credentials_source_check(text, reason, size) < 0)
        return -EINVAL;
    if (strncmp(text, "uri:", 4) == 0 && strncmp(text + 4, "http://", 7) != 0 && strncmp(text + 4, "https://", 8) != 0)
        return refuse(reason, size, "uri: not a URL; right is uri:http://HOST/PATH or uri:https://HOST/PATH");
    strcpy(value, text);
    return 0;
}

int config_value_proxy(const char *text, void *value, char *reason, size_t size)
{
    struct proxy proxy;
    bool good = !text[0] || (strncmp(text, "http://", 7) == 0 && !strchr(text, '@') && proxy_parse(text, &proxy) == 0);
    if (!good || strlen(text) >= CONFIG_TEXT_SIZE)
        return refuse(reason, size, "not a proxy; right is http://HOST:PORT, without a user or password: those go into "
                                    "the variable https_proxy");
    strcpy(value, text);
    return 0;
}

static int take_before(const char *text, int64_t *seconds)
{
    static const char before[] = " before";
    char duration[32];
    size_t length = strlen(text), behind = sizeof(before) - 1;
    int64_t milliseconds;
    if (length <= behind || length - behind >= sizeof(duration) || strcmp(text + length - behind, before) != 0)
        return -EINVAL;
    memcpy(duration, text, length - behind);
    duration[length - behind] = '\0';
    if (take_duration(duration, &milliseconds) < 0 || milliseconds < 1000)
        return -EINVAL;
    *seconds = milliseconds / 1000;
    return 0;
}

int config_value_rotate_at(const char *text, void *value, char *reason, size_t size)
{
    struct config_aap *aap = value;
    uint64_t percent;
    const char *end = take_number(text, 95, &percent);
    if (strcmp(text, "never") == 0) {
        aap->rotate_at = ROTATE_NEVER;
    } else if (end && strcmp(end, "%") == 0 && percent >= 1) {
        aap->rotate_at = ROTATE_AT_PERCENT;
        aap->rotate_at_percent = (unsigned int)percent;
    } else if (take_before(text, &aap->rotate_before_seconds) == 0) {
        aap->rotate_at = ROTATE_BEFORE_END;
    } else {
        return refuse(reason, size, "not a moment; right is 1% to 95% of the validity, a time from 1s before its end "
                                    "like 30d before, or never");
    }
    return 0;
}

/* file:PATH, into a char[CONFIG_PATH_SIZE]. */
static bool take_file(const char *text, char *path)
{
    if (strncmp(text, "file:/", 6) != 0 || strlen(text + 5) >= CONFIG_PATH_SIZE)
        return false;
    strcpy(path, text + 5);
    return true;
}

int config_value_password_source(const char *text, void *value, char *reason, size_t size)
{
    struct config_aap *aap = value;
    if (strcmp(text, "keep") == 0) {
        aap->password_source = PASSWORD_KEEP;
    } else if (strcmp(text, "generate") == 0) {
        aap->password_source = PASSWORD_GENERATE;
    } else if (take_file(text, aap->password_file)) {
        aap->password_source = PASSWORD_FILE;
    } else {
        return refuse(reason, size, "no such source; right is keep, generate, or file: and a path that begins with / "
                                    "and has at most 1023 bytes");
    }
    return 0;
}

int config_value_first_key(const char *text, void *value, char *reason, size_t size)
{
    struct config_aap *aap = value;
    if (!text[0]) {
        aap->first_key = FIRST_KEY_BY_HAND;
    } else if (strcmp(text, "generate") == 0) {
        aap->first_key = FIRST_KEY_GENERATE;
    } else if (take_file(text, aap->first_key_file)) {
        aap->first_key = FIRST_KEY_FILE;
    } else {
        return refuse(reason, size, "no such source; right is generate, file: and a path that begins with / and has at most "
                                    "1023 bytes, or nothing");
    }
    return 0;
}

int config_value_delete_superseded(const char *text, void *value, char *reason, size_t size)
{
    struct config_aap *aap = value;
    int64_t milliseconds;
    if (strcmp(text, "expired") == 0) {
        aap->delete_superseded = DELETE_EXPIRED;
    } else if (strcmp(text, "never") == 0) {
        aap->delete_superseded = DELETE_NEVER;
    } else if (take_duration(text, &milliseconds) == 0 && milliseconds <= 10 * 365 * CONFIG_DAY_SECONDS * 1000) {
        aap->delete_superseded = DELETE_AFTER;
        aap->delete_after_seconds = milliseconds / 1000;
    } else {
        return refuse(reason, size, "not a time from 0s to 10y like 7d, nor expired, nor never");
    }
    return 0;
}

int config_value_prefix(const char *text, void *value, char *reason, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./";
    size_t length = strlen(text);
    if (length == 0 || length >= CONFIG_PREFIX_SIZE || strspn(text, letters) != length || text[length - 1] == '/' ||
        strstr(text, "//"))
        return refuse(reason, size, "not a prefix; right is one like aapfs or /aapfs/production, of at most 128 of A-Z a-z 0-9 "
                                    "_ - . and single / between them");
    strcpy(value, text);
    return 0;
}

int config_value_etcd_user(const char *text, void *value, char *reason, size_t size)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            return refuse(reason, size, "a control character in it; right is a user of etcd's");
    if (strlen(text) >= CONFIG_TEXT_SIZE)
        return refuse(reason, size, "longer than 255 bytes; right is a user of etcd's");
    strcpy(value, text);
    return 0;
}

static int add_endpoint(struct config_fleet *fleet, const char *url, char *reason, size_t size)
{
    struct endpoint endpoint;
    char text[sizeof(endpoint.authority) + 16];
    int r = endpoint_parse(url, &endpoint, reason, size);
    if (r < 0)
        return r;
    snprintf(text, sizeof(text), "%s://%s", endpoint.tls ? "https" : "http", endpoint.authority);
    if (strlen(text) >= CONFIG_TEXT_SIZE)
        return refuse(reason, size, "the host's name is too long");
    for (size_t i = 0; i < fleet->etcd_count; i++)
        if (strcmp(fleet->etcd[i], text) == 0)
            return refuse(reason, size, "a URL stands twice");
    if (fleet->etcd_count == CONFIG_ENDPOINTS_MOST)
        return refuse(reason, size, "more than 9 URLs; right are some of etcd's members");
    strcpy(fleet->etcd[fleet->etcd_count++], text);
    return 0;
}

int config_value_etcd(const char *text, void *value, char *reason, size_t size)
{
    struct config_fleet *fleet = value;
    char url[CONFIG_TEXT_SIZE + 1];
    for (text += strspn(text, " ,\t"); *text; text += strspn(text, " ,\t")) {
        size_t length = strcspn(text, " ,\t");
        snprintf(url, sizeof(url), "%.*s", length < sizeof(url) ? (int)length : CONFIG_TEXT_SIZE, text);
        int r = add_endpoint(fleet, url, reason, size);
        if (r < 0)
            return r;
        text += length;
    }
    return fleet->etcd_count > 0 ? 0 : refuse(reason, size, "empty; right is https://HOST:2379, or several with commas between");
}
