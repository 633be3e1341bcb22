#include "fs/supervisor/reload.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/reason.h"
#include "fs/base/stops.h"
#include "fs/engine/kms_clock.h"
#include "fs/supervisor/supervisor_state.h"
#include "kmsapi/cleanup.h"

enum {
    REASON_SIZE = sizeof(((struct worker_message *)0)->text), /* a worker's message has room for that much */
    READ_MS = 10000, /* the configuration may take so long to be read */
};

static void free_config(struct config **config)
{
    if (*config)
        config_clear(*config);
    free(*config);
    *config = NULL;
}

/* -- the reader ---------------------------------------------------------------------------- */

/* In it. COPY has it then, with everybody who is named in it. */
static int read_first(const struct supervisor *supervisor, int copy, char reason[static REASON_SIZE])
{
    const struct configurer *configurer = supervisor->parts->configurer;
    struct config config;
    int r = config_copy_fill(copy, configurer->file, reason, REASON_SIZE);
    if (r == 0)
        r = configurer->read(configurer, copy, &config, reason, REASON_SIZE);
    return r < 0 ? r : config_check_reload(supervisor_config(supervisor), &config, reason, REASON_SIZE);
}

static void __attribute__((noreturn)) be_reader(struct supervisor *supervisor, int answer)
{
    const int kept[] = {supervisor->reload.copy, answer}; /* whatever it hangs in, it holds nothing of the mount */
    char reason[REASON_SIZE] = "";
    child_keep_only(kept, 2);
    int r = read_first(supervisor, kept[0], reason);
    (void)worker_link_send(answer, WORKER_RELOADED, -r, "%s", reason);
    _exit(0);
}

static void end_reader(struct supervisor *supervisor)
{
    struct reload *reload = &supervisor->reload;
    if (reload->reader.process > 0)
        kill(reload->reader.process, SIGKILL); /* supervisor.c awaits it */
    reload->reader.process = 0;
    cleanup_close(&reload->answer);
    cleanup_close(&reload->copy);
    reload->asked = false;
}

/* 0: it runs. */
static int begin(struct supervisor *supervisor, bool asked, char reason[static REASON_SIZE])
{
    struct reload *reload = &supervisor->reload;
    int pair[2];
    if (!supervisor->parts->configurer)
        return reason_give(reason, REASON_SIZE, -EOPNOTSUPP, "a mount by --dev has read no configuration");
    int r = reload->copy = config_copy_new(reason, REASON_SIZE);
    if (r < 0)
        return r;
    r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
    if (r == 0) {
        reload->answer = pair[0];
        r = child_start(&reload->reader);
        if (r == 0)
            be_reader(supervisor, pair[1]);
        close(pair[1]);
    }
    if (r < 0) {
        end_reader(supervisor);
        return reason_give(reason, REASON_SIZE, r, "the configuration's reader: %s", strerror(-r));
    }
    reload->asked = asked;
    reload->until_ms = clock_monotonic_ms() + READ_MS;
    return 0;
}

/* -- what it has read ---------------------------------------------------------------------- */

/* Nothing of it is looked up any more. NULL: RESULT and REASON tell. */
static struct config *read_copy(const struct supervisor *supervisor, int *result, char reason[static REASON_SIZE])
{
    const struct configurer *configurer = supervisor->parts->configurer;
    struct config *config = calloc(1, sizeof(*config));
    snprintf(reason, REASON_SIZE, "memory is short");
    *result = config ? config_copy_seal(supervisor->reload.copy) : -ENOMEM;
    if (*result == 0)
        *result = configurer->read(configurer, supervisor->reload.copy, config, reason, REASON_SIZE);
    if (*result < 0) {
        free(config);
        return NULL;
    }
    return config;
}

static void end_well(struct supervisor *supervisor)
{
    supervisor->reload.under_way = false;
    free_config(&supervisor->reload.before);
    log_notice("reloaded");
    request_socket_answer(&supervisor->requests, WORKER_WANTS_RELOAD, 0, "");
}

/* 0: the new one holds, or will when the worker has said so. Negative errno and REASON: nothing has changed. */
static int go_on(struct supervisor *supervisor, char reason[static REASON_SIZE])
{
    struct reload *reload = &supervisor->reload;
    int r;
    struct config *config = read_copy(supervisor, &r, reason);
    if (!config)
        return r;
    bool given = supervisor->link >= 0;
    if (given)
        r = worker_link_send_descriptor(supervisor->link, WORKER_CONFIG, reload->asked, reload->copy);
    if (r == -EPIPE || r == -ECONNRESET) {
        given = false; /* it has just died: the next one begins with it */
    } else if (r < 0) {
        free_config(&config);
        return reason_give(reason, REASON_SIZE, -EBUSY, "the worker does not listen (%s); try again", strerror(-r));
    }
    reload->before = reload->current;
    reload->current = config;
    reload->under_way = given;
    supervisor->memory.head->config++;
    stop_here("supervisor-reloading");
    if (!reload->under_way)
        end_well(supervisor);
    return 0;
}

