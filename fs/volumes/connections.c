#include "fs/volumes/connections.h"

#include <sys/socket.h>

#include "fs/engine/kms_clock.h"

static struct connection *find_free(struct connections *connections)
{
    for (int i = 0; i < CONNECTIONS_MOST; i++)
        if (!connections->all[i].is_open)
            return &connections->all[i];
    return NULL;
}

void connections_note(void *user, struct MHD_Connection *connection, void **context,
                      enum MHD_ConnectionNotificationCode code)
{
    struct connections *connections = user;
    struct connection *one = code == MHD_CONNECTION_NOTIFY_STARTED ? find_free(connections) : *context;
    *context = one;
    if (!one)
        return;
    *one = (struct connection){
        .is_open = code == MHD_CONNECTION_NOTIFY_STARTED,
        .descriptor = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
        .until_ms = clock_monotonic_ms() + CONNECTION_MS,
    };
    connections->count += one->is_open ? 1 : -1;
}

bool connections_have_room(const struct connections *connections)
{
    return connections->count < CONNECTIONS_MOST;
}

int connections_end_late(struct connections *connections)
{
    int64_t now_ms = clock_monotonic_ms(), first_ms = INT64_MAX;
    for (int i = 0; i < CONNECTIONS_MOST; i++) {
        struct connection *one = &connections->all[i];
        if (!one->is_open)
            continue;
        if (one->until_ms <= now_ms) {
            /* SHUT_RD leaves what has come: it is read first */
            shutdown(one->descriptor, one->is_heard ? SHUT_RDWR : SHUT_RD);
            one->is_heard = true;
            one->until_ms = now_ms + CONNECTION_MS;
        }
        if (one->until_ms < first_ms)
            first_ms = one->until_ms;
    }
    return first_ms == INT64_MAX ? -1 : (int)(first_ms - now_ms);
}
