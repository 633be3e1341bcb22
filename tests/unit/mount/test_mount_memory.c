/* What workers leave each other, and what of it is believed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <linux/fuse.h>

#include "fs/model/numbers.h"
#include "fs/mount/receive_slots.h"
#include "fs/tree/report_history.h"

static void *shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

/* -- numbers ------------------------------------------------------------------------------- */

static struct numbers *some_numbers(void)
{
    struct numbers *numbers = numbers_open(shared(numbers_size()));
    assert_non_null(numbers);
    assert_int_equal(numbers_add_aap(numbers, "payments"), 1);
    assert_int_equal(numbers_add_key(numbers, 1, "KAAP.1"), 1);
    assert_int_equal(numbers_add_generation(numbers, 1, 1000), 1);
    return numbers;
}

static void numbers_mean_the_same_to_the_next_worker(void **state)
{
    struct numbers *numbers = some_numbers();
    struct numbers *again = numbers_open(numbers);
    assert_non_null(again);
    assert_int_equal(numbers_add_aap(again, "payments"), 1);
    assert_int_equal(numbers_add_aap(again, "orders"), 2);
    assert_int_equal(numbers_add_key(again, 1, "KAAP.1"), 1);
    assert_int_equal(numbers_aap(again, 1)->newest, 1);
    /* times rise, whatever the clock says */
    assert_int_equal(numbers_add_generation(again, 1, 5), 2);
    assert_int_equal(numbers_generation(again, 2)->made_ns, 1001);
    munmap(numbers, numbers_size());
}

/* More names than there are hashes, and keys of all of them. */
static void each_name_and_id_has_one_number(void **state)
{
    enum { AAPS = 20000 };
    struct numbers *numbers = numbers_open(shared(numbers_size()));
    for (int again = 0; again < 2; again++)
        for (uint32_t i = 1; i <= AAPS; i++) {
            char name[16];
            snprintf(name, sizeof(name), "aap-%u", i);
            assert_int_equal(numbers_add_aap(numbers, name), i);
            assert_int_equal(numbers_add_key(numbers, i, "KAAP.1"), 2 * i - 1);
            assert_int_equal(numbers_add_key(numbers, i, "KAAP.2"), 2 * i);
        }
    assert_int_equal(numbers_find_aap(numbers, "aap-0"), 0);
    assert_int_equal(numbers_add_key(numbers, AAPS + 1, "KAAP.1"), 0);
    assert_non_null(numbers_open(numbers));
    munmap(numbers, numbers_size());
}

static void numbers_that_make_no_sense_are_refused(void **state)
{
    struct numbers *numbers = some_numbers();
    struct numbered_aap *aap = numbers_aap(numbers, 1);
    struct numbered_key *key = numbers_key(numbers, 1);
    struct numbered_generation *generation = numbers_generation(numbers, 1);
    uint32_t *const counts = (uint32_t *)numbers;
    uint32_t *const places[] = {&counts[0],       &counts[1],       &counts[2],
                                &aap->newest,     &aap->published[3], &aap->settled_generation,
                                &key->aap,        &generation->aap, &generation->key,
                                &aap->hook_generation, &aap->same_hash, &aap->newest_key, &key->previous, counts + 4};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        uint32_t before = *places[i];
        *places[i] = UINT32_MAX;
        assert_null(numbers_open(numbers));
        *places[i] = before;
        assert_non_null(numbers_open(numbers));
    }
    memset(aap->name, 'a', sizeof(aap->name));
    assert_null(numbers_open(numbers));
    strcpy(aap->name, "payments");
    memset(key->client_key_id, 'a', sizeof(key->client_key_id));
    assert_null(numbers_open(numbers));
    munmap(numbers, numbers_size());
}

/* -- contents of changing files ------------------------------------------------------------- */

