#include "fs/publisher/publication_names.h"

#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "fs/tree/names.h"

static bool make_hidden_name(char name[static HIDDEN_NAME_SIZE])
{
    unsigned char random[16];
    if (RAND_bytes(random, sizeof(random)) != 1)
        return false;
    name[0] = '.';
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(name + 1 + 2 * i, 3, "%02x", random[i]);
    return true;
}

/* BEFORE: what TO has shown so far. */
static bool add_name(struct publication *publication, struct node parent, const char *to,
                     struct node node, uint64_t before)
{
    struct hidden *hidden = &publication->names[publication->count];
    *hidden = (struct hidden){.to = to, .parent = parent, .node = node, .before = before};
    if (!make_hidden_name(hidden->from))
        return false;
    publication->count++;
    return true;
}

static bool add_generation(struct registry *registry, struct publication *publication, uint32_t number)
{
    const struct numbered_generation *generation = numbers_generation(registry_numbers(registry), number);
    const struct registry_key *key = registry_key(registry, generation->key);
    const struct node parent = {.kind = NODE_KIND_AAP, .number = generation->aap};
    const uint32_t *published = numbers_aap(registry_numbers(registry), generation->aap)->published;
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++) {
        enum key_file file = published_name_file((enum published_name)i);
        bool absent = file != KEY_FILE_COUNT && !key->files[file].data;
        if (absent && published[i] == 0)
            continue;
        const struct node node = {.kind = NODE_KIND_PUBLISHED, .file = i, .number = number};
        const struct node before = {.kind = NODE_KIND_PUBLISHED, .file = i, .number = published[i]};
        if (!add_name(publication, parent, published_name_text((enum published_name)i), node,
                      published[i] ? node_id_of(before) : 0))
            return false;
        if (absent)
            publication->names[publication->count - 1].from[0] = '\0';
    }
    return true;
}

/* The key may be gone: which files there were the kernel knows. */
static bool add_superseded(struct registry *registry, struct publication *publication, uint32_t number)
{
    const struct node parent = {.kind = NODE_KIND_AAP,
                                .number = numbers_generation(registry_numbers(registry), number)->aap};
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++) {
        const struct node node = {.kind = NODE_KIND_PUBLISHED, .file = i, .number = number};
        if (!add_name(publication, parent, "", node, 0))
            return false;
    }
    /* a link cannot be written to */
    publication->names[PUBLISHED_CURRENT].from[0] = '\0';
    return true;
}

/* The files whose attributes have changed; nobody knows them by a hidden name. */
static void add_attributes(struct publication *publication, struct node node, unsigned int files)
{
    publication->action = PUBLISHER_ATTRIBUTES;
    publication->notifying = true;
    for (unsigned int i = 0; i < files; i++) {
        node.file = i;
        publication->names[publication->count++] =
            (struct hidden){.to = "", .parent = {.kind = NODE_KIND_ROOT}, .node = node};
    }
}

/* The directory stays what it is: the kernel only has to look into it anew. */
static bool add_files(struct publication *publication, uint32_t key)
{
    const struct node node = {.kind = NODE_KIND_KEY, .number = key};
    publication->notifying = true;
    return add_name(publication, node, published_name_text(PUBLISHED_CERTIFICATE_PEM), node, 0);
}

/* A directory that comes, or (PUBLISHER_RMDIR) goes. */
static bool add_directory(struct publication *publication, struct node parent, const char *name, struct node node)
{
    return add_name(publication, parent, name, node, publication->action == PUBLISHER_RMDIR ? node_id_of(node) : 0);
}

bool publication_fill(struct registry *registry, struct publication *publication)
{
    static const struct node root = {.kind = NODE_KIND_ROOT};
    uint32_t number = publication->request.number;
    struct numbers *numbers = registry_numbers(registry);
    const struct numbered_key *key;

    publication->action = PUBLISHER_RENAME;
    publication->count = 0;
    switch (publication->request.kind) {
    case PUBLISH_REMOVE_AAP:
        publication->action = PUBLISHER_RMDIR;
        __attribute__((fallthrough));
    case PUBLISH_AAP:
        return add_directory(publication, root, numbers_aap(numbers, number)->name,
                             (struct node){.kind = NODE_KIND_AAP, .number = number});
    case PUBLISH_REMOVE_KEY:
        publication->action = PUBLISHER_RMDIR;
        __attribute__((fallthrough));
    case PUBLISH_KEY:
        key = numbers_key(numbers, number);
        if (key->shown && publication->request.kind == PUBLISH_KEY)
            return add_files(publication, number);
        return add_directory(publication, (struct node){.kind = NODE_KIND_KEYS, .number = key->aap}, key->client_key_id,
                             (struct node){.kind = NODE_KIND_KEY, .number = number});
    case PUBLISH_GENERATION:
        return add_generation(registry, publication, number);
    case PUBLISH_FOLLOW:
        publication->action = PUBLISHER_FOLLOW;
        return add_superseded(registry, publication, number);
    case PUBLISH_CONTROL_ATTRIBUTES:
        add_attributes(publication, (struct node){.kind = number ? NODE_KIND_AAP_CONTROL : NODE_KIND_MOUNT_CONTROL,
                                                  .number = number}, 1);
        return true;
    case PUBLISH_GENERATION_ATTRIBUTES:
        add_attributes(publication, (struct node){.kind = NODE_KIND_PUBLISHED, .number = number}, PUBLISHED_COUNT);
        return true;
    case PUBLISH_KEY_ATTRIBUTES:
        add_attributes(publication, (struct node){.kind = NODE_KIND_KEY_FILE, .number = number}, KEY_FILE_COUNT);
        return true;
    }
    return false;
}

void publication_directory(struct registry *registry, const struct node *parent, char *path, size_t size)
{
    const char *aap = parent->kind == NODE_KIND_ROOT || parent->kind == NODE_KIND_KEY
                          ? "." /* of a key's directory nothing is renamed */
                          : numbers_aap(registry_numbers(registry), parent->number)->name;
    snprintf(path, size, "%s%s", aap, parent->kind == NODE_KIND_KEYS ? "/keys" : "");
}
