/* The store on a real disk: what it keeps, what it refuses, and what failing system calls leave. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/store/store_file.h"
#include "fs/store/store_intent.h"
#include "fs/store/store_load.h"

static const unsigned char key[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcde";
static const unsigned char other_key[SEAL_KEY_SIZE] = "0123456789abcdef0123456789abcdf";
static const struct record_owner owner = {"1192853035110000", "cn-hangzhou"};
static char place[64], path[96];
static struct store_place where; /* of the store at PATH */

/* -- system calls that fail on order (linked with --wrap) ------------------------------------ */

static int fail_at = -1, fail_with, calls;

static int fails(void)
{
    if (calls++ != fail_at)
        return 0;
    errno = fail_with;
    return 1;
}

#define WRAP(type, name, parameters, arguments)                                                    \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails() ? -1 : __real_##name arguments;                                             \
    }

WRAP(int, fsync, (int file), (file))
WRAP(int, mkdirat, (int directory, const char *name, mode_t mode), (directory, name, mode))
WRAP(int, renameat, (int from_directory, const char *from, int to_directory, const char *to),
     (from_directory, from, to_directory, to))
WRAP(ssize_t, pwrite64, (int file, const void *data, size_t size, off_t offset),
     (file, data, size, offset))
WRAP(int, ftruncate64, (int file, off_t size), (file, size))

int __real_posix_fallocate64(int file, off_t offset, off_t size);
int __wrap_posix_fallocate64(int file, off_t offset, off_t size);
int __wrap_posix_fallocate64(int file, off_t offset, off_t size)
{
    return fails() ? fail_with : __real_posix_fallocate64(file, offset, size);
}

/* -- helpers --------------------------------------------------------------------------------- */

static int make_place(void **state)
{
    strcpy(place, "/tmp/aapfs-store-XXXXXX");
    assert_non_null(mkdtemp(place));
    snprintf(path, sizeof(path), "%s/state", place);
    where = (struct store_place){open(place, O_RDONLY | O_DIRECTORY), "state", place};
    assert_true(where.above >= 0);
    fail_at = -1;
    return 0;
}

static int remove_one(const char *name, const struct stat *attributes, int type, struct FTW *depth)
{
    return remove(name);
}

