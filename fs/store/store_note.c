#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/store/store_file.h"
#include "fs/store/store_parts.h"
#include "kmsapi/cleanup.h"

static const char name[] = ".told";

enum { NOTE_SIZE_MOST = 4096 };

int store_write_note(struct store *store, const char *aap_name, const void *data, size_t size)
{
    _cleanup_(close) int directory =
        openat(store->directory, aap_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return directory < 0 ? -errno : store_file_write(directory, name, data, size);
}

int store_read_note(struct store *store, const char *aap_name, struct store_file *file)
{
    char path[STORE_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/%s", aap_name, name);
    return store_file_read(store->directory, path, NOTE_SIZE_MOST, file);
}
