#include "fs/mount/publication.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <openssl/rand.h>

#include "fs/keys/clock.h"
#include "fs/mount/publisher.h"
#include "fs/stops.h"
#include "fs/tree/content.h"
#include "fs/tree/tree.h"

/* One name of a publication. */
struct hidden {
    char from[HIDDEN_NAME_SIZE]; /* "": TO is not to be there any more */
    const char *to;
    struct node parent, node;
    bool looked_up; /* PUBLISHER_FOLLOW: good for one write */
    bool spent;
};

struct publication {
    uint64_t id;
    struct publish_request request;
    enum publisher_action action;
    struct hidden names[PUBLISHER_STEPS];
    uint32_t count;
    bool notifying;   /* the kernel is being notified: nothing else is wanted, or */
    bool unreachable; /* the mount could not be reached */
    bool sent;      /* to the publisher; the engine's */
    struct publication *next;
};

struct publications {
    struct registry *registry;
    int socket;
    struct mount_head *head;
    struct publication *first; /* under the registry's lock: the session looks names up */
};

struct publications *publications_new(struct registry *registry, int socket,
                                      struct mount_head *head)
{
    struct publications *publications = calloc(1, sizeof(*publications));
    if (publications) {
        publications->registry = registry;
        publications->socket = socket;
        publications->head = head;
    }
    return publications;
}

void publications_free(struct publications *publications)
{
    while (publications && publications->first) {
        struct publication *publication = publications->first;
        publications->first = publication->next;
        free(publication);
    }
    free(publications);
}

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

static bool add_name(struct publication *publication, struct node parent, const char *to,
                     struct node node)
{
    struct hidden *hidden = &publication->names[publication->count];
    *hidden = (struct hidden){.to = to, .parent = parent, .node = node};
    if (!make_hidden_name(hidden->from))
        return false;
    publication->count++;
    return true;
}