static void refuse(struct supervisor *supervisor, bool asked, int r, const char *reason)
{
    if (asked && supervisor->link >= 0)
        (void)worker_link_send(supervisor->link, WORKER_RELOAD_REFUSED, -r, "%s", reason);
    if (asked)
        return;
    log_error("reload: %s", reason);
    request_socket_answer(&supervisor->requests, WORKER_WANTS_RELOAD, -r, reason);
}

/* -EAGAIN: the reader has not said anything yet. */
static int hear_reader(struct supervisor *supervisor, char reason[static REASON_SIZE])
{
    struct worker_message message;
    int r = worker_link_receive(supervisor->reload.answer, &message, NULL);
    if (r == 0) {
        memcpy(reason, message.text, sizeof(message.text));
        return message.number > 0 ? -message.number : 0;
    }
    if (r != -EAGAIN)
        return reason_give(reason, REASON_SIZE, -EIO, "the process that read the configuration has died; everything is "
                                                      "as before");
    if (clock_monotonic_ms() < supervisor->reload.until_ms)
        return r;
    return reason_give(reason, REASON_SIZE, -ETIMEDOUT, "%.200s was not read within %d s, perhaps since users and groups "
                       "are looked up slowly (nsswitch.conf(5)); everything is as before, try again, or give numbers",
                       supervisor_config(supervisor)->file, READ_MS / 1000);
}

static void tend_reader(struct supervisor *supervisor)
{
    char reason[REASON_SIZE] = "";
    if (supervisor->reload.answer < 0)
        return;
    bool asked = supervisor->reload.asked;
    int r = hear_reader(supervisor, reason);
    if (r == -EAGAIN)
        return;
    if (r == 0)
        r = go_on(supervisor, reason);
    end_reader(supervisor);
    if (r < 0)
        refuse(supervisor, asked, r, reason);
}

bool reload_is_under_way(const struct supervisor *supervisor)
{
    return supervisor->reload.under_way || supervisor->reload.answer >= 0;
}

int64_t reload_until_ms(const struct supervisor *supervisor)
{
    return supervisor->reload.answer >= 0 ? supervisor->reload.until_ms : INT64_MAX;
}

/* -- who asks ------------------------------------------------------------------------------ */

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
    tend_reader(supervisor);
    if (!supervisor->reload.again || reload_is_under_way(supervisor) || upgrade_is_under_way(supervisor))
        return;
    supervisor->reload.again = false;
    reload_take_request(supervisor, false);
}

void reload_take_request(struct supervisor *supervisor, bool asked)
{
    char reason[REASON_SIZE];
    int r = -EBUSY;
    if (upgrade_is_under_way(supervisor))
        snprintf(reason, sizeof(reason), "an upgrade is under way; reload when it has ended");
    else if (reload_is_under_way(supervisor))
        snprintf(reason, sizeof(reason), "a reload is under way; reload again when it has ended");
    else
        r = begin(supervisor, asked, reason);
    if (r < 0)
        refuse(supervisor, asked, r, reason);
}

/* The worker has it, or could not read what was read here a moment before. */
static void take_result(struct supervisor *supervisor, const struct worker_message *message)
{
    struct reload *reload = &supervisor->reload;
    if (!reload->under_way)
        return;
    if (message->number == 0) {
        end_well(supervisor);
        return;
    }
    char reason[REASON_SIZE];
    snprintf(reason, sizeof(reason), "%.460s; everything is as before", message->text);
    reload->under_way = false;
    refuse(supervisor, false, -message->number, reason);
    free_config(&reload->current);
    reload->current = reload->before;
    reload->before = NULL;
}

void reload_take_message(struct supervisor *supervisor, const struct worker_message *message)
{
    if (message->kind == WORKER_WANTS_RELOAD)
        reload_take_request(supervisor, true);
    else if (message->kind == WORKER_RELOADED)
        take_result(supervisor, message);
}

void reload_worker_ended(struct supervisor *supervisor)
{
    if (supervisor->reload.asked)
        end_reader(supervisor); /* the next worker tells who has asked that nothing was done */
    if (supervisor->reload.under_way)
        end_well(supervisor);
}

void reload_end(struct supervisor *supervisor)
{
    end_reader(supervisor);
    free_config(&supervisor->reload.before);
    free_config(&supervisor->reload.current);
}
