/*
 * A reload: a child reads the configuration as at the start, checks it, and looks up its users and groups, however long
 * that takes; the supervisor reads the child's copy and gives it to the worker; every later worker is forked with it. A
 * wrong one changes nothing. The supervisor's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/mount/worker_link.h"

struct supervisor;

/* SIGHUP. */
void reload_take_signal(struct supervisor *supervisor);

/* Somebody wants it. ASKED: by a write, which the worker answers; else request_socket.h does. */
void reload_take_request(struct supervisor *supervisor, bool asked);

/* A message from the worker, of those that concern a reload. */
void reload_take_message(struct supervisor *supervisor, const struct worker_message *message);

/* The worker has ended: the next one has the configuration from its beginning. */
void reload_worker_ended(struct supervisor *supervisor);

/* Whether one is under way. */
bool reload_is_under_way(const struct supervisor *supervisor);

/* When to call reload_tend at the latest; INT64_MAX: no reader runs. */
int64_t reload_until_ms(const struct supervisor *supervisor);

/* Takes what the reader says, and begins what a signal asked for while something else was under way. */
void reload_tend(struct supervisor *supervisor);

void reload_end(struct supervisor *supervisor);
