/*
 * The connections of the plugin's clients, and how long each may take. One thread.
 *
 * A connection is for one request. What has not come CONNECTION_MS after its begin is not waited for; what is here by
 * then is answered. Whoever does not read its answer is ended as long again after that, if not before.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <microhttpd.h>

enum {
    CONNECTIONS_MOST = 64,
#ifdef AAPFS_VOLUMES_CONNECTION_MS
    CONNECTION_MS = AAPFS_VOLUMES_CONNECTION_MS, /* for a test that does not want to wait so long */
#else
    CONNECTION_MS = 30 * 1000,
#endif
};

struct connections {
    struct connection {
        bool is_open, is_heard; /* nothing is read from it any more */
        int descriptor;
        int64_t until_ms; /* clock_monotonic_ms */
    } all[CONNECTIONS_MOST];
    int count; /* of those that are open */
};

/* MHD_NotifyConnectionCallback: USER is the connections. */
void connections_note(void *user, struct MHD_Connection *connection, void **context,
                      enum MHD_ConnectionNotificationCode code);

bool connections_have_room(const struct connections *connections);

/*
 * Ends those whose time is over: MHD_run is due when one was. Milliseconds until the next one's is; -1: none is open.
 */
int connections_end_late(struct connections *connections);
