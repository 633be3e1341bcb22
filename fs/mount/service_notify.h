/*
 * Tells a service manager that the mount is ready, and gives it descriptors to keep for the next start. The
 * supervisor's thread.
 *
 * Source: sd_notify(3), "Notes": datagrams to the socket that NOTIFY_SOCKET names; "READY=1"; "EXTEND_TIMEOUT_USEC="; "FDSTORE=1" with the
 * descriptors as SCM_RIGHTS; "FDSTOREREMOVE=1".
 */
#pragma once

#include <stdint.h>

/* Each: 0, also when no NOTIFY_SOCKET is set; negative errno when the message cannot be sent. */
int service_notify_ready(void);

/* What is under way, a start or a stop, may take MS from now on, however short the unit's own limit is. */
int service_notify_wait(int64_t ms);

/* DESCRIPTOR is kept under NAME ([a-z-]) until it is forgotten or the service has ended; it stays the caller's too. */
int service_notify_store(const char *name, int descriptor);

int service_notify_forget(const char *name);
