/*
 * Control writes that an earlier worker of this mount had begun when it died. What is in the store says what became
 * of each: none is carried out again. The engine's thread.
 */
#pragma once

struct engine;
struct engine_write;
struct operation;

/* A write that an earlier worker had begun when it died: answered as the store tells, never carried out again. */
void inherit_write(struct engine *engine, const struct engine_write *write);

/* One whose key is safe, and whose AAP has caught up: every name shows it. */
void inherit_begin(struct operation *operation);
