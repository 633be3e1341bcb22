/* Times as people say them: "in 64 d", "2 min ago". Pure. */
#pragma once

#include <stdint.h>

enum { STATUS_TIME_SIZE = 32 };

/* SECONDS from now, negative for what has been; "now" for 0. Rounded towards now: nothing is said to be later than it is. */
void status_time_relative(int64_t seconds, char text[static STATUS_TIME_SIZE]);

/* The same without "in". */
void status_time_left(int64_t seconds, char text[static STATUS_TIME_SIZE]);
