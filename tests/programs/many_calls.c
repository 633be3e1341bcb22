/*
 * Asks for COUNT client keys at once and, AFTER_MS later, for a new one; prints a line for each when it ends: the
 * operation and the errno's name or 0, its Code, and its milliseconds.
 *
 *     many_calls ENDPOINT ID SECRET COUNT AFTER_MS TIMEOUT_MS AAP PASSWORD
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/programs/asking.h"

static unsigned int left;
static int64_t began_ms;

static void print(void *user, const struct kms_answer *answer, const struct kms_client_key *key)
{
    const struct kms_error *error = &answer->error;
    printf("%s %s %s %lld\n", error->operation, asking_number(error), asking_code(error),
           (long long)(asking_now_ms() - began_ms));
    left--;
}

int main(int count, char **words)
{
    if (count != 9)
        return 2;
    const struct transport_options options = {.endpoint = words[1],
                                              .get_credentials = asking_key,
                                              .get_credentials_user = &words[2]};
    struct transport *transport = asking_transport(options);
    const struct kms_create_client_key key = {.aap_name = words[7], .password = words[8]};
    unsigned int reads = (unsigned int)atoi(words[4]), timeout_ms = (unsigned int)atoi(words[6]);
    began_ms = asking_now_ms();
    for (left = 0; left < reads; left++)
        if (kms_get_client_key(transport, "KAAP.none", timeout_ms, print, NULL) < 0)
            return 1;
    int64_t create_ms = began_ms + atoi(words[5]);
    while (asking_now_ms() < create_ms)
        transport_run(transport, (int)(create_ms - asking_now_ms()));
    left++;
    if (kms_create_client_key(transport, &key, timeout_ms, print, NULL) < 0)
        return 1;
    while (left > 0)
        transport_run(transport, -1);
    transport_free(transport);
    return 0;
}
