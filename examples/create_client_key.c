/*
 * Makes a client key with kmsapi alone and prints it as the file that KMS instance SDKs load.
 * Credentials come from where the official SDKs find them.
 *
 *     cc create_client_key.c $(pkg-config --cflags --libs kmsapi) -o create_client_key
 *     ./create_client_key kms.cn-hangzhou.aliyuncs.com payments < password > client_key.json
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include <kmsapi/credentials/source.h>
#include <kmsapi/kms.h>
#include <kmsapi/wiping_memory.h>

enum { TIMEOUT_MS = 30000 };

struct program {
    struct credentials_source *source;
    struct transport *transport;
    bool done, good;
};

static void wake_up(void *user)
{
    const struct program *program = user;
    transport_wake_up(program->transport);
}

static void created(void *user, const struct kms_answer *answer, const struct kms_client_key *key)
{
    struct program *program = user;
    program->done = true;
    if (!key) {
        fprintf(stderr, "%s: %s\n", answer->error.code, answer->error.message);
        return;
    }
    json_t *file = json_pack("{s:s, s:s}", "KeyId", key->client_key_id, "PrivateKeyData",
                             key->private_key_data);
    program->good = file && json_dumpf(file, stdout, JSON_INDENT(2)) == 0 && putchar('\n') == '\n';
    json_decref(file);
}

static int start(struct program *program, const char *endpoint)
{
    char reason[512];
    const struct credentials_source_options credentials = {.user_agent = "create_client_key/1"};
    int r = credentials_source_new(&credentials, &program->source, reason, sizeof(reason));
    const struct transport_options options = {
        .endpoint = endpoint,
        .user_agent = "create_client_key/1",
        .get_credentials = credentials_source_get,
        .credentials_refused = credentials_source_refused,
        .get_credentials_user = program->source,
    };
    if (r == 0)
        r = transport_new(&options, &program->transport, reason, sizeof(reason));
    if (r < 0)
        fprintf(stderr, "%s\n", reason);
    else
        credentials_source_on_change(program->source, wake_up, program);
    return r;
}

int main(int count, char **words)
{
    struct program program = {0};
    char password[80];
    if (count != 3 || !fgets(password, sizeof(password), stdin)) {
        fprintf(stderr, "usage: create_client_key ENDPOINT AAP < PASSWORD\n");
        return 2;
    }
    password[strcspn(password, "\n")] = '\0';
    const struct kms_create_client_key key = {.aap_name = words[2], .password = password};
    if (wiping_memory_install() == 0 && start(&program, words[1]) == 0 &&
        kms_create_client_key(program.transport, &key, TIMEOUT_MS, created, &program) == 0)
        while (!program.done)
            transport_run(program.transport, -1);
    OPENSSL_cleanse(password, sizeof(password));
    credentials_source_free(program.source);
    transport_free(program.transport);
    return program.good && fflush(stdout) == 0 ? 0 : 1;
}