static int remove_place(void **state)
{
    close(where.above);
    return nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct store *open_good(void)
{
    char reason[256];
    struct store *store = NULL;
    int r = store_open(&where, &owner, key, &store, reason, sizeof(reason));
    if (r < 0)
        fail_msg("%d: %s", r, reason);
    return store;
}

static struct record sample(const char *id)
{
    static char aap[] = "payments", algorithm[] = "RSA_2048", before[] = "2026-11-24T00:00:00Z",
                after[] = "2027-11-24T00:00:00Z", data[] = "MIIJqwIBAzCC", password[] = "Abcdefg1~";
    return (struct record){.aap_name = aap, .client_key_id = (char *)(uintptr_t)id,
                           .key_algorithm = algorithm, .not_before = before, .not_after = after,
                           .private_key_data = data, .password = password, .made_ns = 7};
}

static int try_to_reserve(struct store *store, const char *not_before, struct store_intent **intent)
{
    const struct store_wish wish = {.aap_name = "payments", .not_before = not_before, .not_after = "a",
                                    .dates_given = true, .made_ns = 5};
    return store_reserve(store, &wish, intent);
}

static void reserve(struct store *store, const char *not_before, struct store_intent **intent)
{
    assert_int_equal(try_to_reserve(store, not_before, intent), 0);
}

static void save(struct store *store, const char *id)
{
    struct store_intent *intent;
    const struct record record = sample(id);
    reserve(store, record.not_before, &intent);
    assert_int_equal(store_save(store, intent, &record), 0);
}

struct seen {
    int keys, intents, damaged, errors_sum;
    char last_id[129], last_path[512], not_before[32];
    uint64_t number;
};

static void note(void *user, const struct record *record, const char *name, int error)
{
    struct seen *seen = user;
    if (!record) {
        seen->damaged++;
        seen->errors_sum += error;
        snprintf(seen->last_path, sizeof(seen->last_path), "%s", name);
    } else if (record->client_key_id[0]) {
        seen->keys++;
        assert_string_equal(record->password, "Abcdefg1~");
        snprintf(seen->last_id, sizeof(seen->last_id), "%s", record->client_key_id);
    } else {
        seen->intents++;
        seen->number = record->intent;
        assert_true(record->dates_given && record->made_ns == 5);
        assert_string_equal(record->aap_name, "payments");
        snprintf(seen->not_before, sizeof(seen->not_before), "%s", record->not_before);
    }
}

static struct seen load(struct store *store)
{
    struct seen seen = {0};
    assert_int_equal(store_load(store, note, &seen), 0);
    return seen;
}

static void add_name(void *user, const char *aap_name)
{
    strcat(user, aap_name);
    strcat(user, ";");
}

/* Names and contents of everything, as one number. */
static uint64_t digest;

static int digest_one(const char *name, const struct stat *attributes, int type, struct FTW *depth)
{
    unsigned char bytes[RECORD_SIZE_MOST];
    uint64_t sum = UINT64_C(14695981039346656037);
    for (const char *c = name; *c; c++)
        sum = (sum ^ (unsigned char)*c) * UINT64_C(1099511628211);
    int file = type == FTW_F ? open(name, O_RDONLY) : -1;
    ssize_t size = file < 0 ? 0 : read(file, bytes, sizeof(bytes));
    for (ssize_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * UINT64_C(1099511628211);
    if (file >= 0)
        close(file);
    digest += sum + (uint64_t)attributes->st_mode;
    return 0;
}

static uint64_t digest_of_place(void)
{
    digest = 0;
    assert_int_equal(nftw(path, digest_one, 8, FTW_PHYS), 0);
    return digest;
}

/* A path in the store; two at a time. */
static const char *in_place(const char *name)
{
    static char whole[2][256];
    static unsigned int next;
    next = !next;
    snprintf(whole[next], sizeof(whole[next]), "%s/%s", path, name);
    return whole[next];
}

static void put(const char *name, const void *bytes, size_t size)
{
    int file = open(in_place(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0 && write(file, bytes, size) == (ssize_t)size);
    close(file);
}

/* -- tests ----------------------------------------------------------------------------------- */

static void keeps_keys_over_a_restart(void **state)
{
    char reason[256];
    struct store *store = open_good();
    save(store, "KAAP.1");
    save(store, "KAAP.2");
    store_close(store);
    uint64_t before = digest_of_place();
    assert_int_equal(store_open_to_read(&where, &owner, key, &store, reason, sizeof(reason)), 0);
    store_close(store);
    assert_true(digest_of_place() == before);
    store = open_good();
    struct seen seen = load(store);
    assert_int_equal(seen.keys, 2);
    assert_int_equal(seen.intents + seen.damaged, 0);
    assert_int_equal(store_remove(store, "payments", "KAAP.1"), 0);
    assert_int_equal(store_remove(store, "payments", "KAAP.1"), -ENOENT);
    seen = load(store);
    assert_int_equal(seen.keys, 1);
    assert_string_equal(seen.last_id, "KAAP.2");
    store_close(store);
}

static void an_intent_is_dropped_or_found_again(void **state)
{
    struct store_intent *dropped, *left;
    struct store *store = open_good();
    reserve(store, "b", &dropped);
    assert_int_equal(load(store).intents, 1);
    assert_int_equal(store_drop(store, dropped), 0);
    assert_int_equal(load(store).intents, 0);
    uint64_t before = digest_of_place();
    reserve(store, "2026-11-24T00:00:01Z", &left);
    uint64_t number = store_intent_number(left);
    store_leave(store, left);
    store_close(store);
    store = open_good();
    struct seen seen = load(store);
    assert_int_equal(seen.intents, 1);
    assert_string_equal(seen.not_before, "2026-11-24T00:00:01Z");
    assert_true(seen.number == number && number != 0);
    assert_true(digest_of_place() != before);
    assert_int_equal(store_forget(store, number), 0);
    assert_true(digest_of_place() == before);
    store_close(store);
}

static void refused(const struct record_owner *whose, const unsigned char *with, int expected)
{
    char reason[256];
    struct store *store = NULL;
    uint64_t before = digest_of_place();
    int r = store_open(&where, whose, with, &store, reason, sizeof(reason));
    if (r != expected || !strstr(reason, path))
        fail_msg("%d instead of %d: %s", r, expected, reason);
    assert_null(store);
    assert_int_equal(store_open_to_read(&where, whose, with, &store, reason, sizeof(reason)), expected);
    assert_true(digest_of_place() == before);
}

static void another_key_or_account_changes_nothing(void **state)
{
    static const struct record_owner account = {"1192853035110001", "cn-hangzhou"},
                                     region = {"1192853035110000", "cn-beijing"};
    char check[256];
    struct store *store = open_good();
    save(store, "KAAP.1");
    store_close(store);
    refused(&owner, other_key, -EKEYREJECTED);
    refused(&account, key, -EKEYREJECTED);
    refused(&region, key, -EKEYREJECTED);
    store = open_good();
    assert_int_equal(load(store).keys, 1);
    store_close(store);
    snprintf(check, sizeof(check), "%s/.check", path);
    assert_int_equal(unlink(check), 0);
    refused(&owner, key, -EKEYREJECTED); /* records, and nothing that says whose */
}

static void others_must_not_look_in(void **state)
{
    char reason[256];
    const struct store_place link = {where.above, "link", place};
    struct store *store = open_good();
    store_close(store);
    static const mode_t modes[] = {0701, 0710, 0740, 0704, 0777};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        refused(&owner, key, -EACCES);
    }
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(symlinkat(path, where.above, "link"), 0);
    assert_true(store_open(&link, &owner, key, &store, reason, sizeof(reason)) < 0);
    store_close(open_good());
}

static void what_is_damaged_or_foreign_is_told_and_left(void **state)
{
    struct store *store = open_good();
    save(store, "KAAP.1");
    save(store, "KAAP.2");
    put("payments/KAAP.empty", "", 0);
    put("payments/KAAP.foreign", "hello\n", 6);
    put("payments/KAAP.2", "aapfs-key-1\n\0\0\0\1{garbage", 24);
    uint64_t before = digest_of_place();
    struct seen seen = load(store);
    assert_int_equal(seen.keys, 1);
    assert_string_equal(seen.last_id, "KAAP.1");
    assert_int_equal(seen.damaged, 3);
    assert_true(digest_of_place() == before);
    store_close(store);
}

#define ID32 "KAAP.123456789012345678901234567"
#define ID128 ID32 ID32 ID32 ID32

static void what_cannot_be_a_file_is_not_saved(void **state)
{
    static const char *const ids[] = {"", ".x", "../x", "a/b", ID128 "x"};
    struct store *store = open_good();
    uint64_t before = digest_of_place();
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct store_intent *intent;
        struct record record = sample(ids[i]);
        reserve(store, "b", &intent);
        assert_int_equal(store_save(store, intent, &record), -EINVAL);
        store_drop(store, intent);
    }
    assert_int_equal(rmdir(in_place("payments")), 0);
    assert_true(digest_of_place() == before);
    /* what is there stays, whatever it is */
    save(store, ID128);
    put("payments/KAAP.damaged", "x", 1);
    before = digest_of_place();
    static const char *const there[] = {ID128, "KAAP.damaged"};
    for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
        struct store_intent *intent;
        struct record record = sample(there[i]);
        reserve(store, "b", &intent);
        assert_int_equal(store_save(store, intent, &record), -EEXIST);
        store_drop(store, intent);
    }
    assert_true(digest_of_place() == before);
    store_close(store);
}

