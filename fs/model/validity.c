#include "fs/model/validity.h"

#include "kmsapi/base/calendar.h"

enum { DAY = 86400, MOST_YEARS = 5, LEAST_SPREAD = 3600 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* NOW plus LENGTH, at least or at most where February 29 leaves the choice. */
static int64_t end_of(int64_t now, const struct validity_length *length, enum calendar_leap_day leap_day)
{
    return length->years ? calendar_add_years(now, length->years, leap_day) : now + length->seconds;
}

struct validity validity_choose(int64_t now, const struct validity_length *length, const uint32_t random[2])
{
    int64_t earliest = 3660, latest = 60, margin = 60, spread = DAY - 1; /* MARGIN: for the request's way */
    if (length->years == 0 && length->seconds < 30 * DAY) {
        int64_t most = length->seconds / 100;
        earliest = least(earliest, most);
        latest = least(latest, most);
        spread = least(spread, most);
        margin = 0;
    }
    int64_t back = latest + random[0] % (earliest - latest + 1);
    int64_t end = end_of(now, length, LEAP_DAY_TO_MARCH_1);
    int64_t room = calendar_add_years(now - back, MOST_YEARS, LEAP_DAY_TO_FEBRUARY_28) - end;
    if (room >= LEAST_SPREAD)
        return (struct validity){now - back, end + margin + random[1] % (least(spread, room) - margin + 1)};
    int64_t cut = back + random[1] % (spread - back + 1); /* five years count from NotBefore */
    return (struct validity){now - back, end_of(now, length, LEAP_DAY_TO_FEBRUARY_28) - cut};
}
