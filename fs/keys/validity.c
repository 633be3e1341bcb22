#include "fs/keys/validity.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct validity validity_choose(int64_t now, int64_t validity_seconds, const uint32_t random[2])
{
    static const int64_t day = 86400;
    int64_t earliest = 3660, latest = 60, shorter = day - 1;
    if (validity_seconds < 30 * day) {
        int64_t most = validity_seconds / 100;
        earliest = least(earliest, most);
        latest = least(latest, most);
        shorter = least(shorter, most);
    }
    int64_t back = latest + random[0] % (earliest - latest + 1);
    int64_t cut = random[1] % (shorter + 1);
    return (struct validity){now - back, now - back + validity_seconds - cut};
}
