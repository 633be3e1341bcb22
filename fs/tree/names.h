/* The published names: what they are called, and which of a key's files each of them shows. Pure. */
#pragma once

#include "fs/model/registry.h"

/* The name that TEXT is, or PUBLISHED_COUNT. */
enum published_name published_name_of(const char *text);

const char *published_name_text(enum published_name name);

/* KEY_FILE_COUNT for `current`. */
enum key_file published_name_file(enum published_name name);
