#include "fs/keys/recheck.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/keys/admit.h"
#include "fs/keys/judge.h"

enum { IDS_MOST = 64 };

static int judge_again(struct operation *operation, const char *aap_name, const char *client_key_id,
                       char *reason, size_t size)
{
    struct engine *engine = operation->engine;
    struct record record;
    struct client_key forms = {0};
    int r = store_read(engine->store, aap_name, client_key_id, &record);
    if (r < 0) {
        snprintf(reason, size, "its record cannot be read: %s", strerror(-r));
        return r;
    }
    r = judge_record(engine->parts.library, &record, &forms, reason, size);
    if (r == 0)
        r = admit_key(operation, &record, &forms);
    if (r == -ENOMEM)
        snprintf(reason, size, "memory is short");
    client_key_clear(&forms);
    record_clear(&record);
    return r;
}

/* One key's directory after the other; then the names move, where there is a newer key. */
static void show_next(void *user, int result)
{
    struct operation *operation = user;
    struct registry *registry = operation->engine->parts.registry;
    registry_lock(registry);
    uint32_t number = registry_key_to_show(registry, registry_aap(registry, operation->aap)->keys);
    registry_unlock(registry);

    if (result < 0)
        operation_refuse(operation, -result, "Publication", "a key opens now, but the mount's publisher does not answer");
    else if (number)
        engine_publish(operation->engine, PUBLISH_KEY, number, show_next, operation);
    else if (operation->generation)
        admit_show_names(operation, operation_succeed);
    else
        operation_succeed(operation);
}

void recheck_begin(struct operation *operation)
{
    struct registry *registry = operation->engine->parts.registry;
    char(*ids)[CLIENT_KEY_ID_SIZE] = calloc(IDS_MOST, sizeof(*ids));
    char aap_name[AAP_NAME_SIZE], reason[256] = "";
    size_t count = 0, opened = 0;
    if (!ids) {
        operation_refuse(operation, ENOMEM, "Memory", "memory is short");
        return;
    }
    operation_aap_name(operation, aap_name);
    registry_lock(registry);
    const struct registry_id *id = registry_aap(registry, operation->aap)->rejected;
    for (; id && count < IDS_MOST; id = id->next)
        memcpy(ids[count++], id->client_key_id, sizeof(*ids));
    registry_unlock(registry);

    for (size_t i = 0; i < count; i++)
        opened += judge_again(operation, aap_name, ids[i], reason, sizeof(reason)) == 0;
    if (count == 0)
        operation_refuse(operation, ENOENT, "NothingRejected", "no client key of this AAP is rejected");
    else if (opened == 0)
        operation_refuse(operation, EKEYREJECTED, "KeyRejected", "%s", reason);
    else
        show_next(operation, 0);
    free(ids);
}
