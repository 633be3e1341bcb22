/*
 * A state directory that was made on another machine: its keys are served, and `adopt-state` says that it belongs
 * here now. What a mount does to keys by itself has to look at engine->foreign_state first. The engine's thread.
 */
#pragma once

struct engine;
struct operation;

/* At the engine's start: whether the state directory is this machine's. */
void foreign_state_look(struct engine *engine);

/* `adopt-state`: from now on it is. */
void foreign_state_adopt(struct operation *operation);
