#include "fs/publisher/publication.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "fs/base/stops.h"
#include "fs/engine/kms_clock.h"
#include "fs/publisher/publication_names.h"
#include "fs/tree/lifetime.h"
#include "fs/tree/names.h"

struct publications {
    struct registry *registry;
    int socket;
    struct mount_head *head;
    int fuse;
    int64_t settle_ms;
    struct publication *first; /* under the registry's lock: the session looks names up */
};

struct publications *publications_new(struct registry *registry, int socket, struct mount_head *head, int fuse,
                                      int64_t settle_ms)
{
    struct publications *publications = calloc(1, sizeof(*publications));
    if (publications) {
        publications->registry = registry;
        publications->socket = socket;
        publications->head = head;
        publications->fuse = fuse;
        publications->settle_ms = settle_ms;
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

static enum publisher_action action_by_notification(const struct publication *publication)
{
    if (publication->action == PUBLISHER_ATTRIBUTES)
        return PUBLISHER_ATTRIBUTES;
    if (publication->action == PUBLISHER_FOLLOW)
        return PUBLISHER_FORGET_FILES;
    return publication->loosening ? PUBLISHER_LOOSEN : PUBLISHER_FORGET;
}

/* What is left to do of PUBLICATION. With the registry's lock: the session spends the names. */
static void make_work(struct publications *publications, const struct publication *publication,
                      struct publisher_work *work)
{
    *work = (struct publisher_work){
        .id = publication->id,
        .action = publication->notifying ? action_by_notification(publication) : publication->action,
    };
    publication_directory(publications->registry, &publication->names[0].parent, work->directory,
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
        step->before = hidden->before;
    }
}

/* Sends what was not sent, as far as the socket has room: a publisher that is not there must not stop the engine. */
static void send_unsent(struct publications *publications)
{
    for (struct publication *publication = publications->first; publication; publication = publication->next) {
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

void publication_begin(void *user, const struct publish_request *request)
{
    struct publications *publications = user;
    struct publication *publication = calloc(1, sizeof(*publication));
    if (!publication) {
        request->done(request->user, -ENOMEM);
        return;
    }
    publication->request = *request;
    publication->id = ++publications->head->publications;
    publication->look_ms = clock_monotonic_ms() + lifetime_patience_ms(publications->settle_ms);

    registry_lock(publications->registry);
    int r = publication_fill(publications->registry, publication) ? 0 : -EIO;
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
            numbers_show(numbers, hidden->node.number, (enum published_name)hidden->node.file, clock_monotonic_ms());
        else
            numbers_hide(numbers, hidden->node.number, (enum published_name)hidden->node.file);
        break;
    default: /* no name moves */
        break;
    }
    if (aap)
        aap->changed_ns = clock_local_ns();
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

static struct publication *find(struct publications *publications, uint64_t id, struct publication ***link)
{
    for (*link = &publications->first; **link; *link = &(**link)->next)
        if ((**link)->id == id)
            return **link;
    return NULL;
}

/* With the registry's lock. */
static void show_all(struct publications *publications, struct publication *publication)
{
    for (uint32_t i = 0; i < publication->count; i++)
        show(publications, publication->request.kind, &publication->names[i]);
}

/*
 * The publisher could not do it through the mount (read-only, moved away, another namespace): the kernel is notified,
 * before the names move, so that it believes none of them for long, and after it. Watchers hear nothing then.
 */
static void go_by_notification(struct publications *publications, struct publication *publication)
{
    registry_lock(publications->registry);
    publication->loosening = !publication->unreachable && publication->action != PUBLISHER_FOLLOW;
    if (!publication->loosening)
        show_all(publications, publication);
    publication->notifying = publication->unreachable = true;
    registry_unlock(publications->registry);
    publication->sent = false;
    send_unsent(publications);
}

/*
 * The names were moved without the kernel, which by now may know them as they are to be: a rename would be none. So they
 * are published as a new generation of the same key, and who watches hears of it.
 */
static void publish_again(struct publications *publications, struct publication *publication)
{
    registry_lock(publications->registry);
    const struct numbered_generation *shown =
        numbers_generation(registry_numbers(publications->registry), publication->request.number);
    struct registry_aap *aap = registry_aap(publications->registry, shown->aap);
    publication->early = false;
    if (aap && aap->current && aap->generation == publication->request.number) {
        publication->request.number = registry_make_again(publications->registry, aap);
        publication->id = ++publications->head->publications;
        (void)publication_fill(publications->registry, publication);
    }
    publication->sent = false;
    registry_unlock(publications->registry);
}

/* FUSE_NOTIFY_INC_EPOCH (Linux 6.16): the kernel looks every name up anew. It takes no lock, so nobody waits here. */
static bool loosen_everything(const struct publications *publications)
{
    const struct fuse_out_header header = {.len = sizeof(header), .error = 8};
    return write(publications->fuse, &header, sizeof(header)) == sizeof(header);
}

/*
 * No publisher lives to move the names. Those that the kernel does not believe for long move without it; else all of
 * them stay as they are.
 */
static void go_without(struct publications *publications, struct publication *publication)
{
    registry_lock(publications->registry);
    struct numbers *numbers = registry_numbers(publications->registry);
    struct numbered_aap *aap = numbers_aap(numbers, numbers_generation(numbers, publication->request.number)->aap);
    aap->loose = aap->loose || loosen_everything(publications);
    if (aap->loose) {
        show_all(publications, publication);
        publication->early = true;
    }
    registry_unlock(publications->registry);
}

int64_t publication_tend(void *user)
{
    struct publications *publications = user;
    int64_t next_ms = INT64_MAX, now_ms = clock_monotonic_ms();
    for (struct publication *publication = publications->first; publication; publication = publication->next) {
        if (publication->request.kind != PUBLISH_GENERATION || publication->notifying || publication->early)
            continue;
        if (now_ms >= publication->look_ms) {
            if (!publications->head->publisher_lives)
                go_without(publications, publication);
            publication->look_ms = now_ms + lifetime_patience_ms(publications->settle_ms) / 4 + 1;
        }
        if (!publication->early && publication->look_ms < next_ms)
            next_ms = publication->look_ms;
    }
    return next_ms;
}

static void finish(struct publications *publications, const struct publisher_result *result)
{
    struct publication **link;
    registry_lock(publications->registry);
    struct publication *publication = find(publications, result->id, &link);
    registry_unlock(publications->registry);
    if (!publication)
        return;
    if (publication->early) {
        publish_again(publications, publication);
        send_unsent(publications);
        return;
    }
    if (publication->loosening || (result->error != 0 && !publication->notifying)) {
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
    for (struct publication *publication = publications->first; publication; publication = publication->next)
        if (publication->early)
            publish_again(publications, publication);
    registry_lock(publications->registry);
    for (struct publication *publication = publications->first; publication; publication = publication->next) {
        publication->sent = false;
        for (uint32_t i = 0; i < publication->count; i++)
            publication->names[i].looked_up = false;
    }
    registry_unlock(publications->registry);
}

bool publication_receive(void *user)
{
    struct publications *publications = user;
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
    for (struct publication *publication = publications->first; publication; publication = publication->next)
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

bool hidden_lookup(struct publications *publications, struct node parent, const char *name, struct node *node)
{
    struct publication *publication;
    struct hidden *hidden = find_hidden(publications, PUBLISHER_RENAME, parent, name, &publication);
    if (hidden) {
        /* it comes when the publisher has loosened all of them */
        if (publication->request.kind == PUBLISH_GENERATION)
            numbers_aap(registry_numbers(publications->registry), parent.number)->loose = true;
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
    for (struct publication *publication = publications->first; publication; publication = publication->next)
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

int hidden_rename(struct publications *publications, struct node parent, const char *from, const char *to)
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
    enum published_name file = published_name_of(name);
    if (parent.kind != NODE_KIND_AAP || file == PUBLISHED_COUNT)
        return -EPERM;
    for (struct publication *publication = publications->first; publication; publication = publication->next)
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
    for (struct publication *publication = publications->first; publication; publication = publication->next)
        if (publication->action == PUBLISHER_RMDIR && strcmp(publication->names[0].to, name) == 0 &&
            same_node(publication->names[0].parent, parent)) {
            stop_here("session-rmdir");
            show(publications, publication->request.kind, &publication->names[0]);
            stop_here("session-removed");
            return 0;
        }
    return -EPERM;
}
