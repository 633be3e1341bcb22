/*
 * The engine as it is, and everything around it in a test's hands: its clocks stand until the test moves them, its requests
 * to KMS wait until the test answers them (rig_kms.h), and so do commands of on_rotate, and publications if the test holds
 * them. The engine's thread stands still, where it would wait, whenever a test has its turn: so a test may look at whatever
 * the engine has without a lock, and call what is to be called from the engine's thread.
 *
 * One engine at a time; a later one on the same state directory and mount memory is the next worker.
 */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "fs/engine/parts.h"
#include "tests/unit/kms_table.h"
#include "tests/unit/rig_disk.h"
#include "tests/unit/rig_kms.h"
#include "tests/unit/rig_log.h"

#define RIG_BEGIN INT64_C(1700000000) /* when a test begins: 2023-11-14T22:13:20Z, seconds since 1970 */
#define RIG_REGION "cn-hangzhou"
#define RIG_ACCOUNT "1192853035110000"

#define RIG_DAY INT64_C(86400)

enum { RIG_PUBLICATIONS = 2048, RIG_RUNS = 64, RIG_ANSWERS = 1024 };

struct rig_written {
    uint64_t number;
    int result;
};

extern struct rig {
    struct config config;
    struct engine *engine; /* NULL: none runs */
    struct registry *registry;
    struct numbers *numbers; /* in the mount memory */
    struct counters *counters;
    struct state state;
    bool first, refresh; /* what the next engine is started with; rig_make: it is the first */

    int64_t now_ms;   /* since 1970 */
    int64_t kms_ms;   /* KMS's clock is that much ahead */
    int64_t local_ms; /* the local clock is that much ahead */
    int64_t slept_ms; /* CLOCK_BOOTTIME is that much ahead of CLOCK_MONOTONIC */
    int timeout_ms;   /* how long the engine would wait now if nothing happened */

    bool opens_everything; /* RIG_NO_KEY, too, as a newer OpenSSL might */
    void (*opens)(const char *client_key_id); /* a key is about to be judged; NULL: nobody looks */
    int disk_error; /* errno with which what is written to the disk fails; 0: it does not */
    unsigned int good_writes; /* that go well before */

    /* in the order in which they were begun, since the engine's start; publications come and go with RIG_PUBLICATIONS */
    struct publish_request publications[RIG_PUBLICATIONS];
    unsigned int publications_begun, publications_ended;
    bool holds_publications; /* they wait for rig_publish */
    uint32_t nobody_holds;   /* the kernel has no file of this generation */
    bool publisher_is_gone;

    struct run_request runs[RIG_RUNS];
    unsigned int runs_begun, runs_ended;

    struct rig_written answers[RIG_ANSWERS];
    unsigned int answer_count;
    bool nobody_waits; /* whoever is answered was interrupted before */
    uint64_t noted_intent; /* the last one that note_intent told; 0: none */

    /* how often the engine has called what it was given */
    unsigned int upgrades_asked, reloads_asked, reloads_told, drained, first_syncs, failed;
} rig;

/* A test that begins and ends with the two below. */
#define rig_test(test) cmocka_unit_test_setup_teardown(test, rig_make, rig_remove)

/* For cmocka: a state directory, a mount memory and a configuration without an engine; the end of all of it. */
int rig_make(void **unused);
int rig_remove(void **unused);

/* From the next engine on AAPs are not listed: that one is, and those that were named before. */
void rig_name_aap(const char *aap_name);

/* An engine; it stands where it waits for what it has asked for. */
void rig_start(void);

/* Its end: it is told to stop, and time goes on by itself until it has. ANSWER, which may be NULL, is called when it waits. */
void rig_stop(void (*answer)(void));

/* The engine goes on until it would wait. After whatever a test does that it is to see. */
void rig_settle(void);

/* Waits until another thread of the engine's (password_file.c) has something for it. */
void rig_await_thread(void);

/* Time goes on, and the engine does what it does in it; or all at once, as if it had slept. */
void rig_pass(int64_t ms);
void rig_jump(int64_t ms);
void rig_jump_to(int64_t time); /* seconds since 1970 */

/*
 * The engine goes on by itself. In its thread GO_ON is called where it would wait for that long; false ends it, and the
 * engine stands again.
 */
void rig_run(bool (*go_on)(int timeout_ms));

/* -- control ------------------------------------------------------------------------------- */

/* TEXT and a newline are written to the control of that AAP; NULL: of the mount. The write's number. */
uint64_t rig_write(const char *aap_name, const char *text);
uint64_t rig_write_by(const char *aap_name, const char *text, pid_t pid, uid_t uid);

/* The same, by a KMS that is the table (kms_table.h); it succeeds. */
void rig_do(const char *aap_name, const char *text);

/* One that an earlier worker had begun, of the AAP of that number. */
void rig_inherit(uint64_t number, uint32_t aap, uint64_t intent);

bool rig_is_answered(uint64_t number);
int rig_result(uint64_t number);

/* NUMBER was answered with RESULT, and last_error (of the mount: NULL) says CODE. */
void rig_assert_failed(uint64_t number, const char *aap_name, int result, const char *code);

/* -- what is seen -------------------------------------------------------------------------- */

struct registry_aap *rig_aap(const char *aap_name);

/* Of the current key; "": there is none. */
const char *rig_current(const char *aap_name);

/* Whether every name of the AAP shows its current key, which is that one. */
bool rig_shows(const char *aap_name, const char *client_key_id);

/* Publications of KIND that were begun. */
unsigned int rig_published(enum publish_kind kind);

/* The oldest publication ends with RESULT; the oldest command with that. */
void rig_publish(int result);
void rig_end_run(enum run_ending ending, int number);
