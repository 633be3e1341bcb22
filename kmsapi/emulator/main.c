/*
 * kms-emulator: the KMS OpenAPI on a loopback address.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmsapi/cleanup.h"
#include "kmsapi/emulator/emulator_clock.h"
#include "kmsapi/emulator/server.h"
#include "kmsapi/emulator/tls_files.h"
#include "kmsapi/iso_time.h"

enum { AAPS_MOST = 10000, SECRETS_MOST = 100, DAY_SECONDS = 86400, USUAL_KEYS = 3, YEARS_MOST = 100 };

static const char usage[] =
    "usage: kms-emulator --listen ADDRESS:PORT [--access-key ID:SECRET]\n"
    "           [--aap NAME]... [--account FILE] [--account-from FILE]\n"
    "           [--account-id DIGITS] [--region REGION] [--faults FILE]\n"
    "           [--record FILE]\n"
    "           [--tls-cert FILE --tls-key FILE | --tls-self-signed DIRECTORY]\n"
    "           [--key-pool N] [--key-pool-file FILE] [--pkcs12 rc2|3des]\n"
    "           [--clock TIME] [--min-validity TIME] [--max-keys N]\n"
    "           [--session-seconds N] [--oidc-token-file FILE] [--ram-role NAME]\n"
    "           [--imdsv2-only] [--secret NAME:VALUE]...\n";

struct arguments {
    const char *listen, *access_key, *account, *account_from, *account_id, *region, *faults, *record;
    const char *certificate, *key, *self_signed, *pool_file, *clock;
    const char *oidc_token_file, *ram_role;
    unsigned int pool, max_keys, session_seconds;
    struct span min_validity;
    bool triple_des, imdsv2_only;
    const char *aaps[AAPS_MOST];
    size_t aap_count;
    const char *secrets[SECRETS_MOST];
    size_t secret_count;
};

/* The whole program: what is started, in this order, and ended in the other. */
struct emulator {
    struct account *account;
    struct key_maker *key_maker;
    struct sessions *sessions;
    struct signatures *signatures;
    struct sts sts;
    struct metadata metadata;
    struct instance instance;
    struct faults *faults;
    struct tls_files tls;
    FILE *record;
    struct operations operations;
    struct server *server;
};

static bool parse_number(const char *text, unsigned int *number)
{
    int used = 0;
    return *text >= '0' && *text <= '9' && sscanf(text, "%7u%n", number, &used) == 1 && !text[used];
}

/* A number and s, d or y; days without one of them. */
static bool parse_span(const char *text, struct span *span)
{
    char digits[16], unit;
    unsigned int number;
    size_t size = strspn(text, "0123456789");
    snprintf(digits, sizeof(digits), "%.*s", (int)size, text);
    if (size >= sizeof(digits) || !parse_number(digits, &number) || (text[size] && text[size + 1]))
        return false;
    unit = text[size] ? text[size] : 'd';
    *span = unit == 'y'   ? (struct span){.years = number}
            : unit == 'd' ? (struct span){.seconds = (int64_t)number * DAY_SECONDS}
                          : (struct span){.seconds = number};
    return strchr("sdy", unit) && span->years <= YEARS_MOST;
}

static const struct option options[] = {
    {"listen", required_argument, NULL, 'l'},       {"access-key", required_argument, NULL, 'k'},
    {"aap", required_argument, NULL, 'a'},          {"account", required_argument, NULL, 'A'},
    {"account-from", required_argument, NULL, 'F'},
    {"account-id", required_argument, NULL, 'i'},   {"region", required_argument, NULL, 'R'},
    {"faults", required_argument, NULL, 'f'},       {"record", required_argument, NULL, 'r'},
    {"tls-cert", required_argument, NULL, 'C'},     {"tls-key", required_argument, NULL, 'K'},
    {"tls-self-signed", required_argument, NULL, 'S'},
    {"key-pool", required_argument, NULL, 'p'},     {"key-pool-file", required_argument, NULL, 'P'},
    {"pkcs12", required_argument, NULL, '1'},       {"clock", required_argument, NULL, 'c'},
    {"min-validity", required_argument, NULL, 'v'}, {"max-keys", required_argument, NULL, 'm'},
    {"session-seconds", required_argument, NULL, 's'},
    {"oidc-token-file", required_argument, NULL, 'o'},
    {"ram-role", required_argument, NULL, 'M'},     {"imdsv2-only", no_argument, NULL, '2'},
    {"secret", required_argument, NULL, 'x'},
    {"help", no_argument, NULL, 'h'},               {"version", no_argument, NULL, 'V'},
    {0},
};

