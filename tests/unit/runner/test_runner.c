/* The runner by itself: a process on one end of a socket, work and results on the other. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/base/kernel_calls.h"
#include "fs/engine/kms_clock.h"
#include "fs/engine/run.h"
#include "fs/runner/runner.h"

enum { MOST_SECONDS = 60, OURS, RUNNERS };

/* open to every user */
static char directory[] = "/tmp/aapfs-test-runner-XXXXXX";
static int sockets[2]; /* as the supervisor keeps them: both open */
static pid_t runner;
static uint64_t last_id;

/* -- a kernel before Linux 5.11 -------------------------------------------------------------- */

static bool is_older_kernel;
static int open_by_somebody;

int __real_close_range(unsigned int first, unsigned int last, int flags);

int __wrap_close_range(unsigned int first, unsigned int last, int flags)
{
    if (!is_older_kernel || !(flags & CLOSE_RANGE_CLOEXEC))
        return __real_close_range(first, last, flags);
    errno = EINVAL;
    return -1;
}

/* -- a runner, and talking to it ------------------------------------------------------------- */

static struct runner_result receive(void)
{
    struct runner_result result;
    assert_int_equal(recv(sockets[0], &result, sizeof(result), 0), sizeof(result));
    return result;
}

static void start_runner(void)
{
    runner = fork();
    assert_true(runner >= 0);
    if (runner == 0) {
        close(sockets[0]);
        signal(SIGINT, SIG_IGN);
        _exit(runner_run(sockets[1]));
    }
    assert_int_equal(receive().id, RUNNER_HELLO);
}

static int begin(void **state)
{
    const struct timeval most = {.tv_sec = MOST_SECONDS};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0 ||
        setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) < 0)
        return -1;
    start_runner();
    return 0;
}

static int begin_on_older_kernel(void **state)
{
    is_older_kernel = true;
    open_by_somebody = open("/dev/null", O_RDONLY); /* and not to be closed by execve(2) */
    return open_by_somebody < 0 ? -1 : begin(state);
}

static int end_of(pid_t process)
{
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    return status;
}

/* 0: there is none. */
static pid_t any_child(void)
{
    pid_t child = 0;
    FILE *file = fopen("/proc/thread-self/children", "r");
    assert_non_null(file);
    if (fscanf(file, "%d", &child) != 1)
        child = 0;
    fclose(file);
    return child;
}

/* A test that failed half-way leaves commands; their runner is gone, so that they are this process's (main). */
static void kill_what_is_left(void)
{
    for (pid_t child; (child = any_child()) > 0;) {
        kill(child, SIGKILL);
        (void)end_of(child);
    }
}

static int finish(void **state)
{
    close(sockets[0]);
    close(sockets[1]);
    bool ended_well = runner > 0 && end_of(runner) == 0; /* as it does when nobody is there any more */
    kill_what_is_left();
    return ended_well ? 0 : -1;
}

static int finish_on_older_kernel(void **state)
{
    is_older_kernel = false;
    close(open_by_somebody);
    return finish(state);
}

static struct runner_work some_work(const char *aap, const char *command)
{
    struct runner_work work = {.id = ++last_id, .timeout_ms = MOST_SECONDS * 1000, .uid = UINT32_MAX};
    snprintf(work.command, sizeof(work.command), "cd %s || exit 99\n%s", directory, command);
    snprintf(work.aap, sizeof(work.aap), "%s", aap);
    strcpy(work.client_key_id, "KAAP.1");
    strcpy(work.mountpoint, "/run/aap");
    return work;
}

static uint64_t send_work(const struct runner_work *work)
{
    assert_int_equal(send(sockets[0], work, sizeof(*work), 0), sizeof(*work));
    return work->id;
}

static uint64_t run(const char *aap, const char *command)
{
    const struct runner_work work = some_work(aap, command);
    return send_work(&work);
}

