/*
 * A client key that was made elsewhere and is given to this mount with its private half and its password. Nothing
 * is changed before it is known to be usable and this AAP's; then it is saved and shown like one that was made here.
 * The engine's thread.
 */
#pragma once

struct operation;

/* `adopt`. */
void adopt_begin(struct operation *operation);
