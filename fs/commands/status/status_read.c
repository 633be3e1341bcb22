#include "fs/commands/status/status_read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "fs/base/log.h"
#include "fs/engine/kms_clock.h"

enum { DEADLINE_MS = 5000, ATTEMPTS = 8 };

/* -- in the child, which may never come back ------------------------------------------------- */

/* {"Error": "…"}, which the parent says. */
static json_t *error_of(const char *mountpoint, const char *path, const char *why)
{
    return json_pack("{s:o}", "Error", json_sprintf("%s/%s: %s", mountpoint, path, why));
}

/*
 * A file as JSON; NULL and errno. A content that was looked up and is no longer kept is ESTALE: the next one is there.
 * An empty file is null.
 */
static json_t *read_file(int mount, const char *directory, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    for (int i = 0; i < ATTEMPTS; i++) {
        _cleanup_(close) int file = openat(mount, path, O_RDONLY | O_CLOEXEC);
        char probe;
        ssize_t size = file < 0 ? -1 : pread(file, &probe, 1, 0);
        if (size == 0)
            return json_null();
        if (size < 0 && errno != ESTALE)
            return NULL;
        json_t *value = size < 0 ? NULL : json_loadfd(file, 0, NULL);
        if (value)
            return value;
    }
    errno = EIO;
    return NULL;
}

/* The status in DIRECTORY with its LastError; NULL and errno. */
static json_t *read_status(int mount, const char *directory)
{
    json_t *status = read_file(mount, directory, "status");
    if (!status)
        return NULL;
    json_t *last_error = read_file(mount, directory, "last_error");
    if (last_error)
        json_object_set_new(status, "LastError", last_error);
    return status;
}

static int is_aap(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Every AAP's status, in the order of the names; an AAP that goes meanwhile is left out. Or an error. */
static json_t *read_aaps(int mount, const char *mountpoint)
{
    struct dirent **names = NULL;
    int count = scandirat(mount, ".", &names, is_aap, alphasort);
    json_t *aaps = json_array(), *error = count < 0 ? error_of(mountpoint, ".", strerror(errno)) : NULL;
    for (int i = 0; !error && i < count; i++) {
        json_t *status = read_status(mount, names[i]->d_name);
        if (status)
            json_array_append_new(aaps, status);
        else if (errno != ENOENT && errno != ESTALE)
            error = error_of(mountpoint, names[i]->d_name, strerror(errno));
    }
    if (error)
        json_decref(aaps);
    return error ? error : aaps; /* the names go with the process */
}

static json_t *read_all(const char *mountpoint, const char *aap)
{
    _cleanup_(close) int mount = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mount < 0)
        return error_of(mountpoint, "", strerror(errno));
    json_t *status = read_status(mount, ".aapfs");
    if (!status)
        return error_of(mountpoint, ".aapfs/status",
                        errno == ENOENT ? "not there: is aapfs mounted?" : strerror(errno));
    json_t *aaps;
    if (aap) {
        json_t *one = read_status(mount, aap);
        aaps = one ? json_pack("[o]", one)
                   : error_of(mountpoint, aap, errno == ENOENT ? "there is no such AAP here" : strerror(errno));
    } else {
        aaps = read_aaps(mount, mountpoint);
    }
    if (json_is_array(aaps))
        return json_pack("{s:o, s:o}", "Mount", status, "Aaps", aaps);
    json_decref(status);
    return aaps;
}

/* Nothing of the caller's stays open in it: who reads what status prints does not wait for a child that hangs. */
static void __attribute__((noreturn)) be_reader(int pipe_end, const char *mountpoint, const char *aap)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        if (null < 0 || dup2(null, i) < 0)
            _exit(1);
    json_t *all = read_all(mountpoint, aap);
    _exit(all && json_dumpfd(all, pipe_end, JSON_COMPACT) == 0 ? 0 : 1);
}

/* -- in the parent --------------------------------------------------------------------------- */

/* Everything that comes until the child closes; false at the deadline. */
static bool collect(int pipe_end, FILE *into)
{
    int64_t until_ms = clock_monotonic_ms() + DEADLINE_MS;
    for (;;) {
        char bytes[65536];
        int64_t left_ms = until_ms - clock_monotonic_ms();
        struct pollfd polled = {.fd = pipe_end, .events = POLLIN};
        if (left_ms <= 0)
            return false;
        if (poll(&polled, 1, (int)left_ms) <= 0)
            continue;
        ssize_t size = read(pipe_end, bytes, sizeof(bytes));
        if (size == 0)
            return true;
        if (size > 0 && fwrite(bytes, 1, (size_t)size, into) != (size_t)size)
            return false;
        if (size > 0)
            until_ms = clock_monotonic_ms() + DEADLINE_MS; /* it is getting on */
    }
}

static json_t *take(const char *mountpoint, const char *text, size_t size)
{
    json_t *all = json_loadb(text, size, 0, NULL);
    const char *error = json_string_value(json_object_get(all, "Error"));
    if (all && !error)
        return all;
    log_error("%s", error ? error : mountpoint);
    json_decref(all);
    return NULL;
}

json_t *status_read(const char *mountpoint, const char *aap)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        log_error("pipe: %s", strerror(errno));
        return NULL;
    }
    pid_t child = fork();
    if (child == 0)
        be_reader(ends[1], mountpoint, aap);
    close(ends[1]);
    _cleanup_(close) int from = ends[0];
    if (child < 0) {
        log_error("fork: %s", strerror(errno));
        return NULL;
    }
    char *text = NULL;
    size_t size = 0;
    FILE *into = open_memstream(&text, &size);
    bool whole = into && collect(from, into);
    if (into)
        fclose(into);
    json_t *all = NULL;
    if (whole) {
        all = take(mountpoint, text, size);
        waitpid(child, NULL, 0);
    } else {
        log_error("%s: no answer within %d s: its worker does not run, or stands still", mountpoint,
                  DEADLINE_MS / 1000);
        kill(child, SIGKILL); /* it ends when the mount answers: not waited for */
    }
    free(text);
    return all;
}
