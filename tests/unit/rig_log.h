/*
 * What is logged, for tests to look at. It goes to stderr, too.
 */
#pragma once

#include <stdbool.h>

/* Whether a line that contains TEXT was logged. */
bool rig_has_logged(const char *text);
void rig_forget_log(void);

/* Errors and warnings since then. */
unsigned int rig_warnings(void);

/* Lines that told of a fault of aapfs's own (upkeep/net.h) since the last call. */
unsigned int rig_faults(void);
