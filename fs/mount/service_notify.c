#include "fs/mount/service_notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "kmsapi/cleanup.h"

static int find_manager(const char *path, struct sockaddr_un *address, socklen_t *address_size)
{
    size_t size = strlen(path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((path[0] != '/' && path[0] != '@') || size >= sizeof(address->sun_path))
        return -EINVAL;
    memcpy(address->sun_path, path, size);
    if (path[0] == '@')
        address->sun_path[0] = '\0'; /* Linux's abstract namespace */
    *address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return 0;
}

/* With DESCRIPTOR, unless it is -1. */
static int __attribute__((format(printf, 2, 3)))
tell(int descriptor, const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t address_size;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    if (!path)
        return 0;
    int r = find_manager(path, &address, &address_size);
    if (r < 0)
        return r;
    char text[96];
    va_list arguments;
    va_start(arguments, format);
    struct iovec part = {text, (size_t)vsnprintf(text, sizeof(text), format, arguments)};
    va_end(arguments);
    struct msghdr message = {.msg_name = &address, .msg_namelen = address_size, .msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
    }
    _cleanup_(close) int notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return notify < 0 || sendmsg(notify, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int service_notify_ready(void)
{
    return tell(-1, "READY=1");
}

int service_notify_wait(int64_t ms)
{
    return tell(-1, "EXTEND_TIMEOUT_USEC=%" PRId64, ms * 1000);
}

int service_notify_store(const char *name, int descriptor)
{
    return tell(descriptor, "FDSTORE=1\nFDNAME=%s", name);
}

int service_notify_forget(const char *name)
{
    return tell(-1, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}
