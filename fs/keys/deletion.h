/*
 * Deleting a client key that is no longer the current one: in KMS first, then here. One that has expired and is the
 * current one still may have to make its place free (make_place.c): that one is deleted in KMS alone, and readers keep it.
 * The engine's thread.
 */
#pragma once

struct operation;

/* The operation's key, which is deleted, is shown no more; then it is forgotten, and the operation ends. */
void deletion_hide(struct operation *operation);

/* `delete` and `delete-foreign`; also what aapfs deletes by itself. */
void deletion_begin(struct operation *operation);
