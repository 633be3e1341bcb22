#include "fs/mount/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/engine/kms_clock.h"
#include "kmsapi/cleanup.h"

/* The supervisor may be spared when memory is short: then it starts the others again. They are not. */
static void be_mortal(void)
{
    char score[16] = "";
    _cleanup_(close) int file = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (file >= 0 && read(file, score, sizeof(score) - 1) > 0 && score[0] == '-' && pwrite(file, "0", 1, 0) < 0)
        log_warning("/proc/self/oom_score_adj: %s", strerror(errno));
}

pid_t child_start(struct child *child)
{
    pid_t parent = getpid();
    pid_t process = fork();
    if (process < 0)
        return -errno;
    if (process > 0) {
        child->process = process;
        return process;
    }
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_NAME, child->name);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    signal(SIGINT, SIG_IGN); /* ^C reaches the supervisor, which unmounts first */
    signal(SIGHUP, SIG_IGN);
    sigprocmask(SIG_SETMASK, &none, NULL);
    log_after_fork();
    be_mortal();
    return 0;
}

void child_leave_group(const struct child *child)
{
    /* ESRCH: it has ended; the next one is forked elsewhere */
    if (child->process > 0 && setpgid(child->process, 0) < 0 && errno != ESRCH)
        log_error("%s: setpgid: %s", child->name, strerror(errno));
}

void child_ended(struct child *child, int status, bool useful)
{
    static const int64_t waits_ms[] = {0, 100, 1000, 10000, 30000};
    static const unsigned int last = sizeof(waits_ms) / sizeof(waits_ms[0]) - 1;
    bool by_others = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    unsigned int at_once = by_others ? CHILD_KILLS_AT_ONCE : 0;
    child->process = 0;
    if (child->replaced) {
        child->replaced = false;
        child->start_ms = 0;
        return;
    }
    if (useful)
        child->failures = 0;
    unsigned int row = child->failures > at_once ? child->failures - at_once : 0;
    int64_t wait_ms = waits_ms[row < last ? row : last];
    child->failures++;
    child->start_ms = clock_monotonic_ms() + wait_ms;
    log_warning("%s %s %d; it is started again%s", child->name,
                WIFSIGNALED(status) ? "was killed by signal" : "ended with status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), wait_ms > 0 ? " after a while" : "");
}

static int compare(const void *left, const void *right)
{
    return *(const int *)left < *(const int *)right ? -1 : *(const int *)left > *(const int *)right;
}

void child_keep_only(const int kept[], unsigned int count)
{
    int sorted[16];
    unsigned int from = 3;
    memcpy(sorted, kept, count * sizeof(*kept));
    qsort(sorted, count, sizeof(*sorted), compare);
    for (unsigned int i = 0; i < count; i++) {
        if (sorted[i] < (int)from)
            continue;
        if (sorted[i] > (int)from)
            close_range(from, (unsigned int)sorted[i] - 1, 0);
        from = (unsigned int)sorted[i] + 1;
    }
    close_range(from, UINT_MAX, 0);
}
