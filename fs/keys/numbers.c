#include "fs/keys/numbers.h"

#include <string.h>

struct numbers {
    uint32_t aap_count;
    uint32_t key_count;
    uint32_t generation_count;
    uint32_t report_count;
    struct numbered_aap aaps[NUMBERS_MOST_AAPS];
    struct numbered_key keys[NUMBERS_MOST_KEYS];
    struct numbered_generation generations[NUMBERS_MOST_GENERATIONS];
    int64_t newest_ns[NUMBERS_MOST_AAPS]; /* made_ns of each AAP's newest generation */
};

size_t numbers_size(void)
{
    return sizeof(struct numbers);
}

struct numbers *numbers_open(void *memory)
{
    return memory;
}

uint32_t numbers_add_aap(struct numbers *numbers, const char *name)
{
    for (uint32_t i = 0; i < numbers->aap_count; i++)
        if (strcmp(numbers->aaps[i].name, name) == 0)
            return i + 1;
    if (numbers->aap_count == NUMBERS_MOST_AAPS || strlen(name) >= AAP_NAME_SIZE)
        return 0;
    memcpy(numbers->aaps[numbers->aap_count].name, name, strlen(name) + 1);
    return ++numbers->aap_count;
}

uint32_t numbers_add_key(struct numbers *numbers, uint32_t aap, const char *client_key_id)
{
    for (uint32_t i = numbers->key_count; i > 0; i--)
        if (numbers->keys[i - 1].aap == aap &&
            strcmp(numbers->keys[i - 1].client_key_id, client_key_id) == 0)
            return i;
    if (numbers->key_count == NUMBERS_MOST_KEYS || strlen(client_key_id) >= CLIENT_KEY_ID_SIZE ||
        !numbers_aap(numbers, aap))
        return 0;
    struct numbered_key *key = &numbers->keys[numbers->key_count];
    memcpy(key->client_key_id, client_key_id, strlen(client_key_id) + 1);
    key->aap = aap;
    return ++numbers->key_count;
}

uint32_t numbers_add_generation(struct numbers *numbers, uint32_t key, int64_t made_ns)
{
    const struct numbered_key *of = numbers_key(numbers, key);
    if (!of || numbers->generation_count == NUMBERS_MOST_GENERATIONS)
        return 0;
    int64_t *newest = &numbers->newest_ns[of->aap - 1];
    if (made_ns <= *newest)
        made_ns = *newest + 1;
    *newest = made_ns;
    numbers->generations[numbers->generation_count] =
        (struct numbered_generation){.aap = of->aap, .key = key, .made_ns = made_ns};
    return ++numbers->generation_count;
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
    return number >= 1 && number <= numbers->generation_count ? &numbers->generations[number - 1]
                                                              : NULL;
}

uint32_t numbers_aap_count(const struct numbers *numbers)
{
    return numbers->aap_count;
}

uint32_t numbers_next_report(struct numbers *numbers)
{
    return ++numbers->report_count;
}