static void expect(uint64_t id, enum run_ending ending, int number)
{
    struct runner_result result = receive();
    assert_int_equal(result.id, id);
    assert_int_equal(result.ending, ending);
    assert_int_equal(result.number, number);
}

/* Everything that was sent before has been looked at when this returns. */
static void settle(void)
{
    struct runner_work nothing = some_work("nobody", "true");
    nothing.timeout_ms = 0;
    expect(send_work(&nothing), RUN_NOT_STARTED, EINVAL);
}

/* -- files that commands write, and fifos that they wait at ---------------------------------- */

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static const char *text_of(const char *name)
{
    static char text[8192];
    FILE *file = fopen(path_of(name), "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void make_fifo(const char *name)
{
    assert_int_equal(mkfifo(path_of(name), 0666), 0);
}

/* What a command writes into a fifo; waits for it. */
static const char *heard(const char *fifo)
{
    static char text[64];
    /* one that has written before may still be about to close: then its end is read, and nothing else */
    for (bool any = false; !any;) {
        FILE *file = fopen(path_of(fifo), "r");
        assert_non_null(file);
        any = fgets(text, sizeof(text), file) != NULL;
        fclose(file);
    }
    text[strcspn(text, "\n")] = '\0';
    return text;
}

/* Lets a command go on that waits with `read _ < FIFO`. */
static void let_go(const char *fifo)
{
    FILE *file = fopen(path_of(fifo), "w");
    assert_non_null(file);
    assert_true(fputs("go\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static unsigned int count_children(void)
{
    char path[64], *text = NULL;
    size_t room = 0;
    unsigned int count = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", runner, runner);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (getdelim(&text, &room, ' ', file) > 0)
        count++;
    free(text);
    fclose(file);
    return count;
}

/* -- tests ----------------------------------------------------------------------------------- */

static void a_command_has_four_variables_a_session_and_nothing_else(void **state)
{
    static const char variables[] =
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nAAPFS_AAP=payments\n"
        "AAPFS_CLIENT_KEY_ID=KAAP.1\nAAPFS_MOUNT=/run/aap\n";
    uint64_t id = run("payments", "tr '\\0' '\\n' < /proc/$$/environ > environ; readlink /proc/$$/fd/0 > stdin; "
                                  "ls /proc/self/fd > fds; cut -d' ' -f5,6 /proc/$$/stat > session; "
                                  "echo $$ > pid; "
                                  /* the shell itself: one that starts a program blocks signals meanwhile */
                                  "while read -r line; do case $line in SigBlk*|SigIgn*|NoNewPrivs*) echo \"$line\";; "
                                  "esac; done < /proc/$$/status > signals");
    expect(id, RUN_EXITED, 0);
    assert_string_equal(text_of("environ"), variables);
    assert_string_equal(text_of("stdin"), "/dev/null\n");
    /* the last one is ls's own */
    assert_string_equal(text_of("fds"), "0\n1\n2\n3\n");
    assert_string_equal(text_of("signals"),
                        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nNoNewPrivs:\t0\n");
    char session[64];
    int pid = atoi(text_of("pid"));
    snprintf(session, sizeof(session), "%d %d\n", pid, pid);
    assert_string_equal(text_of("session"), session);
    id = run("payments", "[ \"$(readlink /proc/self/cwd)\" != / ] && cd - > /dev/null && [ \"$PWD\" = / ]");
    expect(id, RUN_EXITED, 0);
}

static void nor_has_it_a_file_where_the_kernel_closes_none_by_itself(void **state)
{
    uint64_t id = run("payments", "ls /proc/self/fd > fds");
    expect(id, RUN_EXITED, 0);
    assert_string_equal(text_of("fds"), "0\n1\n2\n3\n");
}

static void the_runner_itself_forgets_secrets(void **state)
{
    char path[64], text[65536];
    snprintf(path, sizeof(path), "/proc/%d/environ", runner);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof(text), file);
    fclose(file);
    assert_null(memmem(text, size, "t0p", 3));
    assert_non_null(memmem(text, size, "AAPFS_TEST_RUNNER=kept", 22));
}

static void a_user_has_its_groups_and_no_capabilities(void **state)
{
    if (geteuid() != 0)
        skip();
    const struct passwd *user = getpwnam("nobody");
    assert_non_null(user);
    struct runner_work work = some_work(
        "payments", "(id -u; id -g; id -G; grep -E '^(Uid|Gid|CapInh|CapPrm|CapEff|CapAmb)' /proc/self/status) > id");
    work.uid = user->pw_uid;
    expect(send_work(&work), RUN_EXITED, 0);

    char wanted[1024], ids[512] = "";
    gid_t groups[64];
    int count = 64;
    assert_true(getgrouplist("nobody", user->pw_gid, groups, &count) > 0);
    for (int i = 0; i < count; i++)
        snprintf(ids + strlen(ids), sizeof(ids) - strlen(ids), "%s%u", i ? " " : "", groups[i]);
    unsigned int u = user->pw_uid, g = user->pw_gid;
    snprintf(wanted, sizeof(wanted), "%u\n%u\n%s\nUid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n"
                                     "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
                                     "CapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n",
             u, g, ids, u, u, u, u, g, g, g, g);
    assert_string_equal(text_of("id"), wanted);
}

static void each_way_to_end_is_told(void **state)
{
    expect(run("payments", "exit 0"), RUN_EXITED, 0);
    expect(run("payments", "exit 7"), RUN_EXITED, 7);
    expect(run("payments", "no-such-program 2> /dev/null"), RUN_EXITED, 127);
    expect(run("payments", "kill -11 $$"), RUN_KILLED, 11);
    struct runner_work work = some_work("payments", "true");
    work.uid = 4000000000; /* nobody's */
    expect(send_work(&work), RUN_NOT_STARTED, ESRCH);
}

static void work_that_makes_no_sense_is_refused(void **state)
{
    struct runner_work work = some_work("payments", "true");
    work.timeout_ms = RUNNER_TIMEOUT_MOST_MS + 1;
    expect(send_work(&work), RUN_NOT_STARTED, EINVAL);
    work = some_work("", "true");
    expect(send_work(&work), RUN_NOT_STARTED, EINVAL);
    work = some_work("payments", "true");
    work.command[0] = '\0';
    expect(send_work(&work), RUN_NOT_STARTED, EINVAL);
    work = some_work("payments", "true");
    memset(work.command, 'x', sizeof(work.command));
    expect(send_work(&work), RUN_NOT_STARTED, EINVAL);
    work = some_work("payments", "true");
    assert_int_equal(send(sockets[0], &work, sizeof(work) - 1, 0), sizeof(work) - 1);
    work.id = RUNNER_HELLO;
    send_work(&work);
    settle(); /* neither of the last two is answered */
}

/* Side by side: one that goes at SIGTERM, one that does not, and one that leaves somebody who does not. */
static void a_timeout_is_term_and_later_kill_for_the_whole_group(void **state)
{
    make_fifo("left");
    struct runner_work work[] = {
        some_work("one", "sleep 1000"),
        some_work("two", "exec 2> /dev/null; trap 'echo term > term' TERM; while :; do sleep 1000; done"),
        some_work("three", "(trap '' TERM; exec sleep 1000) & echo $! > left; wait"),
    };
    int64_t began_ms = clock_monotonic_ms();
    for (size_t i = 0; i < 3; i++) {
        work[i].timeout_ms = 1500;
        send_work(&work[i]);
    }
    int left = kernel_pidfd_open(atoi(heard("left")));
    assert_true(left >= 0);
    uint64_t ended = 0; /* in any order */
    for (size_t i = 0; i < 3; i++) {
        struct runner_result result = receive();
        assert_int_equal(result.ending, RUN_TIMED_OUT);
        assert_true(clock_monotonic_ms() - began_ms >= 1500 + RUNNER_GRACE_MS);
        ended += result.id;
    }
    assert_int_equal(ended, work[0].id + work[1].id + work[2].id);
    assert_string_equal(text_of("term"), "term\n");
    struct pollfd polled = {.fd = left, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, MOST_SECONDS * 1000), 1);
    close(left);
}

static void four_run_at_once_and_the_rest_in_order(void **state)
{
    static const char *const aaps[] = {"1", "2", "3", "4", "5", "6"};
    uint64_t ids[6];
    unsigned int seen = 0;
    make_fifo("begun");
    for (size_t i = 0; i < 6; i++) {
        char go[8] = "go.";
        make_fifo(strcat(go, aaps[i]));
        ids[i] = run(aaps[i], "echo $AAPFS_AAP > begun.$AAPFS_AAP && mv begun.$AAPFS_AAP is.$AAPFS_AAP && "
                              "read _ < go.$AAPFS_AAP");
    }
    settle();
    assert_int_equal(count_children(), RUNNER_AT_ONCE);
    let_go("go.2");
    expect(ids[1], RUN_EXITED, 0);
    settle();
    assert_int_equal(count_children(), RUNNER_AT_ONCE);
    let_go("go.5"); /* the fifth is at it, not the sixth */
    expect(ids[4], RUN_EXITED, 0);
    for (size_t i = 0; i < 6; i++) {
        char go[8] = "go.";
        if (i == 1 || i == 4)
            continue;
        let_go(strcat(go, aaps[i]));
        expect(ids[i], RUN_EXITED, 0);
        seen++;
    }
    assert_int_equal(seen, 4);
    assert_int_equal(count_children(), 0);
}

static void one_of_an_aap_runs_and_only_the_newest_waits(void **state)
{
    make_fifo("turn");
    uint64_t first = run("payments", "read _ < turn");
    settle();
    uint64_t second = run("payments", "echo second >> ran");
    uint64_t third = run("payments", "echo third >> ran");
    expect(second, RUN_NOT_STARTED, ECANCELED);
    expect(run("orders", "echo orders >> ran"), RUN_EXITED, 0);
    let_go("turn");
    expect(first, RUN_EXITED, 0);
    expect(third, RUN_EXITED, 0);
    assert_string_equal(text_of("ran"), "orders\nthird\n");
}

static void what_is_sent_again_is_carried_out_once(void **state)
{
    const struct runner_work work = some_work("payments", "echo ran >> once");
    send_work(&work);
    send_work(&work);
    expect(work.id, RUN_EXITED, 0);
    send_work(&work);
    settle();
    assert_string_equal(text_of("once"), "ran\n");
}

/* Lets the process that said so go on. */
static void let_process_go(pid_t process)
{
    char fifo[32];
    snprintf(fifo, sizeof(fifo), "wait.%d", process);
    let_go(fifo);
}

static void a_command_outlives_a_killed_runner(void **state)
{
    make_fifo("process");
    const struct runner_work work = some_work(
        "payments", "mkfifo wait.$$; echo $$ > process; read _ < wait.$$; echo end >> outlived");
    send_work(&work);
    pid_t process = atoi(heard("process"));
    int command = kernel_pidfd_open(process);
    assert_true(command >= 0);
    assert_int_equal(kill(runner, SIGKILL), 0);
    assert_int_equal(WTERMSIG(end_of(runner)), SIGKILL);
    uint64_t orders = run("orders", "true"); /* nobody is there */
    start_runner();
    expect(orders, RUN_EXITED, 0);

    send_work(&work); /* another runner knows nothing of it */
    pid_t again = atoi(heard("process"));
    let_process_go(process);
    struct pollfd polled = {.fd = command, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, MOST_SECONDS * 1000), 1);
    close(command);
    assert_string_equal(text_of("outlived"), "end\n");
    let_process_go(again);
    expect(work.id, RUN_EXITED, 0);
    assert_string_equal(text_of("outlived"), "end\nend\n");
}

static void it_retires_when_nothing_is_left_to_do(void **state)
{
    make_fifo("last");
    uint64_t first = run("payments", "read _ < last");
    settle();
    assert_int_equal(kill(runner, SIGUSR1), 0);
    expect(run("orders", "true"), RUN_EXITED, 0);
    let_go("last");
    expect(first, RUN_EXITED, 0);
    assert_int_equal(end_of(runner), 0);
    uint64_t waiting = run("orders", "exit 3");
    start_runner();
    expect(waiting, RUN_EXITED, 3);
}

/* -- programs that print credentials ---------------------------------------------------------- */

/* Sends WORK with a pipe's end and a socket's; the other ends are OURS. */
static void send_for_credentials(const struct runner_work *work, int ours[2])
{
    int output[2], answer[2];
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, answer), 0);
    const int sent[2] = {output[1], answer[1]};
    struct iovec bytes = {(void *)(uintptr_t)work, sizeof(*work)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(sent))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(sent)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    const struct msghdr whole = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
    memcpy(CMSG_DATA(&control.header), sent, sizeof(sent));
    assert_int_equal(sendmsg(sockets[0], &whole, 0), sizeof(*work));
    close(output[1]);
    close(answer[1]);
    ours[0] = output[0];
    ours[1] = answer[0];
}

static struct runner_result result_of(int answer)
{
    struct runner_result result = {0};
    assert_int_equal(recv(answer, &result, sizeof(result), 0), sizeof(result));
    return result;
}

static void credentials_wait_for_no_other_command_and_go_to_who_asked(void **state)
{
    char text[64] = "";
    int ours[2];
    make_fifo("busy");
    char wait[160];
    snprintf(wait, sizeof(wait), "read line <%s", path_of("busy"));
    static const char *const names[] = {"a", "b", "c", "d"};
    uint64_t ids[4];
    for (int i = 0; i < 4; i++)
        ids[i] = run(names[i], wait);
    const struct runner_work work = some_work(RUNNER_FOR_CREDENTIALS,
                                              "echo \"it $AAPFS_AAP\"; readlink /proc/$$/fd/2 > stderr; exit 3");
    send_for_credentials(&work, ours);
    const struct runner_result result = result_of(ours[1]);
    assert_int_equal(result.id, work.id);
    assert_int_equal(result.ending, RUN_EXITED);
    assert_int_equal(result.number, 3);
    assert_int_equal(read(ours[0], text, sizeof(text) - 1), 4);
    assert_string_equal(text, "it \n");
    assert_string_equal(text_of("stderr"), "/dev/null\n");
    assert_int_equal(read(ours[0], text, sizeof(text)), 0); /* nobody holds its other end */
    close(ours[0]);
    close(ours[1]);
    int fifo = open(path_of("busy"), O_RDWR);
    assert_int_equal(write(fifo, "1\n2\n3\n4\n", 8), 8);
    for (int i = 0; i < 4; i++) {
        struct runner_result one = receive();
        assert_true(one.id >= ids[0] && one.id <= ids[3]);
    }
    close(fifo);
}

static void what_is_half_for_credentials_is_refused(void **state)
{
    int ours[2];
    const struct runner_work without = some_work(RUNNER_FOR_CREDENTIALS, "true");
    expect(send_work(&without), RUN_NOT_STARTED, EINVAL);
    const struct runner_work with = some_work("payments", "true");
    send_for_credentials(&with, ours);
    assert_int_equal(result_of(ours[1]).ending, RUN_NOT_STARTED);
    close(ours[0]);
    close(ours[1]);
}

static bool ends(pid_t process)
{
    int left = kernel_pidfd_open(process);
    struct pollfd polled = {.fd = left, .events = POLLIN};
    bool ended = left < 0 || poll(&polled, 1, 5000) == 1;
    if (left >= 0)
        close(left);
    return ended;
}

/* Starts a hanging program for credentials and an AAP's command, ends the runner by END, and sees what is left. */
static void with_its_end(void (*end)(void))
{
    int ours[2];
    const struct runner_work work = some_work(RUNNER_FOR_CREDENTIALS,
                                              "sleep 600 & echo $! > behind && echo $$ > fetching && wait");
    make_fifo("fetching");
    make_fifo("telling");
    run("payments", "echo $$ > telling && exec sleep 600");
    pid_t telling = atoi(heard("telling"));
    send_for_credentials(&work, ours);
    pid_t fetching = atoi(heard("fetching")), behind = atoi(text_of("behind"));
    assert_true(telling > 0 && fetching > 0 && behind > 0);
    end();
    assert_int_equal(end_of(runner), 0);
    runner = 0;
    assert_true(ends(fetching));
    assert_true(ends(behind));
    assert_int_equal(kill(telling, SIGKILL), 0);
    close(ours[0]);
    close(ours[1]);
    unlink(path_of("fetching"));
    unlink(path_of("telling"));
    start_runner();
}

static void close_socket(void)
{
    close(sockets[0]);
    close(sockets[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
}

static void terminate(void)
{
    assert_int_equal(kill(runner, SIGTERM), 0);
}

static void at_its_end_programs_for_credentials_are_killed(void **state)
{
    with_its_end(close_socket);
    with_its_end(terminate);
}

int main(void)
{
#define with_a_runner(test) cmocka_unit_test_setup_teardown(test, begin, finish)
    const struct CMUnitTest tests[] = {
        with_a_runner(a_command_has_four_variables_a_session_and_nothing_else),
        cmocka_unit_test_setup_teardown(nor_has_it_a_file_where_the_kernel_closes_none_by_itself, begin_on_older_kernel,
                                        finish_on_older_kernel),
        with_a_runner(the_runner_itself_forgets_secrets),
        with_a_runner(a_user_has_its_groups_and_no_capabilities),
        with_a_runner(each_way_to_end_is_told),
        with_a_runner(work_that_makes_no_sense_is_refused),
        with_a_runner(a_timeout_is_term_and_later_kill_for_the_whole_group),
        with_a_runner(four_run_at_once_and_the_rest_in_order),
        with_a_runner(one_of_an_aap_runs_and_only_the_newest_waits),
        with_a_runner(what_is_sent_again_is_carried_out_once),
        with_a_runner(a_command_outlives_a_killed_runner),
        with_a_runner(it_retires_when_nothing_is_left_to_do),
        with_a_runner(credentials_wait_for_no_other_command_and_go_to_who_asked),
        with_a_runner(what_is_half_for_credentials_is_refused),
        with_a_runner(at_its_end_programs_for_credentials_are_killed),
    };
    char command[64];
    if (!getenv("AAPFS_TEST_RUNNER")) {
        /* /proc shows the environment that a program was started with */
        setenv("AAPFS_TEST_RUNNER", "kept", 1);
        setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "t0p", 1);
        setenv("KMS_ENDPOINT", "t0p", 1);
        setenv("CREDENTIALS_DIRECTORY", "/t0p", 1);
        setenv("https_proxy", "http://user:t0p@proxy:1", 1);
        setenv("ALL_PROXY", "http://user:t0p@proxy:1", 1);
        execl("/proc/self/exe", "test_runner", (char *)NULL);
        return 1;
    }
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return 1;
    /* a group that nobody's commands may have */
    if ((geteuid() == 0 && setgroups(1, &(gid_t){4242}) < 0) || !mkdtemp(directory) || chmod(directory, 0777) < 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    return system(command) == 0 ? failed : 1;
}
