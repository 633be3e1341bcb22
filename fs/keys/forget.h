/*
 * `forget NAME`: an AAP that KMS no longer has leaves, with the keys of it that are here. The only way in which a
 * private half leaves without having been deleted in KMS; so KMS itself is asked first. The engine's thread.
 */
#pragma once

struct operation;

/* `forget`. */
void forget_begin(struct operation *operation);
