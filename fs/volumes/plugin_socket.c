#include "fs/volumes/plugin_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/base/reason.h"
#include "fs/store/store_file.h"
#include "kmsapi/cleanup.h"

enum { INHERITED = 3 };

/* Source: sd_listen_fds(3): $LISTEN_PID is this process, $LISTEN_FDS descriptors begin at 3. */
static bool is_activated(void)
{
    const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    char own[16];
    snprintf(own, sizeof(own), "%d", getpid());
    return process && count && strcmp(process, own) == 0 && strcmp(count, "0") != 0;
}

static bool is_listening_unix(int descriptor)
{
    struct sockaddr_un address = {0};
    socklen_t address_size = sizeof(address);
    int listening = 0;
    socklen_t size = sizeof(listening);
    return getsockname(descriptor, (struct sockaddr *)&address, &address_size) == 0 && address.sun_family == AF_UNIX &&
           getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

static int take_inherited(char *reason, size_t size)
{
    if (strcmp(getenv("LISTEN_FDS"), "1") != 0 || !is_listening_unix(INHERITED))
        return reason_give(reason, size, -EINVAL, "$LISTEN_FDS: exactly one listening unix socket is right");
    int flags = fcntl(INHERITED, F_GETFL);
    if (fcntl(INHERITED, F_SETFD, FD_CLOEXEC) < 0 || flags < 0 || fcntl(INHERITED, F_SETFL, flags | O_NONBLOCK) < 0)
        return reason_give(reason, size, -errno, "$LISTEN_FDS: %s", strerror(errno));
    return INHERITED;
}

static int make_directory_of(const char *path)
{
    char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
    snprintf(copy, sizeof(copy), "%s", path);
    return store_file_make_path(dirname(copy));
}

/* A socket that a plugin left behind makes way; a live one and what is no socket stay. */
static int clear_the_way(const struct sockaddr_un *address, char *reason, size_t size)
{
    struct stat attributes;
    if (lstat(address->sun_path, &attributes) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(attributes.st_mode))
        return reason_give(reason, size, -EEXIST, "%s: there is something here that is no socket", address->sun_path);
    _cleanup_(close) int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return -errno;
    if (connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno != ECONNREFUSED)
        return reason_give(reason, size, -EADDRINUSE, "%s: a plugin listens here already; end it, or give --socket",
                           address->sun_path);
    return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int listen_at(const struct sockaddr_un *address)
{
    _cleanup_(close) int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0)
        return -errno;
    mode_t before = umask(0177); /* from its first moment on */
    int r = bind(listener, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    umask(before);
    if (r == 0 && listen(listener, SOMAXCONN) < 0)
        r = -errno;
    return r < 0 ? r : steal_descriptor(&listener);
}

int plugin_socket_open(const char *path, bool *ours, char *reason, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *ours = !is_activated();
    if (!*ours)
        return take_inherited(reason, size);
    if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path))
        return reason_give(reason, size, -EINVAL, "--socket: an absolute path of at most %zu bytes is right",
                           sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    reason[0] = '\0';
    int r = make_directory_of(path);
    if (r == 0)
        r = clear_the_way(&address, reason, size);
    if (r == 0)
        r = listen_at(&address);
    if (r < 0 && reason[0] == '\0')
        snprintf(reason, size, "%s: %s", path, strerror(-r));
    return r;
}
