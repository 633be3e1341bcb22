#include "fs/model/registry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

struct registry {
    pthread_mutex_t lock;
    struct numbers *numbers;
    struct registry_mount mount;
    struct registry_aap *first, *last;
    /* by number, for requests that come with node ids */
    struct registry_aap **aaps;
    struct registry_key **keys;
    size_t aap_room, key_room;
    struct registry_key *removed;
};

struct registry *registry_new(struct numbers *numbers)
{
    struct registry *registry = calloc(1, sizeof(*registry));
    if (!registry)
        return NULL;
    registry->numbers = numbers;
    pthread_mutex_init(&registry->lock, NULL);
    return registry;
}

static void free_key(struct registry_key *key)
{
    for (size_t i = 0; i < KEY_FILE_COUNT; i++)
        OPENSSL_clear_free(key->files[i].data, key->files[i].size);
    free(key);
}

static void free_keys(struct registry_key *key)
{
    while (key) {
        struct registry_key *next = key->next;
        free_key(key);
        key = next;
    }
}

static void free_aap(struct registry_aap *aap)
{
    free_keys(aap->keys);
    free_keys(aap->foreign);
    registry_clear_ids(&aap->rejected);
    registry_clear_ids(&aap->unsaved);
    registry_clear_ids(&aap->orphans);
    registry_clear_ids(&aap->candidates);
    free(aap);
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    while (registry->first) {
        struct registry_aap *aap = registry->first;
        registry->first = aap->next;
        free_aap(aap);
    }
    free_keys(registry->removed);
    pthread_mutex_destroy(&registry->lock);
    free(registry->aaps);
    free(registry->keys);
    free(registry);
}

void registry_lock(struct registry *registry)
{
    pthread_mutex_lock(&registry->lock);
}

void registry_unlock(struct registry *registry)
{
    pthread_mutex_unlock(&registry->lock);
}

struct numbers *registry_numbers(struct registry *registry)
{
    return registry->numbers;
}

struct registry_mount *registry_mount(struct registry *registry)
{
    return &registry->mount;
}

struct registry_aap *registry_aap(struct registry *registry, uint32_t number)
{
    return number < registry->aap_room ? registry->aaps[number] : NULL;
}

bool registry_aap_leaves(const struct registry *registry, uint32_t number)
{
    return numbers_aap_directory(numbers_aap(registry->numbers, number)) >= DIRECTORY_LEAVING;
}

struct registry_aap *registry_first_aap(struct registry *registry)
{
    return registry->first;
}

struct registry_aap *registry_find_aap(struct registry *registry, const char *name)
{
    return registry_aap(registry, numbers_find_aap(registry->numbers, name));
}

/* Makes room for index NUMBER in a table of pointers. */
static bool grow(void ***table, size_t *room, size_t number)
{
    if (number < *room)
        return true;
    size_t wanted = number < 32 ? 64 : number * 2;
    void **grown = reallocarray(*table, wanted, sizeof(*grown));
    if (!grown)
        return false;
    memset(grown + *room, 0, (wanted - *room) * sizeof(*grown));
    *table = grown;
    *room = wanted;
    return true;
}

struct registry_aap *registry_add_aap(struct registry *registry, const char *name, const struct config_aap *config)
{
    struct registry_aap *known = registry_find_aap(registry, name);
    if (known)
        return known;
    uint32_t number = numbers_add_aap(registry->numbers, name);
    if (number == 0 || !grow((void ***)&registry->aaps, &registry->aap_room, number))
        return NULL;
    struct registry_aap *aap = calloc(1, sizeof(*aap));
    if (!aap)
        return NULL;
    aap->number = number;
    aap->config = config;
    memcpy(aap->name, name, strlen(name) + 1); /* numbers checked the length */
    aap->before = registry->last;
    *(registry->last ? &registry->last->next : &registry->first) = aap;
    registry->last = aap;
    registry->aaps[number] = aap;
    numbers_aap(registry->numbers, number)->removed = false;
    return aap;
}

