#include "kmsapi/emulator/emulator_clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t ahead; /* seconds */

int64_t emulator_clock_now(void)
{
    return time(NULL) + atomic_load(&ahead);
}

void emulator_clock_set(int64_t seconds)
{
    atomic_store(&ahead, seconds - time(NULL));
}
