#include "tests/unit/simulated.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct simulation *simulation;

int64_t simulated_now(void)
{
    return rig.now_ms / 1000;
}

/* When anything is to happen next: between now and then the engine has nothing to do. One that is late tries again. */
static int64_t next_event(void)
{
    int64_t now = simulated_now(), next = now + RIG_DAY;
    registry_lock(rig.registry);
    for (const struct registry_aap *aap = registry_first_aap(rig.registry); aap; aap = aap->next) {
        if (aap->rotation.next > now && aap->rotation.next < next)
            next = aap->rotation.next;
        if (aap->rotation.state >= ROTATION_DUE && now + 600 < next)
            next = now + 600;
        for (const struct registry_key *key = aap->keys; key; key = key->next)
            if (key->not_after_time > now && key->not_after_time < next)
                next = key->not_after_time;
    }
    registry_unlock(rig.registry);
    return next * 1000;
}

static bool go_on(int timeout_ms)
{
    if (rig_request()) {
        table_answer(simulation->fault ? simulation->fault(rig_request()->operation == RIG_CREATE) : FAULT_NONE);
        return true;
    }
    if (timeout_ms == 0 || rig.publications_ended != rig.publications_begun)
        return true;
    if (simulated_now() >= simulation->end)
        return false;
    if (simulation->tick)
        simulation->tick(rig.registry);
    int64_t then_ms = next_event(), short_ms = rig.now_ms + timeout_ms;
    /* one that is woken once a minute when nothing is due may as well sleep on */
    rig.now_ms = timeout_ms < 59000 || then_ms < short_ms ? short_ms : then_ms;
    return true;
}

static void write_passwords(void)
{
    for (size_t i = 0; i < simulation->aaps; i++)
        for (unsigned int left = simulation->tries ? simulation->tries(i) : 1; left > 0; left--)
            rig_do(kms_table.aaps[i].name, RIG_PASSWORD);
}

void simulate(const struct simulation *wanted)
{
    simulation = wanted;
    assert_int_equal(rig_make(NULL), 0);
    rig.config.requests_per_second = 2; /* as it is by default */
    simulation->configure(&rig.config);
    for (size_t i = 0; i < simulation->aaps; i++) {
        char name[32];
        snprintf(name, sizeof(name), "aap-%03zu", i);
        table_add(name);
    }
    rig_start();
    table_serve();
    write_passwords();
    kms_table.deletes = simulation->deletes;
    rig_run(go_on);
    assert_int_equal(kms_table.creations_at_once, 0);
    assert_int_equal(rig_remove(NULL), 0);
}
