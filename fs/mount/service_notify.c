#include "fs/mount/service_notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "kmsapi/cleanup.h"

int service_notify_ready(void)
{
    static const char message[] = "READY=1";
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path)
        return 0;
    size_t size = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || size >= sizeof(address.sun_path))
        return -EINVAL;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* Linux's abstract namespace */
    _cleanup_(close) int notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify < 0 ||
        sendto(notify, message, sizeof(message) - 1, MSG_NOSIGNAL,
               (const struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)) < 0)
        return -errno;
    return 0;
}
