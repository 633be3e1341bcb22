#include "kmsapi/emulator/faults.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kmsapi/cleanup.h"

enum { LINES_MOST = 200, MS_MOST = 3600000 };

static const struct {
    const char *name;
    enum fault_kind kind;
} kinds[] = {
    {"throttle", FAULT_THROTTLE},
    {"unavailable", FAULT_UNAVAILABLE},
    {"internal", FAULT_INTERNAL},
    {"delay", FAULT_DELAY},
    {"late", FAULT_LATE},
    {"reset-before", FAULT_RESET_BEFORE},
    {"reset-after", FAULT_RESET_AFTER},
    {"truncate", FAULT_TRUNCATE},
    {"garbage", FAULT_GARBAGE},
    {"wrong-password", FAULT_WRONG_PASSWORD},
    {"expired-clock", FAULT_EXPIRED_CLOCK},
    {"empty-list", FAULT_EMPTY_LIST},
    {"short-page", FAULT_SHORT_PAGE},
    {"denied", FAULT_DENIED},
    {"wrong-types", FAULT_WRONG_TYPES},
    {"huge", FAULT_HUGE},
    {"other-certificate", FAULT_OTHER_CERTIFICATE},
    {"missing-id", FAULT_MISSING_ID},
    {"silent", FAULT_SILENT},
    {"code", FAULT_CODE},
    {"signature", FAULT_SIGNATURE},
};

struct line {
    char operation[64];
    struct fault fault;
    double probability;
    long times; /* left; negative: without end */
};

struct faults {
    char *path;
    pthread_mutex_t lock;
    struct stat read_as; /* the file that the lines are from */
    struct line lines[LINES_MOST];
    size_t count;
};

static bool set_value(struct fault *fault, const char *value)
{
    int end = 0;
    if (fault->kind == FAULT_CODE)
        return sscanf(value, "%95[A-Za-z0-9.]:%u%n", fault->code, &fault->number, &end) == 2 &&
               !value[end] && fault->number >= 400 && fault->number <= 599;
    if (fault->kind != FAULT_DELAY && fault->kind != FAULT_LATE && fault->kind != FAULT_THROTTLE)
        return false;
    return sscanf(value, "%7u%n", &fault->number, &end) == 1 && !value[end] &&
           fault->number <= MS_MOST;
}

static bool parse_fault(char *word, struct fault *fault)
{
    char *value = strchr(word, '=');
    if (value)
        *value++ = '\0';
    *fault = (struct fault){0};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(word, kinds[i].name) == 0)
            fault->kind = kinds[i].kind;
    if (fault->kind == FAULT_NONE)
        return false;
    bool needs_value = fault->kind == FAULT_DELAY || fault->kind == FAULT_LATE || fault->kind == FAULT_CODE;
    return value ? set_value(fault, value) : !needs_value;
}

static bool parse_limit(const char *word, struct line *line)
{
    char *end;
    line->probability = 1;
    line->times = -1;
    if (!*word)
        return true;
    if (*word == 'x') {
        line->times = strtol(word + 1, &end, 10);
        return end > word + 1 && !*end && line->times > 0;
    }
    line->probability = strtod(word, &end);
    return end > word && !*end && line->probability >= 0 && line->probability <= 1;
}

/* 1: a fault; 0: empty or a comment; -EINVAL. */
static int parse_line(char *text, struct line *line)
{
    char fault[128] = "", limit[32] = "", rest[2] = "";
    text[strcspn(text, "#\n")] = '\0';
    int words = sscanf(text, "%63s %127s %31s %1s", line->operation, fault, limit, rest);
    if (words <= 0)
        return 0;
    return words <= 3 && parse_fault(fault, &line->fault) && parse_limit(limit, line) ? 1 : -EINVAL;
}

static int read_lines(struct faults *faults, char *reason, size_t size)
{
    char text[256];
    struct line lines[LINES_MOST];
    size_t count = 0;
    _cleanup_(fclose) FILE *file = fopen(faults->path, "re");
    if (!file || fstat(fileno(file), &faults->read_as) < 0) {
        snprintf(reason, size, "%s: %s", faults->path, strerror(errno));
        return -errno;
    }
    for (unsigned int number = 1; fgets(text, sizeof(text), file); number++) {
        int r = count < LINES_MOST ? parse_line(text, &lines[count]) : -EINVAL;
        if (r < 0) {
            snprintf(reason, size, "%s:%u: expected OPERATION FAULT [PROBABILITY|xTIMES]",
                     faults->path, number);
            return r;
        }
        count += (size_t)r;
    }
    if (ferror(file)) { /* a directory, most likely: it is opened as a file is */
        int r = -errno;
        snprintf(reason, size, "--faults %s: %s; name a file of lines OPERATION FAULT [PROBABILITY|xTIMES]",
                 faults->path, strerror(-r));
        return r;
    }
    memcpy(faults->lines, lines, count * sizeof(lines[0]));
    faults->count = count;
    return 0;
}

