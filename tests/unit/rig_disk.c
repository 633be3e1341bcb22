#include "tests/unit/rig_disk.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "fs/base/nanoseconds.h"
#include "fs/store/store_intent.h"
#include "tests/unit/engine_rig.h"

#define STORE_NAME RIG_REGION "-" RIG_ACCOUNT

enum { PATH_SIZE = 512 };

static char place[64], reason[2 * STATE_PATH_SIZE + 256];

/* The errno of this write; 0: it goes well. */
static int write_error(void)
{
    if (rig.disk_error && rig.good_writes > 0) {
        rig.good_writes--;
        return 0;
    }
    return rig.disk_error;
}

/* What was written is not synced: it costs time for nothing. */
int __wrap_fsync(int file)
{
    errno = write_error();
    return errno ? -1 : 0;
}

int __wrap_posix_fallocate64(int file, off_t offset, off_t size)
{
    return write_error();
}

static struct client_key_bytes bytes_of(const char *text)
{
    return (struct client_key_bytes){OPENSSL_memdup(text, strlen(text) + 1), strlen(text)};
}

int __wrap_client_key_open(struct client_key_library *library, const char *client_key_id, const char *private_key_data,
                           const char *password, struct client_key *key, char *why, size_t size)
{
    *key = (struct client_key){0};
    if (rig.opens)
        rig.opens(client_key_id);
    if (strcmp(private_key_data, RIG_KEY) != 0 && !rig.opens_everything) {
        snprintf(why, size, "it does not open");
        return -EKEYREJECTED;
    }
    *key = (struct client_key){.json = bytes_of("{}\n"), .pkcs12 = bytes_of("p"), .private_key_data = bytes_of(RIG_KEY "\n"),
                               .private_key_pem = bytes_of("pem\n"), .certificate_pem = bytes_of("certificate\n")};
    return 0;
}

/* -- the state directory ------------------------------------------------------------------- */

void rig_make_disk(void)
{
    struct state_places places = {.may_make_key = true};
    /* in memory where there is such a place: files come and go */
    snprintf(place, sizeof(place), "%s/aapfs-rig-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(place));
    snprintf(places.directory, sizeof(places.directory), "%s/state", place);
    snprintf(places.key, sizeof(places.key), "%s/key", place);
    assert_int_equal(state_open(&places, &rig.state, reason, sizeof(reason)), 0);
    assert_int_equal(state_make_key(&places, reason, sizeof(reason)), 0);
    assert_int_equal(state_open_key(&places, &rig.state, reason, sizeof(reason)), 0);
}

static int remove_one(const char *name, const struct stat *attributes, int type, struct FTW *where)
{
    return remove(name);
}

void rig_remove_disk(void)
{
    state_close(&rig.state);
    assert_int_equal(nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

uint64_t rig_save(const struct rig_key *key)
{
    struct store *store;
    struct store_intent *intent, *second = NULL;
    const int64_t made_ns = nanoseconds(key->made ? key->made : RIG_BEGIN);
    struct record record = {
        .aap_name = text_of(key->aap_name),
        .client_key_id = text_of(key->client_key_id),
        .key_algorithm = text_of("RSA_2048"),
        .not_before = text_of(key->not_before ? key->not_before : "2023-11-01T00:00:00Z"),
        .not_after = text_of(key->not_after ? key->not_after : "2099-11-24T00:00:00Z"),
        .private_key_data = text_of(key->private_key_data ? key->private_key_data : RIG_KEY),
        .password = text_of(key->password ? key->password : RIG_PASSWORD),
        .request_id = text_of("r"),
        .made_ns = made_ns,
        .asked = key->made ? key->made : RIG_BEGIN,
        .dates_given = key->dates_given,
        .adopted = key->adopted,
        .scheduled = key->scheduled,
    };
    const struct store_wish wish = {key->aap_name, record.not_before, record.not_after, key->dates_given, made_ns,
                                    key->adopted};
    const struct forms forms = {{(unsigned char *)text_of("pem\n"), 4}, {0}};
    assert_int_equal(state_open_store(&rig.state, RIG_REGION, RIG_ACCOUNT, &store, reason, sizeof(reason)), 0);
    assert_int_equal(store_reserve(store, &wish, &intent), 0);
    if (key->keeps_intent)
        assert_int_equal(store_reserve(store, &wish, &second), 0);
    record.intent = store_intent_number(second ? second : intent);
    assert_int_equal(store_save(store, intent, &record), 0);
    if (second)
        store_leave(store, second);
    if (!key->private_key_data)
        assert_int_equal(store_write_forms(store, key->aap_name, key->client_key_id, &forms), 0);
    store_close(store);
    return record.intent;
}

const char *rig_place(void)
{
    return place;
}

static const char *counted_prefix;
static unsigned int counted;
static size_t above; /* length of what stands before a path in the store */

static int count_file(const char *path, const struct stat *attributes, int type, struct FTW *where)
{
    const char *name = strchr(counted_prefix, '/') && strlen(path) > above ? path + above : path + where->base;
    counted += type == FTW_F && strncmp(name, counted_prefix, strlen(counted_prefix)) == 0;
    return 0;
}

unsigned int rig_count_files(const char *prefix)
{
    char store[PATH_SIZE];
    snprintf(store, sizeof(store), "%s/state/%s", place, STORE_NAME);
    counted_prefix = prefix;
    counted = 0;
    above = strlen(store) + 1;
    if (access(store, F_OK) == 0)
        assert_int_equal(nftw(store, count_file, 8, FTW_PHYS), 0);
    return counted;
}

void rig_damage_file(const char *path)
{
    char whole[PATH_SIZE];
    snprintf(whole, sizeof(whole), "%s/state/%s/%s", place, STORE_NAME, path);
    FILE *file = fopen(whole, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    int last = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    assert_int_equal(fputc(last ^ 1, file), last ^ 1);
    assert_int_equal(fclose(file), 0);
}
