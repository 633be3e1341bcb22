#include "tests/programs/asking.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "kmsapi/wiping_memory.h"

int64_t asking_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *asking_optional(const char *word)
{
    return strcmp(word, "-") == 0 ? NULL : word;
}

struct transport *asking_transport(struct transport_options options)
{
    struct transport *transport;
    char reason[512];
    options.user_agent = "aapfs-tests/1";
    if (wiping_memory_install() < 0)
        exit(2);
    if (transport_new(&options, &transport, reason, sizeof(reason)) < 0) {
        fprintf(stderr, "%s\n", reason);
        exit(1);
    }
    return transport;
}

int asking_key(void *user, struct credentials *credentials, char *reason, size_t size)
{
    char *const *words = user;
    *credentials = (struct credentials){.access_key_id = OPENSSL_strdup(words[0]),
                                        .access_key_secret = OPENSSL_strdup(words[1])};
    return credentials->access_key_id && credentials->access_key_secret ? 0 : -ENOMEM;
}

const char *asking_number(const struct kms_error *error)
{
    return error->number ? strerrorname_np(error->number) : "0";
}

const char *asking_code(const struct kms_error *error)
{
    return error->code[0] ? error->code : "-";
}
