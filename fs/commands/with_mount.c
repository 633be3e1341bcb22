/*
 * aapfs with-mount [-o OPTIONS] MOUNTPOINT COMMAND [ARGUMENT]...
 *
 * What needs privilege is done here: mounting, and unmounting when COMMAND has ended. COMMAND is given the mount's
 * /dev/fuse as its descriptor 3, and a daemon in it, in whatever container without any privilege, serves it:
 * "aapfs -f /dev/fd/3 MOUNTPOINT". This process does not hold the descriptor: with the last who does the mount dies.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/usage.h"
#include "fs/commands/commands.h"
#include "fs/commands/mount/mount_options.h"
#include "fs/mount/mount_point.h"
#include "kmsapi/cleanup.h"

enum { LENT = 3, CANNOT_RUN = 127, SIGNALLED = 128 };

static void __attribute__((noreturn)) be_command(int fuse, char **words, const sigset_t *mask)
{
    sigprocmask(SIG_SETMASK, mask, NULL);
    /* the old descriptor is close-on-exec, unless it is this one already */
    int r = fuse == LENT ? fcntl(LENT, F_SETFD, 0) : dup2(fuse, LENT);
    if (r >= 0)
        execvp(words[0], words);
    log_error("with-mount: %s: %s", words[0], strerror(errno));
    _exit(CANNOT_RUN);
}

/* Until CHILD has ended; signals to this process are its. The exit status. */
static int wait_for(pid_t child, const sigset_t *signals)
{
    int status, number;
    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALLED + WTERMSIG(status);
        if (ended < 0)
            return 1;
        number = sigwaitinfo(signals, NULL);
        if (number > 0 && number != SIGCHLD)
            kill(child, number);
    }
}

static int run(const char *path, const char *options, char **words)
{
    struct mount_point mount_point = {0};
    sigset_t signals, before;
    char reason[512];
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, &before);
    if (mount_point_mount(&mount_point, path, options, reason, sizeof(reason)) < 0)
        return log_failure(1, "with-mount: %s", reason);
    pid_t child = fork();
    if (child == 0)
        be_command(mount_point.fuse, words, &before);
    int status = 1, number = errno;
    cleanup_close(&mount_point.fuse);
    if (child > 0)
        status = wait_for(child, &signals);
    else
        log_error("with-mount: fork: %s", strerror(number));
    int r = mount_point_unmount(&mount_point);
    if (r < 0)
        log_error("with-mount: %s: cannot unmount: %s", mount_point.path, strerror(-r));
    return r < 0 ? 1 : status;
}

static void cleanup_sorted(struct mount_options *options)
{
    mount_options_clear(options);
}

/* As mount.aapfs takes them. False after a line. */
static bool sort_options(const char *options, struct mount_options *sorted)
{
    char reason[256];
    if (options && mount_options_sort(options, sorted, reason, sizeof(reason)) < 0)
        return log_failure(false, "with-mount: %s", reason);
    if (sorted->config || sorted->region || sorted->endpoint || sorted->state || sorted->state_key)
        log_notice("with-mount: -o config=, region=, endpoint=, state= and state_key= are the daemon's: give them to it, too");
    return true;
}

int command_with_mount(int count, char **words)
{
    static const struct option long_options[] = {USAGE_OPTION, {0}};
    _cleanup_(sorted) struct mount_options sorted = {0};
    _cleanup_(free) char *options = NULL;
    int option;
    while ((option = getopt_long(count, words, "+o:h", long_options, NULL)) != -1) {
        if (option != 'o')
            return usage_end(words[0], option);
        int r = mount_options_join(&options, optarg);
        if (r < 0)
            return log_failure(1, "with-mount: %s", strerror(-r));
    }
    if (count - optind < 2)
        return usage_end(words[0], '?');
    if (!sort_options(options, &sorted))
        return 2;
    return run(words[optind], sorted.passed_on, words + optind + 1);
}
