#include "fs/runner/run_command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "kmsapi/cleanup.h"

enum { NOT_STARTED_STATUS = 127, VARIABLES = 5 };

static int open_nowhere(int as)
{
    int nowhere = open("/dev/null", O_RDWR);
    if (nowhere < 0)
        return -errno;
    if (nowhere == as)
        return 0;
    int r = dup2(nowhere, as) < 0 ? -errno : 0;
    close(nowhere);
    return r;
}

/* stderr of a daemon in the background is a pipe that nobody reads any more: to write there would be deadly. */
static int open_where_closed(int descriptor)
{
    struct pollfd polled = {.fd = descriptor};
    if (poll(&polled, 1, 0) < 0)
        return -errno;
    return polled.revents & (POLLERR | POLLNVAL) ? open_nowhere(descriptor) : 0;
}

static int set_output(int output)
{
    if (output == STDOUT_FILENO) /* it was closed here */
        return fcntl(output, F_SETFD, 0) < 0 ? -errno : 0;
    return dup2(output, STDOUT_FILENO) < 0 ? -errno : 0;
}

/* execve(2) closes every file but the first three. */
static int close_at_exec(void)
{
    if (close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0)
        return 0;
    /* before Linux 5.11 */
    DIR *descriptors = opendir("/proc/self/fd");
    if (!descriptors)
        return -errno;
    for (const struct dirent *entry; (entry = readdir(descriptors));) {
        int descriptor = atoi(entry->d_name);
        if (descriptor >= 3 && fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0) {
            closedir(descriptors);
            return -EBADF;
        }
    }
    closedir(descriptors);
    return 0;
}

/* With OUTPUT it prints credentials, and what it says of them is for no log. */
static int set_descriptors(int output)
{
    int r = output < 0 ? 0 : set_output(output);
    if (r == 0 && output >= 0)
        r = open_nowhere(STDERR_FILENO);
    if (r == 0)
        r = open_nowhere(STDIN_FILENO);
    if (r == 0)
        r = open_where_closed(STDOUT_FILENO);
    if (r == 0)
        r = open_where_closed(STDERR_FILENO);
    return r == 0 ? close_at_exec() : r;
}

static int become(uid_t uid)
{
    char buffer[16384];
    struct passwd entry, *found = NULL;
    int number = getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found);
    if (number != 0 || !found)
        return number != 0 ? -number : -ESRCH;
    if (initgroups(found->pw_name, found->pw_gid) < 0 ||
        setresgid(found->pw_gid, found->pw_gid, found->pw_gid) < 0 || setresuid(uid, uid, uid) < 0 ||
        /* only a change from user 0 drops these by itself */
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    return 0;
}

static void set_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* fails for two of them, which have no other */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Who prints credentials finds its own files by them. */
static int set_own_variables(char *variables[static VARIABLES + 1])
{
    static const char *const names[] = {"HOME", "USER", "LOGNAME", "LANG"};
    size_t count = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);
        if (value && asprintf(&variables[++count], "%s=%s", names[i], value) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int set_variables(const struct run_command *command, char *variables[static VARIABLES + 1])
{
    variables[0] = strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if (variables[0] && command->output >= 0)
        return set_own_variables(variables);
    if (!variables[0] || asprintf(&variables[1], "AAPFS_AAP=%s", command->aap) < 0 ||
        asprintf(&variables[2], "AAPFS_CLIENT_KEY_ID=%s", command->client_key_id) < 0 ||
        asprintf(&variables[3], "AAPFS_MOUNT=%s", command->mountpoint) < 0)
        return -ENOMEM;
    return 0;
}

/* In the child: negative errno, or it is another program. Nothing is freed: the process ends in both cases. */
static int be_command(const struct run_command *command)
{
    char *variables[VARIABLES + 1] = {NULL};
    char *words[] = {strdup("sh"), strdup("-c"), strdup(command->command), NULL};
    int r = setsid() < 0 || chdir("/") < 0 ? -errno : set_variables(command, variables);
    if (r == 0)
        r = set_descriptors(command->output);
    if (r == 0 && command->uid != (uid_t)-1)
        r = become(command->uid);
    if (r < 0 || !words[0] || !words[1] || !words[2])
        return r < 0 ? r : -ENOMEM;
    set_signals();
    execve("/bin/sh", words, variables);
    return -errno;
}

pid_t run_command_start(const struct run_command *command, int *failure)
{
    int pair[2];
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    pid_t process = fork();
    if (process == 0) {
        int number = -be_command(command);
        ssize_t told = write(pair[1], &number, sizeof(number));
        _exit(told > 0 ? NOT_STARTED_STATUS : NOT_STARTED_STATUS - 1);
    }
    if (process < 0) {
        process = -errno;
        close(pair[0]);
    }
    close(pair[1]);
    *failure = process < 0 ? -1 : pair[0];
    return process;
}

int run_command_failure(int failure)
{
    int number = 0;
    _cleanup_(close) int from = failure;
    return read(from, &number, sizeof(number)) == (ssize_t)sizeof(number) ? -number : 0;
}
