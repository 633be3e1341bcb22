/*
 * Calls every function of kms.h in turn, and prints a line for each: the operation, the errno's name
 * or 0, and what came.
 *
 *     kms_calls ENDPOINT CA_FILE|- ID SECRET PASSWORD
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/programs/asking.h"

enum { TIMEOUT_MS = 5000 };

struct caller {
    struct transport *transport;
    const char *password;
    bool done;
    char client_key_id[129];
};

static void print_result(struct caller *caller, const struct kms_answer *answer)
{
    printf("%s %s", answer->error.operation, asking_number(&answer->error));
    caller->done = true;
}

static void client_key(void *user, const struct kms_answer *answer, const struct kms_client_key *key)
{
    struct caller *caller = user;
    print_result(caller, answer);
    if (key) {
        snprintf(caller->client_key_id, sizeof(caller->client_key_id), "%s", key->client_key_id);
        printf(" %s %s", key->key_algorithm, key->aap_name ? key->aap_name : "-");
    }
    putchar('\n');
}

static void client_keys(void *user, const struct kms_answer *answer,
                        const struct kms_client_key *keys, size_t count)
{
    print_result(user, answer);
    printf(" %zu %s\n", count, count ? keys[0].aap_name : "-");
}

static void simple(void *user, const struct kms_answer *answer)
{
    print_result(user, answer);
    putchar('\n');
}

static void aap(void *user, const struct kms_answer *answer, const struct kms_aap *got)
{
    print_result(user, answer);
    if (got)
        printf(" %s %s %s %s", got->name, got->authentication_method, got->policies,
               got->description);
    putchar('\n');
}

static void aaps(void *user, const struct kms_answer *answer, const struct kms_aap *got,
                 size_t count)
{
    print_result(user, answer);
    printf(" %zu %s\n", count, count ? got[count - 1].name : "-");
}

static void finish(struct caller *caller, int started)
{
    if (started < 0)
        exit(1);
    while (!caller->done)
        transport_run(caller->transport, TIMEOUT_MS);
    caller->done = false;
}

static void call_all(struct caller *caller)
{
    struct transport *transport = caller->transport;
    const struct kms_create_client_key key = {.aap_name = "made", .password = caller->password};
    for (int i = 0; i < 2; i++)
        finish(caller, kms_create_application_access_point(transport, "made", "[\"a\",\"b\"]",
                                                           "words", TIMEOUT_MS, aap, caller));
    finish(caller, kms_describe_application_access_point(transport, "made", TIMEOUT_MS, aap, caller));
    finish(caller, kms_describe_application_access_point(transport, "none", TIMEOUT_MS, aap, caller));
    finish(caller, kms_list_application_access_points(transport, TIMEOUT_MS, aaps, caller));
    finish(caller, kms_create_client_key(transport, &key, TIMEOUT_MS, client_key, caller));
    finish(caller, kms_list_client_keys(transport, "made", TIMEOUT_MS, client_keys, caller));
    for (int i = 0; i < 2; i++) {
        finish(caller, kms_get_client_key(transport, caller->client_key_id, TIMEOUT_MS, client_key,
                                          caller));
        finish(caller, kms_delete_client_key(transport, caller->client_key_id, TIMEOUT_MS, simple,
                                             caller));
    }
}

int main(int count, char **words)
{
    if (count != 6)
        return 2;
    const struct transport_options options = {.endpoint = words[1],
                                              .ca_file = asking_optional(words[2]),
                                              .get_credentials = asking_key,
                                              .get_credentials_user = &words[3]};
    struct caller caller = {.transport = asking_transport(options), .password = words[5]};
    call_all(&caller);
    transport_free(caller.transport);
    return 0;
}
