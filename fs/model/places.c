#include "fs/model/places.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fs/model/schedule.h"

/* In which order places are freed, and what a person can do about one. 0: it is never freed unasked. */
static const struct {
    unsigned int rank;
    const char *whose, *word;
} kinds[PLACE_KINDS] = {
    [PLACE_CURRENT] = {0, "made here, current", NULL},
    [PLACE_CURRENT_EXPIRED] = {2, "made here, current, expired", NULL},
    [PLACE_CURRENT_ADOPTED] = {0, "adopted, current", NULL},
    [PLACE_IN_USE] = {0, "made here, superseded, in use", "delete"},
    [PLACE_SUPERSEDED] = {4, "made here, superseded", "delete"},
    [PLACE_EXPIRED] = {1, "made here, expired", "delete"},
    [PLACE_SCHEDULED] = {0, "made here, scheduled", "delete"},
    [PLACE_ADOPTED] = {0, "adopted", "delete-foreign"},
    [PLACE_ORPHAN] = {3, "made here, lost", "delete"},
    [PLACE_REJECTED] = {0, "made here, rejected", "delete"},
    [PLACE_CANDIDATE] = {0, "maybe made here", "delete-foreign"},
    [PLACE_FOREIGN] = {0, "made elsewhere", "delete-foreign"},
};

static bool is_superseded(const struct registry_aap *aap, const struct registry_key *key, int64_t now)
{
    return key != aap->current && !key->deleted && !key->gone && !schedule_waits(key, now);
}

/*
 * The superseded key that counts as in use: the one that the applications were told of last, or where that is not known
 * or over, the newest. NULL: none.
 */
static const struct registry_key *find_in_use(const struct registry_aap *aap, int64_t now)
{
    const struct registry_key *newest = NULL;
    if (!aap->current || strcmp(aap->config->on_rotate, "none") == 0 ||
        strcmp(aap->notified.client_key_id, aap->current->client_key_id) == 0)
        return NULL;
    for (const struct registry_key *key = aap->keys; key; key = key->next) { /* newest first */
        if (!is_superseded(aap, key, now) || key->not_after_time <= now)
            continue;
        if (strcmp(key->client_key_id, aap->notified.client_key_id) == 0)
            return key;
        newest = newest ? newest : key;
    }
    return newest;
}

/* NEXT: the key that is the current one, or becomes it in a moment. */
static enum place_kind kind_of(const struct registry_aap *aap, const struct registry_key *key, int64_t now,
                               const struct registry_key *next, const struct registry_key *in_use)
{
    if (key == next && key == aap->current && !key->adopted && key->not_after_time <= now)
        return PLACE_CURRENT_EXPIRED;
    if (key == aap->current || key == next)
        return key->adopted ? PLACE_CURRENT_ADOPTED : PLACE_CURRENT;
    if (key->adopted)
        return PLACE_ADOPTED;
    if (key->not_after_time <= now)
        return PLACE_EXPIRED;
    if (key->scheduled && !key->begun)
        return PLACE_SCHEDULED;
    return key == in_use ? PLACE_IN_USE : PLACE_SUPERSEDED;
}

static bool goes_before(const struct place *place, const struct place *other)
{
    unsigned int rank = kinds[place->kind].rank, others = kinds[other->kind].rank;
    return !other->client_key_id || rank < others || (rank == others && place->not_after <= other->not_after);
}

static void add(struct places *places, bool automatic, struct place place)
{
    if (places->filled < PLACES_NAMED)
        places->named[places->filled] = place;
    places->filled++;
    places->elsewhere += place.kind == PLACE_ADOPTED || place.kind == PLACE_CANDIDATE || place.kind == PLACE_FOREIGN;
    if (kinds[place.kind].rank == 0 || (place.kind == PLACE_SUPERSEDED && !automatic))
        return;
    places->freeable++;
    if (goes_before(&place, &places->first))
        places->first = place;
}

/* An expired one is of no use to a newer aapfs either. */
static void add_rejected(struct places *places, bool automatic, const struct registry_aap *aap, int64_t now)
{
    for (const struct registry_id *id = aap->rejected; id; id = id->next)
        if (!id->unlisted && !registry_find_key(aap, id->client_key_id))
            add(places, automatic, (struct place){id->client_key_id,
                                                  id->not_after && id->not_after <= now ? PLACE_EXPIRED : PLACE_REJECTED,
                                                  id->not_after});
}

