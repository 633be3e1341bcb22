/*
 * Calendar years, UTC: KMS's validities run to the same day and second of a later year. Pure, any thread.
 */
#pragma once

#include <stdint.h>

/* What a year after February 29 is, where that year has none: no more than a year, or no less. */
enum calendar_leap_day { LEAP_DAY_TO_FEBRUARY_28, LEAP_DAY_TO_MARCH_1 };

/* SECONDS since 1970 plus YEARS; INT64_MAX where the calendar ends. */
int64_t calendar_add_years(int64_t seconds, unsigned int years, enum calendar_leap_day leap_day);