static const char **text_option(struct arguments *arguments, int option)
{
    switch (option) {
    case 'l': return &arguments->listen;
    case 'k': return &arguments->access_key;
    case 'A': return &arguments->account;
    case 'F': return &arguments->account_from;
    case 'f': return &arguments->faults;
    case 'r': return &arguments->record;
    case 'C': return &arguments->certificate;
    case 'K': return &arguments->key;
    case 'S': return &arguments->self_signed;
    case 'P': return &arguments->pool_file;
    case 'c': return &arguments->clock;
    case 'o': return &arguments->oidc_token_file;
    case 'M': return &arguments->ram_role;
    default: return NULL;
    }
}

/* False: OPTION's value is not one. */
static bool set_other(struct arguments *arguments, int option, const char *value)
{
    switch (option) {
    case 'a':
        if (arguments->aap_count == AAPS_MOST)
            return false;
        arguments->aaps[arguments->aap_count++] = value;
        return true;
    case 'x':
        if (arguments->secret_count == SECRETS_MOST || *value == ':' || !strchr(value, ':'))
            return false;
        arguments->secrets[arguments->secret_count++] = value;
        return true;
    case 'i':
        arguments->account_id = value;
        return *value && strlen(value) <= 32 && strspn(value, "0123456789") == strlen(value);
    case 'R':
        arguments->region = value;
        return *value && strlen(value) < 64 &&
               strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(value);
    case 'p':
        return parse_number(value, &arguments->pool);
    case 'v':
        return parse_span(value, &arguments->min_validity);
    case 'm':
        return parse_number(value, &arguments->max_keys);
    case 's':
        return parse_number(value, &arguments->session_seconds);
    case '2':
        arguments->imdsv2_only = true;
        return true;
    case '1':
        arguments->triple_des = strcmp(value, "3des") == 0;
        return arguments->triple_des || strcmp(value, "rc2") == 0;
    default:
        return false;
    }
}

