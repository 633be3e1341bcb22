#include "fs/worker/init_reply.h"

#include <linux/fuse.h>

/*
 * Source: linux/fuse.h, protocol 7.41: FUSE_INIT_EXT, bit 30 of flags; FUSE_ALLOW_IDMAP, bit 8 of flags2, a member since
 * 7.36. They are the words of 32 bits of struct fuse_init_in and fuse_init_out.
 */
enum { INIT_EXT = 1 << 30, ALLOW_IDMAP_2 = 1 << (40 - 32), FLAGS = 3, IN_FLAGS2 = 4, OUT_FLAGS2 = 8 };

bool init_offers_idmap(const void *init, size_t size)
{
    const uint32_t *in = (const void *)((const struct fuse_in_header *)init + 1);
    return size >= sizeof(struct fuse_in_header) + (IN_FLAGS2 + 1) * sizeof(*in) && in[FLAGS] & INIT_EXT &&
           in[IN_FLAGS2] & ALLOW_IDMAP_2;
}

bool init_reply_take_idmap(struct iovec *parts, int count)
{
    const struct fuse_out_header *header = count == 2 ? parts[0].iov_base : NULL;
    uint32_t *out = count == 2 ? parts[1].iov_base : NULL;
    if (!header || parts[0].iov_len != sizeof(*header) || header->error != 0 ||
        parts[1].iov_len < sizeof(struct fuse_init_out))
        return false;
    out[FLAGS] |= INIT_EXT;
    out[OUT_FLAGS2] |= ALLOW_IDMAP_2;
    return true;
}
