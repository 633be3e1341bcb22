/* The supervisor starts its children, each with what it may have and nothing else. */
#pragma once

#include "fs/supervisor/supervisor_state.h"

/* From now on nobody waits for it at a terminal. */
void supervisor_begin_log(const struct supervisor_parts *parts);

/* It has its socket and nothing else of the mount, whether there is one yet or not. 0 or negative errno. */
int supervisor_start_runner(struct supervisor *supervisor);

/* Whichever does not run and may by now. */
void supervisor_start_what_is_due(struct supervisor *supervisor);
