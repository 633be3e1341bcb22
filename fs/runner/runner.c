#include "fs/runner/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/engine/kms_clock.h"
#include "fs/engine/run.h"
#include "fs/mount/privileges.h"
#include "fs/runner/run_command.h"
#include "kmsapi/cleanup.h"

enum job_stage {
    JOB_WAITS,
    JOB_RUNS,
    JOB_TERMINATED, /* it is to end; not awaited, so that nobody else gets its process group's number */
    JOB_KILLED,
    JOB_ENDED, /* nobody was told yet */
};

struct job {
    enum job_stage stage;
    struct runner_work work;
    pid_t process;
    int failure;      /* run_command.h */
    int output, answer; /* for credentials; -1: an AAP's */
    int64_t until_ms; /* CLOCK_MONOTONIC; what is due then depends on the stage */
    struct runner_result result;
    struct job *next;
};

/* The last pieces of work that were taken: more than can wait in the socket. */
enum { TAKEN_KEPT = 1024 };

struct runner {
    int socket, signals;
    bool retiring;   /* another version's is to take its place */
    bool ending;     /* by SIGTERM */
    struct job *jobs; /* in the order in which they came */
    uint64_t taken[TAKEN_KEPT];
    unsigned int next_taken;
};

static int catch_signals(struct runner *runner)
{
    sigset_t wanted;
    signal(SIGCHLD, SIG_DFL); /* ignored, it would not come */
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    sigaddset(&wanted, SIGUSR1);
    sigaddset(&wanted, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &wanted, NULL) < 0)
        return -errno;
    runner->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return runner->signals < 0 ? -errno : 0;
}

static void end_job(struct job *job, enum run_ending ending, int number)
{
    job->stage = JOB_ENDED;
    job->result = (struct runner_result){job->work.id, ending, number};
}

static bool is_text(const char *text, size_t size)
{
    return text[0] && memchr(text, '\0', size);
}

static bool makes_sense(const struct runner_work *work)
{
    return work->timeout_ms > 0 && work->timeout_ms <= RUNNER_TIMEOUT_MOST_MS &&
           is_text(work->command, sizeof(work->command)) && is_text(work->aap, sizeof(work->aap)) &&
           is_text(work->client_key_id, sizeof(work->client_key_id)) &&
           is_text(work->mountpoint, sizeof(work->mountpoint));
}

static bool is_taken(struct runner *runner, uint64_t id)
{
    for (unsigned int i = 0; i < TAKEN_KEPT; i++)
        if (runner->taken[i] == id)
            return true;
    runner->taken[runner->next_taken] = id;
    runner->next_taken = (runner->next_taken + 1) % TAKEN_KEPT;
    return false;
}

static bool same_aap(const struct job *a, const struct job *b)
{
    return strcmp(a->work.aap, b->work.aap) == 0;
}

/* A worker has one command of an AAP at a time: one that still waits is a dead worker's, and out of date. */
static void add_job(struct runner *runner, struct job *added)
{
    struct job **link = &runner->jobs;
    for (; *link; link = &(*link)->next)
        if (added->stage == JOB_WAITS && (*link)->stage == JOB_WAITS && same_aap(*link, added))
            end_job(*link, RUN_NOT_STARTED, ECANCELED);
    *link = added;
}

static void free_job(struct job *job)
{
    cleanup_close(&job->output);
    cleanup_close(&job->answer);
    free(job);
}

DEFINE_CLEANUP(job, struct job *, free_job)

static bool is_for_credentials(const struct job *job)
{
    return strcmp(job->work.aap, RUNNER_FOR_CREDENTIALS) == 0;
}

/* What recv(2) returns, and the descriptors of a piece of work for credentials. */
static ssize_t receive(const struct runner *runner, struct job *job)
{
    int came[2];
    union {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(sizeof(came))];
    } control;
    struct iovec bytes = {&job->work, sizeof(job->work)};
    struct msghdr whole = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                           .msg_controllen = sizeof(control)};
    job->output = job->answer = -1;
    ssize_t size = recvmsg(runner->socket, &whole, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = size > 0 ? CMSG_FIRSTHDR(&whole) : NULL;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(came))) {
        memcpy(came, CMSG_DATA(header), sizeof(came));
        job->output = came[0];
        job->answer = came[1];
    }
    return size;
}

/* One message of the socket. 0; -EAGAIN: none is there; -EPIPE at the end; or another negative errno. */
static int take_work(struct runner *runner)
{
    _cleanup_(job) struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    ssize_t size = receive(runner, job);
    if (size <= 0)
        return size == 0 || errno == ECONNRESET ? -EPIPE : errno == EINTR ? 0 : -errno;
    if (size != sizeof(job->work) || job->work.id == RUNNER_HELLO || is_taken(runner, job->work.id))
        return 0;
    job->failure = -1;
    if (!makes_sense(&job->work) || is_for_credentials(job) != (job->answer >= 0))
        end_job(job, RUN_NOT_STARTED, EINVAL);
    add_job(runner, steal_pointer(&job));
    return 0;
}

static bool has_process(const struct job *job)
{
    return job->stage == JOB_RUNS || job->stage == JOB_TERMINATED || job->stage == JOB_KILLED;
}

static bool may_start(const struct runner *runner, const struct job *wanted)
{
    unsigned int running = 0;
    for (const struct job *job = runner->jobs; job; job = job->next) {
        if (!has_process(job))
            continue;
        running += !is_for_credentials(job);
        if (same_aap(job, wanted))
            return false;
    }
    return running < RUNNER_AT_ONCE || is_for_credentials(wanted);
}

