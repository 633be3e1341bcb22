#include "fs/tree/audit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/tree/content.h"
#include "fs/tree/tree.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/iso_time.h"

struct audit {
    uint64_t count;      /* opens that were ever told */
    uint64_t last_request;
    uint64_t not_logged; /* of these, those that the log had no room for */
    char lines[AUDIT_KEPT][AUDIT_LINE_SIZE];
};

size_t audit_size(void)
{
    return sizeof(struct audit);
}

struct audit *audit_open(void *memory)
{
    struct audit *audit = memory;
    for (size_t i = 0; i < AUDIT_KEPT; i++)
        audit->lines[i][AUDIT_LINE_SIZE - 1] = '\0';
    return audit;
}

bool audit_name(struct registry *registry, struct node node, struct audit_open *opened)
{
    const struct registry_key *key;
    const struct registry_aap *aap;
    enum key_file file = content_key_file(registry, node, &aap, &key);
    if (file == KEY_FILE_COUNT || !content_is_private(file))
        return false;
    enum published_name name = PUBLISHED_CURRENT;
    while (content_published_file(name) != file)
        name++;
    bool own = node.kind == NODE_KIND_KEY_FILE;
    snprintf(opened->file, sizeof(opened->file), "%s/%s%s%s%s", aap->name, own ? "keys/" : "",
             own ? key->client_key_id : "", own ? "/" : "", tree_published_text(name));
    memcpy(opened->client_key_id, key->client_key_id, sizeof(opened->client_key_id));
    return true;
}

/* What a process calls itself is any bytes. */
static void make_harmless(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
            *text = '?';
}

void audit_find_program(pid_t pid, char program[static AUDIT_PROGRAM_SIZE])
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    _cleanup_(close) int file = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t size = file < 0 ? 0 : read(file, program, AUDIT_PROGRAM_SIZE - 1);
    program[size > 0 ? size : 0] = '\0';
    if (size > 0 && program[size - 1] == '\n')
        program[size - 1] = '\0';
    make_harmless(program);
    if (program[0] == '\0')
        strcpy(program, "?");
}

bool audit_has(const struct audit *audit, uint64_t request)
{
    return audit->count > 0 && audit->last_request == request;
}

void audit_add(struct audit *audit, uint64_t request, const struct audit_open *opened, bool logged)
{
    char time[ISO_TIME_SIZE], *line = audit->lines[audit->count % AUDIT_KEPT];
    iso_time_format(opened->time, time);
    snprintf(line, AUDIT_LINE_SIZE,
             "{\"Time\": \"%s\", \"File\": \"%s\", \"ClientKeyId\": \"%s\", \"Pid\": %d, \"Uid\": %u, \"Gid\": %u, "
             "\"Program\": \"%s\"}",
             time, opened->file, opened->client_key_id, (int)opened->pid, opened->uid, opened->gid, opened->program);
    audit->last_request = request;
    audit->count++;
    audit->not_logged += !logged;
}

char *audit_text(const struct audit *audit)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    uint64_t first = audit->count > AUDIT_KEPT ? audit->count - AUDIT_KEPT : 0;
    fprintf(stream, "{\"Opens\": %" PRIu64 ", \"NotShown\": %" PRIu64 ", \"NotLogged\": %" PRIu64 "}\n", audit->count,
            first, audit->not_logged);
    for (uint64_t i = first; i < audit->count; i++)
        fprintf(stream, "%s\n", audit->lines[i % AUDIT_KEPT]);
    bool good = !ferror(stream);
    if (fclose(stream) == 0 && good)
        return text;
    free(text);
    return NULL;
}
