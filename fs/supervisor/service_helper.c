/*
 * For the units of systemd, a program of its own: takes away a mount that nobody will serve again, and that nothing may
 * look into meanwhile.
 *
 *     service-helper stopped MOUNTPOINT UNIT     as UNIT's ExecStopPost=; unless UNIT is started again
 *     service-helper left MOUNTPOINT             where UNIT is down for good: what systemd ended without asking UNIT
 *
 * A mount that somebody serves stays: it is not UNIT's.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/mount/mount_point.h"
#include "fs/mount/mount_table.h"
#include "kmsapi/cleanup.h"

/* systemd lets go of the descriptors that it keeps a moment after the service has ended; each try takes a second */
enum { TRIES = 5 };

enum { JOB_SIZE = 32 };

/* What `systemctl VERB UNIT` says; UNIT may be NULL. NULL when it cannot be asked. */
static FILE *ask_systemd(const char *verb, const char *unit)
{
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) < 0)
        return NULL;
    pid_t child = fork();
    if (child == 0) {
        dup2(pair[1], STDOUT_FILENO);
        execlp("systemctl", "systemctl", "--no-legend", "--no-pager", "--plain", "--full", "--value",
               "--property=NFileDescriptorStore", verb, "--", unit, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    return fdopen(pair[0], "r");
}

/* The job that systemd has for UNIT; "": none. Of all jobs: with a backslash a name is no pattern for itself. */
static void find_job(const char *unit, char type[static JOB_SIZE])
{
    _cleanup_(fclose) FILE *jobs = ask_systemd("list-jobs", NULL);
    char line[1024], name[512];
    bool found = false;
    while (!found && jobs && fgets(line, sizeof(line), jobs))
        found = sscanf(line, "%*s %511s %31s", name, type) == 2 && strcmp(name, unit) == 0;
    if (!found)
        type[0] = '\0';
}

/* By a job, or by Restart=on-failure. */
static bool comes_again(const char *unit)
{
    char job[JOB_SIZE];
    const char *result = getenv("SERVICE_RESULT");
    find_job(unit, job);
    if (strcmp(job, "restart") == 0 || strcmp(job, "try-restart") == 0)
        return true;
    return strcmp(job, "stop") != 0 && result && strcmp(result, "success") != 0;
}

static bool keeps_descriptors(const char *unit)
{
    _cleanup_(fclose) FILE *answer = ask_systemd("show", unit);
    char line[32];
    return answer && fgets(line, sizeof(line), answer) && strtol(line, NULL, 10) > 0;
}

static int detach(const struct mount_point *mount_point)
{
    int r = mount_point_unmount(mount_point);
    if (r < 0)
        log_error("%s: cannot unmount: %s", mount_point->path, strerror(-r));
    return r < 0;
}

static bool find_mount(const char *path, struct mount_point *mount_point)
{
    *mount_point = (struct mount_point){.fuse = -1};
    if (mount_point_resolve(path, mount_point->path) < 0)
        return false;
    const struct mounted mounted = mount_table_at(mount_point->path);
    mount_point->device = mounted.device;
    return mounted.is_aapfs;
}

static int stopped(const char *path, const char *unit)
{
    struct mount_point mount_point;
    if (!find_mount(path, &mount_point) || comes_again(unit))
        return 0;
    /* with what systemd has kept nobody serves it; without, somebody else may */
    return keeps_descriptors(unit) || mount_table_is_dead(mount_point.path) ? detach(&mount_point) : 0;
}

static int left(const char *path)
{
    struct mount_point mount_point;
    for (int i = 0; i < TRIES && find_mount(path, &mount_point); i++) {
        enum mount_answer answer = mount_table_ask(mount_point.path);
        if (answer == MOUNT_DEAD) {
            log_notice("%s: a mount of aapfs that had lost its daemon is detached", mount_point.path);
            return detach(&mount_point);
        }
        if (answer == MOUNT_ALIVE)
            return 0;
    }
    return 0;
}

int main(int count, char **words)
{
    if (count == 4 && strcmp(words[1], "stopped") == 0)
        return stopped(words[2], words[3]);
    if (count == 3 && strcmp(words[1], "left") == 0)
        return left(words[2]);
    fputs("usage: service-helper stopped MOUNTPOINT UNIT\n       service-helper left MOUNTPOINT\n", stderr);
    return 2;
}