static void start_job(struct job *job)
{
    const struct run_command command = {
        .command = job->work.command, .uid = job->work.uid, .output = job->output,
        .aap = job->work.aap, .client_key_id = job->work.client_key_id, .mountpoint = job->work.mountpoint,
    };
    job->process = run_command_start(&command, &job->failure);
    cleanup_close(&job->output); /* its end is to be seen */
    if (job->process < 0) {
        end_job(job, RUN_NOT_STARTED, -job->process);
        return;
    }
    job->stage = JOB_RUNS;
    job->until_ms = clock_monotonic_ms() + job->work.timeout_ms;
}

/* It may not have a process group of its own yet. */
static void kill_group(const struct job *job, int number)
{
    if (kill(-job->process, number) < 0)
        kill(job->process, number);
}

/* False while it has not ended. */
static bool await(struct job *job)
{
    int status;
    if (waitpid(job->process, &status, WNOHANG) != job->process)
        return false;
    int failure = run_command_failure(job->failure);
    if (job->stage == JOB_KILLED)
        end_job(job, RUN_TIMED_OUT, 0);
    else if (failure < 0)
        end_job(job, RUN_NOT_STARTED, -failure);
    else if (WIFSIGNALED(status))
        end_job(job, RUN_KILLED, WTERMSIG(status));
    else
        end_job(job, RUN_EXITED, WEXITSTATUS(status));
    return true;
}

static void tend_job(struct job *job)
{
    if (job->stage == JOB_RUNS && await(job))
        return;
    if (job->stage != JOB_KILLED && clock_monotonic_ms() >= job->until_ms) {
        bool first = job->stage == JOB_RUNS;
        kill_group(job, first ? SIGTERM : SIGKILL);
        job->stage = first ? JOB_TERMINATED : JOB_KILLED;
        job->until_ms += RUNNER_GRACE_MS;
    }
    if (job->stage == JOB_KILLED)
        await(job);
}

static void tend_jobs(struct runner *runner)
{
    for (struct job *job = runner->jobs; job; job = job->next)
        if (has_process(job))
            tend_job(job);
    for (struct job *job = runner->jobs; job; job = job->next)
        if (job->stage == JOB_WAITS && may_start(runner, job))
            start_job(job);
}

/* As far as the socket has room: 0, or negative errno. */
static int send_results(struct runner *runner)
{
    struct job **link = &runner->jobs;
    while (*link) {
        struct job *job = *link;
        if (job->stage != JOB_ENDED) {
            link = &job->next;
            continue;
        }
        int socket = job->answer >= 0 ? job->answer : runner->socket;
        if (send(socket, &job->result, sizeof(job->result), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && job->answer < 0)
            return errno == EAGAIN ? 0 : -errno;
        *link = job->next;
        free_job(job);
    }
    return 0;
}

static int time_left(const struct runner *runner)
{
    int64_t until_ms = INT64_MAX;
    for (const struct job *job = runner->jobs; job; job = job->next)
        if ((job->stage == JOB_RUNS || job->stage == JOB_TERMINATED) && job->until_ms < until_ms)
            until_ms = job->until_ms;
    if (until_ms == INT64_MAX)
        return -1;
    int64_t left_ms = until_ms - clock_monotonic_ms();
    return left_ms < 0 ? 0 : (int)left_ms;
}

static int wait_for_events(struct runner *runner)
{
    bool unsent = false;
    for (const struct job *job = runner->jobs; job; job = job->next)
        unsent = unsent || job->stage == JOB_ENDED;
    struct pollfd polled[] = {
        {.fd = runner->socket, .events = (short)(POLLIN | (unsent ? POLLOUT : 0))},
        {.fd = runner->signals, .events = POLLIN},
    };
    struct signalfd_siginfo info;
    if (poll(polled, 2, time_left(runner)) < 0)
        return errno == EINTR ? 0 : -errno;
    while (read(runner->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        runner->retiring = runner->retiring || info.ssi_signo == SIGUSR1;
        runner->ending = runner->ending || info.ssi_signo == SIGTERM;
    }
    return runner->ending ? -EPIPE : 0;
}

static int work(struct runner *runner)
{
    int r = wait_for_events(runner);
    while (r == 0)
        r = take_work(runner);
    if (r != -EAGAIN)
        return r;
    tend_jobs(runner);
    return send_results(runner);
}

/* Nobody is left whom they could tell; an AAP's commands go on. */
static void kill_for_credentials(const struct runner *runner)
{
    for (const struct job *job = runner->jobs; job; job = job->next)
        if (has_process(job) && is_for_credentials(job))
            kill_group(job, SIGKILL);
}

int runner_run(int socket)
{
    static const struct runner_result hello = {.id = RUNNER_HELLO};
    struct runner runner = {.socket = socket, .signals = -1};
    privileges_forget_secrets();
    int r = catch_signals(&runner);
    if (r == 0 && send(socket, &hello, sizeof(hello), MSG_NOSIGNAL) < 0)
        r = -errno;
    while (r == 0 && (!runner.retiring || runner.jobs))
        r = work(&runner);
    kill_for_credentials(&runner);
    if (r < 0 && r != -EPIPE)
        log_error("runner: %s", strerror(-r));
    return r == 0 || r == -EPIPE ? 0 : 1;
}
