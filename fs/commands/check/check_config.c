#include "fs/commands/check/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/config/value.h"
#include "fs/keys/password_file.h"
#include "fs/worker/caller.h"
#include "kmsapi/cleanup.h"

enum { LEAP_YEAR_DAYS = 366, MOST_YEARS = 5, MOST_DAYS = 5 * 365 + 1, NAMES_MOST = 10 };

static const char limit_file[] = "/proc/sys/fs/fuse/max_request_timeout";

/* What one place of the configuration says; BELOW: what it takes over, or NULL. */
struct place {
    char name[CONFIG_NAME_SIZE + 8];
    const struct config_aap *values, *below;
};

static void validity_text(const struct config_aap *values, char *text, size_t size)
{
    int64_t seconds = values->validity_seconds, days = seconds / CONFIG_DAY_SECONDS;
    if (values->validity_years)
        snprintf(text, size, "%u calendar year%s", values->validity_years, values->validity_years > 1 ? "s" : "");
    else if (seconds % CONFIG_DAY_SECONDS == 0)
        snprintf(text, size, "%lld day%s", (long long)days, days > 1 ? "s" : "");
    else
        snprintf(text, size, "%lld s", (long long)seconds);
}

/* A year has 366 days where it has a February 29, and five have 1826 at least. */
static bool is_as_documented(const struct config_aap *values)
{
    return values->validity_years ? values->validity_years <= MOST_YEARS
                                  : values->validity_seconds >= LEAP_YEAR_DAYS * CONFIG_DAY_SECONDS &&
                                        values->validity_seconds <= MOST_DAYS * CONFIG_DAY_SECONDS;
}

static void check_validity(struct check *check, const struct place *place)
{
    const struct config_aap *values = place->values, *below = place->below;
    char text[64];
    if (values->validity_seconds == 0 || (below && below->validity_seconds == values->validity_seconds &&
                                          below->validity_years == values->validity_years))
        return;
    validity_text(values, text, sizeof(text));
    if (is_as_documented(values))
        check_ok(check, "validity", "%s: %s", place->name, text);
    else
        check_warning(check, "validity", "%s: %s; KMS documents 1 to 5 calendar years and may refuse it; set validity = 1y",
                      place->name, text);
}

/* OUTCOME: what does not happen without it. */
static void check_file(struct check *check, const struct place *place, const char *setting, const char *path,
                       const char *outcome)
{
    char password[PASSWORD_SIZE], reason[CONFIG_PATH_SIZE + 400];
    if (password_from_file(setting, path, password, reason, sizeof(reason)) < 0)
        check_error(check, "password", "%s: %s; %s before that", place->name, reason, outcome);
    else
        check_ok(check, "password", "%s: %s has one", place->name, path);
    OPENSSL_cleanse(password, sizeof(password));
}

static void check_password_file(struct check *check, const struct place *place)
{
    const struct config_aap *values = place->values, *below = place->below;
    if (values->password_source == PASSWORD_FILE &&
        !(below && below->password_source == PASSWORD_FILE && strcmp(below->password_file, values->password_file) == 0))
        check_file(check, place, "password_source", values->password_file, "no key is replaced by itself");
}

static void check_first_key(struct check *check, const struct place *place)
{
    const struct config_aap *values = place->values, *below = place->below;
    if (below && below->first_key == values->first_key && strcmp(below->first_key_file, values->first_key_file) == 0)
        return;
    if (values->first_key == FIRST_KEY_FILE)
        check_file(check, place, "first_key", values->first_key_file, "no first key is made by itself");
    else if (values->first_key == FIRST_KEY_GENERATE)
        check_ok(check, "first_key", "%s: an AAP without a key makes one by itself; its generated password is in the file "
                 "password, for those who may read the key, and in what aapfs export writes", place->name);
}

/* FUSE has no way to refuse a lease; the kernel gives one to the owner alone, and to whoever has CAP_LEASE. */
static void check_owner(struct check *check, const struct place *place)
{
    uid_t owner = place->values->owner;
    if (geteuid() == 0 && owner != 0 && !(place->below && place->below->owner == owner))
        check_warning(check, "owner", "%s: user %u can hold up whoever else opens its keys, by leases (fcntl, F_SETLEASE); "
                      "set group, and leave owner to root", place->name, (unsigned int)owner);
}