/* No worker shows it as foreign any more. */
static void drop_foreign(struct registry *registry, const struct registry_key *key)
{
    struct numbered_foreign *place = numbers_place_foreign(registry->numbers, key->number);
    if (place)
        place->key = 0;
}

/* For the next worker; without room it has to wait for its own listing. */
static void keep_foreign(struct registry *registry, const struct registry_key *key,
                         const struct registry_new_key *new_key)
{
    const struct client_key_bytes *certificate = &key->files[KEY_FILE_CERTIFICATE_PEM];
    struct numbered_foreign *place = numbers_place_foreign(registry->numbers, key->number);
    if (!place || place->key == key->number || certificate->size >= sizeof(place->certificate))
        return;
    snprintf(place->key_algorithm, sizeof(place->key_algorithm), "%s", new_key->key_algorithm);
    memcpy(place->not_before, key->not_before, sizeof(place->not_before));
    memcpy(place->not_after, key->not_after, sizeof(place->not_after));
    snprintf(place->certificate, sizeof(place->certificate), "%s", certificate->data ? (char *)certificate->data : "");
    place->made_ns = key->made_ns;
    __atomic_store_n(&place->key, key->number, __ATOMIC_RELEASE);
}

/* So that whoever comes by a number of its finds nothing. */
static void forget_keys(struct registry *registry, const struct registry_key *key)
{
    for (; key; key = key->next) {
        struct numbered_key *numbered = numbers_key(registry->numbers, key->number);
        numbered->removals += numbered->shown;
        numbered->shown = numbered->settled = false;
        registry->keys[key->number] = NULL;
        drop_foreign(registry, key);
    }
}

static void forget_names(struct numbered_aap *numbered)
{
    numbered->shown = numbered->settled = false;
    numbered->removed = true;
    numbered->settled_generation = numbered->hook_generation = 0;
    memset(numbered->published, 0, sizeof(numbered->published));
}

void registry_remove_aap(struct registry *registry, struct registry_aap *aap)
{
    *(aap->before ? &aap->before->next : &registry->first) = aap->next;
    *(aap->next ? &aap->next->before : &registry->last) = aap->before;
    registry->aaps[aap->number] = NULL;
    forget_keys(registry, aap->keys);
    forget_keys(registry, aap->foreign);
    forget_names(numbers_aap(registry->numbers, aap->number));
    free_aap(aap);
}

struct registry_key *registry_key(struct registry *registry, uint32_t number)
{
    return number < registry->key_room ? registry->keys[number] : NULL;
}

static struct registry_key *find_in(struct registry_key *key, const char *client_key_id)
{
    while (key && strcmp(key->client_key_id, client_key_id) != 0)
        key = key->next;
    return key;
}

struct registry_key *registry_find_key(const struct registry_aap *aap, const char *client_key_id)
{
    return find_in(aap->keys, client_key_id);
}

struct registry_key *registry_key_of_intent(const struct registry_aap *aap, uint64_t intent)
{
    struct registry_key *key = aap->keys;
    while (key && key->intent != intent)
        key = key->next;
    return key;
}

bool registry_rejected_intent(const struct registry_aap *aap, uint64_t intent)
{
    const struct registry_id *id = aap->rejected;
    while (id && id->intent != intent)
        id = id->next;
    return id != NULL;
}

bool registry_has_private(const struct registry_aap *aap, const char *client_key_id)
{
    return registry_find_key(aap, client_key_id) || registry_has_id(aap->rejected, client_key_id) ||
           registry_has_id(aap->unsaved, client_key_id);
}

struct registry_key *registry_find_foreign(const struct registry_aap *aap, const char *client_key_id)
{
    return find_in(aap->foreign, client_key_id);
}

uint32_t registry_key_to_show(const struct registry *registry, const struct registry_key *key)
{
    while (key && (key->deleted || numbers_key(registry->numbers, key->number)->shown))
        key = key->next;
    return key ? key->number : 0;
}

/* TEXT and a newline as a file's content; "" is no file. */
static bool text_file(struct client_key_bytes *file, const char *text)
{
    if (!*text)
        return true;
    size_t size = strlen(text) + 1;
    file->data = OPENSSL_malloc(size + 1);
    if (!file->data)
        return false;
    memcpy(file->data, text, size - 1);
    memcpy(file->data + size - 1, "\n", 2);
    file->size = size;
    return true;
}

