#include "fs/mount/mount_table.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmsapi/cleanup.h"

enum { ANSWER_MS = 1000 };

/* Undoes mountinfo's octal escapes (space, tab, newline, backslash) in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (from[0] == '\\' && from[1] && from[2] && from[3]) {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

/* Source: proc(5), /proc/pid/mountinfo: the type is the first field after " - ". */
struct mounted mount_table_at(const char *path)
{
    _cleanup_(fclose) FILE *mountinfo = fopen("/proc/self/mountinfo", "re");
    _cleanup_(free) char *line = NULL;
    size_t room = 0;
    struct mounted mounted = {0};

    while (mountinfo && getline(&line, &room, mountinfo) > 0) {
        unsigned int major_number, minor_number;
        _cleanup_(free) char *mounted_at = NULL;
        if (sscanf(line, "%*d %*d %u:%u %*s %ms", &major_number, &minor_number, &mounted_at) != 3)
            continue;
        unescape(mounted_at);
        if (strcmp(mounted_at, path) != 0)
            continue;
        const char *type = strstr(line, " - ");
        mounted.device = makedev(major_number, minor_number);
        mounted.is_aapfs = type && strncmp(type, " - fuse.aapfs ", strlen(" - fuse.aapfs ")) == 0;
    }
    return mounted;
}

/* In a process of its own: a daemon that is stopped would keep the caller waiting. */
static pid_t ask(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        struct statfs unused;
        _exit(statfs(path, &unused) < 0 && errno == ENOTCONN);
    }
    return child;
}

bool mount_table_is_dead(const char *path)
{
    int status = 0;
    pid_t child = ask(path);
    if (child < 0)
        return false;
    _cleanup_(close) int ended = (int)syscall(SYS_pidfd_open, child, 0);
    struct pollfd polled = {.fd = ended, .events = POLLIN};
    if (ended >= 0 && poll(&polled, 1, ANSWER_MS) == 0)
        kill(child, SIGKILL); /* a wait for FUSE can be killed */
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}