static void contents_are_kept_for_the_next_worker(void **state)
{
    struct report_history *history = report_history_open(shared(report_history_size()));
    struct report_content content, again;
    assert_int_equal(report_history_newest(history, 3, REPORT_STATUS, &content), -ENOENT);
    for (int i = 0; i < 9; i++) {
        char text[] = "status 0";
        text[7] = (char)('0' + i);
        assert_int_equal(report_history_add(history, 3, REPORT_STATUS, text, 8, i, &content), 0);
    }
    history = report_history_open(history);
    assert_int_equal(report_history_newest(history, 3, REPORT_STATUS, &again), 0);
    assert_int_equal(again.report, content.report);
    assert_memory_equal(again.data, "status 8", 8);
    assert_int_equal(again.made_ns, 8);
    /* the last 8 of that file, and no other file's */
    assert_int_equal(report_history_find(history, 3, REPORT_STATUS, content.report - 7, &again), 0);
    assert_memory_equal(again.data, "status 1", 8);
    assert_int_equal(report_history_find(history, 3, REPORT_STATUS, content.report - 8, &again), -ESTALE);
    assert_int_equal(report_history_find(history, 4, REPORT_STATUS, content.report, &again), -ESTALE);
    assert_int_equal(report_history_find(history, 3, REPORT_LAST_ERROR, content.report, &again), -ESTALE);
    munmap(history, report_history_size());
}

static void contents_that_the_ring_has_passed_over_are_gone(void **state)
{
    static char text[512 * 1024];
    struct report_history *history = report_history_open(shared(report_history_size()));
    struct report_content first, content;
    assert_int_equal(report_history_add(history, 1, REPORT_STATUS, "first", 5, 1, &first), 0);
    for (uint32_t aap = 2; aap < 40; aap++) {
        memset(text, (int)aap, sizeof(text));
        assert_int_equal(report_history_add(history, aap, REPORT_STATUS, text, sizeof(text), 1, &content), 0);
        assert_memory_equal(content.data, text, sizeof(text));
    }
    assert_int_equal(report_history_find(history, 1, REPORT_STATUS, first.report, &content), -ESTALE);
    assert_int_equal(report_history_newest(history, 39, REPORT_STATUS, &content), 0);
    static char too_large[1024 * 1024 + 1];
    assert_int_equal(report_history_add(history, 1, REPORT_STATUS, too_large, sizeof(too_large), 1, &content),
                     -EFBIG);
    assert_int_equal(report_history_add(history, UINT32_MAX, REPORT_STATUS, "", 0, 1, &content), -ESTALE);
    munmap(history, report_history_size());
}

/* The mount's: whoever looks at its status makes a new one. Its metrics push nothing out of the ring. */
static void of_the_mount_more_is_kept(void **state)
{
    static char text[15 * 1024 * 1024];
    struct report_history *history = report_history_open(shared(report_history_size()));
    struct report_content first, status, content;
    for (int i = 0; i < 1024; i++)
        assert_int_equal(report_history_add(history, 0, REPORT_STATUS, "a", 1, i, i ? &content : &status), 0);
    for (char i = 0; i < 8; i++) {
        memset(text, 'a' + i, sizeof(text));
        assert_int_equal(report_history_add(history, 0, REPORT_METRICS, text, sizeof(text), 1, i ? &content : &first), 0);
    }
    assert_int_equal(report_history_find(history, 0, REPORT_STATUS, status.report, &content), 0);
    assert_int_equal(report_history_find(history, 0, REPORT_METRICS, first.report, &content), 0);
    assert_int_equal(content.size, sizeof(text));
    memset(text, 'a', sizeof(text));
    assert_memory_equal(content.data, text, sizeof(text));
    assert_int_equal(report_history_newest(history, 0, REPORT_METRICS, &content), 0);
    assert_int_equal(((const char *)content.data)[sizeof(text) - 1], 'h');
    assert_int_equal(report_history_add(history, 0, REPORT_METRICS, "x", 1, 1, &content), 0);
    assert_int_equal(report_history_find(history, 0, REPORT_METRICS, first.report, &content), -ESTALE);
    /* no AAP has them */
    assert_int_equal(report_history_add(history, 1, REPORT_METRICS, "x", 1, 1, &content), -ESTALE);
    assert_int_equal(report_history_newest(history, 1, REPORT_AUDIT, &content), -ENOENT);
    munmap(history, report_history_size());
}

/* Whatever stands there, what is found lies inside. */
static void contents_that_make_no_sense_are_not_found(void **state)
{
    size_t size = report_history_size();
    unsigned char *memory = shared(size);
    srand(1);
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < 65536; i++)
            memory[i] = (unsigned char)rand();
        struct report_history *history = report_history_open(memory);
        struct report_content content;
        for (uint32_t aap = 0; aap < 4; aap++)
            if (report_history_newest(history, aap, aap % 2 ? REPORT_STATUS : REPORT_METRICS, &content) == 0) {
                assert_true((const unsigned char *)content.data >= memory);
                assert_true((const unsigned char *)content.data + content.size <= memory + size);
            }
    }
    munmap(memory, size);
}

