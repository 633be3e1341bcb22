/* Numbers of nodes: what the kernel is told, and what users see as st_ino. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fs/model/registry.h"
#include "fs/tree/node_id.h"

enum { REPORTS = 1 << 26, MOST = 4000000 };

static struct numbered {
    uint64_t inode, id;
} *found;
static size_t count;

static void add(struct node node)
{
    struct node again;
    uint64_t id = node_id_of(node);
    assert_true(node_from_id(id, &again));
    assert_true(again.kind == node.kind && again.file == node.file && again.number == node.number &&
                again.report == node.report);
    assert_true(count < MOST);
    found[count++] = (struct numbered){node_inode_number(node), id};
}

static void add_files(enum node_kind kind, unsigned int files, uint32_t number)
{
    for (unsigned int i = 0; i < files; i++)
        add((struct node){.kind = kind, .file = i, .number = number});
}

static void add_aap(uint32_t number)
{
    add((struct node){.kind = NODE_KIND_AAP, .number = number});
    add((struct node){.kind = NODE_KIND_AAP_CONTROL, .number = number});
    add((struct node){.kind = NODE_KIND_KEYS, .number = number});
}

static void add_reports(uint32_t aap, uint32_t report)
{
    unsigned int kinds = aap ? (unsigned int)REPORT_KINDS_OF_AAP : (unsigned int)REPORT_KIND_COUNT;
    for (unsigned int i = 0; i < kinds; i++)
        add((struct node){.kind = NODE_KIND_REPORT, .file = i, .number = aap, .report = report});
}

static int compare(const void *left, const void *right)
{
    const struct numbered *a = left, *b = right;
    return a->inode < b->inode ? -1 : a->inode > b->inode;
}

static int begin(void **unused)
{
    found = calloc(MOST, sizeof(*found));
    count = 0;
    add((struct node){.kind = NODE_KIND_ROOT});
    add((struct node){.kind = NODE_KIND_MOUNT});
    add((struct node){.kind = NODE_KIND_MOUNT_CONTROL});
    return found ? 0 : -1;
}

/* No two nodes have one number; each is below LIMIT, and none is 0. */
static void all_differ_below(uint64_t limit)
{
    qsort(found, count, sizeof(*found), compare);
    assert_true(found[0].inode > 0 && found[count - 1].inode < limit);
    for (size_t i = 1; i < count; i++)
        assert_true(found[i - 1].inode != found[i].inode || found[i - 1].id == found[i].id);
    free(found);
}

/* Every AAP that there can be, with what it has had by then; keys and generations at both ends of theirs. */
static void every_node_has_a_number_of_its_own(void **unused)
{
    for (uint32_t aap = 1; aap <= NUMBERS_MOST_AAPS; aap++) {
        add_aap(aap);
        for (uint32_t report = 0; report < REPORTS; report = 2 * report + 1)
            add_reports(aap, report);
    }
    for (uint32_t i = 1; i <= 20000; i++) {
        add((struct node){.kind = NODE_KIND_KEY, .number = i});
        add((struct node){.kind = NODE_KIND_KEY, .number = NUMBERS_MOST_KEYS + 1 - i});
        add_files(NODE_KIND_KEY_FILE, KEY_FILE_COUNT, i);
        add_files(NODE_KIND_KEY_FILE, KEY_FILE_COUNT, NUMBERS_MOST_KEYS + 1 - i);
        add_files(NODE_KIND_PUBLISHED, PUBLISHED_COUNT, i);
        add_files(NODE_KIND_PUBLISHED, PUBLISHED_COUNT, NUMBERS_MOST_GENERATIONS + 1 - i);
    }
    all_differ_below(UINT64_C(1) << 53);
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)(rand() % (int64_t)limit);
}

static void nodes_taken_at_random_differ(void **unused)
{
    srand(1);
    for (int i = 0; i < 50000; i++) {
        add_aap(1 + below(NUMBERS_MOST_AAPS));
        add((struct node){.kind = NODE_KIND_KEY, .number = 1 + below(NUMBERS_MOST_KEYS)});
        add_files(NODE_KIND_KEY_FILE, KEY_FILE_COUNT, 1 + below(NUMBERS_MOST_KEYS));
        add_files(NODE_KIND_PUBLISHED, PUBLISHED_COUNT, 1 + below(NUMBERS_MOST_GENERATIONS));
        add_reports(below(NUMBERS_MOST_AAPS + 1), below(REPORTS));
    }
    all_differ_below(UINT64_C(1) << 53);
}

/* All AAPs, keys and generations that the mount memory has room for; contents as they come in years. */
static void programs_of_32_bits_can_read_them(void **unused)
{
    for (uint32_t aap = 1; aap <= NUMBERS_MOST_AAPS; aap++) {
        add_aap(aap);
        add_reports(aap, 0);
        add_reports(aap, 32767);
    }
    add_files(NODE_KIND_KEY_FILE, KEY_FILE_COUNT, NUMBERS_MOST_KEYS);
    add_files(NODE_KIND_PUBLISHED, PUBLISHED_COUNT, NUMBERS_MOST_GENERATIONS);
    add_reports(0, 0);
    add_reports(0, REPORTS - 1);
    all_differ_below(UINT64_C(1) << 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_node_has_a_number_of_its_own, begin),
        cmocka_unit_test_setup(nodes_taken_at_random_differ, begin),
        cmocka_unit_test_setup(programs_of_32_bits_can_read_them, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
