#include "fs/model/numbers.h"

#include <string.h>

struct numbers {
    uint32_t aap_count;
    uint32_t key_count;
    uint32_t generation_count;
    uint32_t foreign_count; /* places that are or were in use */
    uint32_t newest_by_hash[NUMBERS_HASHES]; /* the newest AAP whose name has this hash; 0: none */
    struct numbered_aap aaps[NUMBERS_MOST_AAPS];
    struct numbered_key keys[NUMBERS_MOST_KEYS];
    struct numbered_generation generations[NUMBERS_MOST_GENERATIONS];
    struct numbered_foreign foreign[NUMBERS_MOST_FOREIGN];
};

size_t numbers_size(void)
{
    return sizeof(struct numbers);
}

static bool is_text(const char *text, size_t size)
{
    return text[0] && memchr(text, '\0', size);
}

/* FNV-1a. Where every name has the same one, they are searched. */
static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619;
    return hash % NUMBERS_HASHES;
}

static bool aap_makes_sense(const struct numbers *numbers, uint32_t number)
{
    const struct numbered_aap *aap = &numbers->aaps[number - 1];
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
        if (aap->published[i] > numbers->generation_count)
            return false;
    return is_text(aap->name, sizeof(aap->name)) && aap->same_hash < number && aap->newest <= numbers->generation_count &&
           aap->settled_generation <= numbers->generation_count && aap->hook_generation <= numbers->generation_count &&
           aap->followed <= numbers->generation_count;
}

static bool is_of(const struct numbers *numbers, uint32_t generation, uint32_t aap)
{
    return generation >= 1 && generation <= numbers->generation_count && numbers->generations[generation - 1].aap == aap;
}

static bool generation_makes_sense(const struct numbers *numbers, uint32_t number)
{
    const struct numbered_generation *generation = &numbers->generations[number - 1];
    if (generation->key == 0 || generation->key > numbers->key_count ||
        generation->aap != numbers->keys[generation->key - 1].aap)
        return false;
    if (generation->previous != 0 &&
        (generation->previous >= number || !is_of(numbers, generation->previous, generation->aap)))
        return false;
    if (generation->shown_ms < NUMBERS_SHOWN_ALWAYS || generation->shown_ms > -NUMBERS_SHOWN_ALWAYS)
        return false;
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++)
        if (generation->told[i] != 0 &&
            (generation->told[i] <= number || !is_of(numbers, generation->told[i], generation->aap)))
            return false;
    return true;
}

static bool key_makes_sense(const struct numbers *numbers, uint32_t number)
{
    const struct numbered_key *key = &numbers->keys[number - 1];
    return is_text(key->client_key_id, sizeof(key->client_key_id)) && key->aap != 0 && key->aap <= numbers->aap_count &&
           key->previous < number && (key->previous == 0 || numbers->keys[key->previous - 1].aap == key->aap);
}

static bool is_key_of(const struct numbers *numbers, uint32_t key, uint32_t aap)
{
    return key == 0 || (key <= numbers->key_count && numbers->keys[key - 1].aap == aap);
}

static bool foreign_makes_sense(const struct numbers *numbers, const struct numbered_foreign *foreign)
{
    return foreign->key == 0 ||
           (foreign->key <= numbers->key_count &&
            memchr(foreign->key_algorithm, '\0', sizeof(foreign->key_algorithm)) &&
            memchr(foreign->not_before, '\0', sizeof(foreign->not_before)) &&
            memchr(foreign->not_after, '\0', sizeof(foreign->not_after)) &&
            memchr(foreign->certificate, '\0', sizeof(foreign->certificate)));
}

