#include "fs/commands/check/check_runner.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/runner/runner.h"

void check_runner_start(struct check_runner *runner, const char *mountpoint)
{
    int ends[2];
    *runner = (struct check_runner){.socket = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return;
    runner->process = fork();
    if (runner->process == 0) {
        close(ends[0]);
        /* ^C and the end of the terminal reach check, whose end it sees and then kills what it runs */
        signal(SIGINT, SIG_IGN);
        signal(SIGQUIT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        _exit(runner_run(ends[1]));
    }
    close(ends[1]);
    runner->socket = ends[0];
    if (runner->process > 0)
        runner->runs = credential_runs_new(runner->socket, mountpoint);
}

void check_runner_end(struct check_runner *runner)
{
    credential_runs_free(runner->runs);
    if (runner->socket >= 0)
        close(runner->socket); /* at which it ends */
    while (runner->process > 0 && waitpid(runner->process, NULL, 0) < 0)
        if (errno != EINTR)
            return;
}
