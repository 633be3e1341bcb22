/*
 * What a mount does by itself: each AAP is looked at when something of it comes due, and at least once a minute, so that
 * a clock that was set or a machine that was asleep is noticed. Each subject has a file of its own; the engine's thread.
 */
#ifndef AAPFS_FS_UPKEEP_UPKEEP_H
#define AAPFS_FS_UPKEEP_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

struct engine;
struct operation;
struct registry_aap;
struct registry_key;

/* At the engine's start, and before it takes anything up: what is known already; whether the clock was set. */
void upkeep_start(struct engine *engine);
void upkeep_follow_clock(struct engine *engine);

/* Looks, and begins what is due and may go out. When to look again is engine->upkeep_ms. */
void upkeep_tend(struct engine *engine);

/* What status tells of AAP, which is there. */
void upkeep_fill(struct engine *engine, uint32_t aap);

/* `reloaded` and `rotate-due`, which wait for nothing. False: it is another command. */
bool upkeep_command(struct operation *operation);

/* OPERATION, anybody's, ends with RESULT. */
void upkeep_ended(struct operation *operation, int result);

/*
 * The subjects. Each looks at the AAP of that number and tells in how many milliseconds at the latest it wants to look
 * again; 0 stands for "at once".
 */

/* automatic.c: fills the registry's rotation. *READY: a rotation is to be begun; *END: when its key ends. */
int64_t automatic_look(struct engine *engine, uint32_t aap, bool *ready, int64_t *end);
void automatic_begin(struct engine *engine, uint32_t aap);
void automatic_ended(struct operation *operation, int result);
/* Whoever asks for a creation pardons those before. */
void automatic_pardon(struct operation *operation);
/* `rotate`, and an automatic rotation: a creation with password_source's password. */
void automatic_rotate(struct operation *operation);
void automatic_attempt_due(struct engine *engine);

/* scheduled.c: a Scheduled key that has begun becomes the current one. */
int64_t scheduled_look(struct engine *engine, uint32_t aap);

/* At the start, with the registry's lock: what the store says of AAP. */
void told_load(struct engine *engine, struct registry_aap *aap);
/* After its current key is known: whether on_rotate is still to run. With the registry's lock. */
void told_owe(struct engine *engine, const struct registry_aap *aap);
/* told.c: up to which key the applications were told, and what is in use; the note of that in the store. */
int64_t told_look(struct engine *engine, uint32_t aap);
/* The applications have this key (NULL: the current one). */
void told_set(struct engine *engine, uint32_t aap, const char *client_key_id);
/* The last hook's end is in the registry: to be noted too. */
void told_changed(struct engine *engine, uint32_t aap);
void told_note(struct engine *engine, uint32_t aap);
/* The superseded key that applications may still use, the first of them to end; NULL. With the registry's lock. */
const struct registry_key *told_in_use(const struct registry_aap *aap, int64_t now);

/* superseded.c: *READY: a key is to be deleted. */
int64_t superseded_look(struct engine *engine, uint32_t aap, bool *ready);
void superseded_begin(struct engine *engine, uint32_t aap);
void superseded_ended(struct operation *operation, int result);

/* warnings.c */
int64_t warnings_look(struct engine *engine, uint32_t aap);

#endif
