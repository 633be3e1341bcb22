/*
 * On which machine a state directory was made: DIRECTORY/.machine holds a hash of the machine's id, made with
 * the first store. Two machines with copies of one directory would each take its keys for their own. Any thread.
 */
#pragma once

#include <stdbool.h>

#define MACHINE_ID_FILE "/etc/machine-id"

/* Notes the machine of ID_FILE in DIRECTORY, synced; nothing where it has no id. 0 or the disk's errno. */
int machine_note(int directory, const char *id_file);

/* Whether DIRECTORY says anything of its machine. It does not when it was made where there is no id: in a container. */
bool machine_is_noted(int directory);

/*
 * Whether DIRECTORY was made on another machine than that of ID_FILE, as far as can be told: false where that has no
 * id, or DIRECTORY no note. One that says nothing legible was brought here.
 */
bool machine_is_other(int directory, const char *id_file);
