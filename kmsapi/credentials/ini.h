/*
 * Sections of "name = value", as the vendor's SDKs read ~/.alibabacloud/credentials. Pure, any thread.
 *
 * A line that begins with ; or # is a comment, and so is what follows a blank and ; or # behind a value or a section's
 * name; without the blank it belongs to the value. A colon is as good as the equals sign. Quotes ("", '' or ``) around a
 * whole value are taken off. A line that ends with a backslash goes on in the next one, and so does a value in indented
 * lines that are no "name = value" (a policy over several lines).
 */
#pragma once

#include <stdbool.h>

/*
 * Calls FOUND for each value of the section NAME, in order; it stops where FOUND returns false. The section may be there
 * several times. Lines are cut up inside TEXT. 0; -ENOENT: no such section; -EINVAL: a line that is nothing of the kind,
 * and not in another section, or FOUND said no; *LINE is its number.
 */
int ini_read_section(char *text, const char *name,
                     bool (*found)(void *user, const char *key, const char *value), void *user,
                     unsigned int *line);
