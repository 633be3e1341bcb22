#include "fs/runner/credential_runs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/base/reason.h"
#include "fs/engine/kms_clock.h"
#include "fs/engine/run.h"
#include "fs/runner/runner.h"
#include "kmsapi/cleanup.h"

/* The runner ends a command at its timeout, and tells: this much later it never will. */
enum { RUNNER_LATE_MS = 5000 };

struct credential_runs {
    int runner;
    int stop; /* eventfd, readable: nobody waits any more */
    const char *mountpoint;
};

struct run {
    int output, answer; /* this side's ends */
    char *text;
    size_t used, room; /* with the NUL */
    char *reason;
    size_t reason_size;
};

struct credential_runs *credential_runs_new(int runner, const char *mountpoint)
{
    struct credential_runs *runs = calloc(1, sizeof(*runs));
    if (!runs)
        return NULL;
    *runs = (struct credential_runs){.runner = runner, .stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                     .mountpoint = mountpoint};
    if (runs->stop >= 0)
        return runs;
    free(runs);
    return NULL;
}

void credential_runs_free(struct credential_runs *runs)
{
    if (runs)
        close(runs->stop);
    free(runs);
}

void credential_runs_stop(struct credential_runs *runs)
{
    if (runs)
        eventfd_write(runs->stop, 1);
}

/* For the shell that becomes the program: each word as it is. False: there is no room. */
static bool quote(char *const *words, char *command, size_t room)
{
    size_t used = (size_t)snprintf(command, room, "exec");
    for (; *words; words++) {
        if (used + 3 >= room)
            return false;
        command[used++] = ' ';
        command[used++] = '\'';
        for (const char *c = *words; *c; c++) {
            const char *put = *c == '\'' ? "'\\''" : (const char[]){*c, '\0'};
            size_t length = strlen(put);
            if (used + length + 2 >= room)
                return false;
            memcpy(command + used, put, length);
            used += length;
        }
        command[used++] = '\'';
    }
    command[used] = '\0';
    return true;
}

static int send_work(const struct credential_runs *runs, const struct runner_work *work, int output, int answer)
{
    const int sent[2] = {output, answer};
    struct iovec bytes = {(void *)(uintptr_t)work, sizeof(*work)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(sent))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(sent)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    const struct msghdr whole = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
    memcpy(CMSG_DATA(&control.header), sent, sizeof(sent));
    return sendmsg(runs->runner, &whole, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* The runner's ends are closed here in any case: where they are not with the runner, this side sees their end. */
static int begin(const struct credential_runs *runs, const struct runner_work *work, struct run *run)
{
    int output[2], answer[2];
    if (pipe2(output, O_CLOEXEC) < 0)
        return -errno;
    run->output = output[0];
    _cleanup_(close) int runners_output = output[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, answer) < 0)
        return -errno;
    run->answer = answer[0];
    _cleanup_(close) int runners_answer = answer[1];
    return fcntl(run->output, F_SETFL, O_NONBLOCK) < 0 ? -errno : send_work(runs, work, runners_output, runners_answer);
}

/* What is there by now. 0, or -EFBIG. */
static int read_output(struct run *run)
{
    char more;
    while (run->used < run->room - 1) {
        ssize_t got = read(run->output, run->text + run->used, run->room - 1 - run->used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        run->used += (size_t)got;
    }
    if (read(run->output, &more, 1) != 1)
        return 0;
    snprintf(run->reason, run->reason_size, "its process_command printed more than %zu bytes", run->room - 1);
    return -EFBIG;
}

static int judge(const struct run *run, const struct runner_result *result)
{
    static const char whose[] = "its process_command";
    if (result->ending == RUN_EXITED && result->number == 0 && !memchr(run->text, '\0', run->used))
        return 0;
    if (result->ending == RUN_EXITED && result->number == 0)
        snprintf(run->reason, run->reason_size, "%s printed a NUL", whose);
    else if (result->ending == RUN_EXITED)
        snprintf(run->reason, run->reason_size, "%s ended with status %d", whose, result->number);
    else if (result->ending == RUN_KILLED)
        snprintf(run->reason, run->reason_size, "%s was killed by signal %d", whose, result->number);
    else if (result->ending == RUN_TIMED_OUT)
        snprintf(run->reason, run->reason_size, "%s had not ended in time", whose);
    else
        snprintf(run->reason, run->reason_size, "%s was not started: %s", whose, strerror(result->number));
    return -EIO;
}

static int await(const struct credential_runs *runs, struct run *run, unsigned int timeout_ms)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms + RUNNER_GRACE_MS + RUNNER_LATE_MS;
    bool ended = false; /* its output has */
    for (;;) {
        struct pollfd polled[] = {
            {.fd = runs->stop, .events = POLLIN},
            {.fd = run->answer, .events = POLLIN},
            {.fd = ended ? -1 : run->output, .events = POLLIN},
        };
        struct runner_result result;
        int64_t left_ms = until_ms - clock_monotonic_ms();
        int count = poll(polled, 3, left_ms > 0 ? (int)left_ms : 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0 || polled[0].revents) {
            snprintf(run->reason, run->reason_size, "its process_command was given up");
            return count <= 0 ? -ETIMEDOUT : -ECANCELED;
        }
        int r = read_output(run);
        if (r < 0)
            return r;
        ended = ended || polled[2].revents & POLLHUP;
        if (!polled[1].revents)
            continue;
        if (recv(run->answer, &result, sizeof(result), MSG_DONTWAIT) == (ssize_t)sizeof(result))
            return judge(run, &result);
        snprintf(run->reason, run->reason_size, "aapfs-runner ended while its process_command ran");
        return -EPIPE;
    }
}

static void fill(const struct credential_runs *runs, unsigned int timeout_ms, struct runner_work *work)
{
    if (getrandom(&work->id, sizeof(work->id), 0) != (ssize_t)sizeof(work->id))
        work->id = (uint64_t)clock_monotonic_ms();
    work->id |= UINT64_C(1) << 63; /* no AAP's command */
    work->timeout_ms = timeout_ms;
    work->uid = UINT32_MAX;
    snprintf(work->aap, sizeof(work->aap), "%s", RUNNER_FOR_CREDENTIALS);
    snprintf(work->client_key_id, sizeof(work->client_key_id), "-");
    snprintf(work->mountpoint, sizeof(work->mountpoint), "%s", runs->mountpoint);
}

int credential_runs_run(void *user, char *const *words, unsigned int timeout_ms, char *output, size_t output_size,
                        char *reason, size_t size)
{
    const struct credential_runs *runs = user;
    struct runner_work work = {0};
    struct run run = {.output = -1, .answer = -1, .text = output, .room = output_size, .reason = reason,
                      .reason_size = size};
    fill(runs, timeout_ms, &work);
    if (!quote(words, work.command, sizeof(work.command)))
        return reason_give(reason, size, -E2BIG, "its process_command is too long: 1000 bytes are the most");
    int r = begin(runs, &work, &run);
    if (r < 0)
        snprintf(reason, size, "its process_command: the runner does not listen: %s", strerror(-r));
    else
        r = await(runs, &run, timeout_ms);
    cleanup_close(&run.output);
    cleanup_close(&run.answer);
    output[run.used] = '\0';
    return r;
}
