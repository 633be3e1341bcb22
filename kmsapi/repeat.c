#include "kmsapi/repeat.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/rand.h>

#include "kmsapi/transport_error.h"

enum {
    ATTEMPTS_MOST = 4, CLOCK_WRONG_S = 60,
    BACKOFF_MS = 200, /* KMS's sample: 2^n * 200 ms; ours is a random part of it */
    RETRY_AFTER_MOST_MS = 120 * 1000,
};

int64_t repeat_asked_ms(const struct transfer *transfer)
{
    int64_t asked_ms = transfer->attempt.answered.retry_after_ms;
    return asked_ms < RETRY_AFTER_MOST_MS ? asked_ms : RETRY_AFTER_MOST_MS;
}

int64_t repeat_wait_ms(const struct transfer *transfer)
{
    uint32_t random = 0;
    if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
        random = UINT32_MAX;
    int64_t wait_ms = (int64_t)(random % (BACKOFF_MS << (transfer->answer.attempts - 1)));
    int64_t asked_ms = repeat_asked_ms(transfer);
    return asked_ms > wait_ms ? asked_ms : wait_ms;
}

bool repeat_learned_the_time(const struct route *route, const struct transfer *transfer)
{
    return llabs(route->clock_offset_s - transfer->signed_offset_s) > CLOCK_WRONG_S;
}

bool repeat_signed_anew(const struct route *route, struct transfer *transfer)
{
    const struct transport_options *options = &route->options;
    const struct kms_error *error = &transfer->answer.error;
    if (transfer->refused || !options->credentials_refused || !kms_error_is_about_credentials(error))
        return false;
    transfer->refused = true;
    return options->credentials_refused(options->get_credentials_user, transfer->signed_by);
}

bool repeat_is_safe(const struct route *route, const struct transfer *transfer, bool answered, bool maybe_sent)
{
    const struct kms_error *error = &transfer->answer.error;
    bool harmless = transfer->request.kind != TRANSPORT_CREATE;
    if (transfer->parked || transfer->answer.attempts >= ATTEMPTS_MOST || error->number == ENOMEM ||
        error->number == EPROTO)
        return false;
    long proxy_status = answered ? 0 : transport_error_proxy_status(transfer->attempt.easy);
    if (proxy_status >= 400 && proxy_status < 500)
        return false; /* it will not have it */
    if (!answered)
        return !maybe_sent || (harmless && error->number != EIO);
    if (error->http_status < 300)
        return false; /* it came as a success: who knows what was done */
    switch (kms_error_retry(error)) {
    case KMS_RETRY_THROTTLED:
        return true;
    case KMS_RETRY_CLOCK:
        return !transfer->request.dated && repeat_learned_the_time(route, transfer);
    case KMS_RETRY_NOT_CREATIONS:
        return harmless;
    case KMS_RETRY_READ_ONCE:
        return transfer->request.kind == TRANSPORT_READ && transfer->answer.attempts == 1;
    case KMS_RETRY_CREDENTIALS: /* repeat_signed_anew */
    case KMS_RETRY_NEVER:
        break;
    }
    return false;
}
