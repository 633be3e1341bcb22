#include "fs/engine/done.h"

#include <stdio.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/engine/parts.h"

enum { WHO_SIZE = CONFIG_PATH_SIZE + 128 };

/* What a line says of keys, copied while the registry was locked. */
struct facts {
    char aap[AAP_NAME_SIZE], id[CLIENT_KEY_ID_SIZE], before[CLIENT_KEY_ID_SIZE];
    char not_before[21], not_after[21];
    bool is_current;
};

static void copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
}

/* The key that was current before GENERATION; one may have been shown several times in a row. */
static const char *key_before(struct numbers *numbers, uint32_t generation)
{
    const struct numbered_generation *now = numbers_generation(numbers, generation), *before = now;
    while (before && before->key == now->key)
        before = numbers_generation(numbers, before->previous);
    return before ? numbers_key(numbers, before->key)->client_key_id : "";
}

/* With the registry's lock. */
static struct facts gather(struct registry *registry, uint32_t aap, const struct registry_key *key, uint32_t generation)
{
    struct numbers *numbers = registry_numbers(registry);
    struct facts facts = {.is_current = generation};
    copy(facts.aap, sizeof(facts.aap), numbers_aap(numbers, aap)->name);
    if (!key)
        return facts;
    copy(facts.id, sizeof(facts.id), key->client_key_id);
    copy(facts.not_before, sizeof(facts.not_before), key->not_before);
    copy(facts.not_after, sizeof(facts.not_after), key->not_after);
    copy(facts.before, sizeof(facts.before), key_before(numbers, generation));
    return facts;
}

static void tell_key(const struct facts *facts, bool adopted, const char *who)
{
    if (!facts->id[0])
        return;
    if (!facts->is_current)
        log_notice("%s: %s %s, valid from %s until %s, by %s", facts->aap, adopted ? "adopted" : "created", facts->id,
                   facts->not_before, facts->not_after, who);
    else if (adopted)
        log_notice("%s: adopted %s%s%s, valid until %s, by %s", facts->aap, facts->id,
                   facts->before[0] ? " in the place of " : "", facts->before, facts->not_after, who);
    else if (facts->before[0])
        log_notice("%s: rotated from %s to %s, valid until %s, by %s", facts->aap, facts->before, facts->id, facts->not_after,
                   who);
    else
        log_notice("%s: created %s, valid until %s, by %s", facts->aap, facts->id, facts->not_after, who);
}

/* Where its password came from. */
static void say_source(const struct config_aap *config, bool is_first, char *text, size_t size)
{
    if (is_first && config->first_key == FIRST_KEY_FILE)
        snprintf(text, size, "first_key = file:%s", config->first_key_file);
    else if (is_first)
        copy(text, size, "first_key = generate");
    else if (config->password_source == PASSWORD_FILE)
        snprintf(text, size, "password_source = file:%s", config->password_file);
    else
        copy(text, size, config->password_source == PASSWORD_KEEP ? "password_source = keep" : "password_source = generate");
}

static void say_who(const struct operation *operation, const struct config_aap *config, char who[static WHO_SIZE])
{
    char source[CONFIG_PATH_SIZE + 24], writer[64];
    enum control_verb verb = operation->command.verb;
    snprintf(writer, sizeof(writer), "control (uid %u, pid %d)", (unsigned int)operation->caller.uid, (int)operation->caller.pid);
    if (verb == CONTROL_ROTATE) {
        say_source(config, operation->is_first, source, sizeof(source));
        if (operation->automatic && operation->is_first)
            copy(who, WHO_SIZE, source);
        else
            snprintf(who, WHO_SIZE, "%s, %s", operation->automatic ? "rotate_at" : writer, source);
    } else if (verb == CONTROL_INHERITED) {
        snprintf(who, WHO_SIZE, "%s, before another worker took over", writer);
    } else if (verb == CONTROL_PUBLISH) {
        copy(who, WHO_SIZE, "its NotBefore");
    } else {
        copy(who, WHO_SIZE, !operation->automatic ? writer : operation->by ? operation->by : "aapfs itself");
    }
}

static bool is_deletion(enum control_verb verb)
{
    return verb == CONTROL_DELETE || verb == CONTROL_DELETE_FOREIGN;
}

static bool brings_a_key(enum control_verb verb)
{
    return verb == CONTROL_CREATE || verb == CONTROL_ROTATE || verb == CONTROL_PUBLISH || verb == CONTROL_ADOPT ||
           verb == CONTROL_RETRY_CHECK || verb == CONTROL_SHARED_KEY || verb == CONTROL_INHERITED;
}

void done_tell(const struct operation *operation)
{
    struct registry *registry = operation->engine->parts.registry;
    enum control_verb verb = operation->command.verb;
    char who[WHO_SIZE];
    if (!is_deletion(verb) && !brings_a_key(verb))
        return;
    registry_lock(registry);
    const struct registry_aap *aap = registry_aap(registry, operation->aap);
    const struct registry_key *key = aap && operation->generation ? aap->current : registry_key(registry, operation->key);
    const struct facts facts = gather(registry, operation->aap, is_deletion(verb) ? NULL : key, operation->generation);
    const struct config_aap *config = aap ? aap->config : &operation->engine->parts.config->defaults;
    registry_unlock(registry);
    say_who(operation, config, who);
    if (is_deletion(verb))
        log_notice("%s: deleted %s, by %s", facts.aap, operation->command.client_key_id, who);
    else
        tell_key(&facts, verb == CONTROL_ADOPT, who);
}
