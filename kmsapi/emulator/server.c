#include "kmsapi/emulator/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

#include "kmsapi/cleanup.h"
#include "kmsapi/emulator/emulator_clock.h"
#include "kmsapi/emulator/exchange.h"

#define HUGE_ANSWER_SIZE (UINT64_C(64) << 20)

struct server {
    struct server_parts parts;
    struct exchange_log log;
    struct MHD_Daemon *daemon;
    int stop; /* eventfd */
};

/* What one request is while it comes in. */
struct incoming {
    struct request request;
    char *url;
    bool begun, malformed;
    const struct server *server;
    struct MHD_Connection *connection;
};

static int connection_socket(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* exchange_wait */
static bool wait_or_hang_up(void *user, int ms, bool deaf)
{
    const struct incoming *incoming = user;
    struct pollfd polled[] = {
        {.fd = deaf ? -1 : connection_socket(incoming->connection), .events = POLLRDHUP},
        {.fd = incoming->server->stop, .events = POLLIN},
    };
    return poll(polled, 2, ms) == 0;
}

static void *begin(void *user, const char *url, struct MHD_Connection *connection)
{
    struct incoming *incoming = calloc(1, sizeof(*incoming));
    if (!incoming)
        return NULL;
    *incoming = (struct incoming){.url = strdup(url), .server = user, .connection = connection};
    return incoming;
}

static void end(void *user, struct MHD_Connection *connection, void **state,
                enum MHD_RequestTerminationCode code)
{
    struct incoming *incoming = *state;
    if (!incoming)
        return;
    request_clear(&incoming->request);
    free(incoming->url);
    free(incoming);
    *state = NULL;
}

static enum MHD_Result take_header(void *user, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct incoming *incoming = user;
    return request_add_header(&incoming->request, name, value) == 0 ? MHD_YES : MHD_NO;
}

static enum MHD_Result drop(struct MHD_Connection *connection)
{
    /* a reset, and no orderly end of the stream */
    const struct linger linger = {.l_onoff = 1};
    setsockopt(connection_socket(connection), SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    return MHD_NO;
}

/* A body that breaks off: the text, up to half of what was promised. */
struct broken_body {
    char *text;
    size_t size;
};

static ssize_t read_half(void *user, uint64_t position, char *buffer, size_t room)
{
    const struct broken_body *body = user;
    size_t half = body->size / 2;
    if (position >= half)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t size = half - position < room ? half - position : room;
    memcpy(buffer, body->text + position, size);
    return (ssize_t)size;
}

static void free_broken(void *user)
{
    struct broken_body *body = user;
    free(body->text);
    free(body);
}

static ssize_t read_huge(void *user, uint64_t position, char *buffer, size_t room)
{
    static const char head[] = "{\"Padding\":\"";
    memset(buffer, 'x', room);
    for (size_t i = 0; i < room && position + i < sizeof(head) - 1; i++)
        buffer[i] = head[position + i];
    return (ssize_t)room;
}

static struct MHD_Response *truncated(char *text, size_t size)
{
    struct broken_body *body = malloc(sizeof(*body));
    if (!body) {
        free(text);
        return NULL;
    }
    *body = (struct broken_body){text, size};
    return MHD_create_response_from_callback(size, 4096, read_half, body, free_broken);
}

/* free() it; NULL when memory is short. */
static char *make_body(const struct reply *reply, size_t *size)
{
    if (reply->message)
        return protobuf_write(reply->message, reply->object, size);
    char *text = reply->text ? strdup(reply->text) : json_dumps(reply->object, JSON_COMPACT);
    *size = text ? strlen(text) : 0;
    return text;
}

static struct MHD_Response *make_response(enum exchange_end how, const struct reply *reply)
{
    static char garbage[] = "<html>\xff\xfe no JSON at all";
    if (how == EXCHANGE_GARBAGE)
        return MHD_create_response_from_buffer(sizeof(garbage), garbage, MHD_RESPMEM_PERSISTENT);
    if (how == EXCHANGE_HUGE)
        return MHD_create_response_from_callback(HUGE_ANSWER_SIZE, 65536, read_huge, NULL, NULL);
    size_t size;
    char *text = make_body(reply, &size);
    if (!text)
        return NULL;
    return how == EXCHANGE_TRUNCATE
               ? truncated(text, size)
               : MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
}

static void add_date(struct MHD_Response *response)
{
    char date[64];
    time_t now = emulator_clock_now();
    struct tm fields;
    if (gmtime_r(&now, &fields) &&
        strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &fields) > 0)
        MHD_add_response_header(response, "Date", date);
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, enum exchange_end how,
                                  const struct reply *reply)
{
    struct MHD_Response *response = make_response(how, reply);
    if (!response)
        return MHD_NO;
    const char *id = json_string_value(json_object_get(reply->object, "RequestId"));
    MHD_add_response_header(response, "Content-Type",
                            reply->message ? "application/x-protobuf" : "application/json;charset=utf-8");
    add_date(response);
    if (id)
        MHD_add_response_header(response, "x-acs-request-id", id);
    if (reply->retry_after_ms) {
        char number[16];
        snprintf(number, sizeof(number), "%u", reply->retry_after_ms);
        MHD_add_response_header(response, "x-acs-retry-after", number);
    }
    enum MHD_Result sent = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return sent;
}

static enum MHD_Result answer(struct server *server, struct incoming *incoming)
{
    struct reply reply = {0};
    enum exchange_end how = EXCHANGE_ANSWER;
    if (incoming->malformed)
        reply_error(&reply, 400, "ParseRequestParameterException",
                    "Server parse parameters exception. Please check your input params.");
    else
        how = exchange_run(&server->parts, &server->log, &incoming->request, wait_or_hang_up,
                           incoming, &reply);
    enum MHD_Result sent = how == EXCHANGE_DROP ? drop(incoming->connection)
                                                : send_reply(incoming->connection, how, &reply);
    json_decref(reply.object);
    return sent;
}

static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    struct incoming *incoming = *state;
    if (!incoming || !incoming->url)
        return MHD_NO;
    if (!incoming->begun) {
        incoming->begun = true;
        int r = request_set_url(&incoming->request, method, incoming->url);
        incoming->malformed = r == -EINVAL;
        MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header, incoming);
        return r == -ENOMEM ? MHD_NO : MHD_YES;
    }
    if (*size > 0) {
        if (request_add_body(&incoming->request, data, *size) < 0)
            return MHD_NO;
        *size = 0;
        return MHD_YES;
    }
    return answer(user, incoming);
}