static bool makes_sense(const struct numbers *numbers)
{
    if (numbers->aap_count > NUMBERS_MOST_AAPS || numbers->key_count > NUMBERS_MOST_KEYS ||
        numbers->generation_count > NUMBERS_MOST_GENERATIONS || numbers->foreign_count > NUMBERS_MOST_FOREIGN)
        return false;
    for (uint32_t i = 0; i < numbers->foreign_count; i++)
        if (!foreign_makes_sense(numbers, &numbers->foreign[i]))
            return false;
    for (uint32_t i = 0; i < NUMBERS_HASHES; i++)
        if (numbers->newest_by_hash[i] > numbers->aap_count)
            return false;
    for (uint32_t i = 1; i <= numbers->aap_count; i++)
        if (!aap_makes_sense(numbers, i))
            return false;
    for (uint32_t i = 1; i <= numbers->key_count; i++)
        if (!key_makes_sense(numbers, i))
            return false;
    for (uint32_t i = 1; i <= numbers->generation_count; i++)
        if (!generation_makes_sense(numbers, i))
            return false;
    for (uint32_t i = 0; i < numbers->aap_count; i++)
        if ((numbers->aaps[i].newest != 0 && !is_of(numbers, numbers->aaps[i].newest, i + 1)) ||
            !is_key_of(numbers, numbers->aaps[i].newest_key, i + 1))
            return false;
    return true;
}

struct numbers *numbers_open(void *memory)
{
    return makes_sense(memory) ? memory : NULL;
}

/* What was written before becomes part of the table: in this order also for a worker that comes later. */
static uint32_t one_more(uint32_t *count)
{
    __atomic_store_n(count, *count + 1, __ATOMIC_RELEASE);
    return *count;
}

uint32_t numbers_find_aap(const struct numbers *numbers, const char *name)
{
    uint32_t number = numbers->newest_by_hash[hash_of(name)];
    while (number != 0 && strcmp(numbers->aaps[number - 1].name, name) != 0)
        number = numbers->aaps[number - 1].same_hash;
    return number;
}

/* A worker that dies before it is in its list leaves a number of which nobody has seen anything. */
uint32_t numbers_add_aap(struct numbers *numbers, const char *name)
{
    uint32_t *newest = &numbers->newest_by_hash[hash_of(name)], known = numbers_find_aap(numbers, name);
    if (known || numbers->aap_count == NUMBERS_MOST_AAPS || strlen(name) >= AAP_NAME_SIZE)
        return known;
    struct numbered_aap *aap = &numbers->aaps[numbers->aap_count];
    memcpy(aap->name, name, strlen(name) + 1);
    aap->same_hash = *newest;
    return *newest = one_more(&numbers->aap_count);
}

uint32_t numbers_add_key(struct numbers *numbers, uint32_t aap, const char *client_key_id)
{
    struct numbered_aap *of = numbers_aap(numbers, aap);
    uint32_t number = of ? of->newest_key : 0;
    while (number != 0 && strcmp(numbers->keys[number - 1].client_key_id, client_key_id) != 0)
        number = numbers->keys[number - 1].previous;
    if (number != 0 || !of || numbers->key_count == NUMBERS_MOST_KEYS || strlen(client_key_id) >= CLIENT_KEY_ID_SIZE)
        return number;
    struct numbered_key *key = &numbers->keys[numbers->key_count];
    memcpy(key->client_key_id, client_key_id, strlen(client_key_id) + 1);
    key->aap = aap;
    key->previous = of->newest_key;
    return of->newest_key = one_more(&numbers->key_count);
}

uint32_t numbers_add_generation(struct numbers *numbers, uint32_t key, int64_t made_ns)
{
    const struct numbered_key *of = numbers_key(numbers, key);
    if (!of || numbers->generation_count == NUMBERS_MOST_GENERATIONS)
        return 0;
    struct numbered_aap *aap = &numbers->aaps[of->aap - 1];
    const struct numbered_generation *newest = numbers_generation(numbers, aap->newest);
    if (newest && made_ns <= newest->made_ns)
        made_ns = newest->made_ns + 1;
    numbers->generations[numbers->generation_count] = (struct numbered_generation){
        .aap = of->aap, .key = key, .made_ns = made_ns, .previous = aap->newest};
    uint32_t number = one_more(&numbers->generation_count);
    if (aap->settled_generation == aap->newest)
        aap->loose = false; /* what was at rest the kernel may believe for long */
    aap->newest = number;
    return number;
}

