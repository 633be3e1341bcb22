#include "fs/tree/lifetime.h"

/* The directory of an AAP, and what is in it but for keys and what a rotation replaces. */
static bool aap_rests(struct registry *registry, uint32_t number)
{
    const struct numbered_aap *aap = numbers_aap(registry_numbers(registry), number);
    return aap && numbers_aap_directory(aap) == DIRECTORY_SHOWN;
}

static bool key_rests(struct registry *registry, uint32_t number)
{
    const struct numbered_key *numbered = numbers_key(registry_numbers(registry), number);
    const struct registry_key *key = registry_key(registry, number);
    return key && !key->deleted && numbers_key_directory(numbered) == DIRECTORY_SHOWN && aap_rests(registry, numbered->aap);
}

/* Not one that is held where its name shows another: it may be about to follow. */
static bool generation_rests(struct registry *registry, struct node node)
{
    struct numbers *numbers = registry_numbers(registry);
    const struct numbered_generation *generation = numbers_generation(numbers, node.number);
    const struct numbered_aap *aap = generation ? numbers_aap(numbers, generation->aap) : NULL;
    return aap && aap_rests(registry, generation->aap) && aap->settled_generation == aap->newest &&
           aap->published[node.file] == node.number;
}

static bool rests(struct registry *registry, struct node node)
{
    switch (node.kind) {
    case NODE_KIND_AAP:
    case NODE_KIND_AAP_CONTROL:
    case NODE_KIND_KEYS:
        return aap_rests(registry, node.number);
    case NODE_KIND_KEY:
    case NODE_KIND_KEY_FILE:
        return key_rests(registry, node.number);
    case NODE_KIND_PUBLISHED:
        return generation_rests(registry, node);
    default:
        return node.kind != NODE_KIND_REPORT;
    }
}

int64_t lifetime_of_name_ms(struct registry *registry, struct node node, const struct moment *moment)
{
    if (node.kind == NODE_KIND_REPORT)
        return 0;
    return rests(registry, node) ? moment->rest_ms : moment->settle_ms / 2;
}

/* Those of a directory change with a rename in it, by which the kernel drops them. */
int64_t lifetime_of_attributes_ms(struct registry *registry, struct node node, const struct moment *moment)
{
    if (rests(registry, node))
        return moment->rest_ms;
    return node.kind == NODE_KIND_PUBLISHED ? shown_timeout_ms(registry, node, moment) : moment->settle_ms;
}