static bool add_generation(struct registry *registry, struct publication *publication,
                           uint32_t number)
{
    const struct numbered_generation *generation =
        numbers_generation(registry_numbers(registry), number);
    const struct registry_key *key = registry_key(registry, generation->key);
    const struct node parent = {.kind = NODE_KIND_AAP, .number = generation->aap};
    const uint32_t *published = numbers_aap(registry_numbers(registry), generation->aap)->published;
    for (unsigned int i = 0; i < PUBLISHED_COUNT; i++) {
        enum key_file file = content_published_file((enum published_name)i);
        bool absent = file != KEY_FILE_COUNT && !key->files[file].data;
        if (absent && published[i] == 0)
            continue;
        const struct node node = {.kind = NODE_KIND_PUBLISHED, .file = i, .number = number};
        if (!add_name(publication, parent, tree_published_text((enum published_name)i), node))
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
        if (!add_name(publication, parent, "", node))
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
    return add_name(publication, node, tree_published_text(PUBLISHED_CERTIFICATE_PEM), node);
}

/* Fills the names of a publication. With the registry's lock. */
static bool fill(struct registry *registry, struct publication *publication)
{
    uint32_t number = publication->request.number;
    struct numbers *numbers = registry_numbers(registry);
    const struct numbered_key *key;

    publication->action = PUBLISHER_RENAME;
    switch (publication->request.kind) {
    case PUBLISH_AAP:
        return add_name(publication, (struct node){.kind = NODE_KIND_ROOT},
                        numbers_aap(numbers, number)->name,
                        (struct node){.kind = NODE_KIND_AAP, .number = number});
    case PUBLISH_REMOVE_AAP:
        publication->action = PUBLISHER_RMDIR;
        return add_name(publication, (struct node){.kind = NODE_KIND_ROOT},
                        numbers_aap(numbers, number)->name,
                        (struct node){.kind = NODE_KIND_AAP, .number = number});
    case PUBLISH_REMOVE_KEY:
        publication->action = PUBLISHER_RMDIR;
        __attribute__((fallthrough));
    case PUBLISH_KEY:
        key = numbers_key(numbers, number);
        if (key->shown && publication->request.kind == PUBLISH_KEY)
            return add_files(publication, number);
        return add_name(publication, (struct node){.kind = NODE_KIND_KEYS, .number = key->aap},
                        key->client_key_id,
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

static void directory_path(struct registry *registry, const struct node *parent, char *path,
                           size_t size)
{
    const char *aap = parent->kind == NODE_KIND_ROOT || parent->kind == NODE_KIND_KEY
                          ? "." /* of a key's directory nothing is renamed */
                          : numbers_aap(registry_numbers(registry), parent->number)->name;
    snprintf(path, size, "%s%s", aap, parent->kind == NODE_KIND_KEYS ? "/keys" : "");
}

/* What is left to do of PUBLICATION. With the registry's lock: the session spends the names. */
static void make_work(struct publications *publications, const struct publication *publication,
                      struct publisher_work *work)
{
    *work = (struct publisher_work){
        .id = publication->id,
        .action = !publication->notifying || publication->action == PUBLISHER_ATTRIBUTES ? publication->action
                  : publication->action == PUBLISHER_FOLLOW                              ? PUBLISHER_FORGET_FILES
                                                                                         : PUBLISHER_FORGET,
    };
    directory_path(publications->registry, &publication->names[0].parent, work->directory,
                   sizeof(work->directory));
    for (uint32_t i = 0; i < publication->count; i++) {
        const struct hidden *hidden = &publication->names[i];
        if (hidden->spent && work->action != PUBLISHER_FORGET)
            continue; /* an earlier publisher got that far */
        struct publisher_step *step = &work->steps[work->count++];
        memcpy(step->from, hidden->from, sizeof(step->from));
        snprintf(step->to, sizeof(step->to), "%s", hidden->to);
        step->parent = node_id_of(hidden->parent);
        step->node = node_id_of(hidden->node);
    }
}

/* Sends what was not sent, as far as the socket has room: a publisher that is not there must not stop the engine. */
static void send_unsent(struct publications *publications)
{
    for (struct publication *publication = publications->first; publication;
         publication = publication->next) {
        struct publisher_work work;
        if (publication->sent)
            continue;
        registry_lock(publications->registry);
        make_work(publications, publication, &work);
        registry_unlock(publications->registry);
        if (send(publications->socket, &work, sizeof(work), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            return;
        publication->sent = true;
    }
}

void publication_begin(struct publications *publications, const struct publish_request *request)
{
    struct publication *publication = calloc(1, sizeof(*publication));
    if (!publication) {
        request->done(request->user, -ENOMEM);
        return;
    }
    publication->request = *request;
    publication->id = ++publications->head->publications;

    registry_lock(publications->registry);
    int r = fill(publications->registry, publication) ? 0 : -EIO;
    if (r == 0) {
        publication->next = publications->first;
        publications->first = publication;
    }
    registry_unlock(publications->registry);
    if (r == 0) {
        send_unsent(publications);
    } else {
        free(publication);
        request->done(request->user, r);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The name now shows its node (or, for a removal, nothing): what the kernel's rename(2) stands for. */
static void show(struct publications *publications, enum publish_kind kind, struct hidden *hidden)
{
    struct numbers *numbers = registry_numbers(publications->registry);
    struct numbered_aap *aap = NULL;
    struct numbered_key *key;

    if (hidden->spent)
        return;
    hidden->spent = true;
    switch (kind) {
    case PUBLISH_AAP:
    case PUBLISH_REMOVE_AAP:
        aap = numbers_aap(numbers, hidden->node.number);
        aap->removals += kind == PUBLISH_REMOVE_AAP;
        aap->shown = kind == PUBLISH_AAP;
        break;
    case PUBLISH_KEY:
    case PUBLISH_REMOVE_KEY:
        key = numbers_key(numbers, hidden->node.number);
        key->removals += kind == PUBLISH_REMOVE_KEY;
        key->shown = kind == PUBLISH_KEY;
        aap = numbers_aap(numbers, key->aap);
        break;
    case PUBLISH_GENERATION:
        aap = numbers_aap(numbers, hidden->parent.number);
        if (hidden->from[0])
            numbers_show(numbers, hidden->node.number, (enum published_name)hidden->node.file,
                         clock_monotonic_ms());
        else
            numbers_hide(numbers, hidden->node.number, (enum published_name)hidden->node.file);
        break;
    case PUBLISH_FOLLOW:
        break;
    default: /* no name moves */
        break;
    }
    if (aap)
        aap->changed_ns = now_ns();
}

/* Every name is shown, and who watches was told. */
static void settle(struct publications *publications, const struct publish_request *request)
{
    struct numbers *numbers = registry_numbers(publications->registry);
    const struct numbered_generation *generation;
    switch (request->kind) {
    case PUBLISH_AAP:
    case PUBLISH_REMOVE_AAP:
        numbers_aap(numbers, request->number)->settled = request->kind == PUBLISH_AAP;
        break;
    case PUBLISH_KEY:
    case PUBLISH_REMOVE_KEY:
        numbers_key(numbers, request->number)->settled = request->kind == PUBLISH_KEY;
        break;
    case PUBLISH_GENERATION:
        generation = numbers_generation(numbers, request->number);
        struct numbered_aap *aap = numbers_aap(numbers, generation->aap);
        if (aap->settled_generation < request->number)
            aap->settled_generation = request->number;
        break;
    default:
        break;
    }
}

static struct publication *find(struct publications *publications, uint64_t id,
                                struct publication ***link)
{
    for (*link = &publications->first; **link; *link = &(**link)->next)
        if ((**link)->id == id)
            return **link;
    return NULL;
}

/*
 * The publisher could not do it through the mount (read-only, moved away, another namespace): show
 * the names all the same and have the kernel notified. Watchers hear nothing then.
 */
static void go_by_notification(struct publications *publications, struct publication *publication)
{
    registry_lock(publications->registry);
    for (uint32_t i = 0; i < publication->count; i++)
        show(publications, publication->request.kind, &publication->names[i]);
    publication->notifying = publication->unreachable = true;
    registry_unlock(publications->registry);
    publication->sent = false;
    send_unsent(publications);
}

static void finish(struct publications *publications, const struct publisher_result *result)
{
    struct publication **link;
    registry_lock(publications->registry);
    struct publication *publication = find(publications, result->id, &link);
    registry_unlock(publications->registry);
    if (!publication)
        return;
    if (result->error != 0 && !publication->notifying) {
        go_by_notification(publications, publication);
        return;
    }

    registry_lock(publications->registry);
    if (find(publications, result->id, &link))
        *link = publication->next;
    settle(publications, &publication->request);
    if (!publication->notifying || publication->unreachable) /* it was tried */
        publications->head->unreachable = publication->unreachable;
    registry_unlock(publications->registry);
    bool unknown = publication->request.kind == PUBLISH_FOLLOW && result->error == 0 && result->known == 0;
    publication->request.done(publication->request.user, unknown ? -ENOENT : 0);
    free(publication);
}

/*
 * A new publisher is there: what the one before has begun or never got is sent to it. What it has got already
 * it knows by its number.
 */
static void send_again(struct publications *publications)
{
    registry_lock(publications->registry);
    for (struct publication *publication = publications->first; publication;
         publication = publication->next) {
        publication->sent = false;
        for (uint32_t i = 0; i < publication->count; i++)
            publication->names[i].looked_up = false;
    }
    registry_unlock(publications->registry);
}

bool publication_receive(struct publications *publications)
{
    for (;;) {
        struct publisher_result result;
        ssize_t size = recv(publications->socket, &result, sizeof(result), MSG_DONTWAIT);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0) {
            bool waiting = errno == EAGAIN;
            send_unsent(publications);
            return waiting;
        }
        if (size == 0)
            return false;
        if (size != sizeof(result))
            continue;
        if (result.id == PUBLISHER_HELLO) {
            send_again(publications);
        } else {
            publications->head->published++;
            finish(publications, &result);
        }
    }
}

static bool same_node(struct node a, struct node b)
{
    return node_id_of(a) == node_id_of(b);
}

static struct hidden *find_hidden(struct publications *publications, enum publisher_action action,
                                  struct node parent, const char *name, struct publication **of)
{
    for (struct publication *publication = publications->first; publication;
         publication = publication->next)
        for (uint32_t i = 0; i < publication->count; i++) {
            struct hidden *hidden = &publication->names[i];
            if (publication->action == action && !hidden->spent && !hidden->looked_up &&
                strcmp(hidden->from, name) == 0 && same_node(hidden->parent, parent)) {
                *of = publication;
                return hidden;
            }
        }
    return NULL;
}

bool hidden_lookup(struct publications *publications, struct node parent, const char *name,
                   struct node *node)
{
    struct publication *publication;
    struct hidden *hidden = find_hidden(publications, PUBLISHER_RENAME, parent, name, &publication);
    if (hidden) {
        stop_here("session-hidden-lookup");
    } else {
        hidden = find_hidden(publications, PUBLISHER_FOLLOW, parent, name, &publication);
        if (hidden)
            hidden->looked_up = true;
    }
    if (hidden)
        *node = hidden->node;
    return hidden != NULL;
}

/* The name by which NODE's file was opened for its watchers; NULL. */
static struct hidden *find_looked_up(const struct publications *publications, struct node node)
{
    for (struct publication *publication = publications->first; publication;
         publication = publication->next)
        for (uint32_t i = 0; i < publication->count; i++)
            if (publication->action == PUBLISHER_FOLLOW && publication->names[i].looked_up &&
                same_node(publication->names[i].node, node))
                return &publication->names[i];
    return NULL;
}

bool hidden_has_name(const struct publications *publications, struct node node)
{
    return find_looked_up(publications, node) != NULL;
}

int hidden_write(struct publications *publications, struct node node)
{
    struct hidden *hidden = find_looked_up(publications, node);
    if (!hidden || hidden->spent)
        return -EPERM;
    stop_here("session-touched");
    hidden->spent = true;
    return 0;
}

/* A name that shows a newer generation already never shows an older one again. */
static bool goes_back(struct publications *publications, const struct publication *publication,
                      const struct hidden *hidden)
{
    return publication->request.kind == PUBLISH_GENERATION &&
           numbers_aap(registry_numbers(publications->registry), hidden->parent.number)
                   ->published[hidden->node.file] >= hidden->node.number;
}

int hidden_rename(struct publications *publications, struct node parent, const char *from,
                  const char *to)
{
    struct publication *publication;
    struct hidden *hidden = find_hidden(publications, PUBLISHER_RENAME, parent, from, &publication);
    if (!hidden || strcmp(hidden->to, to) != 0 || goes_back(publications, publication, hidden))
        return -EPERM;
    stop_here("session-rename");
    show(publications, publication->request.kind, hidden);
    stop_here("session-renamed");
    return 0;
}

int hidden_unlink(struct publications *publications, struct node parent, const char *name)
{
    enum published_name file = tree_published_name(name);
    if (parent.kind != NODE_KIND_AAP || file == PUBLISHED_COUNT)
        return -EPERM;
    for (struct publication *publication = publications->first; publication;
         publication = publication->next)
        for (uint32_t i = 0; i < publication->count; i++) {
            struct hidden *hidden = &publication->names[i];
            if (publication->request.kind != PUBLISH_GENERATION || hidden->from[0] || hidden->spent ||
                hidden->node.file != file || !same_node(hidden->parent, parent))
                continue;
            show(publications, PUBLISH_GENERATION, hidden);
            return 0;
        }
    /* a worker that died before it could say so; the kernel does not keep the name then */
    const struct numbered_aap *aap = numbers_aap(registry_numbers(publications->registry), parent.number);
    return aap && aap->published[file] == 0 ? -ENOENT : -EPERM;
}

int hidden_rmdir(struct publications *publications, struct node parent, const char *name)
{
    for (struct publication *publication = publications->first; publication;
         publication = publication->next)
        if (publication->action == PUBLISHER_RMDIR && strcmp(publication->names[0].to, name) == 0 &&
            same_node(publication->names[0].parent, parent)) {
            stop_here("session-rmdir");
            show(publications, publication->request.kind, &publication->names[0]);
            stop_here("session-removed");
            return 0;
        }
    return -EPERM;
}
