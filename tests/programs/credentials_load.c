/*
 * Fetches credentials with kmsapi alone and asks KMS with them, as lines of stdin say:
 *
 *     credentials_load ENDPOINT PROVIDER METADATA|- STS|- PROXY|- TIMEOUT_MS < commands
 *
 *     source <tab> PROVIDER <tab> METADATA|- <tab> STS|-    another source from here on
 *     get           waits until there is a result: "0 ID SECRET TOKEN|-", or the errno's name and the reason
 *     now           the same, and does not wait
 *     describe      who answered
 *     list [MS], create  one request with that deadline: "OPERATION ERRNO|0 CODE|- ATTEMPTS MESSAGE"
 *     load MS N     N lists at a time for so long: "done FAILED SESSIONS", and a line on stderr for each failure
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmsapi/credentials/source.h"
#include "tests/programs/asking.h"

enum { TIMEOUT_MS = 10000, PARALLEL_MOST = 64 };

struct program {
    struct credentials_source_options options;
    struct credentials_source *source;
    struct transport *transport;
    unsigned int under_way, done, failed, sessions;
    uint64_t last_serial;
    unsigned int timeout_ms;
    bool loading;
    int64_t load_end_ms;
};

/* credentials_run, as simple as it can be. */
static int run(void *user, char *const *words, unsigned int timeout_ms, char *output,
               size_t output_size, char *reason, size_t size)
{
    int ends[2], status = 0;
    size_t used = 0;
    ssize_t got;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe(ends) < 0)
        return -errno;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    int r = posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    while (r == 0 && used < output_size - 1 &&
           (got = read(ends[0], output + used, output_size - 1 - used)) > 0)
        used += (size_t)got;
    output[used] = '\0';
    close(ends[0]);
    if (r == 0 && waitpid(pid, &status, 0) == pid && status == 0)
        return 0;
    snprintf(reason, size, "%.60s: it failed", words[0]);
    return -ECHILD;
}

static int get_credentials(void *user, struct credentials *credentials, char *reason, size_t size)
{
    struct program *program = user;
    int r = credentials_source_get(program->source, credentials, reason, size);
    if (r == 0 && credentials->serial != program->last_serial) {
        program->last_serial = credentials->serial;
        program->sessions++;
    }
    return r;
}

static bool refused(void *user, uint64_t serial)
{
    const struct program *program = user;
    return credentials_source_refused(program->source, serial);
}

static void wake_up(void *user)
{
    const struct program *program = user;
    transport_wake_up(program->transport);
}

static void get(struct program *program, bool wait)
{
    struct credentials credentials;
    char reason[1024] = "";
    int r = credentials_source_get(program->source, &credentials, reason, sizeof(reason));
    for (int64_t end_ms = asking_now_ms() + 20000; wait && r == -EAGAIN && asking_now_ms() < end_ms;) {
        transport_run(program->transport, 1000); /* until it is woken */
        r = credentials_source_get(program->source, &credentials, reason, sizeof(reason));
    }
    if (r == 0)
        printf("0 %s %s %s\n", credentials.access_key_id, credentials.access_key_secret,
               credentials.security_token ? credentials.security_token : "-");
    else
        printf("%s %s\n", strerrorname_np(-r), reason);
    credentials_clear(&credentials);
}

static void begin_list(struct program *program);

static void print(const struct kms_answer *answer)
{
    const struct kms_error *error = &answer->error;
    printf("%s %s %s %u %s\n", error->operation, asking_number(error), asking_code(error), answer->transport->attempts,
           error->message);
}

static void listed(void *user, const struct kms_answer *answer, const struct kms_client_key *keys,
                   size_t count)
{
    struct program *program = user;
    program->under_way--;
    program->done++;
    if (!program->loading) {
        print(answer);
        return;
    }
    if (answer->error.number) {
        program->failed++;
        fprintf(stderr, "%s %s\n", answer->error.code, answer->error.message);
    }
    if (asking_now_ms() < program->load_end_ms)
        begin_list(program);
}