int faults_new(const char *path, struct faults **faults, char *reason, size_t size)
{
    struct faults *made = calloc(1, sizeof(*made));
    int r = made ? 0 : -ENOMEM;
    if (made)
        pthread_mutex_init(&made->lock, NULL);
    if (made && path) {
        made->path = strdup(path);
        r = made->path ? read_lines(made, reason, size) : -ENOMEM;
    }
    if (r < 0) {
        faults_free(made);
        return r;
    }
    *faults = made;
    return 0;
}

void faults_free(struct faults *faults)
{
    if (!faults)
        return;
    free(faults->path);
    pthread_mutex_destroy(&faults->lock);
    free(faults);
}

static bool has_changed(const struct faults *faults)
{
    struct stat now;
    const struct stat *then = &faults->read_as;
    return stat(faults->path, &now) == 0 &&
           (now.st_ino != then->st_ino || now.st_size != then->st_size ||
            now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != then->st_mtim.tv_nsec);
}

static bool fits(const struct line *line, const char *operation)
{
    if (strcmp(line->operation, "*") != 0 && strcmp(line->operation, operation) != 0)
        return false;
    if (line->times == 0)
        return false;
    return line->probability >= 1 || drand48() < line->probability;
}

struct fault faults_choose(struct faults *faults, const char *operation)
{
    struct fault fault = {0};
    char reason[512];
    if (!faults->path)
        return fault;
    pthread_mutex_lock(&faults->lock);
    if (has_changed(faults) && read_lines(faults, reason, sizeof(reason)) < 0)
        fprintf(stderr, "kms-emulator: %s\n", reason);
    for (size_t i = 0; i < faults->count; i++) {
        struct line *line = &faults->lines[i];
        if (!fits(line, operation))
            continue;
        if (line->times > 0)
            line->times--;
        fault = line->fault;
        break;
    }
    pthread_mutex_unlock(&faults->lock);
    return fault;
}

/* -- those that are answers, instead of KMS's or made of it ----------------------------- */

bool fault_reply_refuse(const struct fault *fault, const struct request *request,
                        struct reply *reply)
{
    const char *password = request_parameter(request, "Password");
    switch (fault->kind) {
    case FAULT_THROTTLE:
        reply_error(reply, 429, "Rejected.Throttling", "QPS Limit Exceeded");
        reply->retry_after_ms = fault->number;
        return true;
    case FAULT_UNAVAILABLE:
        reply_error(reply, 503, "ServiceUnavailableTemporary", "Service Unavailable Temporary.");
        return true;
    case FAULT_INTERNAL:
        reply_error(reply, 500, "InternalFailure", "Internal Failure.");
        return true;
    case FAULT_EXPIRED_CLOCK:
        reply_error(reply, 400, "InvalidTimeStamp.Expired",
                    "Specified time stamp or date value is expired.");
        return true;
    case FAULT_DENIED:
        reply_error(reply, 403, "Forbidden.NoPermission",
                    "This operation is forbidden by permission system.");
        return true;
    case FAULT_CODE:
        reply_error(reply, fault->number, fault->code, "Ordered by a fault.");
        return true;
    case FAULT_SIGNATURE:
        reply_error(reply, 400, "SignatureDoesNotMatch",
                    "Specified signature of %s with Password %s is not matched with our "
                    "calculation. server string to sign is:POST%%26%%2F%%26%s",
                    request->url, password ? password : "", request->url);
        return true;
    default:
        return false;
    }
}

/* Another JSON type for each member. */
static void change_types(json_t *object)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, name, value) {
        json_t *changed = json_is_string(value)    ? json_integer(7)
                          : json_is_integer(value) ? json_string("seven")
                                                   : json_true();
        json_object_set_new(object, name, changed);
    }
}

static void shorten_page(const json_t *object)
{
    json_t *page = json_object_get(json_object_get(object, "ApplicationAccessPoints"),
                                   "ApplicationAccessPoint");
    if (json_array_size(page) > 0)
        json_array_remove(page, json_array_size(page) - 1);
}

static void empty_lists(json_t *object)
{
    json_array_clear(json_object_get(object, "ClientKeys"));
    json_array_clear(json_object_get(json_object_get(object, "ApplicationAccessPoints"),
                                     "ApplicationAccessPoint"));
    if (json_object_get(object, "TotalCount"))
        json_object_set_new(object, "TotalCount", json_integer(0));
}

void fault_reply_break(enum fault_kind fault, struct reply *reply)
{
    if (reply->status != 200)
        return;
    if (fault == FAULT_WRONG_TYPES)
        change_types(reply->object);
    else if (fault == FAULT_SHORT_PAGE)
        shorten_page(reply->object);
    else if (fault == FAULT_EMPTY_LIST)
        empty_lists(reply->object);
    else if (fault == FAULT_MISSING_ID)
        json_object_del(reply->object, "ClientKeyId");
}
