#include "fs/etcd/etcd_token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fs/base/secret_file.h"
#include "fs/engine/kms_clock.h"
#include "fs/etcd/etcd_call.h"
#include "fs/etcd/questions.h"
#include "kmsapi/base/backoff.h"
#include "kmsapi/cleanup.h"

/* etcd takes a tenth of a second of a processor for each password: a wrong one is not sent often. */
enum { PASSWORD_SIZE = 1025, TIMEOUT_MS = 15000, WAIT_MS = 1000, WAIT_MOST_MS = 60000 };

/* The first line of its file. 0, or -EACCES and a text for a person. */
static int read_password(const char *path, char password[static PASSWORD_SIZE], char *reason, size_t size)
{
    _cleanup_(close) int file = secret_file_open(path, true, reason, size);
    if (file == -ENOENT)
        snprintf(reason, size, "%s: there is no such file", path);
    ssize_t got = file < 0 ? 0 : pread(file, password, PASSWORD_SIZE - 1, 0);
    if (got < 0)
        snprintf(reason, size, "%s: %s", path, strerror(errno));
    password[got > 0 ? got : 0] = '\0';
    password[strcspn(password, "\r\n")] = '\0';
    if (file >= 0 && got >= 0 && !password[0])
        snprintf(reason, size, "%s: its first line is empty", path);
    return password[0] ? 0 : -EACCES;
}

static void fail(struct etcd_token *token, const struct fleet_error *error)
{
    token->error = *error;
    token->refused = error->number == EACCES || error->number == EPROTO || error->number == EBADMSG;
    token->again_ms = clock_monotonic_ms() + backoff_ms(WAIT_MS, WAIT_MOST_MS, token->failures++);
}

static int take(void *user, const json_t *answer, int64_t sent_ms)
{
    struct etcd *etcd = user;
    int r = answer_token(answer, etcd->token.text);
    if (r < 0)
        OPENSSL_cleanse(etcd->token.text, sizeof(etcd->token.text));
    return r;
}

static void ended(void *user, const struct fleet_error *error)
{
    struct etcd *etcd = user;
    struct etcd_token *token = &etcd->token;
    token->asking = false;
    if (error->number && error->number != EOPNOTSUPP) {
        fail(token, error);
        return;
    }
    token->off = error->number == EOPNOTSUPP;
    token->serial++;
    token->wanted = false;
    token->failures = 0;
    token->error = (struct fleet_error){0};
}

static void drop(void *user)
{
}

static void ask(struct etcd *etcd)
{
    struct etcd_token *token = &etcd->token;
    char password[PASSWORD_SIZE] = "";
    struct fleet_error error = {.number = EACCES};
    if (read_password(etcd->password_file, password, error.text, sizeof(error.text)) < 0) {
        fail(token, &error);
        return;
    }
    token->asking = etcd_call_begin(etcd, &(struct etcd_call_wish){
        .path = "auth/authenticate",
        .body = question_authenticate(etcd->user, password),
        .open = true,
        .urgent = true,
        .timeout_ms = TIMEOUT_MS,
        .take = take,
        .ended = ended,
        .drop = drop,
        .user = etcd,
    }) == 0;
    OPENSSL_cleanse(password, sizeof(password));
    if (!token->asking)
        fail(token, &(struct fleet_error){.number = ENOMEM, .text = "memory is short"});
}

int64_t etcd_token_tend(struct etcd *etcd)
{
    struct etcd_token *token = &etcd->token;
    if (!token->wanted || token->asking)
        return INT64_MAX;
    if (token->again_ms <= clock_monotonic_ms())
        ask(etcd);
    return token->asking ? INT64_MAX : token->again_ms;
}