static bool password_file(struct client_key_bytes *file, const char *password)
{
    if (!password)
        return true;
    file->size = strlen(password);
    file->data = OPENSSL_memdup(password, file->size + 1);
    return file->data != NULL;
}

static void take_bytes(struct client_key_bytes *to, struct client_key_bytes *from)
{
    if (from->size > 0)
        *to = *from;
    else
        OPENSSL_free(from->data);
    *from = (struct client_key_bytes){0};
}

static void take_forms(struct registry_key *key, struct client_key *forms)
{
    take_bytes(&key->files[KEY_FILE_CLIENT_KEY_JSON], &forms->json);
    take_bytes(&key->files[KEY_FILE_CLIENT_KEY_P12], &forms->pkcs12);
    take_bytes(&key->files[KEY_FILE_PRIVATE_KEY_DATA], &forms->private_key_data);
    take_bytes(&key->files[KEY_FILE_PRIVATE_KEY_PEM], &forms->private_key_pem);
    take_bytes(&key->files[KEY_FILE_CERTIFICATE_PEM], &forms->certificate_pem);
}

static bool unlink_key(struct registry_key **link, const struct registry_key *key)
{
    while (*link && *link != key)
        link = &(*link)->next;
    if (!*link)
        return false;
    *link = key->next;
    return true;
}

/* A key of its own, with its number; in no list yet. */
static struct registry_key *make_key(struct registry *registry, const struct registry_aap *aap,
                                     const struct registry_new_key *new_key)
{
    uint32_t number = numbers_add_key(registry->numbers, aap->number, new_key->client_key_id);
    if (number == 0 || !grow((void ***)&registry->keys, &registry->key_room, number))
        return NULL;

    struct registry_key *key = calloc(1, sizeof(*key));
    if (!key)
        return NULL;
    if (!text_file(&key->files[KEY_FILE_CLIENT_KEY_ID], new_key->client_key_id) ||
        !text_file(&key->files[KEY_FILE_KEY_ALGORITHM], new_key->key_algorithm) ||
        !text_file(&key->files[KEY_FILE_NOT_BEFORE], new_key->not_before) ||
        !text_file(&key->files[KEY_FILE_NOT_AFTER], new_key->not_after) ||
        !password_file(&key->files[KEY_FILE_PASSWORD], new_key->password)) {
        free_key(key);
        return NULL;
    }
    take_forms(key, new_key->forms);
    key->number = number;
    snprintf(key->client_key_id, sizeof(key->client_key_id), "%s", new_key->client_key_id);
    snprintf(key->not_before, sizeof(key->not_before), "%s", new_key->not_before);
    snprintf(key->not_after, sizeof(key->not_after), "%s", new_key->not_after);
    key->not_before_time = new_key->not_before_time;
    key->not_after_time = new_key->not_after_time;
    key->made_ns = new_key->made_ns;
    key->intent = new_key->intent;
    key->asked = new_key->asked;
    key->scheduled = new_key->scheduled;
    snprintf(key->request_id, sizeof(key->request_id), "%s", new_key->request_id ? new_key->request_id : "");
    key->dates_given = new_key->dates_given;
    key->adopted = new_key->adopted;
    return key;
}

struct registry_key *registry_add_key(struct registry *registry, struct registry_aap *aap,
                                      const struct registry_new_key *new_key)
{
    struct registry_key *key = registry_find_key(aap, new_key->client_key_id) ? NULL : make_key(registry, aap, new_key);
    if (!key)
        return NULL;
    struct registry_key *foreign = registry_find_foreign(aap, new_key->client_key_id);
    if (foreign && unlink_key(&aap->foreign, foreign)) {
        drop_foreign(registry, foreign);
        registry->keys[foreign->number] = NULL;
        free_key(foreign);
    }
    struct registry_key **link = &aap->keys;
    while (*link && ((*link)->made_ns > key->made_ns || /* of two of the same time: as on every other host of a fleet */
                     ((*link)->made_ns == key->made_ns && strcmp((*link)->client_key_id, key->client_key_id) > 0)))
        link = &(*link)->next;
    key->next = *link;
    *link = key;
    if (registry->keys[key->number]) /* it was removed, and comes again */
        registry_wipe_key(registry, registry->keys[key->number]);
    registry->keys[key->number] = key;
    return key;
}

