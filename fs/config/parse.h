/*
 * The configuration's text to its values: lines, sections, keys, and what holds between keys. Pure but for the user
 * and group databases; the main thread.
 */
#pragma once

#include <stddef.h>

#include "fs/config/config.h"

enum { CONFIG_FILE_MOST = 1 << 20 };

/*
 * TEXT of FILE into *CONFIG, which has the defaults. 0, or -EINVAL or -ENOMEM and REASON with FILE and line;
 * config_clear it in any case.
 */
int config_parse(const char *file, const char *text, size_t size, struct config *config, char *reason,
                 size_t reason_size);
