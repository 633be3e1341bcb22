/* The keys of the configuration: where each stands, how its value is read, where it goes. Pure, any thread. */
#pragma once

#include <stddef.h>

#include "fs/config/config.h"
#include "fs/config/value.h"

/* [defaults] and [aap NAME] set the same things. */
enum config_section_kind { SECTION_KMS, SECTION_MOUNT, SECTION_FLEET, SECTION_AAP };

struct config_setting {
    enum config_section_kind kind;
    const char *key;
    config_value *parse;
    size_t value; /* what PARSE is given: an offset into struct config or struct config_aap */
    size_t begin, size; /* the bytes that it sets, for those of struct config_aap */
};

enum { CONFIG_SETTINGS = 38 };

extern const struct config_setting config_settings[CONFIG_SETTINGS];

/* The index of KEY in a section of KIND; CONFIG_SETTINGS: there is none. */
size_t config_setting_find(enum config_section_kind kind, const char *key);

/* What a section says itself, by LINES (0: nothing); all else from DEFAULTS. */
void config_inherit(struct config_aap *values, const struct config_aap *defaults,
                    const unsigned int lines[static CONFIG_SETTINGS]);
