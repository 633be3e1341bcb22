#include "fs/fleet/fleet_key.h"

#include <errno.h>
#include <string.h>

#include "fs/base/reason.h"
#include "fs/base/secret_file.h"
#include "fs/store/state_key.h"
#include "kmsapi/cleanup.h"

int fleet_key_read(const struct config_fleet *config, unsigned char key[static SEAL_KEY_SIZE], char *reason, size_t size)
{
    char path[CONFIG_PATH_SIZE];
    int r = state_key_given("aapfs.fleet-key", config->fleet_key[0] ? config->fleet_key : NULL, path, sizeof(path));
    if (r < 0)
        return reason_give(reason, size, r, "[fleet]: there is no fleet key; right is fleet_key = FILE, the same on every host");
    _cleanup_(close) int file = secret_file_open(path, true, reason, size);
    if (file == -ENOENT)
        return reason_give(reason, size, -ENOENT, "[fleet]: fleet_key: there is no %s", path);
    r = file < 0 ? file : state_key_read(file, key);
    if (file >= 0 && r == -EINVAL)
        return reason_give(reason, size, r, "[fleet]: fleet_key: %s is not 64 hexadecimal digits", path);
    if (file >= 0 && r < 0)
        return reason_give(reason, size, r, "[fleet]: fleet_key: %s: %s", path, strerror(-r));
    return r;
}
