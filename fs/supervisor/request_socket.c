#include "fs/supervisor/request_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/base/reason.h"
#include "kmsapi/cleanup.h"

static const char name[] = ".requests";

enum { WAITING_MOST = 8 };

/* By the directory's descriptor: its path may be longer than an address. */
static struct sockaddr_un address_in(int directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory, name);
    return address;
}

int request_socket_open(struct request_socket *requests, int directory)
{
    const struct sockaddr_un address = address_in(directory);
    if (unlinkat(directory, name, 0) < 0 && errno != ENOENT) /* one that was killed has left it */
        return -errno;
    _cleanup_(close) int socket_made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_made < 0 || bind(socket_made, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        fchmodat(directory, name, 0600, 0) < 0 || listen(socket_made, WAITING_MOST) < 0)
        return -errno;
    *requests = (struct request_socket){.listening = steal_descriptor(&socket_made), .client = -1};
    return 0;
}

int request_socket_polled(const struct request_socket *requests)
{
    return requests->client >= 0 && !requests->wanted ? requests->client
           : requests->client < 0                     ? requests->listening
                                                      : -1;
}

static void drop_client(struct request_socket *requests)
{
    cleanup_close(&requests->client);
    requests->wanted = 0;
}

/* The directory keeps others out; whoever was let in by mistake is not root or this user. */
static bool is_allowed(int client)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

enum worker_message_kind request_socket_take(struct request_socket *requests)
{
    struct worker_message message;
    if (requests->client < 0 && requests->listening >= 0) {
        requests->client = accept4(requests->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        requests->wanted = 0;
    }
    if (requests->client < 0 || requests->wanted)
        return 0;
    int r = is_allowed(requests->client) ? worker_link_receive(requests->client, &message, NULL) : -EACCES;
    if (r == -EAGAIN)
        return 0;
    if (r < 0 || (message.kind != WORKER_WANTS_UPGRADE && message.kind != WORKER_WANTS_RELOAD)) {
        drop_client(requests);
        return 0;
    }
    requests->wanted = (enum worker_message_kind)message.kind;
    return requests->wanted;
}

void request_socket_answer(struct request_socket *requests, enum worker_message_kind wanted, int number,
                           const char *reason)
{
    if (requests->client < 0 || requests->wanted != wanted)
        return;
    (void)worker_link_send(requests->client, WORKER_VERDICT, number, "%s", reason); /* who has left misses nothing */
    drop_client(requests);
}

void request_socket_close(struct request_socket *requests, int directory)
{
    drop_client(requests);
    if (requests->listening < 0)
        return;
    (void)unlinkat(directory, name, 0);
    cleanup_close(&requests->listening);
}

/* The supervisor bounds what it does; its end ends the wait, too. */
static int await_answer(int socket, char *reason, size_t size)
{
    struct worker_message message;
    struct pollfd polled = {.fd = socket, .events = POLLIN};
    int r;
    while ((r = worker_link_receive(socket, &message, NULL)) == -EAGAIN)
        if (poll(&polled, 1, -1) < 0 && errno != EINTR)
            return -errno;
    if (r < 0 || message.kind != WORKER_VERDICT)
        return reason_give(reason, size, -EIO, "the supervisor ended before it had answered");
    return reason_give(reason, size, message.number > 0 ? -message.number : 0, "%s", message.text);
}

int request_socket_ask(const char *directory, enum worker_message_kind wanted, char *reason, size_t size)
{
    _cleanup_(close) int place = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(close) int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int r = place < 0 || client < 0 ? -errno : 0;
    if (r == 0) {
        const struct sockaddr_un address = address_in(place);
        r = connect(client, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    }
    if (r < 0)
        return reason_give(reason, size, r == -ECONNREFUSED ? -ENOENT : r, "%s/%s: %s", directory, name, strerror(-r));
    r = worker_link_send(client, wanted, 0, "%s", "");
    return r < 0 ? reason_give(reason, size, r, "%s/%s: %s", directory, name, strerror(-r))
                 : await_answer(client, reason, size);
}
