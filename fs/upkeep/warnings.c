#include "fs/upkeep/warnings.h"

#include <stdio.h>
#include <string.h>

#include "fs/applications/notified.h"
#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/model/aap_state.h"

static const int64_t day = 86400;
static const int64_t steps[] = {180, 90, 30, 7};

enum { STEP_COUNT = sizeof(steps) / sizeof(steps[0]), NOTICES = 2, LINE_SIZE = 768, WITHOUT_KMS_MS = 10 * 60 * 1000 };

/* How many steps are behind; a key that was never that far from its end has none of those. */
static unsigned int steps_passed(const struct registry_key *key, int64_t now)
{
    int64_t left = key->not_after_time - now, validity = key->not_after_time - key->not_before_time;
    unsigned int passed = 0;
    for (unsigned int i = 0; i < STEP_COUNT; i++)
        if (left <= steps[i] * day && validity > steps[i] * day)
            passed = i + 1;
    return passed;
}

static void write_line(const struct registry_aap *aap, const struct registry_key *key, int64_t now,
                       char line[static LINE_SIZE])
{
    long long days = (key->not_after_time - now) / day;
    if (key != aap->current)
        snprintf(line, LINE_SIZE, "%s: applications may still use the superseded client key %s, which expires at %s, in "
                 "%lld days: restart or reload them, then write reloaded to %s/control", aap->name, key->client_key_id,
                 key->not_after, days, aap->name);
    else
        snprintf(line, LINE_SIZE, "%s: the client key %s expires at %s, in %lld days, and %s: write rotate or a password to "
                 "%s/control", aap->name, key->client_key_id, key->not_after, days,
                 aap->rotation.next ? "its rotation fails, see last_error" : "nothing will replace it by itself", aap->name);
}

/* The key whose end nobody will see to by itself; NULL. */
static const struct registry_key *unattended(const struct registry_aap *aap, int64_t now)
{
    int64_t end = aap_state_end(aap);
    if (end == 0)
        return NULL;
    return end == aap->current->not_after_time ? aap->current : notified_in_use(aap, now);
}

/* When the next line may come due by time alone, in milliseconds. With the registry's lock. */
static int64_t wait_ms(const struct registry_aap *aap, int64_t now)
{
    int64_t next = aap->current && aap->current->not_after_time > now ? aap->current->not_after_time : INT64_MAX;
    const struct registry_key *key = unattended(aap, now);
    for (unsigned int i = 0; key && i < STEP_COUNT; i++) {
        int64_t at = key->not_after_time - steps[i] * day;
        if (at > now && at < next && at > key->not_before_time)
            next = at;
    }
    return next == INT64_MAX ? next : (next - now) * 1000;
}

enum level { NOTHING, NOTICE, WARNING, ERROR };

/* With the registry's lock; the level at which LINE is to be logged. */
static enum level look(struct upkeep_notes *notes, const struct registry_aap *aap, int64_t now, char line[static LINE_SIZE])
{
    const struct registry_key *current = aap->current;
    if (!current)
        return NOTHING;
    if (now >= current->not_after_time) {
        if (notes->expired_key == current->number)
            return NOTHING;
        notes->expired_key = current->number;
        snprintf(line, LINE_SIZE, "%s: the client key %s has expired at %s; KMS does not take it any more: write rotate or a "
                 "password to %s/control", aap->name, current->client_key_id, current->not_after, aap->name);
        return ERROR;
    }
    const struct registry_key *key = unattended(aap, now);
    if (!key)
        return NOTHING;
    if (notes->warned_key != key->number) {
        notes->warned_key = key->number;
        notes->warned_steps = 0;
    }
    unsigned int passed = steps_passed(key, now);
    if (passed <= notes->warned_steps)
        return NOTHING;
    notes->warned_steps = passed;
    write_line(aap, key, now, line);
    return passed > NOTICES ? WARNING : NOTICE;
}

/* How long to wait for KMS's time: a machine's own clock may be years off when it starts. By either clock's count. */
static int64_t silent_for_ms(const struct engine *engine)
{
    int64_t left_ms = engine->start_boot_ms + WITHOUT_KMS_MS - clock_boottime_ms();
    int64_t local_ms = engine->start_ms + WITHOUT_KMS_MS - clock_local_ms();
    return engine->clock.observed || local_ms < 0 || left_ms < 0 ? 0 : left_ms;
}

int64_t warnings_look(struct engine *engine, uint32_t number)
{
    char line[LINE_SIZE];
    int64_t silent_ms = silent_for_ms(engine);
    if (silent_ms > 0)
        return silent_ms;
    int64_t now = engine_now(engine);
    registry_lock(engine->parts.registry);
    const struct registry_aap *aap = registry_aap(engine->parts.registry, number);
    enum level level = look(&engine_aap(engine, number)->upkeep, aap, now, line);
    int64_t next_ms = wait_ms(aap, now);
    registry_unlock(engine->parts.registry);
    if (level == ERROR)
        log_error("%s", line);
    else if (level == WARNING)
        log_warning("%s", line);
    else if (level == NOTICE)
        log_notice("%s", line);
    return next_ms;
}
