#include "fs/commands/mount/find_region.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/reason.h"
#include "fs/runner/configured_credentials.h"
#include "kmsapi/credentials/chain.h"
#include "kmsapi/wiping_memory.h"

struct finding {
    int result;
    char region[sizeof(((struct config *)0)->region)];
    char reason[512];
};

static void find(const struct config *config, struct finding *found)
{
    const struct credentials_source_options options = configured_credentials(config, NULL);
    snprintf(found->reason, sizeof(found->reason), "libcurl cannot be set up");
    found->result = wiping_memory_install();
    if (found->result == 0)
        found->result = chain_region(&options, found->region, sizeof(found->region), found->reason, sizeof(found->reason));
}

/* Profiles hold secrets, and the process that will own the mount is to have none, nor libcurl. */
static int find_in_child(const struct config *config, struct finding *found)
{
    int pair[2];
    pid_t parent = getpid();
    if (pipe2(pair, O_CLOEXEC) < 0)
        return -errno;
    pid_t process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            find(config, found);
        ssize_t told = write(pair[1], found, sizeof(*found));
        _exit(told == (ssize_t)sizeof(*found) ? 0 : 1);
    }
    int r = process < 0 ? -errno : 0;
    close(pair[1]);
    if (r == 0 && read(pair[0], found, sizeof(*found)) != (ssize_t)sizeof(*found))
        r = -EIO;
    close(pair[0]);
    if (process > 0)
        waitpid(process, NULL, 0);
    return r;
}

int find_region(struct config *config, char *reason, size_t size)
{
    struct finding found = {.result = -EIO};
    const char *variable = NULL;
    char why[256];
    const char *named = chain_region_variable(&variable);
    int r = named ? 0 : find_in_child(config, &found);
    if (r < 0)
        snprintf(found.reason, sizeof(found.reason), "%s", strerror(-r));
    if (named || (r == 0 && found.result == 0)) {
        const char *by = named ? variable : found.reason;
        r = config_set_region(config, named ? named : found.region, why, sizeof(why));
        return r < 0 ? reason_give(reason, size, r, "%s%s: %s", named ? "" : "the region by ", by, why)
                     : reason_give(reason, size, r, "%s", by);
    }
    return reason_give(reason, size, -ENOENT, "no region%s%s; set one: --region cn-hangzhou, region in [kms] of "
                       "aapfs.conf, or ALIBABA_CLOUD_REGION_ID", found.reason[0] ? ": " : "", found.reason);
}
