/*
 * Moments as the KMS API writes them: ISO 8601, UTC, yyyy-MM-ddTHH:mm:ssZ. Pure, any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { ISO_TIME_SIZE = 21 }; /* with the NUL */

/*
 * TEXT (SIZE bytes, exactly this form, a day that exists, the years 1970 to 9999) to seconds since
 * 1970. 0 or -EINVAL.
 */
int iso_time_parse(const char *text, size_t size, int64_t *seconds);

/*
 * TEXT as others write ISO 8601: with a fraction of a second, which is cut off; with an offset (+08:00, +0800, +08) for
 * the Z; with a blank for the T; in small letters. 0 or -EINVAL.
 */
int iso_time_parse_foreign(const char *text, int64_t *seconds);

/* The other way. 0, or -EINVAL (and an empty text) outside these years. */
int iso_time_format(int64_t seconds, char text[static ISO_TIME_SIZE]);
