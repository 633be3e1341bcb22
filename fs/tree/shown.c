#include "fs/tree/shown.h"

#include "fs/applications/follow.h"
#include "fs/tree/names.h"

/* Attributes end this long before a switch, and are not given out at all in its last moments: kernels count in ticks. */
enum { EARLY_MS = 250, LAST_MS = 300 };

/* The generation whose attributes NODE was last given, or its own. */
static uint32_t *told(struct registry *registry, struct node node, struct numbered_generation **own)
{
    *own = numbers_generation(registry_numbers(registry), node.number);
    return *own ? &(*own)->told[node.file] : NULL;
}

static uint32_t newer(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void shown_move(struct registry *registry, struct node node, const struct moment *moment)
{
    struct numbered_generation *own;
    uint32_t *told_generation = told(registry, node, &own);
    if (!told_generation)
        return;
    int64_t since_ms = moment->now_ms - moment->settle_ms - (moment->reading ? FOLLOW_GRACE_MS : 0);
    uint32_t target = numbers_shown_since(registry_numbers(registry), own->aap, since_ms);
    if (target > newer(node.number, *told_generation))
        *told_generation = target;
}

/* The key of a generation of which NODE's file can be shown. */
static const struct registry_key *key_with_file(struct registry *registry, struct node node,
                                                const struct numbered_generation *generation)
{
    const struct registry_key *key = registry_key(registry, generation->key);
    enum key_file file = published_name_file((enum published_name)node.file);
    return key && (file == KEY_FILE_COUNT || key->files[file].data) ? key : NULL;
}

/* Where that generation's key is gone, or has no such file, the next newer one that readers see; then an older one. */
bool shown_now(struct registry *registry, struct node node, struct shown *shown)
{
    struct numbers *numbers = registry_numbers(registry);
    struct numbered_generation *own;
    const uint32_t *told_generation = told(registry, node, &own);
    uint32_t target = told_generation ? newer(node.number, *told_generation) : 0;
    uint32_t number = own ? numbers_newest_generation(numbers, own->aap) : 0;
    *shown = (struct shown){0};
    while (number >= node.number && number > 0) {
        const struct numbered_generation *generation = numbers_generation(numbers, number);
        const struct registry_key *key = key_with_file(registry, node, generation);
        if (key && (number <= target || generation->shown_ms != 0))
            *shown = (struct shown){key, generation->made_ns};
        if (number <= target && shown->key)
            break;
        number = generation->previous;
    }
    return shown->key != NULL;
}

int64_t shown_timeout_ms(struct registry *registry, struct node node, const struct moment *moment)
{
    struct numbered_generation *own;
    const uint32_t *told_generation = told(registry, node, &own);
    if (!told_generation)
        return 0;
    int64_t superseded_ms = numbers_superseded_ms(registry_numbers(registry), own->aap,
                                                  newer(node.number, *told_generation));
    if (superseded_ms == INT64_MAX)
        return moment->settle_ms;
    int64_t left_ms = superseded_ms + moment->settle_ms - moment->now_ms;
    if (left_ms < LAST_MS)
        return 0;
    return left_ms - EARLY_MS < moment->settle_ms ? left_ms - EARLY_MS : moment->settle_ms;
}
