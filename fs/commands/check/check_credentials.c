#include "fs/commands/check/check.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/engine/kms_clock.h"
#include "fs/runner/configured_credentials.h"
#include "kmsapi/cleanup.h"

enum { WAIT_MS = 60 * 1000, SHOWN = 4, REASON_SIZE = 1280 };

static const char subject[] = "credentials";

static void wake_up(void *user)
{
    (void)eventfd_write(*(const int *)user, 1);
}

/* Waits for whoever is asked. As credentials_source_get. */
static int await(struct credentials_source *source, struct credentials *credentials, char *reason, size_t size)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS, left_ms;
    _cleanup_(close) int woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (woken < 0) {
        snprintf(reason, size, "%s", strerror(errno));
        return -errno;
    }
    credentials_source_on_change(source, wake_up, &woken);
    int r = credentials_source_get(source, credentials, reason, size);
    while (r == -EAGAIN && (left_ms = until_ms - clock_monotonic_ms()) > 0) {
        struct pollfd polled = {.fd = woken, .events = POLLIN};
        eventfd_t count;
        (void)poll(&polled, 1, (int)left_ms);
        (void)eventfd_read(woken, &count);
        r = credentials_source_get(source, credentials, reason, size);
    }
    credentials_source_on_change(source, NULL, NULL);
    return r;
}

/* Of a short one nothing is shown. */
static void abbreviate(const char *id, char text[static 2 * SHOWN + 8])
{
    size_t length = strlen(id);
    if (length >= 3 * SHOWN)
        snprintf(text, 2 * SHOWN + 8, "%.*s...%s", SHOWN, id, id + length - SHOWN);
    else
        snprintf(text, 2 * SHOWN + 8, "...");
}

static void look_at_file(struct check *check, const char *variable, const char *name)
{
    const char *given = getenv(variable), *home = getenv("HOME");
    char path[4096];
    struct stat attributes;
    int length = given && given[0] ? snprintf(path, sizeof(path), "%s", given)
                                   : snprintf(path, sizeof(path), "%s/%s", home ? home : "", name);
    if (length >= (int)sizeof(path) || stat(path, &attributes) < 0)
        return;
    if (attributes.st_mode & 022)
        check_warning(check, subject, "%s: others may write it, so it is refused; chmod go-w", path);
    else if (attributes.st_uid != 0 && attributes.st_uid != geteuid())
        check_warning(check, subject, "%s: it belongs to another user, so it is refused; chown it", path);
}

void check_credentials(struct check *check)
{
    const struct credentials_source_options options = configured_credentials(check->config, check->runs);
    const char *given = getenv("ALIBABA_CLOUD_CREDENTIALS_FILE");
    struct credentials credentials = {0};
    char reason[REASON_SIZE], who[128], id[2 * SHOWN + 8];
    struct credentials_source *source = NULL;
    look_at_file(check, "ALIBABA_CLOUD_CONFIG_FILE", ".aliyun/config.json");
    look_at_file(check, "ALIBABA_CLOUD_CREDENTIALS_FILE", ".alibabacloud/credentials");
    if (!given || !given[0])
        look_at_file(check, "ALIBABA_CLOUD_CREDENTIALS_FILE", ".alibabacloud/credentials.ini");
    int r = credentials_source_new(&options, &source, reason, sizeof(reason));
    if (r == 0)
        r = await(source, &credentials, reason, sizeof(reason));
    if (r < 0) {
        check_error(check, subject, "%s; aapfs(1) says where they can come from", reason);
        credentials_source_free(source);
        return;
    }
    check->source = source;
    credentials_source_describe(source, who, sizeof(who));
    abbreviate(credentials.access_key_id, id);
    check_ok(check, subject, "%s; access key %s%s", who, id, credentials.security_token ? ", of a session" : "");
    credentials_clear(&credentials);
}
