#include "fs/keys/password_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "kmsapi/cleanup.h"

enum { LINE_MOST = 256, REASON_SIZE = CONFIG_PATH_SIZE + 512, STACK_SIZE = 256 * 1024 };

/* One file. The engine and the thread each hold it; whoever lets go last frees it. */
struct password_reading {
    const char *setting;
    char path[CONFIG_PATH_SIZE];

    pthread_mutex_t lock; /* of the next five */
    unsigned int holders;
    struct transport *transport; /* to be woken up; NULL: the engine has gone */
    bool ended;
    char password[PASSWORD_SIZE]; /* "": REASON says why not */
    char reason[REASON_SIZE];

    /* the engine's */
    uint32_t aap;
    struct operation *operation; /* NULL: it took too long */
    password_chosen *chosen;
    int64_t deadline_ms; /* CLOCK_MONOTONIC */
    struct password_reading *next;
};

/* With its lock, which is given back. */
static void release(struct password_reading *reading)
{
    bool last = --reading->holders == 0;
    pthread_mutex_unlock(&reading->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&reading->lock);
    OPENSSL_cleanse(reading, sizeof(*reading));
    free(reading);
}

/* -- the thread ---------------------------------------------------------------------------- */

/* The first line, into LINE; its length, or negative errno. */
static ssize_t read_line(int file, char line[static LINE_MOST])
{
    ssize_t got;
    do
        got = read(file, line, LINE_MOST);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    const char *end = memchr(line, '\n', (size_t)got);
    return end ? end - line : got;
}

int password_from_file(const char *setting, const char *path, char password[static PASSWORD_SIZE], char *reason,
                       size_t size)
{
    struct stat attributes;
    char line[LINE_MOST] = "", why[256];
    _cleanup_(close) int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t length = -EINVAL;
    if (file < 0 || fstat(file, &attributes) < 0)
        snprintf(reason, size, "%s: %s: %s", setting, path, strerror(errno));
    else if (!S_ISREG(attributes.st_mode) || (attributes.st_mode & 077) ||
             (attributes.st_uid != 0 && attributes.st_uid != geteuid()))
        snprintf(reason, size, "%s: %s: it must be a file that its owner, this user or root, alone can read: "
                               "chown it and chmod 0600", setting, path);
    else if ((length = read_line(file, line)) < 0)
        snprintf(reason, size, "%s: %s: %s", setting, path, strerror((int)-length));
    else if (!control_password_is_valid(line, (size_t)length, why, sizeof(why))) {
        snprintf(reason, size, "%s: %s: the first line: %s", setting, path, why);
        length = -EINVAL;
    } else {
        memcpy(password, line, (size_t)length);
        password[length] = '\0';
    }
    OPENSSL_cleanse(line, sizeof(line));
    return length < 0 ? -EINVAL : 0;
}

static void *run(void *argument)
{
    struct password_reading *reading = argument;
    char password[PASSWORD_SIZE] = "", reason[REASON_SIZE] = "";
    /* "" and REASON, or a password */
    (void)password_from_file(reading->setting, reading->path, password, reason, sizeof(reason));
    pthread_mutex_lock(&reading->lock);
    memcpy(reading->password, password, sizeof(password));
    memcpy(reading->reason, reason, sizeof(reason));
    reading->ended = true;
    if (reading->transport)
        transport_wake_up(reading->transport);
    release(reading);
    OPENSSL_cleanse(password, sizeof(password));
    return NULL;
}

static int start_thread(struct password_reading *reading)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    int r = pthread_create(&thread, &attributes, run, reading);
    pthread_attr_destroy(&attributes);
    return -r;
}

/* -- the engine ---------------------------------------------------------------------------- */

static void tell_silent(struct operation *operation, const char *setting, const char *path, password_chosen *chosen)
{
    char reason[REASON_SIZE];
    snprintf(reason, sizeof(reason), "%s: %s: the password file does not answer: look at the filesystem that it is on",
             setting, path);
    chosen(operation, -EINVAL, reason);
}

void password_file_begin(struct operation *operation, const char *setting, const char *path, password_chosen *chosen)
{
    struct engine *engine = operation->engine;
    const struct password_reading *hanging = engine->password_readings;
    while (hanging && hanging->aap != operation->aap)
        hanging = hanging->next;
    if (hanging) {
        tell_silent(operation, hanging->setting, hanging->path, chosen);
        return;
    }
    struct password_reading *reading = calloc(1, sizeof(*reading));
    if (!reading) {
        chosen(operation, -EINVAL, "memory is short");
        return;
    }
    reading->setting = setting;
    snprintf(reading->path, sizeof(reading->path), "%s", path);
    pthread_mutex_init(&reading->lock, NULL);
    reading->holders = 2;
    reading->transport = engine->parts.transport;
    reading->aap = operation->aap;
    reading->operation = operation;
    reading->chosen = chosen;
    reading->deadline_ms = clock_monotonic_ms() + engine->parts.config->request_timeout_ms;
    if (start_thread(reading) < 0) {
        pthread_mutex_destroy(&reading->lock);
        free(reading);
        chosen(operation, -EINVAL, "no thread to read the password's file with");
        return;
    }
    reading->next = engine->password_readings;
    engine->password_readings = reading;
}

/* It is out of the engine's list: its password is used if somebody waits for it. */
static void take(struct password_reading *reading)
{
    struct operation *operation = reading->operation;
    password_chosen *chosen = reading->chosen;
    char reason[REASON_SIZE];
    pthread_mutex_lock(&reading->lock);
    bool good = reading->password[0];
    if (operation && good)
        memcpy(operation->command.password, reading->password, sizeof(reading->password));
    memcpy(reason, reading->reason, sizeof(reason));
    release(reading);
    if (operation)
        chosen(operation, good ? 0 : -EINVAL, reason);
}

static bool has_ended(struct password_reading *reading)
{
    pthread_mutex_lock(&reading->lock);
    bool ended = reading->ended;
    pthread_mutex_unlock(&reading->lock);
    return ended;
}

int64_t password_file_tend(struct engine *engine)
{
    int64_t now_ms = clock_monotonic_ms(), next_ms = INT64_MAX;
    struct password_reading **link = &engine->password_readings;
    while (*link) { /* what is called here begins no other one */
        struct password_reading *reading = *link;
        if (has_ended(reading)) {
            *link = reading->next;
            take(reading);
            continue;
        }
        if (reading->operation && now_ms >= reading->deadline_ms)
            tell_silent(steal_pointer(&reading->operation), reading->setting, reading->path, reading->chosen);
        else if (reading->operation && reading->deadline_ms < next_ms)
            next_ms = reading->deadline_ms;
        link = &reading->next;
    }
    return next_ms;
}

void password_file_end(struct engine *engine)
{
    while (engine->password_readings) {
        struct password_reading *reading = engine->password_readings;
        engine->password_readings = reading->next;
        pthread_mutex_lock(&reading->lock);
        reading->transport = NULL;
        release(reading);
    }
}
