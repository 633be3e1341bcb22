/*
 * One value of the configuration each: text to number, checked, with a word on what would be right.
 * Pure but for users and groups (names.h).
 *
 * Each returns 0 and fills *VALUE, or -EINVAL and REASON.
 */
#ifndef AAPFS_FS_CONFIG_VALUE_H
#define AAPFS_FS_CONFIG_VALUE_H

#include <stddef.h>
#include <stdint.h>

#define CONFIG_DAY_SECONDS INT64_C(86400)

/*
 * A number and one of ms, s, m, h, d, y (365 days), in milliseconds. 0, or -EINVAL for any other
 * form and for more than 100 years.
 */
int config_value_duration(const char *text, int64_t *milliseconds);

int config_value_timeout(const char *text, void *unsigned_int, char *reason, size_t size);
int config_value_guard(const char *text, void *unsigned_int, char *reason, size_t size);
int config_value_settle(const char *text, void *unsigned_int, char *reason, size_t size);
int config_value_max_keys(const char *text, void *unsigned_int, char *reason, size_t size);
int config_value_user(const char *text, void *uid, char *reason, size_t size);
int config_value_group(const char *text, void *gid, char *reason, size_t size);
/* A whole path, or "", into a char[CONFIG_PATH_SIZE] (config.h). */
int config_value_path(const char *text, void *path, char *reason, size_t size);
/* A command, "none", or "", into a char[CONFIG_COMMAND_SIZE]. */
int config_value_command(const char *text, void *command, char *reason, size_t size);
/* A user who has an entry and thus groups; "", or the one that aapfs has and cannot change: (uid_t)-1. */
int config_value_command_user(const char *text, void *uid, char *reason, size_t size);
int config_value_command_timeout(const char *text, void *unsigned_int, char *reason, size_t size);
int config_value_rate(const char *text, void *unsigned_int, char *reason, size_t size);
int config_value_sync_interval(const char *text, void *int64, char *reason, size_t size);
/* yes or no. */
int config_value_switch(const char *text, void *boolean, char *reason, size_t size);
/* As config_value_group; "": (gid_t)-1. */
int config_value_control_group(const char *text, void *gid, char *reason, size_t size);
/* default, environment, profile:NAME … into a char[CONFIG_TEXT_SIZE]. */
int config_value_credentials(const char *text, void *credentials, char *reason, size_t size);
/* http://HOST:PORT, or "", into a char[CONFIG_TEXT_SIZE]. */
int config_value_proxy(const char *text, void *url, char *reason, size_t size);
/* Those that fill more than one member take the whole struct config_aap. */
int config_value_validity(const char *text, void *config_aap, char *reason, size_t size);
int config_value_rotate_at(const char *text, void *config_aap, char *reason, size_t size);
int config_value_password_source(const char *text, void *config_aap, char *reason, size_t size);
int config_value_delete_superseded(const char *text, void *config_aap, char *reason, size_t size);
int config_value_mode(const char *text, void *mode, char *reason, size_t size);

#endif
