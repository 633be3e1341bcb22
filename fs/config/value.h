/*
 * One value of the configuration each: text to number, checked, with a word on what would be right. Pure but for users and
 * groups (names.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CONFIG_DAY_SECONDS INT64_C(86400)

/* 0 and *VALUE; or -EINVAL and REASON. */
typedef int config_value(const char *text, void *value, char *reason, size_t size);

/* Into an unsigned int, times in milliseconds; WHILE: from a second to an hour. */
config_value config_value_timeout, config_value_guard, config_value_while, config_value_max_keys, config_value_rate;
config_value config_value_sync_interval; /* int64_t, milliseconds */
config_value config_value_switch;        /* bool: yes or no */
config_value config_value_mode;          /* mode_t */
config_value config_value_user, config_value_group; /* uid_t, gid_t */
config_value config_value_control_group; /* the same; "": (gid_t)-1 */
config_value config_value_command_user;  /* one who has an entry and thus groups; "", or the one that aapfs has: (uid_t)-1 */
config_value config_value_path;          /* a whole one, or "", into a char[CONFIG_PATH_SIZE] (config.h) */
config_value config_value_command;       /* a command, "none", or "", into a char[CONFIG_COMMAND_SIZE] */
config_value config_value_credentials;   /* default, environment, profile:NAME … into a char[CONFIG_TEXT_SIZE] */
config_value config_value_proxy;         /* http://HOST:PORT, or "", into a char[CONFIG_TEXT_SIZE] */
config_value config_value_prefix;        /* letters, digits and _-./ into a char[CONFIG_PREFIX_SIZE] */
config_value config_value_etcd_user;     /* a name, or "", into a char[CONFIG_TEXT_SIZE] */
config_value config_value_etcd;          /* URLs into a struct config_fleet */
/* Those that fill more than one member take the whole struct config_aap. */
config_value config_value_validity, config_value_rotate_at, config_value_password_source, config_value_first_key,
    config_value_delete_superseded;
