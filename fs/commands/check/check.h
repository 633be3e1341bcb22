/* aapfs check: groups of looks at what a mount needs, a file each. None of them changes anything. The main thread. */
#pragma once

#include "fs/commands/check/check_lines.h"

typedef void check_look(struct check *check);

check_look check_state;       /* the state directory and its key; sets `account` */
check_look check_mount;       /* the mount point, and binds that will not follow a rotation */
check_look check_settings;    /* what the configuration says that is allowed and hardly meant */
check_look check_network;     /* the way to KMS; sets `reachable` */
check_look check_credentials; /* who we are; sets `source` */
check_look check_kms;         /* KMS's clock, the account, what is permitted; sets `aaps` */
check_look check_fleet;       /* the hosts that share keys, where there are */
check_look check_aaps;        /* the configuration again, now that their names are known */
