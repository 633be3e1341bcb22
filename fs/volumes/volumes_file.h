/* The state file of the volumes. Its content is checked like any input. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define VOLUMES_FILE "volumes.json"

/* Opens and locks the directory PATH, made when it is missing. The descriptor; or negative errno and REASON. */
int volumes_file_open(const char *path, char *reason, size_t size);

/* The state in DIRECTORY, at PATH; a new one where there is none. 0 and *STATE, or negative errno and REASON. */
int volumes_file_load(int directory, const char *path, json_t **state, char *reason, size_t size);

/* STATE in place of what is there, synced, 0600. 0 or negative errno; -EFBIG: more than is ever read again. */
int volumes_file_save(int directory, const json_t *state);

/* The text NAME of OBJECT; "": it has none. NUL characters are refused in parsing. */
const char *volumes_text(const json_t *object, const char *name);

/* 1 to 128 of A-Z a-z 0-9 _ - . that begin with a letter or digit, as Docker has it. */
bool volumes_name_is_valid(const char *name);

/* 1 to 256 printing characters of ASCII. */
bool volumes_id_is_valid(const char *id);
