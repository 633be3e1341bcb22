#include "fs/mount/worker_link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int worker_link_send(int socket, enum worker_message_kind kind, int number, const char *format, ...)
{
    struct worker_message message = {.kind = kind, .number = number};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message.text, sizeof(message.text), format, arguments);
    va_end(arguments);
    return send(socket, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int worker_link_receive(int socket, struct worker_message *message)
{
    ssize_t size;
    do
        size = recv(socket, message, sizeof(*message), MSG_DONTWAIT);
    while (size < 0 && errno == EINTR);
    if (size <= 0)
        return size == 0 ? -EPIPE : -errno;
    if (size != sizeof(*message) || message->kind == 0 || message->kind >= WORKER_MESSAGE_KINDS ||
        !memchr(message->text, '\0', sizeof(message->text)))
        return -EPROTO;
    return 0;
}
