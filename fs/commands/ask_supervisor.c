#include "fs/commands/ask_supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include <jansson.h>

#include "fs/base/log.h"
#include "fs/store/state.h"
#include "fs/supervisor/request_socket.h"

bool ask_supervisor_is_needed(const char *mountpoint)
{
    struct statvfs status;
    return statvfs(mountpoint, &status) == 0 && status.f_flag & ST_RDONLY;
}

/* Where the mount's state is, as its status tells. */
static bool find_state(const char *mountpoint, char path[static STATE_PATH_SIZE])
{
    char name[4096];
    snprintf(name, sizeof(name), "%s/.aapfs/status", mountpoint);
    json_t *status = json_load_file(name, 0, NULL);
    const char *state = json_string_value(json_object_get(status, "StateDirectory"));
    bool found = state && strlen(state) < STATE_PATH_SIZE;
    if (found)
        strcpy(path, state);
    json_decref(status);
    return found;
}

int ask_supervisor(const char *mountpoint, const char *command)
{
    char state[STATE_PATH_SIZE], reason[640];
    bool upgrade = strcmp(command, "upgrade") == 0;
    if (!find_state(mountpoint, state))
        return log_failure(-ENODEV, "%s/.aapfs/status: it does not tell a StateDirectory; no aapfs is mounted there, or one "
                                    "that cannot be asked while it is read-only", mountpoint);
    int r = request_socket_ask(state, upgrade ? WORKER_WANTS_UPGRADE : WORKER_WANTS_RELOAD, reason, sizeof(reason));
    if (r == -ENOENT)
        log_error("%s/.aapfs/control: %s, and %s; where only this view of the mount is read-only, use another one", mountpoint,
                  strerror(EROFS), reason);
    else if (r < 0)
        log_error("%s: %s: %s", command, strerror(-r), reason);
    return r;
}
