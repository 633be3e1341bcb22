#include "fs/tree/audit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmsapi/cleanup.h"
#include "kmsapi/iso_time.h"

/* The log's part: the session moves QUEUED, the log's thread LOGGED. */
struct queue {
    uint64_t queued, logged;
    uint64_t dropped; /* since the log was told */
    uint64_t requests[AUDIT_QUEUED];
    struct audit_open opens[AUDIT_QUEUED];
};

struct audit {
    uint64_t count;      /* opens that were ever told; one is told when this has counted it */
    uint64_t not_logged; /* of these, those that the log had no room for */
    uint64_t requests[AUDIT_KEPT];
    char lines[AUDIT_KEPT][AUDIT_LINE_SIZE];
    struct queue queue;
};

size_t audit_size(void)
{
    return sizeof(struct audit);
}

static uint64_t get(const uint64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}

static void set(uint64_t *number, uint64_t value)
{
    __atomic_store_n(number, value, __ATOMIC_SEQ_CST);
}

static void end_texts(struct audit_open *opened)
{
    opened->file[sizeof(opened->file) - 1] = '\0';
    opened->client_key_id[sizeof(opened->client_key_id) - 1] = '\0';
    opened->program[sizeof(opened->program) - 1] = '\0';
}

struct audit *audit_open(void *memory)
{
    struct audit *audit = memory;
    struct queue *queue = &audit->queue;
    for (size_t i = 0; i < AUDIT_KEPT; i++)
        audit->lines[i][AUDIT_LINE_SIZE - 1] = '\0';
    if (queue->queued - queue->logged > AUDIT_QUEUED)
        queue->logged = queue->queued;
    for (uint64_t i = queue->logged; i != queue->queued; i++)
        end_texts(&queue->opens[i % AUDIT_QUEUED]);
    return audit;
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
    return audit->count > 0 && audit->requests[(audit->count - 1) % AUDIT_KEPT] == request;
}

/* Unless a worker that was killed before it had counted the open has done that. False: there is no room. */
static bool add_to_queue(struct queue *queue, uint64_t request, const struct audit_open *opened)
{
    uint64_t queued = queue->queued;
    if (queued > 0 && queue->requests[(queued - 1) % AUDIT_QUEUED] == request)
        return true;
    if (queued - get(&queue->logged) >= AUDIT_QUEUED) {
        __atomic_fetch_add(&queue->dropped, 1, __ATOMIC_SEQ_CST);
        return false;
    }
    queue->requests[queued % AUDIT_QUEUED] = request;
    queue->opens[queued % AUDIT_QUEUED] = *opened;
    set(&queue->queued, queued + 1);
    return true;
}

void audit_add(struct audit *audit, uint64_t request, const struct audit_open *opened)
{
    char time[ISO_TIME_SIZE], *line = audit->lines[audit->count % AUDIT_KEPT];
    iso_time_format(opened->time, time);
    snprintf(line, AUDIT_LINE_SIZE,
             "{\"Time\": \"%s\", \"File\": \"%s\", \"ClientKeyId\": \"%s\", \"Pid\": %d, \"Uid\": %u, \"Gid\": %u, "
             "\"Program\": \"%s\"}",
             time, opened->file, opened->client_key_id, (int)opened->pid, opened->uid, opened->gid, opened->program);
    audit->not_logged += !add_to_queue(&audit->queue, request, opened);
    audit->requests[audit->count % AUDIT_KEPT] = request;
    set(&audit->count, audit->count + 1);
}

bool audit_next(const struct audit *audit, struct audit_open *opened)
{
    const struct queue *queue = &audit->queue;
    if (queue->logged == get(&queue->queued))
        return false;
    *opened = queue->opens[queue->logged % AUDIT_QUEUED];
    return true;
}

void audit_logged(struct audit *audit)
{
    set(&audit->queue.logged, audit->queue.logged + 1);
}

uint64_t audit_dropped(const struct audit *audit)
{
    return get(&audit->queue.dropped);
}

void audit_told_dropped(struct audit *audit, uint64_t count)
{
    __atomic_fetch_sub(&audit->queue.dropped, count, __ATOMIC_SEQ_CST);
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
