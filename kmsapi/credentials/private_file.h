/*
 * Files that say who we are: read whole, and refused where others could have written them. No
 * state, any thread; may block on a disk.
 */
#pragma once

#include <stddef.h>

/*
 * *TEXT (free it with OPENSSL_clear_free, strlen) is what the regular file PATH holds, without a byte-order mark: at
 * most 64 KiB, no NUL. 0; -ENOENT: there is none, REASON is its path; -EPERM: group or others may write
 * to it, or it belongs neither to root nor to us; -EINVAL, -EFBIG or another errno, with REASON.
 */
int private_file_read(const char *path, char **text, char *reason, size_t size);
