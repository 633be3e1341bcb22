/*
 * The sub-commands of aapfs, one file each; the main thread. ARGUMENTS begin with the command's own
 * name. Each returns the exit status: 0 done, 1 failed, 2 wrong usage.
 */
#ifndef AAPFS_FS_COMMANDS_COMMANDS_H
#define AAPFS_FS_COMMANDS_COMMANDS_H

#define COMMANDS_DEFAULT_MOUNT "/run/aap"

/* aapfs [OPTIONS] MOUNTPOINT: mounts and serves. */
int command_mount(int count, char **arguments);

/* The same as mount(8) has it done: this program under the name mount.aapfs. */
int command_mount_helper(int count, char **arguments);

/* aapfs check: whether everything that a mount needs is there; changes nothing. 1 when something is wrong. */
int command_check(int count, char **arguments);

/* aapfs create|rotate AAP: writes a password to an AAP's control. */
int command_create(int count, char **arguments);

/* aapfs adopt AAP KEYFILE PASSWORDFILE: gives a key that was made elsewhere to a mount. */
int command_adopt(int count, char **arguments);

/* aapfs delete AAP CLIENT_KEY_ID [--foreign]. */
int command_delete(int count, char **arguments);

/* aapfs export AAP DIRECTORY: its keys as files, from the store. */
int command_export(int count, char **arguments);

/* aapfs status [--json]: a table of the AAPs; 1 when one needs somebody. */
int command_status(int count, char **arguments);

/*
 * aapfs reload: has a mount read its configuration again; returns when that holds. aapfs upgrade: has the installed
 * program take over a mount; returns when it serves.
 */
int command_tell(int count, char **arguments);

/* aapfs help [COMMAND] and aapfs version: on stdout. */
int command_help(int count, char **arguments);
int command_version(int count, char **arguments);

/* aapfs volume-plugin MOUNTPOINT: becomes the program that gives AAPs to containers as volumes. */
int command_volume_plugin(int count, char **arguments);

/* aapfs with-mount MOUNTPOINT COMMAND: mounts for a daemon elsewhere, which COMMAND starts. */
int command_with_mount(int count, char **arguments);

#endif
