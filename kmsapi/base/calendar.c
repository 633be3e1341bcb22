#include "kmsapi/base/calendar.h"

#include <time.h>

static const int64_t day_seconds = 86400;

int64_t calendar_add_years(int64_t seconds, unsigned int years, enum calendar_leap_day leap_day)
{
    time_t time = seconds;
    struct tm fields;
    if (years > 10000 || !gmtime_r(&time, &fields))
        return INT64_MAX;
    int day = fields.tm_mday;
    fields.tm_year += (int)years;
    time_t later = timegm(&fields); /* which makes a March 1 of the February 29 that is none */
    if (fields.tm_mday != day && leap_day == LEAP_DAY_TO_FEBRUARY_28)
        later -= day_seconds;
    return later;
}
