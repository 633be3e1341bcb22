/*
 * Files that nobody else may know: opened, or refused where others could read or write them. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * A descriptor of PATH, close-on-exec, unread. LINKS: it may be a symbolic one, as those of a volume of Kubernetes are.
 * -ENOENT without a REASON: there is none; or REASON and -EACCES: others could read or write it; -EINVAL: no plain file; any
 * other errno.
 */
int secret_file_open(const char *path, bool links, char *reason, size_t size);
