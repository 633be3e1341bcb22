#include "fs/tree/tree.h"

#include <errno.h>
#include <string.h>

#include "fs/tree/names.h"

enum { MOUNT_CONTROL, MOUNT_STATUS, MOUNT_LAST_ERROR, MOUNT_METRICS, MOUNT_AUDIT, MOUNT_ENTRIES };

static const char *const mount_names[MOUNT_ENTRIES] = {"control", "status", "last_error", "metrics.prom", "audit"};

static int mount_entry(const struct tree *tree, struct node directory, unsigned int i,
                       struct tree_time time, struct node *node)
{
    static const enum report_kind kinds[MOUNT_ENTRIES] = {
        [MOUNT_STATUS] = REPORT_STATUS,
        [MOUNT_LAST_ERROR] = REPORT_LAST_ERROR,
        [MOUNT_METRICS] = REPORT_METRICS,
        [MOUNT_AUDIT] = REPORT_AUDIT,
    };
    if (i == MOUNT_CONTROL) {
        *node = (struct node){.kind = NODE_KIND_MOUNT_CONTROL};
        return 0;
    }
    return reports_current(tree->reports, 0, kinds[i], time.now_ns, time.now, node);
}

/* In an AAP's directory: control, status, last_error, keys, then the published names. */
enum { AAP_CONTROL, AAP_STATUS, AAP_LAST_ERROR, AAP_KEYS, AAP_PUBLISHED };

static int aap_entry(const struct tree *tree, struct node directory, unsigned int i,
                     struct tree_time time, struct node *node)
{
    uint32_t number = directory.number;
    switch (i) {
    case AAP_CONTROL:
        *node = (struct node){.kind = NODE_KIND_AAP_CONTROL, .number = number};
        return 0;
    case AAP_STATUS:
    case AAP_LAST_ERROR:
        return reports_current(tree->reports, number, i == AAP_STATUS ? REPORT_STATUS : REPORT_LAST_ERROR, time.now_ns,
                               time.now, node);
    case AAP_KEYS:
        *node = (struct node){.kind = NODE_KIND_KEYS, .number = number};
        return 0;
    default:
        break;
    }
    const struct numbered_aap *aap = numbers_aap(registry_numbers(tree->registry), number);
    uint32_t generation = aap->published[i - AAP_PUBLISHED];
    *node = (struct node){.kind = NODE_KIND_PUBLISHED, .file = i - AAP_PUBLISHED,
                          .number = generation};
    return generation ? 0 : -ENOENT;
}

static const char *aap_entry_name(unsigned int i)
{
    static const char *const fixed[AAP_PUBLISHED] = {"control", "status", "last_error", "keys"};
    return i < AAP_PUBLISHED ? fixed[i] : published_name_text((enum published_name)(i - AAP_PUBLISHED));
}

static const char *mount_entry_name(unsigned int i)
{
    return mount_names[i];
}

/* In keys/<id>: the files that this key has. The names are the published ones. */
static int key_entry(const struct tree *tree, struct node directory, unsigned int i,
                     struct tree_time time, struct node *node)
{
    const struct registry_key *key = registry_key(tree->registry, directory.number);
    enum key_file file = published_name_file((enum published_name)(i + 1));
    *node = (struct node){.kind = NODE_KIND_KEY_FILE, .file = file, .number = directory.number};
    return key && key->files[file].data ? 0 : -ENOENT;
}

static const char *key_entry_name(unsigned int i)
{
    return published_name_text((enum published_name)(i + 1)); /* all but `current` */
}

/* A directory whose names are known beforehand; ENTRY says what its I-th name is now, or -ENOENT when it is absent. */
struct fixed_directory {
    unsigned int count;
    const char *(*name)(unsigned int i);
    int (*entry)(const struct tree *tree, struct node directory, unsigned int i,
                 struct tree_time time, struct node *node);
};

static const struct fixed_directory fixed_directories[NODE_KIND_COUNT] = {
    [NODE_KIND_MOUNT] = {MOUNT_ENTRIES, mount_entry_name, mount_entry},
    [NODE_KIND_AAP] = {AAP_PUBLISHED + PUBLISHED_COUNT, aap_entry_name, aap_entry},
    [NODE_KIND_KEY] = {PUBLISHED_COUNT - 1, key_entry_name, key_entry},
};

/* Whether a directory's own number still means something; OR_FILE: what a file gets. */
static bool is_known(const struct tree *tree, struct node directory, bool or_file)
{
    switch (directory.kind) {
    case NODE_KIND_ROOT:
    case NODE_KIND_MOUNT:
        return true;
    case NODE_KIND_AAP:
    case NODE_KIND_KEYS:
        return registry_aap(tree->registry, directory.number) != NULL;
    case NODE_KIND_KEY:
        return registry_key(tree->registry, directory.number) != NULL;
    default:
        return or_file;
    }
}

static bool aap_is_shown(const struct tree *tree, const struct registry_aap *aap)
{
    return aap && numbers_aap(registry_numbers(tree->registry), aap->number)->shown;
}

static bool key_is_shown(const struct tree *tree, const struct registry_key *key)
{
    return key && numbers_key(registry_numbers(tree->registry), key->number)->shown;
}

static int lookup_in_root(const struct tree *tree, const char *name, struct node *node)
{
    if (strcmp(name, ".aapfs") == 0) {
        *node = (struct node){.kind = NODE_KIND_MOUNT};
        return 0;
    }
    const struct registry_aap *aap = registry_find_aap(tree->registry, name);
    if (!aap_is_shown(tree, aap))
        return -ENOENT;
    *node = (struct node){.kind = NODE_KIND_AAP, .number = aap->number};
    return 0;
}