/* 0: go on; 1: done; 2: wrong. */
static int parse(int count, char **words, struct arguments *arguments)
{
    int option;
    while ((option = getopt_long(count, words, "h", options, NULL)) != -1) {
        const char **text = text_option(arguments, option);
        if (option == 'h' || option == 'V') {
            fputs(option == 'h' ? usage : "kms-emulator " AAPFS_VERSION "\n", stdout);
            return 1;
        }
        if (text)
            *text = optarg;
        else if (option == '?' || !set_other(arguments, option, optarg)) {
            if (option != '?')
                fprintf(stderr, "kms-emulator: %s: not a value of its option\n", optarg);
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < count || !arguments->listen || !arguments->certificate != !arguments->key ||
        (arguments->certificate && arguments->self_signed)) {
        fputs(usage, stderr);
        return 2;
    }
    return 0;
}

/* Who may ask: the known key, and the sessions that are handed out. */
static int start_signatures(const struct arguments *arguments, struct emulator *emulator,
                            char *reason, size_t size)
{
    const char *given = arguments->access_key ? arguments->access_key
                                              : getenv("KMS_EMULATOR_ACCESS_KEY");
    _cleanup_(free) char *id = strdup(given ? given : "emulator:emulator");
    char *secret = id ? strchr(id, ':') : NULL;
    if (!secret || secret == id || !secret[1]) {
        snprintf(reason, size, "--access-key: expected ID:SECRET");
        return -EINVAL;
    }
    *secret++ = '\0';
    emulator->sessions = sessions_new(arguments->session_seconds);
    if (emulator->sessions)
        emulator->signatures = signatures_new(id, secret, emulator->sessions);
    emulator->sts = (struct sts){emulator->sessions, arguments->oidc_token_file};
    emulator->metadata = (struct metadata){
        .sessions = emulator->sessions,
        .role = arguments->ram_role ? arguments->ram_role : "EmulatorRole",
        .region = arguments->region ? arguments->region : "cn-hangzhou",
        .only_with_token = arguments->imdsv2_only,
    };
    return emulator->signatures ? 0 : -ENOMEM;
}

static int set_clock(const char *text, char *reason, size_t size)
{
    int64_t seconds;
    if (!text)
        return 0;
    if (iso_time_parse(text, strlen(text), &seconds) < 0) {
        snprintf(reason, size, "--clock %.40s: expected yyyy-MM-ddTHH:mm:ssZ", text);
        return -EINVAL;
    }
    emulator_clock_set(seconds);
    return 0;
}

/* Requests hold passwords: the record is its owner's alone. */
static int open_record(const char *path, FILE **record, char *reason, size_t size)
{
    if (!path)
        return 0;
    int descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    *record = descriptor < 0 ? NULL : fdopen(descriptor, "a");
    if (*record)
        return 0;
    snprintf(reason, size, "%s: %s", path, strerror(errno));
    return -errno;
}

static int add_aaps(const struct arguments *arguments, struct emulator *emulator, char *reason,
                    size_t size)
{
    emulator->operations = (struct operations){
        .account = emulator->account,
        .account_id = arguments->account_id ? arguments->account_id : "1192853035110000",
        .region = arguments->region ? arguments->region : "cn-hangzhou",
        .key_maker = emulator->key_maker,
        .min_validity = arguments->min_validity,
        .max_keys = arguments->max_keys,
    };
    for (size_t i = 0; i < arguments->aap_count; i++) {
        account_lock(emulator->account);
        bool there = json_object_get(account_aaps(emulator->account), arguments->aaps[i]) != NULL;
        account_unlock(emulator->account, false);
        if (there || operations_add_aap(&emulator->operations, arguments->aaps[i]))
            continue;
        snprintf(reason, size, "--aap %.100s: not a name", arguments->aaps[i]);
        return -EINVAL;
    }
    return 0;
}

static int start_parts(const struct arguments *arguments, struct emulator *emulator, char *reason,
                       size_t size)
{
    int r = set_clock(arguments->clock, reason, size);
    if (r == 0)
        r = account_open(arguments->account, arguments->account_from, &emulator->account, reason, size);
    if (r == 0)
        r = faults_new(arguments->faults, &emulator->faults, reason, size);
    if (r == 0)
        r = start_signatures(arguments, emulator, reason, size);
    if (r == 0)
        r = open_record(arguments->record, &emulator->record, reason, size);
    if (r == 0)
        r = key_maker_new(arguments->pool, arguments->pool_file, !arguments->triple_des,
                          &emulator->key_maker, reason, size);
    if (r == 0)
        r = add_aaps(arguments, emulator, reason, size);
    if (r == 0 && arguments->certificate)
        r = tls_files_read(arguments->certificate, arguments->key, &emulator->tls, reason, size);
    else if (r == 0 && arguments->self_signed)
        r = tls_files_self_signed(arguments->self_signed, &emulator->tls, reason, size);
    return r;
}

static int start(const struct arguments *arguments, struct emulator *emulator, char *reason,
                 size_t size)
{
    struct sockaddr_storage address;
    socklen_t address_size;
    int r = server_parse_address(arguments->listen, &address, &address_size, reason, size);
    if (r == 0)
        r = start_parts(arguments, emulator, reason, size);
    if (r < 0)
        return r;
    emulator->instance = (struct instance){
        .account = emulator->account,
        .secrets = arguments->secrets,
        .secret_count = arguments->secret_count,
    };
    const struct server_parts parts = {
        .operations = &emulator->operations,
        .sts = &emulator->sts,
        .metadata = &emulator->metadata,
        .instance = &emulator->instance,
        .signatures = emulator->signatures,
        .faults = emulator->faults,
        .record = emulator->record,
        .certificate_pem = emulator->tls.certificate_pem,
        .key_pem = emulator->tls.key_pem,
        .address = (const struct sockaddr *)&address,
        .address_size = address_size,
    };
    return server_start(&parts, &emulator->server, reason, size);
}

static void stop(struct emulator *emulator)
{
    if (emulator->server)
        server_stop(emulator->server);
    free(emulator->tls.certificate_pem);
    free(emulator->tls.key_pem);
    if (emulator->record)
        fclose(emulator->record);
    key_maker_free(emulator->key_maker);
    signatures_free(emulator->signatures);
    sessions_free(emulator->sessions);
    faults_free(emulator->faults);
    account_close(emulator->account);
}

int main(int count, char **words)
{
    /* what KMS documents */
    static struct arguments arguments = {.max_keys = USUAL_KEYS, .min_validity = {.years = 1}};
    struct emulator emulator = {0};
    char reason[512] = "memory is short";
    sigset_t ends;
    int got;

    int status = parse(count, words, &arguments);
    if (status)
        return status == 1 ? 0 : status;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = start(&arguments, &emulator, reason, sizeof(reason));
    if (r == 0) {
        printf("listening on %s://%.*s:%u\n", emulator.tls.key_pem ? "https" : "http",
               (int)(strrchr(arguments.listen, ':') - arguments.listen), arguments.listen,
               server_port(emulator.server));
        fflush(stdout);
        sigwait(&ends, &got);
    } else {
        fprintf(stderr, "kms-emulator: %s\n", reason);
    }
    stop(&emulator);
    return r == -EISDIR ? 2 : r < 0; /* a directory in the place of a file is wrong usage */
}