static void created(void *user, const struct kms_answer *answer, const struct kms_client_key *key)
{
    struct program *program = user;
    program->under_way--;
    print(answer);
}

static void begin_list(struct program *program)
{
    program->under_way++;
    if (kms_list_client_keys(program->transport, "payments", program->timeout_ms, listed, program) < 0)
        exit(1);
}

static void begin_create(struct program *program)
{
    const struct kms_create_client_key key = {.aap_name = "payments", .password = "Correct-Horse1"};
    program->under_way++;
    if (kms_create_client_key(program->transport, &key, TIMEOUT_MS, created, program) < 0)
        exit(1);
}

static void finish(const struct program *program)
{
    while (program->under_way)
        transport_run(program->transport, TIMEOUT_MS);
}

static void load(struct program *program, const char *words)
{
    unsigned int ms, parallel;
    if (sscanf(words, "%u %u", &ms, &parallel) != 2 || parallel > PARALLEL_MOST)
        exit(2);
    program->loading = true;
    program->done = program->failed = program->sessions = 0;
    program->load_end_ms = asking_now_ms() + ms;
    while (parallel--)
        begin_list(program);
    finish(program);
    program->loading = false;
    printf("%u %u %u\n", program->done, program->failed, program->sessions);
}

static int make_source(struct program *program, const char *provider, const char *metadata,
                       const char *sts)
{
    char reason[512];
    credentials_source_free(program->source);
    program->source = NULL;
    program->options.provider = provider;
    program->options.metadata = asking_optional(metadata);
    program->options.sts = asking_optional(sts);
    int r = credentials_source_new(&program->options, &program->source, reason, sizeof(reason));
    if (r < 0)
        fprintf(stderr, "%s\n", reason);
    else
        credentials_source_on_change(program->source, wake_up, program);
    return r;
}

static void change_source(struct program *program, const char *words)
{
    char provider[512], metadata[128], sts[128];
    if (sscanf(words, "%511[^\t]\t%127s\t%127s", provider, metadata, sts) != 3 ||
        make_source(program, provider, metadata, sts) < 0)
        exit(2);
    puts("ok");
}

static void obey(struct program *program, const char *line)
{
    char text[256];
    program->timeout_ms = TIMEOUT_MS;
    if (strcmp(line, "get") == 0 || strcmp(line, "now") == 0) {
        get(program, line[0] == 'g');
    } else if (strcmp(line, "describe") == 0) {
        credentials_source_describe(program->source, text, sizeof(text));
        puts(text);
    } else if (strcmp(line, "list") == 0 || sscanf(line, "list %u", &program->timeout_ms) == 1) {
        begin_list(program);
    } else if (strcmp(line, "create") == 0) {
        begin_create(program);
    } else if (strncmp(line, "source\t", 7) == 0) {
        change_source(program, line + 7);
    } else if (strncmp(line, "load ", 5) == 0) {
        load(program, line + 5);
    } else {
        exit(2);
    }
    finish(program);
    fflush(stdout);
}

int main(int count, char **words)
{
    struct program program = {0};
    char line[1024];
    if (count != 7)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    program.options = (struct credentials_source_options){
        .user_agent = "credentials_load/1",
        .proxy = asking_optional(words[5]),
        .timeout_ms = (unsigned int)atoi(words[6]),
        .pause_ms = 10,
        .run = getenv("NO_RUN") ? NULL : run,
    };
    program.transport = asking_transport((struct transport_options){
        .endpoint = words[1],
        .get_credentials = get_credentials,
        .credentials_refused = refused,
        .get_credentials_user = &program,
    });
    int r = make_source(&program, words[2], words[3], words[4]);
    while (r == 0 && fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        obey(&program, line);
    }
    credentials_source_free(program.source);
    transport_free(program.transport);
    return r < 0;
}
