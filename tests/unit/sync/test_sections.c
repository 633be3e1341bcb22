/* Sections of the configuration whose AAP is not shown are told. */
#include <stdlib.h>

#include "fs/sync/sections.h"
#include "tests/unit/engine_rig.h"

/* An engine with "payments", and sections of these names and so many more. */
static void start(unsigned int count)
{
    strcpy(rig.config.file, "/etc/aapfs/aapfs.conf");
    rig.config.sections = calloc(count + 2, sizeof(*rig.config.sections));
    assert_non_null(rig.config.sections);
    rig.config.section_count = count + 2;
    for (unsigned int i = 0; i < count; i++)
        snprintf(rig.config.sections[i].name, CONFIG_NAME_SIZE, "a-%02u", i);
    strcpy(rig.config.sections[count].name, "payment");
    strcpy(rig.config.sections[count + 1].name, "payments");
    rig.config.sections[count + 1].values = rig.config.defaults;
    table_add("payments");
    rig_start();
}

static void each_is_told_once_after_a_complete_listing(void **unused)
{
    start(0);
    rig_lose();
    assert_false(rig_has_logged("[aap payment]"));
    rig_pass(1000);
    table_serve();
    assert_true(rig_has_logged("/etc/aapfs/aapfs.conf: [aap payment]: KMS has no such AAP"));
    assert_false(rig_has_logged("[aap payments]"));
    rig_forget_log();
    rig_do(NULL, "sync");
    assert_false(rig_has_logged("[aap"));
    sections_tell_again(rig.engine); /* the configuration is another one */
    rig_do(NULL, "sync");
    assert_true(rig_has_logged("[aap payment]"));
}

static void many_are_counted(void **unused)
{
    start(22);
    table_serve();
    assert_true(rig_has_logged("[aap a-19]"));
    assert_false(rig_has_logged("[aap a-20]"));
    assert_true(rig_has_logged("3 more sections of that kind"));
}

static void a_worker_that_takes_over_does_not_repeat_them(void **unused)
{
    start(0);
    table_serve();
    rig_stop(NULL);
    rig_forget_log();
    rig_start();
    table_serve();
    assert_false(rig_has_logged("[aap"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(each_is_told_once_after_a_complete_listing),
        rig_test(many_are_counted),
        rig_test(a_worker_that_takes_over_does_not_repeat_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
