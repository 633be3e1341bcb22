#include "kmsapi/emulator/account.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsapi/cleanup.h"

#define AAPS "ApplicationAccessPoints"
#define CLIENT_KEYS "ClientKeys"

struct account {
    char *path;
    pthread_mutex_t lock;
    json_t *state; /* under the lock */
};

static int read_state(const char *path, bool must_exist, json_t **state, char *reason, size_t size)
{
    json_error_t error;
    *state = NULL;
    _cleanup_(fclose) FILE *file = path ? fopen(path, "re") : NULL;
    if (!file) {
        if (path && (must_exist || errno != ENOENT)) {
            snprintf(reason, size, "%s: %s", path, strerror(errno));
            return -errno;
        }
        *state = json_pack("{s:{}, s:{}}", AAPS, CLIENT_KEYS);
        return *state ? 0 : -ENOMEM;
    }
    *state = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    if (*state && json_is_object(json_object_get(*state, AAPS)) &&
        json_is_object(json_object_get(*state, CLIENT_KEYS)))
        return 0;
    snprintf(reason, size, "%s: expected an object with " AAPS " and " CLIENT_KEYS "%s%s", path,
             *state ? "" : ": ", *state ? "" : error.text);
    json_decref(*state);
    return -EINVAL;
}

int account_open(const char *path, const char *from, struct account **account, char *reason, size_t size)
{
    json_t *state;
    int r = read_state(from ? from : path, from != NULL, &state, reason, size);
    if (r < 0)
        return r;
    struct account *made = calloc(1, sizeof(*made));
    if (made)
        *made = (struct account){.path = path ? strdup(path) : NULL, .state = state};
    if (!made || (path && !made->path)) {
        json_decref(state);
        free(made);
        return -ENOMEM;
    }
    pthread_mutex_init(&made->lock, NULL);
    *account = made;
    return 0;
}

void account_close(struct account *account)
{
    if (!account)
        return;
    json_decref(account->state);
    pthread_mutex_destroy(&account->lock);
    free(account->path);
    free(account);
}

void account_lock(struct account *account)
{
    pthread_mutex_lock(&account->lock);
}

static int save(const struct account *account)
{
    _cleanup_(free) char *temporary = NULL;
    if (asprintf(&temporary, "%s.new", account->path) < 0) {
        temporary = NULL;
        return -ENOMEM;
    }
    if (json_dump_file(account->state, temporary, JSON_INDENT(2)) < 0 ||
        rename(temporary, account->path) < 0)
        return -errno;
    return 0;
}

void account_unlock(struct account *account, bool changed)
{
    int r = changed && account->path ? save(account) : 0;
    pthread_mutex_unlock(&account->lock);
    if (r < 0)
        fprintf(stderr, "kms-emulator: %s: %s\n", account->path, strerror(-r));
}

json_t *account_aaps(struct account *account)
{
    return json_object_get(account->state, AAPS);
}

json_t *account_client_keys(struct account *account)
{
    return json_object_get(account->state, CLIENT_KEYS);
}
