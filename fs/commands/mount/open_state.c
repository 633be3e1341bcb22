#include "fs/commands/mount/open_state.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/mount/privileges.h"

enum { REASON_SIZE = 2 * STATE_PATH_SIZE + 256 };

/* What is wrong with the state or its key is wrong configuration; a disk that fails is not. */
int open_state_tell(int error, const char *reason)
{
    log_error("state: %s", reason);
    return error == -EBUSY || error == -EIO || error == -ENOSPC || error == -EROFS || error == -ENOMEM ? 1 : 2;
}

/* The child's life: its exit status. */
static int make_and_check(const struct state_places *places, const char *region, struct state *state)
{
    char reason[REASON_SIZE] = "";
    int r = privileges_hide_memory();
    if (r < 0)
        return log_failure(1, "state: %s", strerror(-r));
    if (state->key < 0) {
        r = state_make_key(places, reason, sizeof(reason));
        if (r == 0)
            r = state_open_key(places, state, reason, sizeof(reason));
    }
    if (r == 0)
        r = state_check(state, region, reason, sizeof(reason));
    return r < 0 ? open_state_tell(r, reason) : 0;
}

static int run_child(const struct state_places *places, const char *region, struct state *state)
{
    pid_t child = fork();
    if (child == 0)
        _exit(make_and_check(places, region, state));
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child < 0 || !WIFEXITED(status))
        return log_failure(1, "state: %s", child < 0 ? strerror(errno) : "its check was killed");
    return WEXITSTATUS(status);
}

int open_state(const struct state_places *places, const char *region, struct state *state)
{
    char reason[REASON_SIZE] = "";
    int r = state_open(places, state, reason, sizeof(reason));
    if (r < 0)
        return open_state_tell(r, reason);
    int status = run_child(places, region, state);
    if (status == 0 && state->key < 0) {
        r = state_open_key(places, state, reason, sizeof(reason));
        status = r < 0 ? open_state_tell(r, reason) : 0;
    }
    if (status != 0)
        state_close(state);
    return status;
}
