#include "fs/model/schedule.h"

#include <string.h>

#include <openssl/evp.h>

#include "kmsapi/base/backoff.h"

enum { ADOPTED_REST_SECONDS = 24 * 3600 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

uint32_t schedule_seed(const char *aap_name, const char *client_key_id)
{
    char text[AAP_NAME_SIZE + CLIENT_KEY_ID_SIZE];
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    size_t name_size = strnlen(aap_name, AAP_NAME_SIZE - 1) + 1; /* with the NUL between the two */
    size_t id_size = strnlen(client_key_id, CLIENT_KEY_ID_SIZE - 1);
    memcpy(text, aap_name, name_size - 1);
    text[name_size - 1] = '\0';
    memcpy(text + name_size, client_key_id, id_size);
    if (EVP_Digest(text, name_size + id_size, digest, NULL, EVP_sha256(), NULL) != 1)
        return 0;
    return (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3];
}

/* Dates may be years apart and nonsense: a share is taken without multiplying first. */
static int64_t share(int64_t seconds, int64_t percent)
{
    return seconds / 100 * percent + seconds % 100 * percent / 100;
}

static int64_t rotate_key_at(const struct registry_aap *aap, const struct registry_key *key)
{
    const struct config_aap *config = aap->config;
    if (!key || aap->gone || (key->gone && !key->gone_expired) || config->rotate_at == ROTATE_NEVER)
        return 0;
    int64_t validity = key->not_after_time - key->not_before_time, at;
    if (config->rotate_at == ROTATE_AT_PERCENT)
        at = key->not_before_time + share(validity, config->rotate_at_percent);
    else /* a key that KMS made shorter than that is not replaced at once, time after time */
        at = most(key->not_after_time - config->rotate_before_seconds,
                  key->not_before_time + validity / ROTATE_SHORTEST_SHARE);
    return key->adopted ? most(at, key->made_ns / 1000000000 + ADOPTED_REST_SECONDS) : at;
}

int64_t schedule_rotate_at(const struct registry_aap *aap)
{
    return rotate_key_at(aap, aap->current);
}

bool schedule_is_useless(const struct registry_aap *aap, const struct registry_key *key)
{
    if (key->adopted || key->dates_given)
        return false;
    int64_t at = rotate_key_at(aap, key);
    return (key->scheduled && !key->begun) || (at && at <= key->asked);
}

int64_t schedule_due(const struct registry_aap *aap, uint32_t seed)
{
    int64_t at = schedule_rotate_at(aap);
    if (at == 0)
        return 0;
    const struct registry_key *key = aap->current;
    int64_t spread = share(key->not_after_time - key->not_before_time, ROTATE_JITTER_PERCENT);
    /* where rotate_at comes early, half of the time stays at least */
    spread = most(least(spread, (at - key->not_before_time) / 2), 0);
    int64_t due = at - (int64_t)((unsigned __int128)(uint64_t)spread * seed >> 32);
    return key->adopted ? most(due, key->made_ns / 1000000000 + ADOPTED_REST_SECONDS) : due;
}

int64_t schedule_retry_most_ms(int64_t left)
{
    static const int64_t second_ms = 1000, hour_ms = 3600 * 1000, expired_ms = 60 * 1000;
    return left > 0 ? most(second_ms, least(hour_ms, least(left, 36000) * 100)) : expired_ms;
}

int64_t schedule_retry_ms(unsigned int failures, int64_t left, uint32_t random)
{
    int64_t wait_ms = backoff_ms(1000, schedule_retry_most_ms(left), failures > 0 ? failures - 1 : 0);
    return wait_ms - (int64_t)((uint64_t)(wait_ms / 4) * random >> 32);
}

bool schedule_is_void(const struct registry_key *key)
{
    return key->scheduled && !key->begun && key->gone;
}

bool schedule_waits(const struct registry_key *key, int64_t now)
{
    return key->scheduled && !key->begun && (key->not_before_time > now || (key->gone && key->not_after_time > now));
}

struct registry_key *schedule_current(const struct registry_aap *aap, int64_t now)
{
    struct registry_key *newest = NULL, *begun = NULL, *oldest = NULL;
    for (struct registry_key *key = aap->keys; key; key = key->next) { /* newest first */
        if (key->deleted)
            continue;
        oldest = key;
        bool begins = schedule_is_void(key) ? key == aap->current : !schedule_waits(key, now);
        if (!key->scheduled)
            newest = newest ? newest : key;
        else if (begins && (!begun || key->not_before_time > begun->not_before_time))
            begun = key;
    }
    if (!newest)
        return begun ? begun : oldest;
    return begun && begun->not_before_time >= newest->asked ? begun : newest;
}

int64_t schedule_next_begin(const struct registry_aap *aap, int64_t now)
{
    int64_t next = 0;
    for (const struct registry_key *key = aap->keys; key; key = key->next)
        if (!key->deleted && !schedule_is_void(key) && schedule_waits(key, now) &&
            (next == 0 || key->not_before_time < next))
            next = key->not_before_time;
    return next;
}
