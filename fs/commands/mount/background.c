#include "fs/commands/mount/background.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "kmsapi/cleanup.h"

/* Passes on what the daemon said: what is there by now. False at its end. */
static bool copy_errors(int errors)
{
    char text[1024];
    ssize_t got = read(errors, text, sizeof(text));
    if (got > 0 && write(STDERR_FILENO, text, (size_t)got) < 0)
        return false;
    return got > 0;
}

static int wait_until_ready(pid_t child, int ready, int errors)
{
    char byte;
    ssize_t got;
    struct pollfd polled[] = {{.fd = ready, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
    for (;;) {
        if (poll(polled, 2, -1) < 0 && errno != EINTR)
            return 1;
        if (polled[1].revents && !copy_errors(errors))
            polled[1].fd = -1;
        if (polled[0].revents)
            break;
        polled[1].revents = 0;
    }
    got = read(ready, &byte, 1);
    int status = 0;
    if (got != 1)
        waitpid(child, &status, 0); /* it has said why */
    fcntl(errors, F_SETFL, O_NONBLOCK);
    while (polled[1].fd >= 0 && copy_errors(errors))
        ;
    if (got == 1)
        return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

/*
 * Not by setsid(2): an automounter that mounts lets nobody pass the mount point but its own process group, until the
 * starter has returned. The supervisor leaves the group when it is ready.
 */
static void give_up_terminal(void)
{
    _cleanup_(close) int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (terminal >= 0 && ioctl(terminal, TIOCNOTTY) < 0)
        log_error("/dev/tty: %s", strerror(errno));
}

static int leave_terminal(int errors)
{
    _cleanup_(close) int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    give_up_terminal();
    if (nowhere < 0 || chdir("/") < 0 || dup2(nowhere, STDIN_FILENO) < 0 ||
        dup2(nowhere, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
        return -errno;
    return 0;
}

int background_start(int *status)
{
    int ready[2], errors[2];
    *status = 1;
    if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)
        return log_failure(-1, "start: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        return log_failure(-1, "fork: %s", strerror(errno));
    if (child > 0) {
        close(ready[1]);
        close(errors[1]);
        *status = wait_until_ready(child, ready[0], errors[0]);
        return -1;
    }
    close(ready[0]);
    close(errors[0]);
    log_to_syslog_too();
    int r = leave_terminal(errors[1]);
    close(errors[1]);
    if (r < 0) {
        log_error("start: %s", strerror(-r));
        _exit(1);
    }
    return ready[1];
}
