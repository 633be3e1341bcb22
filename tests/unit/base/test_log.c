/* A line of the log is one write(2): several processes write to one file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/base/log.h"

/* Each write to such a socket comes as one message. */
static void a_long_line_is_one_write(void **state)
{
    (void)state;
    int ends[2], before = dup(STDERR_FILENO);
    char line[2000], words[901];
    memset(words, 'w', sizeof(words) - 1);
    words[sizeof(words) - 1] = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(dup2(ends[0], STDERR_FILENO), STDERR_FILENO);
    log_as_daemon();
    log_error("payments: %s", words);
    log_warning("orders: %s", words);
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[0]);
    static const char *const said[] = {" error aapfs: payments: w", " warning aapfs: orders: w"};
    for (int i = 0; i < 2; i++) {
        ssize_t size = recv(ends[1], line, sizeof(line), 0);
        assert_true(size > 900 && line[size - 1] == '\n');
        assert_ptr_equal(memchr(line, '\n', (size_t)size), line + size - 1);
        assert_non_null(memmem(line, (size_t)size, said[i], strlen(said[i])));
    }
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_long_line_is_one_write)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