void places_look(const struct registry_aap *aap, int64_t now, bool automatic, struct places *places)
{
    const struct registry_key *in_use = find_in_use(aap, now), *next = schedule_current(aap, now);
    *places = (struct places){0};
    for (const struct registry_key *key = aap->keys; key; key = key->next)
        if (!key->deleted && !key->gone)
            add(places, automatic, (struct place){key->client_key_id, kind_of(aap, key, now, next, in_use), key->not_after_time});
    places->kept = places->filled;
    for (const struct registry_id *id = aap->orphans; id; id = id->next)
        if (!id->unlisted)
            add(places, automatic, (struct place){id->client_key_id, PLACE_ORPHAN, 0});
    add_rejected(places, automatic, aap, now);
    /* candidates are among those that were listed and are not known here */
    for (const struct registry_key *key = aap->foreign; key; key = key->next)
        if (!key->deleted && !registry_has_id(aap->orphans, key->client_key_id))
            add(places, automatic, (struct place){key->client_key_id,
                                                  registry_has_id(aap->candidates, key->client_key_id) ? PLACE_CANDIDATE
                                                                                                       : PLACE_FOREIGN,
                                                  key->not_after_time});
}

bool places_are_enough(const struct places *places, unsigned int most)
{
    return places->filled - places->freeable < most;
}

unsigned int places_most(const struct places *places, const struct registry_aap *aap, bool fleet)
{
    enum { KEPT_LEAST = 2 }; /* the current key and the one before */
    unsigned int most = aap->config->max_keys;
    if (!fleet || most <= KEPT_LEAST)
        return most;
    unsigned int with_others = most - 1 + places->filled - places->kept;
    return with_others < most ? with_others : most;
}

bool places_allow_rotation(const struct registry_aap *aap, int64_t at, bool fleet)
{
    struct places places;
    places_look(aap, at, true, &places);
    return places_are_enough(&places, places_most(&places, aap, fleet));
}

static void __attribute__((format(printf, 4, 5)))
append(char *text, size_t size, size_t *length, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(text + *length, size - *length, format, arguments);
    va_end(arguments);
    *length += added < 0 ? 0 : (size_t)added < size - *length ? (size_t)added : size - *length - 1;
}

/* One place and what frees it; the size of it. */
static int tell_place(const struct place *place, int64_t now, char *text, size_t size)
{
    const char *word = kinds[place->kind].word;
    bool over = place->kind == PLACE_CURRENT_ADOPTED && place->not_after <= now;
    return snprintf(text, size, "%s (%s%s%s)", place->client_key_id, kinds[place->kind].whose,
                    word ? "; " : over ? "; expired: KMS's console frees it" : "", word ? word : "");
}

void places_tell(const struct places *places, unsigned int most, int64_t now, char *text, size_t size)
{
    static const char advice[] = "; write such a word and the id to control", more[] = " and 4294967295 more";
    char one[CLIENT_KEY_ID_SIZE + 64];
    size_t length = 0;
    unsigned int told = 0;
    bool any = false;
    append(text, size, &length, "KMS gives this AAP %u client key%s: ", most, most == 1 ? "" : "s");
    for (; told < places->filled && told < PLACES_NAMED; told++) {
        int added = tell_place(&places->named[told], now, one, sizeof(one));
        if (length + (size_t)added + sizeof(", ") + sizeof(more) + sizeof(advice) > size)
            break; /* no id is told by half */
        append(text, size, &length, "%s%s", told ? ", " : "", one);
        any = any || kinds[places->named[told].kind].word;
    }
    if (told < places->filled)
        append(text, size, &length, " and %u more", places->filled - told);
    if (any)
        append(text, size, &length, "%s", advice);
    else if (most < CONFIG_QUOTA_KEYS)
        append(text, size, &length, "; max_keys in the configuration leaves no place beside it, and KMS documents %d",
               CONFIG_QUOTA_KEYS);
}