struct registry_key *registry_add_foreign(struct registry *registry, struct registry_aap *aap,
                                          const struct registry_new_key *new_key)
{
    const char *id = new_key->client_key_id;
    bool is_known = registry_find_key(aap, id) || registry_find_foreign(aap, id);
    struct registry_key *key = is_known ? NULL : make_key(registry, aap, new_key);
    if (!key)
        return NULL;
    key->next = aap->foreign;
    aap->foreign = key;
    if (registry->keys[key->number])
        registry_wipe_key(registry, registry->keys[key->number]);
    registry->keys[key->number] = key;
    keep_foreign(registry, key, new_key);
    return key;
}

uint32_t registry_make_current(struct registry *registry, struct registry_aap *aap,
                               struct registry_key *key, int64_t now_ns)
{
    uint32_t generation = numbers_newest_generation(registry->numbers, aap->number);
    const struct numbered_generation *newest = numbers_generation(registry->numbers, generation);
    if (!newest || newest->key != key->number)
        generation = numbers_add_generation(registry->numbers, key->number, now_ns);
    if (generation != 0) {
        aap->current = key;
        aap->generation = generation;
        memcpy(aap->request_id, key->request_id, sizeof(aap->request_id));
    }
    return generation;
}

uint32_t registry_make_again(struct registry *registry, struct registry_aap *aap)
{
    const struct numbered_generation *before = numbers_generation(registry->numbers, aap->generation);
    uint32_t generation = numbers_add_generation(registry->numbers, aap->current->number, before->made_ns);
    if (generation != 0)
        aap->generation = generation;
    return aap->generation;
}

void registry_remove_key(struct registry *registry, struct registry_aap *aap, struct registry_key *key)
{
    if (!unlink_key(&aap->keys, key) && unlink_key(&aap->foreign, key)) {
        drop_foreign(registry, key); /* nothing of it is secret, and no published name shows it */
        registry->keys[key->number] = NULL;
        free_key(key);
        return;
    }
    key->next = registry->removed;
    registry->removed = key;
}

struct registry_key *registry_first_removed(struct registry *registry)
{
    return registry->removed;
}

void registry_wipe_key(struct registry *registry, struct registry_key *key)
{
    (void)unlink_key(&registry->removed, key);
    registry->keys[key->number] = NULL;
    free_key(key);
}

int64_t registry_next_made_ns(const struct registry_aap *aap, int64_t now_ns)
{
    return aap->keys && aap->keys->made_ns >= now_ns ? aap->keys->made_ns + 1 : now_ns;
}

struct registry_id *registry_add_id(struct registry_id **list, const char *client_key_id, uint64_t intent)
{
    struct registry_id *id = registry_has_id(*list, client_key_id) ? NULL : calloc(1, sizeof(*id));
    if (!id)
        return NULL;
    snprintf(id->client_key_id, sizeof(id->client_key_id), "%s", client_key_id);
    id->intent = intent;
    id->next = *list;
    return *list = id;
}

bool registry_has_id(const struct registry_id *list, const char *client_key_id)
{
    while (list && strcmp(list->client_key_id, client_key_id) != 0)
        list = list->next;
    return list != NULL;
}

void registry_remove_id(struct registry_id **list, const char *client_key_id)
{
    for (struct registry_id **link = list; *link; link = &(*link)->next) {
        struct registry_id *id = *link;
        if (strcmp(id->client_key_id, client_key_id) != 0)
            continue;
        *link = id->next;
        free(id);
        return;
    }
}

void registry_clear_ids(struct registry_id **list)
{
    while (*list)
        registry_remove_id(list, (*list)->client_key_id);
}