static int listen_at(const struct server_parts *parts, char *reason, size_t size)
{
    const int on = 1;
    _cleanup_(close) int listener =
        socket(parts->address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(listener, parts->address, parts->address_size) < 0 || listen(listener, 128) < 0) {
        snprintf(reason, size, "cannot listen: %s", strerror(errno));
        return -errno;
    }
    return steal_descriptor(&listener);
}

int server_start(const struct server_parts *parts, struct server **server, char *reason,
                 size_t size)
{
    struct server *made = calloc(1, sizeof(*made));
    json_t *counts = json_object();
    int stop = eventfd(0, EFD_CLOEXEC);
    int listener = made && counts && stop >= 0 ? listen_at(parts, reason, size) : -ENOMEM;
    if (listener >= 0) {
        *made = (struct server){.parts = *parts, .stop = stop};
        made->log = (struct exchange_log){.counts = counts, .record = parts->record};
        pthread_mutex_init(&made->log.lock, NULL);
        bool tls = parts->certificate_pem != NULL;
        made->daemon = MHD_start_daemon(
            MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                MHD_USE_SUPPRESS_DATE_NO_CLOCK | /* the Date is the emulator's */
                (tls ? MHD_USE_TLS : 0U),
            0, NULL, NULL, handle, made, MHD_OPTION_LISTEN_SOCKET, listener,
            MHD_OPTION_URI_LOG_CALLBACK, begin, made, MHD_OPTION_NOTIFY_COMPLETED, end, NULL,
            tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, parts->certificate_pem,
            MHD_OPTION_HTTPS_MEM_KEY, parts->key_pem, MHD_OPTION_END);
        if (made->daemon) {
            *server = made;
            return 0;
        }
        snprintf(reason, size, "libmicrohttpd cannot start%s", tls ? "; is it the right key?" : "");
        close(listener);
        listener = -EIO;
    }
    if (stop >= 0)
        close(stop);
    json_decref(counts);
    free(made);
    return listener;
}

unsigned int server_port(const struct server *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    getsockname(info->listen_fd, (struct sockaddr *)&address, &size);
    return address.ss_family == AF_INET6
               ? ntohs(((const struct sockaddr_in6 *)(const void *)&address)->sin6_port)
               : ntohs(((const struct sockaddr_in *)(const void *)&address)->sin_port);
}

void server_stop(struct server *server)
{
    const uint64_t one = 1;
    if (write(server->stop, &one, sizeof(one)) < 0)
        fprintf(stderr, "kms-emulator: stop: %s\n", strerror(errno));
    MHD_stop_daemon(server->daemon);
    close(server->stop);
    json_decref(server->log.counts);
    pthread_mutex_destroy(&server->log.lock);
    free(server);
}

int server_parse_address(const char *text, struct sockaddr_storage *address, socklen_t *address_size,
                         char *reason, size_t size)
{
    char host[64] = "";
    unsigned int port = 0;
    int used = 0;
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)(void *)address;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)(void *)address;
    memset(address, 0, sizeof(*address));
    if ((sscanf(text, "[%63[0-9a-f:]]:%5u%n", host, &port, &used) == 2 ||
         sscanf(text, "%63[0-9.]:%5u%n", host, &port, &used) == 2) &&
        !text[used] && port <= 65535) {
        if (inet_pton(AF_INET, host, &ipv4->sin_addr) == 1 &&
            ntohl(ipv4->sin_addr.s_addr) >> 24 == 127) {
            ipv4->sin_family = AF_INET;
            ipv4->sin_port = htons((in_port_t)port);
            *address_size = sizeof(*ipv4);
            return 0;
        }
        memset(address, 0, sizeof(*address));
        if (inet_pton(AF_INET6, host, &ipv6->sin6_addr) == 1 &&
            IN6_IS_ADDR_LOOPBACK(&ipv6->sin6_addr)) {
            ipv6->sin6_family = AF_INET6;
            ipv6->sin6_port = htons((in_port_t)port);
            *address_size = sizeof(*ipv6);
            return 0;
        }
    }
    snprintf(reason, size, "--listen %.100s: expected a loopback address and a port, as 127.0.0.1:0",
             text);
    return -EINVAL;
}
