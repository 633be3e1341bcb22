/*
 * A line in the log for what was done to a client key: which AAP, the old key and the new one, until when, and by whom.
 * The engine's thread.
 */
#pragma once

struct operation;

/* OPERATION has succeeded; of those that change no key nothing is said. Without the registry's lock. */
void done_tell(const struct operation *operation);
