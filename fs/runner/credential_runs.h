/*
 * Programs that print credentials (mode External of a profile): the runner starts them, and what they print comes here
 * by a pipe of their own, so that no other process has it.
 */
#pragma once

#include "kmsapi/credentials/source.h"

struct credential_runs;

/* RUNNER: socket to the runner, stays the caller's. NULL when memory or descriptors are short. */
struct credential_runs *credential_runs_new(int runner, const char *mountpoint);
void credential_runs_free(struct credential_runs *runs);

/* From now on none is awaited: one under way fails at once. Any thread. */
void credential_runs_stop(struct credential_runs *runs);

/* As source.h has it; its thread. USER: the runs. */
credentials_run credential_runs_run;
