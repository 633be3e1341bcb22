/* One creation, from the password to the publication. The engine's thread. */
#pragma once

struct operation;

/* `create`: with the password and the dates of the operation's command. */
void creation_begin(struct operation *operation);
