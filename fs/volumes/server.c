#include "fs/volumes/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <microhttpd.h>

#include "fs/volumes/connections.h"
#include "fs/volumes/protocol.h"
#include "kmsapi/cleanup.h"

enum { BODY_MOST = 64 << 10, SHORT_MS = 100 };

/* A request's body while it comes in. */
struct incoming {
    char *body;
    size_t size;
};

static enum MHD_Result send_answer(struct MHD_Connection *connection, unsigned int status, const json_t *answer)
{
    char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    if (!text)
        return MHD_NO;
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "application/vnd.docker.plugins.v1.1+json");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close"); /* one request each: see connections.h */
    enum MHD_Result sent = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return sent;
}

/* False: too much, or memory is short. */
static bool add_body(struct incoming *incoming, const char *data, size_t size)
{
    if (size > BODY_MOST - incoming->size)
        return false;
    char *grown = realloc(incoming->body, incoming->size + size);
    if (!grown)
        return false;
    memcpy(grown + incoming->size, data, size);
    incoming->body = grown;
    incoming->size += size;
    return true;
}

/* MHD calls this for a request's head, for each part of its body, and at its end. MHD_NO closes the connection. */
static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **state)
{
    struct incoming *incoming = *state;
    if (!incoming) {
        *state = calloc(1, sizeof(*incoming));
        return *state ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        if (!add_body(incoming, data, *size))
            return MHD_NO;
        *size = 0;
        return MHD_YES;
    }
    json_t *answer = NULL;
    unsigned int status = protocol_run(user, method, url, incoming->body, incoming->size, &answer);
    enum MHD_Result sent = send_answer(connection, status, answer);
    json_decref(answer);
    return sent;
}

static void end(void *user, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    struct incoming *incoming = *state;
    if (incoming)
        free(incoming->body);
    free(incoming);
    *state = NULL;
}

/*
 * One of those who wait. MHD's own listening would end with its last free place, and begin again only in an MHD_run
 * for which, with its connections all gone, there is no event.
 */
static void accept_one(struct MHD_Daemon *daemon, int listener)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client >= 0)
        MHD_add_connection(daemon, client, (struct sockaddr *)&address, sizeof(address)); /* or closes it */
    else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        poll(NULL, 0, SHORT_MS); /* it is still there to be accepted: not at once again */
}

/* In milliseconds, for poll(2). */
static int time_left(struct MHD_Daemon *daemon, struct connections *connections)
{
    MHD_UNSIGNED_LONG_LONG ms;
    int until_late = connections_end_late(connections);
    return MHD_get_timeout(daemon, &ms) == MHD_YES && ms < (unsigned int)until_late ? (int)ms : until_late;
}

static void serve(struct MHD_Daemon *daemon, struct connections *connections, int listener, int signals)
{
    enum { REQUESTS, SIGNALS, LISTENER, POLLED };
    struct pollfd polled[POLLED] = {
        [REQUESTS] = {.fd = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN},
        [SIGNALS] = {.fd = signals, .events = POLLIN},
        [LISTENER] = {.events = POLLIN},
    };
    do {
        polled[LISTENER].fd = connections_have_room(connections) ? listener : -1;
        polled[SIGNALS].revents = polled[LISTENER].revents = 0;
        if (poll(polled, POLLED, time_left(daemon, connections)) < 0 && errno != EINTR)
            break;
        if (polled[LISTENER].revents)
            accept_one(daemon, listener);
        MHD_run(daemon);
    } while (!polled[SIGNALS].revents);
}

int server_run(int listener, int signals, struct volumes *volumes)
{
    struct connections connections = {0};
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, handle, volumes, MHD_OPTION_NOTIFY_COMPLETED, end,
        NULL, MHD_OPTION_NOTIFY_CONNECTION, connections_note, &connections, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned int)CONNECTIONS_MOST, MHD_OPTION_END);
    if (!daemon)
        return -EIO;
    serve(daemon, &connections, listener, signals);
    MHD_stop_daemon(daemon);
    return 0;
}