static int lookup_in_keys(const struct tree *tree, struct node keys, const char *name, struct node *node)
{
    const struct registry_aap *aap = registry_aap(tree->registry, keys.number);
    const struct registry_key *key = registry_find_key(aap, name);
    if (!key)
        key = registry_find_foreign(aap, name);
    if (!key_is_shown(tree, key))
        return -ENOENT;
    *node = (struct node){.kind = NODE_KIND_KEY, .number = key->number};
    return 0;
}

/* The directory that DIRECTORY is in; the root's is the root. */
static struct node parent_of(const struct tree *tree, struct node directory)
{
    if (directory.kind == NODE_KIND_KEYS)
        return (struct node){.kind = NODE_KIND_AAP, .number = directory.number};
    if (directory.kind == NODE_KIND_KEY) {
        const struct numbered_key *key =
            numbers_key(registry_numbers(tree->registry), directory.number);
        return (struct node){.kind = NODE_KIND_KEYS, .number = key ? key->aap : 0};
    }
    return (struct node){.kind = NODE_KIND_ROOT};
}

int tree_lookup(const struct tree *tree, struct node parent, const char *name, struct tree_time time, struct node *node)
{
    bool itself = strcmp(name, ".") == 0;
    if (!is_known(tree, parent, itself))
        return -ESTALE;
    if (itself) {
        *node = parent;
        return 0;
    }
    if (strcmp(name, "..") == 0) {
        *node = parent_of(tree, parent);
        return 0;
    }
    if (parent.kind == NODE_KIND_ROOT)
        return lookup_in_root(tree, name, node);
    if (parent.kind == NODE_KIND_KEYS)
        return lookup_in_keys(tree, parent, name, node);
    const struct fixed_directory *directory = &fixed_directories[parent.kind];
    for (unsigned int i = 0; i < directory->count; i++)
        if (strcmp(directory->name(i), name) == 0)
            return directory->entry(tree, parent, i, time, node);
    return -ENOENT;
}

/* Offsets 0 and 1 are "." and "..", FIRST the first name of the directory. */
enum { FIRST = 2 };

static bool list_fixed(const struct tree *tree, struct node directory, uint64_t offset,
                       struct tree_time time, struct tree_entry *entry)
{
    const struct fixed_directory *fixed = &fixed_directories[directory.kind];
    for (uint64_t i = offset - FIRST; i < fixed->count; i++) {
        if (fixed->entry(tree, directory, (unsigned int)i, time, &entry->node) < 0)
            continue;
        entry->name = fixed->name((unsigned int)i);
        entry->next = i + FIRST + 1;
        return true;
    }
    return false;
}

/* .aapfs is at FIRST, the AAP of number N at FIRST + N. */
static bool list_root(const struct tree *tree, uint64_t offset, struct tree_entry *entry)
{
    if (offset == FIRST) {
        *entry = (struct tree_entry){".aapfs", {.kind = NODE_KIND_MOUNT}, FIRST + 1};
        return true;
    }
    uint32_t count = numbers_aap_count(registry_numbers(tree->registry));
    for (uint64_t number = offset - FIRST; number <= count; number++) {
        const struct registry_aap *aap = registry_aap(tree->registry, (uint32_t)number);
        if (!aap_is_shown(tree, aap))
            continue;
        *entry = (struct tree_entry){aap->name, {.kind = NODE_KIND_AAP, .number = aap->number},
                                     number + FIRST + 1};
        return true;
    }
    return false;
}

/* That of the highest number among those that are shown, at most MOST; FOUND where that has a higher one. */
static const struct registry_key *find_newest(const struct tree *tree, const struct registry_key *key, uint64_t most,
                                              const struct registry_key *found)
{
    for (; key; key = key->next)
        if (key->number <= most && key_is_shown(tree, key) && (!found || key->number > found->number))
            found = key;
    return found;
}

/* The key of number N is at END - N: the newest numbers first. */
static bool list_keys(const struct tree *tree, struct node directory, uint64_t offset, struct tree_entry *entry)
{
    static const uint64_t end = FIRST + (UINT64_C(1) << 26);
    const struct registry_aap *aap = registry_aap(tree->registry, directory.number);
    if (offset > end)
        return false;
    const struct registry_key *found = find_newest(tree, aap->keys, end - offset, NULL);
    found = find_newest(tree, aap->foreign, end - offset, found);
    if (!found)
        return false;
    *entry = (struct tree_entry){found->client_key_id,
                                 {.kind = NODE_KIND_KEY, .number = found->number},
                                 end - found->number + 1};
    return true;
}

bool tree_list(const struct tree *tree, struct node directory, uint64_t offset,
               struct tree_time time, struct tree_entry *entry)
{
    if (!is_known(tree, directory, false))
        return false;
    if (offset == 0) {
        *entry = (struct tree_entry){".", directory, 1};
        return true;
    }
    if (offset == 1) {
        *entry = (struct tree_entry){"..", parent_of(tree, directory), FIRST};
        return true;
    }
    if (directory.kind == NODE_KIND_ROOT)
        return list_root(tree, offset, entry);
    if (directory.kind == NODE_KIND_KEYS)
        return list_keys(tree, directory, offset, entry);
    return list_fixed(tree, directory, offset, time, entry);
}
