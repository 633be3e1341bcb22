/*
 * Sections of the configuration whose AAP is not shown: a misspelt name would otherwise go unnoticed until its key has
 * the wrong owner. The engine's thread.
 */
#pragma once

struct engine;

/* A complete listing has ended: a line for each such section, once. */
void sections_tell(struct engine *engine);

/* The configuration is another one: after the next complete listing they are told again. */
void sections_tell_again(struct engine *engine);
