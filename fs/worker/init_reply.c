#include "fs/worker/init_reply.h"

#include <linux/fuse.h>

/* Source: linux/fuse.h, protocol 7.41: FUSE_ALLOW_IDMAP, bit 40 of the flags; flags2 begins with bit 32. */
enum { ALLOW_IDMAP_2 = 1 << (40 - 32) };

bool init_offers_idmap(const void *init, size_t size)
{
    const struct fuse_in_header *header = init;
    const struct fuse_init_in *in = (const void *)(header + 1);
    return size >= sizeof(*header) + offsetof(struct fuse_init_in, flags2) + sizeof(in->flags2) &&
           in->flags & FUSE_INIT_EXT && in->flags2 & ALLOW_IDMAP_2;
}

bool init_reply_take_idmap(struct iovec *parts, int count)
{
    const struct fuse_out_header *header = count == 2 ? parts[0].iov_base : NULL;
    struct fuse_init_out *out = count == 2 ? parts[1].iov_base : NULL;
    if (!header || parts[0].iov_len != sizeof(*header) || header->error != 0 || parts[1].iov_len < sizeof(*out))
        return false;
    out->flags |= FUSE_INIT_EXT;
    out->flags2 |= ALLOW_IDMAP_2;
    return true;
}
