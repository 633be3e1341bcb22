#include "fs/mount/worker_link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kmsapi/cleanup.h"

/* Room for one descriptor, aligned as its header wants it. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int worker_link_send(int socket, enum worker_message_kind kind, int number, const char *format, ...)
{
    struct worker_message message = {.kind = kind, .number = number};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message.text, sizeof(message.text), format, arguments);
    va_end(arguments);
    return send(socket, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int worker_link_send_descriptor(int socket, enum worker_message_kind kind, int number, int descriptor)
{
    struct worker_message message = {.kind = kind, .number = number};
    struct iovec bytes = {&message, sizeof(message)};
    union control control = {.header = {.cmsg_len = CMSG_LEN(sizeof(descriptor)),
                                        .cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS}};
    const struct msghdr whole = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(descriptor));
    return sendmsg(socket, &whole, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int take_descriptor(struct msghdr *whole)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(whole);
    int descriptor = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(descriptor)))
        memcpy(&descriptor, CMSG_DATA(header), sizeof(descriptor));
    return descriptor;
}

int worker_link_receive(int socket, struct worker_message *message, int *descriptor)
{
    union control control;
    struct iovec bytes = {message, sizeof(*message)};
    struct msghdr whole = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                           .msg_controllen = sizeof(control)};
    ssize_t size;
    if (descriptor)
        *descriptor = -1;
    do
        size = recvmsg(socket, &whole, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size <= 0)
        return size == 0 ? -EPIPE : -errno;
    _cleanup_(close) int came = take_descriptor(&whole);
    if (size != sizeof(*message) || message->kind == 0 || message->kind >= WORKER_MESSAGE_KINDS ||
        !memchr(message->text, '\0', sizeof(message->text)))
        return -EPROTO;
    if (descriptor)
        *descriptor = steal_descriptor(&came);
    return 0;
}
