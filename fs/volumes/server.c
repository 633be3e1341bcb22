#include "fs/volumes/server.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "fs/volumes/protocol.h"
#include "kmsapi/cleanup.h"

enum { BODY_MOST = 64 << 10, CONNECTIONS_MOST = 64, IDLE_SECONDS = 30 };

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

static int time_left(struct MHD_Daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(daemon, &ms) != MHD_YES)
        return -1;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

int server_run(int listener, int signals, struct volumes *volumes)
{
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, handle, volumes, MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_NOTIFY_COMPLETED, end, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MOST,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_SECONDS, MHD_OPTION_END);
    if (!daemon)
        return -EIO;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd polled[] = {
        {.fd = info->epoll_fd, .events = POLLIN},
        {.fd = signals, .events = POLLIN},
    };
    do {
        polled[1].revents = 0;
        if (poll(polled, 2, time_left(daemon)) < 0 && errno != EINTR)
            break;
        MHD_run(daemon);
    } while (!polled[1].revents);
    MHD_stop_daemon(daemon);
    return 0;
}
