/* What libfuse 3.14 does not know of the kernel's INIT: idmapped binds, since Linux 6.12. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* Whether the kernel's message INIT of SIZE bytes offers idmapped binds. */
bool init_offers_idmap(const void *init, size_t size);

/*
 * Takes the offer in libfuse's answer, a header and a struct fuse_init_out; false, and nothing is changed, when it is
 * another one or an error.
 *
 * From then on the kernel names no user and group in a request, whatever mount it comes through: see caller.h. Only with
 * default_permissions: else it ends the connection.
 */
bool init_reply_take_idmap(struct iovec *parts, int count);
