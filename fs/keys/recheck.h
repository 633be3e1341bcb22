/* Judging rejected keys again: a newer aapfs or OpenSSL may open what an older one did not. The engine's thread. */
#pragma once

struct operation;

/* `retry-check`. */
void recheck_begin(struct operation *operation);
