/*
 * Tells a service manager that the mount is ready. The supervisor's thread.
 *
 * Source: sd_notify(3), "Notes": a datagram "READY=1" to the socket that NOTIFY_SOCKET names.
 */
#ifndef AAPFS_FS_MOUNT_SERVICE_NOTIFY_H
#define AAPFS_FS_MOUNT_SERVICE_NOTIFY_H

/* 0, also when no NOTIFY_SOCKET is set; negative errno when the message cannot be sent. */
int service_notify_ready(void);

#endif
