#include "fs/mount/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/log.h"
#include "fs/mount/supervisor_state.h"
#include "fs/stops.h"
#include "kmsapi/cleanup.h"

/* A worker's message has room for that much. */
enum { REASON_SIZE = sizeof(((struct worker_message *)0)->text) };

static void free_config(struct config **config)
{
    if (*config)
        config_clear(*config);
    free(*config);
    *config = NULL;
}

/* Reads and checks: the new one and, in *COPY, its text. NULL: RESULT and REASON tell. */
static struct config *read_anew(const struct supervisor *supervisor, int *copy, int *result,
                                char reason[static REASON_SIZE])
{
    const struct configurer *configurer = supervisor->parts->configurer;
    struct config *config = calloc(1, sizeof(*config));
    *result = -ENOMEM;
    *copy = -1;
    if (!config)
        return NULL;
    *copy = *result = config_copy(configurer->file, reason, REASON_SIZE);
    if (*copy >= 0)
        *result = configurer->read(configurer, *copy, config, reason, REASON_SIZE);
    if (*result == 0)
        *result = config_check_reload(supervisor_config(supervisor), config, reason, REASON_SIZE);
    if (*result < 0)
        free_config(&config);
    return config;
}

/* 0: the new one holds, or will when the worker has said so. Negative errno and REASON: nothing has changed. */
static int begin(struct supervisor *supervisor, bool asked, char reason[static REASON_SIZE])
{
    struct reload *reload = &supervisor->reload;
    _cleanup_(close) int copy = -1;
    int r;
    snprintf(reason, REASON_SIZE, "memory is short");
    if (!supervisor->parts->configurer) {
        snprintf(reason, REASON_SIZE, "a mount by --dev has read no configuration");
        return -EOPNOTSUPP;
    }
    struct config *config = read_anew(supervisor, &copy, &r, reason);
    if (!config)
        return r;
    bool given = supervisor->link >= 0;
    if (given)
        r = worker_link_send_descriptor(supervisor->link, WORKER_CONFIG, asked, copy);
    if (r == -EPIPE || r == -ECONNRESET) {
        given = false; /* it has just died: the next one begins with it */
    } else if (r < 0) {
        free_config(&config);
        snprintf(reason, REASON_SIZE, "the worker does not listen (%s); try again", strerror(-r));
        return -EBUSY;
    }
    reload->before = reload->current;
    reload->current = config;
    reload->under_way = given;
    supervisor->memory.head->config++;
    stop_here("supervisor-reloading");
    if (!reload->under_way)
        free_config(&reload->before);
    return 0;
}

static bool upgrade_is_under_way(const struct supervisor *supervisor)
{
    return supervisor->upgrade.stage != UPGRADE_NONE || supervisor->upgrade.resumed;
}

void reload_take_signal(struct supervisor *supervisor)
{
    supervisor->reload.again = true;
    reload_tend(supervisor);
}

void reload_tend(struct supervisor *supervisor)
{
    struct reload *reload = &supervisor->reload;
    char reason[REASON_SIZE];
    if (!reload->again || reload->under_way || upgrade_is_under_way(supervisor))
        return;
    reload->again = false;
    if (begin(supervisor, false, reason) < 0)
        log_error("reload: %s", reason);
    else if (!reload->under_way)
        log_notice("reloaded");
}

static void take_wish(struct supervisor *supervisor)
{
    char reason[REASON_SIZE];
    int r = -EBUSY;
    if (upgrade_is_under_way(supervisor))
        snprintf(reason, sizeof(reason), "an upgrade is under way; reload when it has ended");
    else if (supervisor->reload.under_way)
        snprintf(reason, sizeof(reason), "a reload is under way; reload again when it has ended");
    else
        r = begin(supervisor, true, reason);
    if (r < 0)
        (void)worker_link_send(supervisor->link, WORKER_RELOAD_REFUSED, -r, "%s", reason);
}

/* The worker has it, or could not read what was read here a moment before. */
static void take_result(struct supervisor *supervisor, const struct worker_message *message)
{
    struct reload *reload = &supervisor->reload;
    if (!reload->under_way)
        return;
    reload->under_way = false;
    if (message->number == 0) {
        free_config(&reload->before);
        log_notice("reloaded");
        return;
    }
    log_error("reload: %s; everything is as before", message->text);
    free_config(&reload->current);
    reload->current = reload->before;
    reload->before = NULL;
}

void reload_take_message(struct supervisor *supervisor, const struct worker_message *message)
{
    if (message->kind == WORKER_WANTS_RELOAD)
        take_wish(supervisor);
    else if (message->kind == WORKER_RELOADED)
        take_result(supervisor, message);
}

void reload_worker_ended(struct supervisor *supervisor)
{
    if (!supervisor->reload.under_way)
        return;
    supervisor->reload.under_way = false;
    free_config(&supervisor->reload.before);
    log_notice("reloaded");
}

void reload_end(struct supervisor *supervisor)
{
    free_config(&supervisor->reload.before);
    free_config(&supervisor->reload.current);
}
