/* aapfs check: KMS's places for client keys. The main thread. */
#pragma once

#include "fs/commands/check/check_lines.h"

struct asking;

/* Of each AAP whose keys may be listed: whether one is left for its next rotation. */
void check_places(struct check *check, struct asking *asking);
