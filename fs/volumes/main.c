/*
 * aapfs-volume-plugin: gives containers the directories of AAPs as volumes, by name and read-only.
 *
 * A program of its own, which `aapfs volume-plugin` starts: neither an HTTP server nor what it is sent has a place in
 * the program that holds keys. This one holds none, reads none, and knows no more of a mount than where it is.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <linux/capability.h>

#include "fs/base/log.h"
#include "fs/base/usage.h"
#include "fs/mount/privileges.h"
#include "fs/mount/service_notify.h"
#include "fs/store/store_file.h"
#include "fs/volumes/plugin_socket.h"
#include "fs/volumes/server.h"
#include "fs/volumes/volumes.h"
#include "kmsapi/cleanup.h"

static const char name[] = "volume-plugin";

struct arguments {
    const char *socket, *state, *binds, *mountpoint;
};

/* -1: go on; or the exit status. */
static int parse(int count, char **words, struct arguments *arguments)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'}, {"state", required_argument, NULL, 'S'},
        {"binds", required_argument, NULL, 'b'},  USAGE_OPTION,
        {0},
    };
    int option;
    while ((option = getopt_long(count, words, "h", options, NULL)) != -1) {
        if (option == 's')
            arguments->socket = optarg;
        else if (option == 'S')
            arguments->state = optarg;
        else if (option == 'b')
            arguments->binds = optarg;
        else
            return usage_end(name, option);
    }
    if (count - optind != 1)
        return usage_end(name, '?');
    arguments->mountpoint = words[optind];
    const char *const paths[] = {arguments->state, arguments->binds, arguments->mountpoint};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (paths[i][0] != '/' || strlen(paths[i]) >= PATH_MAX - VOLUMES_NAME_SIZE - 2)
            return log_failure(2, "volume-plugin: %.80s: an absolute path is right", paths[i]);
    return -1;
}

/* Children report through pipes, and whoever is late is not waited for: the kernel takes the dead away. */
static int catch_signals(void)
{
    sigset_t wanted;
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* "read the configuration again": there is none */
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    return sigprocmask(SIG_BLOCK, &wanted, NULL) < 0 ? -errno : signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int serve(const struct arguments *arguments, struct volumes *volumes, int signals)
{
    char reason[VOLUMES_REASON_SIZE];
    bool ours;
    int listener = plugin_socket_open(arguments->socket, &ours, reason, sizeof(reason));
    if (listener < 0)
        return log_failure(1, "volume-plugin: %s", reason);
    /* for mounts, and for entering a mount namespace; its files are root's */
    int r = privileges_keep_only(UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_SYS_CHROOT);
    if (r < 0)
        log_error("volume-plugin: capabilities: %s", strerror(-r));
    log_as_daemon();
    r = service_notify_ready();
    if (r < 0)
        log_error("NOTIFY_SOCKET: %s", strerror(-r));
    r = server_run(listener, signals, volumes);
    if (r < 0)
        log_error("volume-plugin: libmicrohttpd cannot start");
    if (ours)
        unlink(arguments->socket);
    return r < 0;
}

/* PATH, made when it is missing, as mountinfo will name it: without links. NULL after a line. */
static char *real_directory(const char *path)
{
    int r = store_file_make_path(path);
    char *real = r < 0 ? NULL : realpath(path, NULL);
    if (!real)
        log_error("volume-plugin: %s: %s", path, strerror(r < 0 ? -r : errno));
    return real;
}

int main(int count, char **words)
{
    struct arguments arguments = {
        .socket = "/run/docker/plugins/aapfs.sock",
        .state = "/var/lib/aapfs-volumes",
        .binds = "/run/aapfs-volumes",
    };
    char reason[VOLUMES_REASON_SIZE] = "";
    int status = parse(count, words, &arguments);
    if (status >= 0)
        return status;
    int signals = catch_signals();
    if (signals < 0)
        return log_failure(1, "volume-plugin: %s", strerror(-signals));
    _cleanup_(free) char *binds = real_directory(arguments.binds);
    if (!binds)
        return 1;
    struct volumes volumes = {.mountpoint = arguments.mountpoint, .binds = binds, .directory = -1};
    int r = volumes_open(&volumes, arguments.state, reason, sizeof(reason));
    if (r < 0)
        log_error("volume-plugin: %s", reason);
    status = r < 0 ? 1 : serve(&arguments, &volumes, signals);
    volumes_close(&volumes);
    return status;
}