/* -- receive slots --------------------------------------------------------------------------- */

static void fill(struct receive_slots *slots, int slot, uint32_t length)
{
    memset(receive_slot_bytes(slots, slot), 'x', 200);
    ((struct fuse_in_header *)receive_slot_bytes(slots, slot))->len = length;
}

static void what_is_left_is_found_and_what_is_released_is_wiped(void **state)
{
    void *memory = shared(receive_slots_size());
    struct receive_slots *slots = receive_slots_new(memory);
    int first = receive_slots_take(slots), second = receive_slots_take(slots), third = receive_slots_take(slots);
    fill(slots, first, 200);
    fill(slots, second, 200);
    receive_slot_note(slots, second)->stage = SLOT_WAITING;
    receive_slot_note(slots, second)->intent = 77;
    receive_slot_wipe_payload(slots, second);
    receive_slot_release(slots, first);
    receive_slots_free(slots); /* the worker dies: THIRD was taken, and nothing had come */

    slots = receive_slots_new(memory);
    assert_int_equal(receive_slots_next_left(slots, 0), second);
    assert_int_equal(receive_slots_next_left(slots, second + 1), -1);
    assert_int_equal(receive_slot_note(slots, second)->intent, 77);
    assert_int_equal(receive_slot_request_size(slots, second), 200);
    const unsigned char *bytes = receive_slot_bytes(slots, second);
    size_t header = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in);
    assert_int_equal(bytes[header - 1], 'x');
    for (size_t i = header; i < 200; i++)
        assert_int_equal(bytes[i], 0);
    bytes = receive_slot_bytes(slots, first);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(receive_slots_left(slots), RECEIVE_SLOT_COUNT - 1);
    assert_int_equal(receive_slots_take(slots), first);
    assert_int_equal(receive_slots_take(slots), third);
    receive_slots_free(slots);
    munmap(memory, receive_slots_size());
}

static void what_was_being_wiped_is_wiped(void **state)
{
    void *memory = shared(receive_slots_size());
    struct receive_slots *slots = receive_slots_new(memory);
    int slot = receive_slots_take(slots);
    fill(slots, slot, 0); /* the length goes first */
    receive_slot_note(slots, slot)->stage = SLOT_WIPING;
    receive_slots_free(slots);
    slots = receive_slots_new(memory);
    assert_int_equal(receive_slots_next_left(slots, 0), -1);
    const unsigned char *bytes = receive_slot_bytes(slots, slot);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(bytes[i], 0);
    receive_slots_free(slots);
    munmap(memory, receive_slots_size());
}

static void a_length_beyond_the_slot_is_not_believed(void **state)
{
    void *memory = shared(receive_slots_size());
    struct receive_slots *slots = receive_slots_new(memory);
    int slot = receive_slots_take(slots);
    fill(slots, slot, UINT32_MAX);
    assert_int_equal(receive_slot_request_size(slots, slot), RECEIVE_SLOT_SIZE);
    receive_slot_release(slots, slot);
    receive_slots_free(slots);
    munmap(memory, receive_slots_size());
}

static void slots_run_out(void **state)
{
    void *memory = shared(receive_slots_size());
    struct receive_slots *slots = receive_slots_new(memory);
    for (int i = 0; i < RECEIVE_SLOT_COUNT; i++)
        assert_int_equal(receive_slots_take(slots), i);
    assert_int_equal(receive_slots_left(slots), 0);
    assert_true(receive_slots_take(slots) < 0);
    receive_slot_release(slots, 500);
    assert_int_equal(receive_slots_take(slots), 500);
    receive_slots_free(slots);
    munmap(memory, receive_slots_size());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_mean_the_same_to_the_next_worker),
        cmocka_unit_test(each_name_and_id_has_one_number),
        cmocka_unit_test(numbers_that_make_no_sense_are_refused),
        cmocka_unit_test(contents_are_kept_for_the_next_worker),
        cmocka_unit_test(contents_that_the_ring_has_passed_over_are_gone),
        cmocka_unit_test(of_the_mount_more_is_kept),
        cmocka_unit_test(contents_that_make_no_sense_are_not_found),
        cmocka_unit_test(what_is_left_is_found_and_what_is_released_is_wiped),
        cmocka_unit_test(what_was_being_wiped_is_wiped),
        cmocka_unit_test(a_length_beyond_the_slot_is_not_believed),
        cmocka_unit_test(slots_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