void numbers_show(struct numbers *numbers, uint32_t generation, enum published_name name, int64_t now_ms)
{
    struct numbered_generation *shown = numbers_generation(numbers, generation);
    if (!shown)
        return;
    uint32_t *published = &numbers->aaps[shown->aap - 1].published[name];
    if (shown->shown_ms == 0)
        shown->shown_ms = now_ms;
    if (*published < generation)
        *published = generation;
}

void numbers_hide(struct numbers *numbers, uint32_t generation, enum published_name name)
{
    const struct numbered_generation *hiding = numbers_generation(numbers, generation);
    if (hiding && numbers->aaps[hiding->aap - 1].published[name] < generation)
        numbers->aaps[hiding->aap - 1].published[name] = 0;
}

uint32_t numbers_shown_since(struct numbers *numbers, uint32_t aap, int64_t since_ms)
{
    uint32_t number = numbers_newest_generation(numbers, aap);
    const struct numbered_generation *generation;
    while ((generation = numbers_generation(numbers, number)) &&
           (generation->shown_ms == 0 || generation->shown_ms > since_ms))
        number = generation->previous;
    return number;
}

int64_t numbers_superseded_ms(struct numbers *numbers, uint32_t aap, uint32_t generation)
{
    int64_t first_ms = INT64_MAX;
    const struct numbered_generation *newer;
    for (uint32_t number = numbers_newest_generation(numbers, aap);
         number > generation && (newer = numbers_generation(numbers, number)); number = newer->previous)
        if (newer->shown_ms != 0)
            first_ms = newer->shown_ms;
    return first_ms;
}

struct numbered_foreign *numbers_place_foreign(struct numbers *numbers, uint32_t key)
{
    struct numbered_foreign *free = NULL;
    for (uint32_t i = 0; i < numbers->foreign_count; i++) {
        if (numbers->foreign[i].key == key)
            return &numbers->foreign[i];
        if (numbers->foreign[i].key == 0 && !free)
            free = &numbers->foreign[i];
    }
    if (!free && numbers->foreign_count < NUMBERS_MOST_FOREIGN)
        free = &numbers->foreign[one_more(&numbers->foreign_count) - 1];
    return free;
}

struct numbered_foreign *numbers_foreign(struct numbers *numbers, uint32_t i)
{
    return i < numbers->foreign_count ? &numbers->foreign[i] : NULL;
}

uint32_t numbers_newest_generation(const struct numbers *numbers, uint32_t aap)
{
    return aap >= 1 && aap <= numbers->aap_count ? numbers->aaps[aap - 1].newest : 0;
}

struct numbered_aap *numbers_aap(struct numbers *numbers, uint32_t number)
{
    return number >= 1 && number <= numbers->aap_count ? &numbers->aaps[number - 1] : NULL;
}

struct numbered_key *numbers_key(struct numbers *numbers, uint32_t number)
{
    return number >= 1 && number <= numbers->key_count ? &numbers->keys[number - 1] : NULL;
}

struct numbered_generation *numbers_generation(struct numbers *numbers, uint32_t number)
{
    return number >= 1 && number <= numbers->generation_count ? &numbers->generations[number - 1] : NULL;
}

static enum directory_state directory_state(bool shown, bool settled, bool removed)
{
    if (removed)
        return shown ? DIRECTORY_LEAVING : settled ? DIRECTORY_VANISHING : DIRECTORY_GONE;
    return !shown ? DIRECTORY_TO_COME : settled ? DIRECTORY_SHOWN : DIRECTORY_APPEARING;
}

enum directory_state numbers_aap_directory(const struct numbered_aap *aap)
{
    return directory_state(aap->shown, aap->settled, aap->removed);
}

enum directory_state numbers_key_directory(const struct numbered_key *key)
{
    return directory_state(key->shown, key->settled, false);
}

uint32_t numbers_aap_count(const struct numbers *numbers)
{
    return numbers->aap_count;
}

uint32_t numbers_key_count(const struct numbers *numbers)
{
    return numbers->key_count;
}

uint32_t numbers_generation_count(const struct numbers *numbers)
{
    return numbers->generation_count;
}
