#include "kmsapi/credentials/chain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REASON_SIZE = 320, REASONS_SIZE = 1024 };

static const struct provider {
    const char *name;
    provider_fetch *fetch;
    const char *wanted; /* how it is asked for; NULL: as part of the chain only */
    bool takes_argument, needs_argument;
} providers[] = {
    {"systemd", provider_systemd, NULL, false, false},
    {"environment", provider_environment, "environment", false, false},
    {"oidc", provider_oidc, "oidc", false, false},
    {"profile", provider_cli_profile, "profile", true, true},
    {"credentials file", provider_credentials_file, "profile", true, true},
    {"ecs-ram-role", provider_ecs_ram_role, "ecs-ram-role", true, false},
    {"uri", provider_uri, "uri", true, true},
};
enum { PROVIDERS = sizeof(providers) / sizeof(providers[0]) };

struct chain {
    bool wanted[PROVIDERS];
    char *argument;
    int answered; /* -1: none */
};

/* Why none answered. */
struct reasons {
    char failed[REASONS_SIZE], missing[REASONS_SIZE];
};

static bool is_wanted(const struct provider *provider, const char *wanted, size_t name_size,
                      bool argument)
{
    return provider->wanted && strlen(provider->wanted) == name_size &&
           memcmp(provider->wanted, wanted, name_size) == 0 &&
           (argument ? provider->takes_argument : !provider->needs_argument);
}

int chain_new(const char *wanted, struct chain **made, char *reason, size_t size)
{
    size_t name_size = strcspn(wanted, ":");
    const char *argument = wanted[name_size] ? wanted + name_size + 1 : NULL;
    bool any = false, all = strcmp(wanted, "default") == 0;
    struct chain *chain = calloc(1, sizeof(*chain));
    if (chain && argument)
        chain->argument = strdup(argument);
    if (!chain || (argument && !chain->argument)) {
        snprintf(reason, size, "memory is short");
        chain_free(chain);
        return -ENOMEM;
    }
    chain->answered = -1;
    for (size_t i = 0; i < PROVIDERS; i++) {
        chain->wanted[i] = all || is_wanted(&providers[i], wanted, name_size, argument != NULL);
        any = any || chain->wanted[i];
    }
    if (!any || (argument && !argument[0])) {
        /* what follows a colon may be a URL: it is not shown */
        snprintf(reason, size, "%.*s%s is no provider; right is one of default, "
                 "environment, profile:NAME, oidc, ecs-ram-role, ecs-ram-role:NAME, uri:URL",
                 name_size < 32 ? (int)name_size : 32, wanted, argument ? ":..." : "");
        chain_free(chain);
        return -EINVAL;
    }
    *made = chain;
    return 0;
}

void chain_free(struct chain *chain)
{
    if (!chain)
        return;
    free(chain->argument);
    free(chain);
}

static void append(char text[static REASONS_SIZE], const char *separator, const char *name,
                   const char *before, const char *reason, const char *after)
{
    size_t used = strlen(text);
    snprintf(text + used, REASONS_SIZE - used, "%s%s%s%s%s", used ? separator : "", name, before,
             reason, after);
}

static int ask(struct chain *chain, size_t i, const struct fetching *fetching,
               struct session *session, struct reasons *reasons)
{
    char why[REASON_SIZE] = "";
    *session = (struct session){0};
    int r = providers[i].fetch(fetching, chain->argument, session, why, sizeof(why));
    if (r == 0) {
        chain->answered = (int)i;
        return 0;
    }
    credentials_clear(&session->credentials);
    if (r == -ENOENT)
        append(reasons->missing, ", ", providers[i].name, " (", why, ")");
    else if (r != -ENOMEM)
        append(reasons->failed, "; ", providers[i].name, ": ", why, "");
    return r;
}

static void explain(const struct reasons *reasons, char *reason, size_t size)
{
    snprintf(reason, size, "no credentials: %s%s%s%s", reasons->failed,
             reasons->failed[0] && reasons->missing[0] ? "; " : "",
             reasons->missing[0] ? "not set up: " : "", reasons->missing);
}

int chain_fetch(struct chain *chain, const struct fetching *fetching, bool only_it,
                struct session *session, char *reason, size_t size)
{
    struct reasons reasons = {0};
    int first = chain->answered;
    int r = first < 0 ? -ENOENT : ask(chain, (size_t)first, fetching, session, &reasons);
    if (first < 0 || !only_it)
        for (size_t i = 0; r < 0 && r != -ENOMEM && i < PROVIDERS; i++)
            if (chain->wanted[i] && (int)i != first &&
                !provider_given_up(fetching))
                r = ask(chain, i, fetching, session, &reasons);
    if (r == 0)
        return 0;
    if (r == -ENOMEM)
        snprintf(reason, size, "memory is short");
    else
        explain(&reasons, reason, size);
    return r == -ENOMEM ? r : -EACCES;
}

const char *chain_answered(const struct chain *chain)
{
    return chain->answered < 0 ? NULL : providers[chain->answered].name;
}

/* -- the region, by those of them who know it ---------------------------------------------- */

const char *chain_region_variable(const char **variable)
{
    static const char *const names[] = {"ALIBABA_CLOUD_REGION_ID", "ALIBABACLOUD_REGION_ID", "ALICLOUD_REGION_ID"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = provider_variable(names[i]);
        if (value) {
            *variable = names[i];
            return value;
        }
    }
    return NULL;
}

int chain_region(const struct credentials_source_options *options, char *region, size_t room, char *reason, size_t size)
{
    static const struct {
        const char *provider, *name, *found;
        provider_region *find;
    } sources[] = {
        {"profile:", "profile", "the profile", cli_profile_region},
        {"ecs-ram-role", "ECS metadata", "ECS metadata", ecs_region},
    };
    const char *provider = options->provider ? options->provider : "default";
    bool all = strcmp(provider, "default") == 0;
    char failed[REASONS_SIZE] = "";
    int64_t clock_offset_s = 0;
    const struct fetching fetching = {.options = options, .given_up = -1, .clock_offset_s = &clock_offset_s};
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        char why[REASON_SIZE] = "";
        size_t length = strlen(sources[i].provider);
        if (!all && strncmp(provider, sources[i].provider, length) != 0)
            continue;
        snprintf(reason, size, "%s", sources[i].found);
        if (sources[i].find(&fetching, all ? NULL : provider + length, region, room, why, sizeof(why)) == 0)
            return 0;
        append(failed, "; ", sources[i].name, ": ", why, "");
    }
    snprintf(reason, size, "%s", failed);
    return -ENOENT;
}
