/*
 * Whether each AAP has a place left for its next rotation: keys that KMS has and the state directory has not were made
 * elsewhere, or are lost, and aapfs deletes none of the former.
 */
#include "fs/commands/check/check_places.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/commands/check/check_ask.h"
#include "fs/store/state.h"
#include "kmsapi/cleanup.h"

enum { LISTED_MOST = 100, NAMED_MOST = 10 };

struct looking {
    const struct check *check;
    const char *aap, *directory; /* the state's; "": not known */
    unsigned int elsewhere;
    FILE *names;
};

/* What is told of them together. */
struct looked {
    size_t with_place;
    size_t unlisted;       /* AAPs whose keys KMS does not list */
    const char *first;     /* of those */
    struct kms_error why;  /* its error */
};

/* A record's file has the key's id for a name. */
static bool is_here(const struct looking *looking, const char *id)
{
    char path[3 * STATE_PATH_SIZE / 2];
    if (!looking->directory[0] || !looking->check->account[0] || strchr(id, '/') || id[0] == '.')
        return false;
    int length = snprintf(path, sizeof(path), "%s/%s-%s/%s/%s", looking->directory, looking->check->config->region,
                          looking->check->account, looking->aap, id);
    return length > 0 && length < (int)sizeof(path) && access(path, F_OK) == 0;
}

static void take_key(void *user, const char *id)
{
    struct looking *looking = user;
    if (is_here(looking, id))
        return;
    if (looking->elsewhere++ < NAMED_MOST)
        fprintf(looking->names, "%s%.60s", looking->elsewhere > 1 ? ", " : "", id);
}

/* The current key and the next one need a place each. Whether it may be asked on: KMS itself answers. */
static bool look_at(struct check *check, struct asking *asking, const char *aap, const char *directory, struct looked *looked)
{
    const struct config_aap *config = config_for_aap(check->config, aap);
    _cleanup_(free) char *names = NULL;
    size_t size = 0;
    struct looking looking = {.check = check, .aap = aap, .directory = directory, .names = open_memstream(&names, &size)};
    if (!looking.names)
        return false;
    bool asked = ask_client_keys(asking, aap, take_key, &looking);
    if (fclose(looking.names) != 0)
        return false;
    if (!asked && kms_error_is_gone(&asking->error))
        return true; /* which is told already */
    if (!asked) {
        if (looked->unlisted++ == 0) {
            looked->first = aap;
            looked->why = asking->error;
        }
        return kms_error_is_of_kms(&asking->error) && asking->error.number != EAGAIN;
    }
    if (config->rotate_at != ROTATE_NEVER && looking.elsewhere + 2 > config->max_keys)
        check_warning(check, "places", "%s: KMS gives it %u client keys and has %u that this state directory has not (%s): "
                      "none is left for the next rotation; delete those made elsewhere that nobody uses (aapfs delete %s ID "
                      "--foreign), or give each host an AAP of its own; aapfs deletes by itself what status names under Orphans",
                      aap, config->max_keys, looking.elsewhere, names, aap);
    else
        looked->with_place++;
    return true;
}

/* ALL: none of those that were to be asked for was left out. */
static void tell(struct check *check, const struct looked *looked, bool all)
{
    char others[48] = "";
    size_t more = looked->unlisted > 0 ? looked->unlisted - 1 : 0;
    if (more > 0)
        snprintf(others, sizeof(others), " and %zu more", more);
    if (looked->unlisted > 0)
        check_warning(check, "places", "%s%s: whether a place is left for the next rotation is not known, as KMS does not list their "
                      "keys (%s: %s)%s", looked->first, others, looked->why.code, looked->why.message,
                      all ? "; permit ListClientKeys on each AAP, or see what KMS says" : "; those behind were not asked for");
    if (looked->with_place > 0)
        check_ok(check, "places", "%zu %s a place left for the next rotation", looked->with_place,
                 looked->with_place == 1 ? "AAP has" : "AAPs have");
}

static void look_at_max_keys(struct check *check, const char *place, unsigned int max_keys)
{
    if (max_keys > CONFIG_QUOTA_KEYS)
        check_ok(check, "places", "%s: max_keys = %u, where the quota was raised: KMS documents %d client keys for an AAP", place,
                 max_keys, CONFIG_QUOTA_KEYS);
}

void check_places(struct check *check, struct asking *asking)
{
    char reason[256];
    struct state_places places;
    struct looked looked = {0};
    look_at_max_keys(check, "[defaults]", check->config->defaults.max_keys);
    if (state_places_find(check->config->state, check->config->state_key, &places, reason, sizeof(reason)) < 0)
        places.directory[0] = '\0';
    bool more = true;
    size_t asked = 0;
    for (size_t i = 0; more && i < check->aap_count && asked < LISTED_MOST; i++)
        if (!check->aaps[i].ram_role) {
            more = look_at(check, asking, check->aaps[i].name, places.directory, &looked);
            asked++;
        }
    tell(check, &looked, more);
}
