/*
 * Asks for COUNT client keys at once and, AFTER_MS later, for a new one; prints a line for each when it ends: the
 * operation and the errno's name or 0, its Code, and its milliseconds.
 *
 *     many_calls ENDPOINT ID SECRET COUNT AFTER_MS TIMEOUT_MS AAP PASSWORD
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "kmsapi/kms.h"
#include "kmsapi/wiping_memory.h"

static const char *const *words;
static unsigned int left;
static int64_t began_ms;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int get_credentials(void *user, struct credentials *credentials, char *reason, size_t size)
{
    *credentials = (struct credentials){.access_key_id = OPENSSL_strdup(words[2]),
                                        .access_key_secret = OPENSSL_strdup(words[3])};
    return credentials->access_key_id && credentials->access_key_secret ? 0 : -ENOMEM;
}

static void print(void *user, const struct kms_answer *answer, const struct kms_client_key *key)
{
    const char *name = answer->error.number ? strerrorname_np(answer->error.number) : "0";
    printf("%s %s %s %lld\n", answer->error.operation, name, answer->error.code[0] ? answer->error.code : "-",
           (long long)(now_ms() - began_ms));
    left--;
}

int main(int count, char **given)
{
    struct transport *transport;
    char reason[256];
    words = (const char *const *)given;
    if (count != 9 || wiping_memory_install() < 0)
        return 2;
    const struct transport_options options = {
        .endpoint = words[1],
        .user_agent = "many_calls/1",
        .get_credentials = get_credentials,
    };
    if (transport_new(&options, &transport, reason, sizeof(reason)) < 0) {
        fprintf(stderr, "%s\n", reason);
        return 1;
    }
    const struct kms_create_client_key key = {.aap_name = words[7], .password = words[8]};
    unsigned int reads = (unsigned int)atoi(words[4]), timeout_ms = (unsigned int)atoi(words[6]);
    began_ms = now_ms();
    for (left = 0; left < reads; left++)
        if (kms_get_client_key(transport, "KAAP.none", timeout_ms, print, NULL) < 0)
            return 1;
    int64_t create_ms = began_ms + atoi(words[5]);
    while (now_ms() < create_ms)
        transport_run(transport, (int)(create_ms - now_ms()));
    left++;
    if (kms_create_client_key(transport, &key, timeout_ms, print, NULL) < 0)
        return 1;
    while (left > 0)
        transport_run(transport, -1);
    transport_free(transport);
    return 0;
}
