/*
 * Control writes that an earlier worker of this mount had begun when it died. What is in the store says what became
 * of each: none is carried out again. The engine's thread.
 */
#ifndef AAPFS_FS_LOOP_INHERIT_H
#define AAPFS_FS_LOOP_INHERIT_H

#include <stdint.h>

struct engine;
struct engine_write;

/* A write that an earlier worker had begun when it died: answered as the store tells, never carried out again. */
void inherit_write(struct engine *engine, const struct engine_write *write);

/* Every name of AAP shows its current key: the inherited writes that wait for that are answered. */
void inherit_caught_up(struct engine *engine, uint32_t aap);

/* Answers what still waits. */
void inherit_end(struct engine *engine);

#endif
