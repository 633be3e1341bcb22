#include "fs/commands/mount/dev_state.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"

int dev_state_make(struct dev_state *dev)
{
    const char *above = getenv("TMPDIR");
    if (!above || above[0] != '/')
        above = "/tmp";
    if (snprintf(dev->path, sizeof(dev->path), "%s/aapfs-dev-XXXXXX", above) >=
        (int)sizeof(dev->path)) {
        log_error("--dev: TMPDIR: %s", strerror(ENAMETOOLONG));
        return -ENAMETOOLONG;
    }
    if (!mkdtemp(dev->path)) {
        int r = -errno;
        log_error("--dev: %s: %s", dev->path, strerror(-r));
        return r;
    }
    dev->places.may_make_key = true;
    snprintf(dev->places.directory, sizeof(dev->places.directory), "%s/state", dev->path);
    snprintf(dev->places.key, sizeof(dev->places.key), "%s/state.key", dev->path);
    return 0;
}

static int remove_one(const char *path, const struct stat *attributes, int type, struct FTW *where)
{
    if (remove(path) < 0)
        log_error("--dev: %s: %s", path, strerror(errno));
    return 0;
}

void dev_state_remove(const struct dev_state *dev)
{
    nftw(dev->path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