static struct forms sample_forms(const char *pem, const char *certificate)
{
    return (struct forms){{(unsigned char *)(uintptr_t)pem, strlen(pem)},
                          {(unsigned char *)(uintptr_t)certificate, strlen(certificate)}};
}

static void forms_are_kept_beside_their_record(void **state)
{
    struct forms forms, written = sample_forms("pem\n", "certificate\n");
    struct store *store = open_good();
    save(store, "KAAP.1");
    save(store, "KAAP.2");
    uint64_t before = digest_of_place();
    assert_int_equal(store_read_forms(store, "payments", "KAAP.1", &forms), -ENOENT);
    assert_int_equal(store_write_forms(store, "payments", "KAAP.1", &written), 0);
    assert_int_equal(store_read_forms(store, "payments", "KAAP.1", &forms), 0);
    assert_string_equal((char *)forms.private_key_pem.data, "pem\n");
    assert_string_equal((char *)forms.certificate_pem.data, "certificate\n");
    forms_clear(&forms);
    written = sample_forms("other\n", "");
    assert_int_equal(store_write_forms(store, "payments", "KAAP.1", &written), 0);
    assert_int_equal(store_read_forms(store, "payments", "KAAP.1", &forms), 0);
    assert_string_equal((char *)forms.private_key_pem.data, "other\n");
    assert_null(forms.certificate_pem.data);
    forms_clear(&forms);
    assert_int_equal(load(store).keys, 2);
    assert_int_equal(load(store).damaged, 0);
    /* another key's, a torn one, none: not these forms */
    assert_int_equal(renameat(AT_FDCWD, in_place("payments/.KAAP.1.forms"), AT_FDCWD,
                              in_place("payments/.KAAP.2.forms")), 0);
    assert_int_equal(store_read_forms(store, "payments", "KAAP.2", &forms), -EBADMSG);
    put("payments/.KAAP.2.forms", "aapfs-forms-1\n", 14);
    assert_int_equal(store_read_forms(store, "payments", "KAAP.2", &forms), -EINVAL);
    put("payments/.KAAP.2.forms", "", 0);
    assert_int_equal(store_read_forms(store, "payments", "KAAP.2", &forms), -EINVAL);
    assert_int_equal(load(store).damaged, 0);
    assert_int_equal(store_remove(store, "payments", "KAAP.2"), 0);
    save(store, "KAAP.2");
    assert_true(digest_of_place() != before); /* a fresh nonce */
    assert_int_equal(access(in_place("payments/.KAAP.2.forms"), F_OK), -1);
    store_close(store);
}

