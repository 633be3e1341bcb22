#include "fs/mount/mount_table.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/kernel_calls.h"
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

/* One line of mountinfo. */
struct line {
    dev_t device;
    const char *root, *path, *type; /* in TEXT, unescaped; TYPE up to the line's end */
    bool read_only;
};

/* Source: proc(5), /proc/pid/mountinfo: the type is the first field after " - ". */
static bool parse_line(char *text, struct line *line)
{
    unsigned int major_number, minor_number;
    int root, root_end, path, path_end;
    const char *type = strstr(text, " - ");
    if (!type || sscanf(text, "%*d %*d %u:%u %n%*s%n %n%*s%n", &major_number, &minor_number, &root,
                        &root_end, &path, &path_end) != 2)
        return false;
    bool read_only = strncmp(text + path_end, " ro", 3) == 0 && strchr(", ", text[path_end + 3]);
    *line = (struct line){makedev(major_number, minor_number), text + root, text + path, type + 3, read_only};
    text[root_end] = text[path_end] = '\0';
    unescape(text + root);
    unescape(text + path);
    return true;
}

static bool is_aapfs(const struct line *line)
{
    return strncmp(line->type, "fuse.aapfs ", strlen("fuse.aapfs ")) == 0;
}

struct mounted mount_table_at(const char *path)
{
    _cleanup_(fclose) FILE *mountinfo = fopen("/proc/self/mountinfo", "re");
    _cleanup_(free) char *text = NULL;
    size_t room = 0;
    struct mounted mounted = {0};
    struct line line;
    while (mountinfo && getline(&text, &room, mountinfo) > 0)
        if (parse_line(text, &line) && strcmp(line.path, path) == 0)
            mounted = (struct mounted){line.device, is_aapfs(&line), line.read_only};
    return mounted;
}

bool mount_table_find(dev_t device, char *path, size_t size)
{
    _cleanup_(fclose) FILE *mountinfo = fopen("/proc/self/mountinfo", "re");
    _cleanup_(free) char *text = NULL;
    size_t room = 0;
    struct line line;
    bool found = false;
    while (mountinfo && getline(&text, &room, mountinfo) > 0)
        if (parse_line(text, &line) && line.device == device && is_aapfs(&line) && strcmp(line.root, "/") == 0)
            found = (size_t)snprintf(path, size, "%s", line.path) < size;
    return found;
}

int mount_table_walk(const char *mountinfo, void (*found)(void *user, const char *root, const char *path), void *user)
{
    _cleanup_(fclose) FILE *file = fopen(mountinfo, "re");
    _cleanup_(free) char *text = NULL;
    size_t room = 0;
    struct line line;
    if (!file)
        return -errno;
    while (getline(&text, &room, file) > 0)
        if (parse_line(text, &line) && is_aapfs(&line))
            found(user, line.root, line.path);
    return 0;
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

enum mount_answer mount_table_ask(const char *path)
{
    int status = 0, ready = 1;
    pid_t child = ask(path);
    if (child < 0)
        return MOUNT_SILENT;
    _cleanup_(close) int ended = kernel_pidfd_open(child);
    struct pollfd polled = {.fd = ended, .events = POLLIN};
    if (ended >= 0 && (ready = poll(&polled, 1, ANSWER_MS)) == 0)
        kill(child, SIGKILL); /* a wait for FUSE can be killed */
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return MOUNT_SILENT;
    if (ready == 0 || !WIFEXITED(status))
        return MOUNT_SILENT;
    return WEXITSTATUS(status) == 1 ? MOUNT_DEAD : MOUNT_ALIVE;
}

bool mount_table_is_dead(const char *path)
{
    return mount_table_ask(path) == MOUNT_DEAD;
}
