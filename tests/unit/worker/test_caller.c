/* Who makes a request, and what is said to the kernel's INIT. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/fuse.h>

#include "fs/worker/caller.h"
#include "fs/worker/init_reply.h"

static const uid_t unknown = (uid_t)CALLER_UNKNOWN;

static void what_the_kernel_says_holds(void **state)
{
    const struct caller caller = caller_find(getpid(), 12345, 54321);
    assert_int_equal(caller.pid, getpid());
    assert_int_equal(caller.uid, 12345);
    assert_int_equal(caller.gid, 54321);
}

static void what_it_does_not_say_proc_does(void **state)
{
    const struct caller caller = caller_find(getpid(), unknown, (gid_t)unknown);
    assert_int_equal(caller.uid, getuid());
    assert_int_equal(caller.gid, getgid());
}

/* The kernel judges, and names, a thread by the ids that it has for files. */
static void *look_as_another(void *result)
{
    syscall(SYS_setfsgid, 54321);
    syscall(SYS_setfsuid, 12345);
    *(struct caller *)result = caller_find(gettid(), unknown, (gid_t)unknown);
    return NULL;
}

static void it_is_the_thread_s_and_for_files(void **state)
{
    struct caller caller;
    pthread_t thread;
    if (getuid() != 0)
        skip();
    assert_int_equal(pthread_create(&thread, NULL, look_as_another, &caller), 0);
    pthread_join(thread, NULL);
    assert_int_equal(caller.uid, 12345);
    assert_int_equal(caller.gid, 54321);
}

static void one_that_is_not_seen_stays_unknown(void **state)
{
    static const pid_t unseen[] = {0, -1, INT32_MAX};
    for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++) {
        const struct caller caller = caller_find(unseen[i], unknown, (gid_t)unknown);
        assert_int_equal(caller.uid, unknown);
        assert_int_equal(caller.gid, (gid_t)unknown);
    }
}

/* -- INIT ---------------------------------------------------------------------------------- */

struct init {
    struct fuse_in_header header;
    uint32_t in[16]; /* struct fuse_init_in, which is shorter in an older linux/fuse.h */
};

enum { FLAGS = 3, IN_FLAGS2 = 4, OUT_FLAGS2 = 8, EXTENDED = 1 << 30 };

static struct init init_of(uint64_t flags)
{
    return (struct init){.in = {[FLAGS] = (uint32_t)flags, [IN_FLAGS2] = (uint32_t)(flags >> 32)}};
}

static void the_offer_is_bit_40_of_an_extended_message(void **state)
{
    const struct init offered = init_of(UINT64_C(1) << 40 | EXTENDED), not_extended = init_of(UINT64_C(1) << 40),
                      others = init_of(~(UINT64_C(1) << 40));
    assert_true(init_offers_idmap(&offered, sizeof(offered)));
    assert_false(init_offers_idmap(&offered, offsetof(struct init, in[IN_FLAGS2])));
    assert_false(init_offers_idmap(&not_extended, sizeof(not_extended)));
    assert_false(init_offers_idmap(&others, sizeof(others)));
}

static void the_answer_takes_it_and_keeps_the_rest(void **state)
{
    struct fuse_out_header header = {.len = sizeof(header) + sizeof(struct fuse_init_out)};
    uint32_t out[sizeof(struct fuse_init_out) / 4] = {[FLAGS] = FUSE_ASYNC_READ, [OUT_FLAGS2] = 2, [5] = 65536};
    struct iovec parts[] = {{&header, sizeof(header)}, {&out, sizeof(out)}};
    assert_true(init_reply_take_idmap(parts, 2));
    assert_int_equal(out[FLAGS], FUSE_ASYNC_READ | EXTENDED);
    assert_int_equal(out[OUT_FLAGS2], 2 | 1 << 8);
    assert_int_equal(out[5], 65536);
}

static void another_answer_is_left_alone(void **state)
{
    struct fuse_out_header header = {.error = -EPROTO};
    struct fuse_init_out out = {0};
    const struct fuse_init_out before = out;
    struct iovec parts[] = {{&header, sizeof(header)}, {&out, sizeof(out)}};
    assert_false(init_reply_take_idmap(parts, 2));
    header.error = 0;
    assert_false(init_reply_take_idmap(parts, 1));
    parts[1].iov_len = FUSE_COMPAT_22_INIT_OUT_SIZE;
    assert_false(init_reply_take_idmap(parts, 2));
    assert_memory_equal(&out, &before, sizeof(out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_kernel_says_holds),
        cmocka_unit_test(what_it_does_not_say_proc_does),
        cmocka_unit_test(it_is_the_thread_s_and_for_files),
        cmocka_unit_test(one_that_is_not_seen_stays_unknown),
        cmocka_unit_test(the_offer_is_bit_40_of_an_extended_message),
        cmocka_unit_test(the_answer_takes_it_and_keeps_the_rest),
        cmocka_unit_test(another_answer_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
