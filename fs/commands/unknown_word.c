#include "fs/commands/unknown_word.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/usage.h"
#include "kmsapi/cleanup.h"

bool unknown_word_is_no_place(const char *word)
{
    if (strchr(word, '/'))
        return false;
    /* asks no filesystem that may be there: its daemon may be away */
    _cleanup_(close) int directory = open(word, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return directory < 0 && (errno == ENOENT || errno == ENOTDIR);
}

int unknown_word_tell(const char *word)
{
    const char *nearest = usage_nearest(word);
    fprintf(stderr, "aapfs: %s: no command, and no directory to mount on", word);
    if (nearest)
        fprintf(stderr, "; did you mean aapfs %s?", nearest);
    fprintf(stderr, "%s aapfs --help has all of them\n", nearest ? "" : ";");
    return 2;
}
