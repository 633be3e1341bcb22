/*
 * aapfs export [-c FILE] [--region REGION] [--state DIRECTORY] [--state-key FILE] AAP DIR: the keys of the store as
 * files, without a mount and without the network, and beside a mount that uses the store.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/log.h"
#include "fs/base/usage.h"
#include "fs/commands/commands.h"
#include "fs/commands/export_files.h"
#include "fs/commands/mount/configure.h"
#include "fs/commands/mount/open_state.h"
#include "fs/keys/judge.h"
#include "fs/mount/privileges.h"
#include "fs/store/store_load.h"
#include "kmsapi/cleanup.h"
#include "kmsapi/wiping_memory.h"

struct export {
    const char *aap, *path;
    char place[STATE_PATH_SIZE + 128]; /* the store's, for messages */
    struct store *store;
    struct client_key_library *library;
    struct export_key *keys; /* newest first */
    bool left_some, short_of_memory;
};

static bool has(const struct export *export, const char *client_key_id)
{
    const struct export_key *key = export->keys;
    while (key && strcmp(key->client_key_id, client_key_id) != 0)
        key = key->next;
    return key;
}

static void add(struct export *export, struct export_key *key)
{
    struct export_key **link = &export->keys;
    while (*link && (*link)->made_ns > key->made_ns)
        link = &(*link)->next;
    key->next = *link;
    *link = key;
}

/* A key that was judged good before is not judged again. */
static void take_key(struct export *export, const struct record *record)
{
    char reason[256];
    struct client_key forms;
    int r = judge_restore(export->store, record, &forms);
    if (r < 0)
        r = judge_record(export->library, record, &forms, reason, sizeof(reason));
    struct export_key *key = r == 0 ? export_key_new(record, &forms) : NULL;
    client_key_clear(&forms);
    if (key) {
        add(export, key);
    } else if (r == -EKEYREJECTED) {
        log_error("%s: the client key %s is rejected and not exported: %s", export->aap, record->client_key_id, reason);
        export->left_some = true;
    } else {
        export->short_of_memory = true;
    }
}

static void found(void *user, const struct record *record, const char *path, int error)
{
    struct export *export = user;
    if (record && !has(export, record->client_key_id)) {
        take_key(export, record);
    } else if (!record && error != -ENOENT) { /* that one a mount has deleted meanwhile */
        log_error("%s/%s: %s; it is not exported", export->place, path, store_error_text(error));
        export->left_some = true;
    }
}

static void add_name(void *user, const char *aap_name)
{
    FILE *names = user;
    fprintf(names, "%s%s", ftell(names) > 0 ? ", " : "", aap_name);
}

/* No key of this name is in the store: those that are. */
static void tell_aaps(const struct export *export)
{
    _cleanup_(free) char *names = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&names, &size);
    int r = stream ? store_aaps(export->store, add_name, stream) : -ENOMEM;
    if (stream && fclose(stream) != 0)
        r = -ENOMEM;
    if (r < 0)
        log_error("%s: %s", export->place, strerror(-r));
    else
        log_error("%s: there is no client key of it in %s; there are keys of: %s", export->aap, export->place,
                  size ? names : "none");
}

static int write_keys(struct export *export)
{
    char reason[STATE_PATH_SIZE + 1024];
    if (export->short_of_memory) {
        log_error("%s: memory is short; nothing was written", export->aap);
    } else if (!export->keys && export->left_some) {
        log_error("%s: there is no client key to export; nothing was written", export->aap);
    } else if (!export->keys) {
        tell_aaps(export);
    } else if (export_write(export->path, export->keys, reason, sizeof(reason)) < 0) {
        log_error("%s; nothing was exported", reason);
    } else {
        return 0;
    }
    return 1;
}

static int export_from(struct export *export)
{
    export->library = client_key_library_new(true);
    if (!export->library)
        return log_failure(1, "OpenSSL's default provider cannot be loaded");
    int r = config_aap_name_is_shown(export->aap) ? store_look(export->store, export->aap, found, export) : 0;
    if (r < 0)
        log_error("%s/%s: %s", export->place, export->aap, strerror(-r));
    int status = r < 0 ? 1 : write_keys(export);
    export_keys_free(export->keys);
    client_key_library_free(export->library);
    return status;
}

static int open_and_export(const struct config *config, struct export *export)
{
    struct state_places places;
    struct state state;
    char account[ACCOUNT_SIZE], reason[2 * STATE_PATH_SIZE + 256];
    int r = state_places_find(config->state, config->state_key, &places, reason, sizeof(reason));
    if (r == 0)
        r = state_open_to_read(&places, &state, reason, sizeof(reason));
    if (r < 0)
        return open_state_tell(r, reason);
    r = state_find_account(&state, config->region, account, reason, sizeof(reason));
    if (r == 0 && account[0])
        r = state_open_store_to_read(&state, config->region, account, &export->store, reason, sizeof(reason));
    snprintf(export->place, sizeof(export->place), "%s/%s-%s", state.path, config->region, account);
    int status = 1;
    if (r < 0)
        status = open_state_tell(r, reason);
    else if (export->store)
        status = export_from(export);
    else
        log_error("%s: no client key of the region %s was ever kept there", state.path, config->region);
    store_close(export->store);
    state_close(&state);
    return status;
}

/* -1: go on; or the exit status. */
static int parse(int count, char **words, struct configure_words *given)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"region", required_argument, NULL, 'R'},
        {"state", required_argument, NULL, 'S'},  {"state-key", required_argument, NULL, 'K'},
        USAGE_OPTION, {0}};
    int option;
    while ((option = getopt_long(count, words, "c:h", options, NULL)) != -1) {
        if (option == 'c')
            given->file = optarg;
        else if (option == 'R')
            given->region = optarg;
        else if (option == 'S')
            given->state = optarg;
        else if (option == 'K')
            given->state_key = optarg;
        else
            return usage_end(words[0], option);
    }
    return count - optind == 2 ? -1 : usage_end(words[0], '?');
}

int command_export(int count, char **words)
{
    struct configure_words given = {0};
    struct config config;
    int status = parse(count, words, &given);
    if (status >= 0)
        return status;
    int r = privileges_hide_memory();
    if (r == 0)
        r = wiping_memory_install();
    if (r < 0)
        return log_failure(1, "export: %s", strerror(-r));
    if (configure(&given, &config) < 0)
        return 2;
    struct export export = {.aap = words[optind], .path = words[optind + 1]};
    status = open_and_export(&config, &export);
    config_clear(&config);
    return status;
}