static void a_record_is_read_again_and_finished(void **state)
{
    struct record record;
    struct store *store = open_good();
    save(store, "KAAP.1");
    assert_int_equal(store_read(store, "payments", "KAAP.1", &record), 0);
    assert_string_equal(record.password, "Abcdefg1~");
    assert_int_equal(store_read(store, "payments", "KAAP.2", &(struct record){0}), -ENOENT);
    /* its worker died before the intent went */
    struct store_intent *intent;
    reserve(store, "b", &intent);
    uint64_t number = store_intent_number(intent);
    store_leave(store, intent);
    assert_int_equal(store_finish(store, "payments", number), 0);
    assert_int_equal(load(store).intents, 0);
    assert_int_equal(store_finish(store, "orders", number), -ENOENT);
    record_clear(&record);
    store_close(store);
}

/* What an export sees of a store that a mount uses. */
static void looking_changes_nothing(void **state)
{
    struct store *reader = NULL, *store = open_good();
    struct store_intent *empty, *filled;
    struct seen seen = {0};
    char reason[256], names[64] = "", room[64];
    save(store, "KAAP.1");
    reserve(store, "b", &empty);
    reserve(store, "b", &filled);
    /* as it is between the filling and the rename */
    const struct record record = sample("KAAP.2");
    snprintf(room, sizeof(room), ".room-%016llx", (unsigned long long)store_intent_number(filled));
    assert_int_equal(store_save(store, filled, &record), 0);
    assert_int_equal(rename(in_place("payments/KAAP.2"), in_place(room)), 0);
    assert_int_equal(mkdir(in_place("orders"), 0700), 0);
    uint64_t before = digest_of_place();

    assert_int_equal(store_open_to_read(&where, &owner, key, &reader, reason, sizeof(reason)), 0);
    assert_int_equal(store_look(reader, "payments", note, &seen), 0);
    assert_int_equal(seen.keys, 2);
    assert_int_equal(seen.damaged | seen.intents, 0);
    seen = (struct seen){0};
    assert_int_equal(store_look(reader, "orders", note, &seen), 0);
    assert_int_equal(store_look(reader, "nobody", note, &seen), 0);
    assert_int_equal(seen.keys | seen.damaged, 0);
    assert_int_equal(store_aaps(reader, add_name, names), 0);
    assert_string_equal(names, "payments;");
    assert_true(digest_of_place() == before);
    store_close(reader);
    assert_int_equal(store_drop(store, empty), 0);
    store_close(store);
}

static void what_was_never_renamed_goes_at_the_next_start(void **state)
{
    static const char *const left[] = {".intent-00000000000000aa.new", ".check.new", "payments/.KAAP.1.forms.new"};
    struct store *store = open_good();
    struct seen seen = {0};
    save(store, "KAAP.1");
    uint64_t before = digest_of_place();
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        put(left[i], "half", 4);
    assert_int_equal(store_look(store, "payments", note, &seen), 0); /* beside a mount nothing is removed */
    assert_int_equal(access(in_place(left[2]), F_OK), 0);
    seen = load(store);
    assert_int_equal(seen.keys, 1);
    assert_int_equal(seen.damaged | seen.intents, 0);
    assert_true(digest_of_place() == before);
    store_close(store);
}

static void an_intent_under_another_number_is_none(void **state)
{
    struct store_intent *intent;
    char name[64];
    struct store *store = open_good();
    reserve(store, "b", &intent);
    snprintf(name, sizeof(name), ".intent-%016llx", (unsigned long long)store_intent_number(intent));
    store_leave(store, intent);
    assert_int_equal(rename(in_place(name), in_place(".intent-0000000000000001")), 0);
    struct seen seen = load(store);
    assert_int_equal(seen.intents, 0);
    assert_int_equal(seen.damaged, 1);
    assert_int_equal(seen.errors_sum, -EBADMSG);
    store_close(store);
}

