/* The sub-commands of aapfs, each in a file of its own that says what it takes; the main thread. */
#pragma once

#define COMMANDS_DEFAULT_MOUNT "/run/aap"

/* ARGUMENTS begin with the command's own name. The exit status: 0 done, 1 failed, 2 wrong usage. */
typedef int sub_command(int count, char **arguments);

sub_command command_mount;        /* aapfs [OPTIONS] MOUNTPOINT: mounts and serves */
sub_command command_mount_helper; /* the same as mount(8) has it done: this program under the name mount.aapfs */
sub_command command_check;        /* whether everything that a mount needs is there; changes nothing */
sub_command command_create;       /* create, rotate: writes a password to an AAP's control */
sub_command command_adopt;        /* gives a key that was made elsewhere to a mount */
sub_command command_delete;
sub_command command_export; /* an AAP's keys as files, from the store */
sub_command command_status; /* a table of the AAPs; 1 when one needs somebody */
sub_command command_tell;   /* reload, upgrade: has a mount do it; returns when the new configuration or program serves */
sub_command command_help;
sub_command command_version;
sub_command command_volume_plugin; /* becomes the program that gives AAPs to containers as volumes */
sub_command command_with_mount;    /* mounts for a daemon elsewhere, which a command starts */
