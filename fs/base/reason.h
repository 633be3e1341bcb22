/* Why something failed, in a text that the caller has room for: one line for a person. Pure, any thread. */
#pragma once

#include <stddef.h>

/* Writes it to REASON of SIZE bytes, and returns RESULT. */
int reason_give(char *reason, size_t size, int result, const char *format, ...) __attribute__((format(printf, 4, 5)));
