#include "fs/commands/mount/take_over.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/mount/privileges.h"
#include "fs/worker/worker.h"

static int stand_by(const struct supervisor_parts *parts, const struct handover *handover)
{
    struct mount_point mount_point = {
        .fuse = handover->descriptors[HANDOVER_FUSE],
        .device = (dev_t)handover->device,
        .lent = parts->lent >= 0,
    };
    memcpy(mount_point.path, handover->mountpoint, sizeof(mount_point.path));
    const struct worker_parts worker = {
        .config = parts->config, .configurer = parts->configurer, .state = parts->state,
        .mount_point = &mount_point, .memory = handover->descriptors[HANDOVER_MEMORY],
        .publisher = handover->descriptors[HANDOVER_PUBLISHER_WORKERS_END],
        .runner = handover->descriptors[HANDOVER_RUNNER_WORKERS_END],
        .link = handover->descriptors[HANDOVER_LINK],
        .stand_by = true,
    };
    prctl(PR_SET_NAME, "aapfs-worker");
    int r = privileges_hide_memory();
    if (r < 0)
        return log_failure(1, "upgrade: %s", strerror(-r));
    return worker_run(&worker);
}

int take_over(const struct supervisor_parts *parts, struct state *state, const struct handover *handover)
{
    *state = (struct state){
        .directory = handover->descriptors[HANDOVER_STATE_DIRECTORY],
        .lock = handover->descriptors[HANDOVER_STATE_LOCK],
        .key = handover->descriptors[HANDOVER_STATE_KEY],
    };
    memcpy(state->path, handover->state, sizeof(state->path));
    if (handover->to_syslog)
        log_to_syslog_too();
    if (handover->role == HANDOVER_SUPERVISE)
        return supervisor_resume(parts, handover);
    if (strcmp(handover->region, parts->config->region) != 0)
        return log_failure(2, "upgrade: the configuration names another region than the mount has (%s); umount and "
                              "mount again", handover->region);
    if (handover->audit != (uint32_t)parts->config->audit)
        return log_failure(2, "upgrade: the configuration has another audit than the mount has (%s); umount and mount "
                              "again", handover->audit ? "yes" : "no");
    return stand_by(parts, handover);
}

static bool add(char *arguments[static ARGUMENTS_MOST], size_t *count, const char *option, const char *value)
{
    if (option)
        arguments[(*count)++] = strdup(option);
    arguments[(*count)++] = value ? strdup(value) : NULL;
    return value && arguments[*count - 1] && (!option || arguments[*count - 2]);
}

int take_over_command(const struct mount_words *words, char *arguments[static ARGUMENTS_MOST], const char **executable)
{
    static char path[PATH_MAX];
    size_t count = 0;
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (size < 0)
        return -errno;
    path[size] = '\0';
    *executable = path;

    bool good = add(arguments, &count, "aapfs", "-f") &&
                (!words->file || add(arguments, &count, "-c", words->file)) &&
                (!words->region || add(arguments, &count, "--region", words->region)) &&
                (!words->endpoint || add(arguments, &count, "--endpoint", words->endpoint)) &&
                (!words->source || add(arguments, &count, NULL, words->source)) &&
                add(arguments, &count, NULL, words->mountpoint);
    arguments[count] = NULL;
    return good ? 0 : -ENOMEM;
}
