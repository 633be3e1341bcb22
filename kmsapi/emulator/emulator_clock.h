/*
 * The emulator's time: the machine's, moved by what --clock and PUT /_emulator/clock asked for.
 * Any thread.
 */
#pragma once

#include <stdint.h>

/* Seconds since 1970. */
int64_t emulator_clock_now(void);

/* From now on it is SECONDS, and goes on from there. */
void emulator_clock_set(int64_t seconds);