static void check_place(struct check *check, const struct place *place)
{
    check_validity(check, place);
    check_password_file(check, place);
    check_first_key(check, place);
    check_owner(check, place);
}

/* The kernel ends the whole mount when one request takes that long. */
static void check_request_timeout(struct check *check)
{
    unsigned int seconds = 0, own_ms = check->config->request_timeout_ms;
    _cleanup_(fclose) FILE *file = fopen(limit_file, "re");
    if (!file || fscanf(file, "%u", &seconds) != 1 || seconds == 0)
        check_ok(check, "request_timeout", "%u ms; the kernel sets no limit", own_ms);
    else if ((uint64_t)own_ms * 2 >= (uint64_t)seconds * 1000)
        check_error(check, "request_timeout", "%u ms is not below half of the kernel's limit, at which it ends the whole "
                    "mount: %s says %u s; set request_timeout below %u s, or raise that", own_ms, limit_file, seconds,
                    seconds / 2);
    else
        check_ok(check, "request_timeout", "%u ms, below half of the kernel's limit of %u s", own_ms, seconds);
}

static void check_audit(struct check *check)
{
    if (!check->config->audit)
        return;
    if (caller_can_be_elsewhere())
        check_warning(check, "audit", "this is a pid namespace of its own: who opens a key from outside of it is told with pid 0 "
                      "and no program; run aapfs in the host's (hostPID: true, --pid=host)");
    else if (!caller_can_be_looked_up())
        check_warning(check, "audit", "/proc does not show other users' processes (hidepid=): who opens a key is told without "
                      "its program; mount /proc without it");
    else
        check_ok(check, "audit", "whoever opens a key can be seen");
}

void check_settings(struct check *check)
{
    const struct config *config = check->config;
    struct place place = {.name = "[defaults]", .values = &config->defaults};
    check_place(check, &place);
    place.below = &config->defaults;
    for (size_t i = 0; i < config->section_count; i++) {
        snprintf(place.name, sizeof(place.name), "[aap %s]", config->sections[i].name);
        place.values = &config->sections[i].values;
        check_place(check, &place);
    }
    check_request_timeout(check);
    check_audit(check);
}

/* -- what needs the names ------------------------------------------------------------------ */

static bool is_there(const struct check *check, const char *name)
{
    for (size_t i = 0; i < check->aap_count; i++)
        if (strcmp(check->aaps[i].name, name) == 0)
            return true;
    return false;
}

static void add_name(FILE *names, const char *name, size_t *count)
{
    if ((*count)++ < NAMES_MOST)
        fprintf(names, "%s%s", *count > 1 ? ", " : "", name);
}

static bool has_no_command(const struct config *config, const char *name)
{
    return !config_for_aap(config, name)->on_rotate[0];
}

/* Of the AAPs that can be known: KMS's and the configuration's, else those that have a section. */
static size_t find_untold(const struct check *check, FILE *names)
{
    const struct config *config = check->config;
    size_t count = 0;
    for (size_t i = 0; i < check->aap_count; i++)
        if (!check->aaps[i].ram_role && has_no_command(config, check->aaps[i].name))
            add_name(names, check->aaps[i].name, &count);
    for (size_t i = 0; check->aap_count == 0 && i < config->section_count; i++)
        if (has_no_command(config, config->sections[i].name))
            add_name(names, config->sections[i].name, &count);
    if (count > NAMES_MOST)
        fprintf(names, " and %zu more", count - NAMES_MOST);
    return count;
}

static void check_on_rotate(struct check *check)
{
    _cleanup_(free) char *names = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&names, &size);
    size_t count = stream ? find_untold(check, stream) : 0;
    if (!stream || fclose(stream) != 0)
        return;
    if (count > 0)
        check_warning(check, "on_rotate", "%s: it is empty, so nobody tells the applications of a new key and the old one "
                      "counts as in use; give a command, or none where they follow the file", names);
    else if (check->aap_count > 0)
        check_ok(check, "on_rotate", "given for every AAP");
}

void check_aaps(struct check *check)
{
    const struct config *config = check->config;
    for (size_t i = 0; check->aaps_listed && i < config->section_count; i++)
        if (!is_there(check, config->sections[i].name))
            check_warning(check, "AAPs", "[aap %s]: KMS has no such AAP, or it cannot be shown; correct the name, or make "
                          "it in KMS", config->sections[i].name);
    check_on_rotate(check);
}
