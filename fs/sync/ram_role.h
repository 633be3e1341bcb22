/*
 * AAPs that applications use with a RAM role (AuthenticationMethod RAMRole) have no client keys: they are shown, KMS is not asked
 * for keys of them, and none is made. The engine's thread.
 */
#pragma once

#include <stdbool.h>

struct operation;
struct registry_aap;

/* KMS tells AAP's AuthenticationMethod ("": it does not). With the registry's lock. */
void ram_role_note(struct registry_aap *aap, const char *authentication_method);

/* True: OPERATION's AAP has no client keys, and the operation has ended with that. */
bool ram_role_refuses(struct operation *operation);
