/*
 * Sections of "name = value": the little that ~/.alibabacloud/credentials needs. Pure, any thread.
 */
#ifndef AAPFS_KMSAPI_INI_H
#define AAPFS_KMSAPI_INI_H

#include <stdbool.h>

/*
 * Calls FOUND for each value of the section NAME, in order; it stops where FOUND returns false.
 * Lines are cut up inside TEXT. A line that begins with ; or # is a comment, and nothing else is.
 * 0; -ENOENT: no such section; -EINVAL: a line that is nothing of the kind, or FOUND said no, and
 * *LINE is its number.
 */
int ini_read_section(char *text, const char *name,
                     bool (*found)(void *user, const char *key, const char *value), void *user,
                     unsigned int *line);

#endif