/* Whatever call fails, and with what: reserving leaves nothing, saving can be tried again. */
static void every_failing_call_is_borne(void **state)
{
    static const int errors[] = {ENOSPC, EIO, EROFS};
    int tried = 0;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        for (int at = 0;; at++) {
            char id[32];
            struct store_intent *intent = NULL;
            struct store *store = open_good();
            int keys = load(store).keys;
            snprintf(id, sizeof(id), "KAAP.%zu-%d", i, at);
            const struct record record = sample(id);
            calls = 0;
            fail_at = at;
            fail_with = errors[i];
            int r = try_to_reserve(store, record.not_before, &intent);
            if (r == 0) {
                r = store_save(store, intent, &record);
                fail_at = -1;
                if (r < 0) /* the key is not lost: there is room again */
                    assert_int_equal(store_save(store, intent, &record), 0);
                keys++;
            }
            bool failed = r < 0;
            if (failed)
                assert_int_equal(r, -errors[i]);
            bool reached = calls > at;
            fail_at = -1;
            struct seen seen = load(store);
            assert_int_equal(seen.keys, keys);
            assert_int_equal(seen.damaged, 0);
            store_close(store);
            tried++;
            if (!reached)
                break;
        }
    assert_true(tried > 3 * 12);
}

static void of_a_save_that_failed_nothing_is_left_when_it_is_dropped(void **state)
{
    const struct record record = sample("KAAP.1");
    struct store *store = open_good();
    save(store, "KAAP.0"); /* the AAP's directory is there */
    uint64_t before = digest_of_place();
    for (int at = 0;; at++) {
        struct store_intent *intent;
        reserve(store, "b", &intent);
        calls = 0;
        fail_at = at;
        fail_with = EIO;
        int r = store_save(store, intent, &record);
        fail_at = -1;
        if (r == 0)
            break;
        assert_int_equal(store_drop(store, intent), 0);
        assert_true(digest_of_place() == before);
    }
    assert_int_equal(load(store).keys, 2);
    store_close(store);
}

/* Whatever has the name that a file is written under first: no wait, and nothing of it in the file. */
static void a_name_that_is_taken_makes_way(void **state)
{
    struct stat attributes;
    char temporary[128], other[128];
    snprintf(temporary, sizeof(temporary), "%s/note.new", place);
    snprintf(other, sizeof(other), "%s/other", place);
    for (int what = 0; what < 3; what++) {
        int r = -1;
        if (what == 0)
            r = mkfifo(temporary, 0666);
        else if (what == 1)
            r = symlink(other, temporary);
        else
            r = mknod(temporary, S_IFREG, 0) | chmod(temporary, 0666);
        assert_int_equal(r, 0);
        alarm(10); /* for an open(2) of the FIFO that waits for its reader */
        assert_int_equal(store_file_write(where.above, "note", "mine", 4), 0);
        alarm(0);
        assert_int_equal(fstatat(where.above, "note", &attributes, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(attributes.st_mode, S_IFREG | 0600);
        assert_int_equal(attributes.st_size, 4);
        assert_int_not_equal(access(temporary, F_OK), 0);
        assert_int_not_equal(access(other, F_OK), 0);
    }
    assert_int_equal(mkdir(temporary, 0700), 0); /* nothing that a crash leaves: it stays */
    assert_int_equal(store_file_write(where.above, "note", "more", 4), -EISDIR);
    assert_int_equal(rmdir(temporary), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_keys_over_a_restart, make_place, remove_place),
        cmocka_unit_test_setup_teardown(an_intent_is_dropped_or_found_again, make_place, remove_place),
        cmocka_unit_test_setup_teardown(another_key_or_account_changes_nothing, make_place, remove_place),
        cmocka_unit_test_setup_teardown(others_must_not_look_in, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_is_damaged_or_foreign_is_told_and_left, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_cannot_be_a_file_is_not_saved, make_place, remove_place),
        cmocka_unit_test_setup_teardown(forms_are_kept_beside_their_record, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_record_is_read_again_and_finished, make_place, remove_place),
        cmocka_unit_test_setup_teardown(looking_changes_nothing, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_was_never_renamed_goes_at_the_next_start, make_place, remove_place),
        cmocka_unit_test_setup_teardown(an_intent_under_another_number_is_none, make_place, remove_place),
        cmocka_unit_test_setup_teardown(every_failing_call_is_borne, make_place, remove_place),
        cmocka_unit_test_setup_teardown(of_a_save_that_failed_nothing_is_left_when_it_is_dropped, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_name_that_is_taken_makes_way, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
