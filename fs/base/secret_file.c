#include "fs/base/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmsapi/cleanup.h"

int secret_file_open(const char *path, bool links, char *reason, size_t size)
{
    struct stat attributes;
    _cleanup_(close) int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | (links ? 0 : O_NOFOLLOW));
    int r = file < 0 || fstat(file, &attributes) < 0 ? -errno : 0;
    reason[0] = '\0';
    if (r == -ENOENT)
        return r;
    if (r == 0 && !S_ISREG(attributes.st_mode))
        r = -EINVAL;
    /* systemd's credentials belong to root, whoever the service runs as */
    else if (r == 0 && ((attributes.st_uid != geteuid() && attributes.st_uid != 0) ||
                        (attributes.st_mode & 077) != 0))
        r = -EACCES;
    if (r == 0)
        return steal_descriptor(&file);
    snprintf(reason, size, "%s: %s", path,
             r == -EACCES   ? "others may read or write it; chmod 0600, and chown it to this user"
             : r == -EINVAL ? "not a plain file"
                            : strerror(-r));
    return r;
}
