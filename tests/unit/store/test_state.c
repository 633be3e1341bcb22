/* The state directory: where it is, who may use it, and whose store is in it. */
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/store/state.h"

static const char region[] = "cn-hangzhou", account[] = "1192853035110000";
static char place[64], reason[2 * STATE_PATH_SIZE + 256];
static struct state_places places;
static struct state state;

static int make_place(void **unused)
{
    snprintf(place, sizeof(place), "/tmp/aapfs-state-%s", "XXXXXX");
    assert_non_null(mkdtemp(place));
    places = (struct state_places){.may_make_key = true};
    snprintf(places.directory, sizeof(places.directory), "%s/a/b/state", place);
    snprintf(places.key, sizeof(places.key), "%s/c/d/state.key", place);
    return 0;
}

static int remove_one(const char *name, const struct stat *attributes, int type, struct FTW *where)
{
    return remove(name);
}

static int remove_place(void **unused)
{
    return nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* As a mount does it, the key included. */
static void open_good(void)
{
    int r = state_open(&places, &state, reason, sizeof(reason));
    if (r < 0)
        fail_msg("%d: %s", r, reason);
    if (state.key < 0) {
        assert_int_equal(state_make_key(&places, reason, sizeof(reason)), 0);
        assert_int_equal(state_open_key(&places, &state, reason, sizeof(reason)), 0);
    }
}

static void make_store(const char *whose)
{
    struct store *store;
    assert_int_equal(state_open_store(&state, region, whose, &store, reason, sizeof(reason)), 0);
    store_close(store);
}

static void refused(int expected, const char *said)
{
    int r = state_open(&places, &state, reason, sizeof(reason));
    if (r != expected || !strstr(reason, said) || strchr(reason, '\n'))
        fail_msg("%d instead of %d: %s", r, expected, reason);
    assert_int_equal(state.directory & state.lock & state.key, -1);
}

static void is_made_with_all_that_is_missing(void **unused)
{
    char found[ACCOUNT_SIZE];
    struct stat attributes;
    open_good();
    assert_int_equal(stat(places.directory, &attributes), 0);
    assert_int_equal(attributes.st_mode & 07777, 0700);
    assert_int_equal(state_find_account(&state, region, found, reason, sizeof(reason)), 0);
    assert_string_equal(found, "");
    assert_int_equal(state_check(&state, region, reason, sizeof(reason)), 0);
    make_store(account);
    assert_int_equal(state_find_account(&state, region, found, reason, sizeof(reason)), 0);
    assert_string_equal(found, account);
    assert_int_equal(state_check(&state, region, reason, sizeof(reason)), 0);
    state_close(&state);
    open_good();
    assert_int_equal(state_check(&state, region, reason, sizeof(reason)), 0);
    state_close(&state);
}

static void one_aapfs_at_a_time(void **unused)
{
    open_good();
    struct state first = state;
    refused(-EBUSY, "another aapfs uses it");
    /* a child that gave the lock up does not hold it when the parent is gone */
    int released[2], end[2], status;
    char byte;
    assert_int_equal(pipe(released) | pipe(end), 0);
    pid_t child = fork();
    if (child == 0) {
        close(end[1]);
        close(first.lock);
        _exit(write(released[1], "r", 1) != 1 || read(end[0], &byte, 1) != 0);
    }
    assert_int_equal(read(released[0], &byte, 1), 1);
    refused(-EBUSY, "another aapfs uses it");
    state_close(&first);
    open_good();
    close(end[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(end[0]);
    close(released[0]);
    close(released[1]);
    state_close(&state);
}

static void read_state(int expected, const char *said)
{
    struct state reader;
    int r = state_open_to_read(&places, &reader, reason, sizeof(reason));
    if (r != expected || (r < 0 && (!strstr(reason, said) || strchr(reason, '\n'))))
        fail_msg("%d instead of %d: %s", r, expected, reason);
    assert_true(r == 0 || (reader.directory & reader.lock & reader.key) == -1);
    state_close(&reader);
}

static void whoever_reads_makes_nothing_and_needs_no_lock(void **unused)
{
    struct state reader;
    struct store *store = NULL;
    read_state(-ENOENT, "No such file");
    assert_int_equal(access(places.directory, F_OK), -1);
    open_good();
    read_state(0, "");
    assert_int_equal(state_open_to_read(&places, &reader, reason, sizeof(reason)), 0);
    assert_int_equal(state_open_store_to_read(&reader, region, account, &store, reason, sizeof(reason)), -ENOENT);
    assert_int_equal(faccessat(reader.directory, ".machine", F_OK, 0), -1);
    make_store(account);
    assert_int_equal(state_open_store_to_read(&reader, region, account, &store, reason, sizeof(reason)), 0);
    store_close(store);
    state_close(&reader);
    assert_int_equal(chmod(places.directory, 0710), 0);
    read_state(-EACCES, "chmod 0700");
    assert_int_equal(chmod(places.directory, 0700), 0);
    assert_int_equal(unlink(places.key), 0);
    read_state(-ENOKEY, "there is no state key");
    state_close(&state);
}

static void a_missing_key_is_made_only_where_nothing_was_sealed(void **unused)
{
    places.may_make_key = false;
    refused(-ENOKEY, "openssl rand -hex 32");
    places.may_make_key = true;
    open_good();
    make_store(account);
    state_close(&state);
    assert_int_equal(unlink(places.key), 0);
    refused(-ENOKEY, "put it back");
    assert_int_equal(access(places.key, F_OK), -1);
}

static void others_must_not_look_in(void **unused)
{
    static const mode_t modes[] = {0701, 0710, 0740, 0704, 0755, 0777};
    open_good();
    state_close(&state);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(places.directory, modes[i]), 0);
        refused(-EACCES, "chmod 0700");
    }
    assert_int_equal(chmod(places.directory, 0700), 0);
    assert_int_equal(chmod(places.key, 0640), 0);
    refused(-EACCES, "chmod 0600");
    assert_int_equal(chmod(places.key, 0600), 0);
    open_good();
    state_close(&state);
}

static void checked(const char *wanted_region, int expected, const char *said)
{
    int r = state_check(&state, wanted_region, reason, sizeof(reason));
    if (r != expected || !strstr(reason, said) || strchr(reason, '\n'))
        fail_msg("%d instead of %d: %s", r, expected, reason);
}

static void what_does_not_fit_is_told(void **unused)
{
    char found[ACCOUNT_SIZE], path[STATE_PATH_SIZE + 64];
    open_good();
    make_store(account);
    checked("cn-beijing", -EINVAL, "keys of the region cn-hangzhou");
    make_store("1192853035110001");
    checked(region, -EINVAL, "two accounts");
    assert_true(strstr(reason, "1192853035110001") && strstr(reason, account));
    assert_int_equal(state_find_account(&state, region, found, reason, sizeof(reason)), -EINVAL);
    snprintf(path, sizeof(path), "%s/%s-1192853035110001", places.directory, region);
    assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    checked(region, 0, "");
    /* names that are no store's do not count */
    static const char *const names[] = {"lost+found", ".cn-hangzhou-1", "-1", "cn-hangzhou-",
                                        "cn-hangzhou-1x", "cn-hangzhou-123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(mkdirat(state.directory, names[i], 0700), 0);
    checked(region, 0, "");
    state_close(&state);
    /* another key, and what is no key */
    assert_int_equal(unlink(places.key), 0);
    assert_int_equal(state_make_key(&places, reason, sizeof(reason)), 0);
    open_good();
    checked(region, -EKEYREJECTED, "give the state key");
    state_close(&state);
    assert_int_equal(truncate(places.key, 12), 0);
    open_good();
    checked(region, -EINVAL, "64 hexadecimal digits");
    state_close(&state);
}

static void found(const char *directory, const char *key, const char *expected)
{
    struct state_places where;
    assert_int_equal(state_places_find(directory, key, &where, reason, sizeof(reason)), 0);
    assert_string_equal(where.directory, expected);
}

static void is_looked_for_in_its_places(void **unused)
{
    struct state_places where;
    unsetenv("STATE_DIRECTORY");
    unsetenv("CREDENTIALS_DIRECTORY");
    setenv("XDG_STATE_HOME", "/x/state", 1);
    setenv("HOME", "/x/home", 1);
    found("/some/state", NULL, "/some/state");
    setenv("STATE_DIRECTORY", "/service/one:/service/two", 1);
    found("", "/some/key", "/service/one");
    found("/some/state", NULL, "/some/state");
    unsetenv("STATE_DIRECTORY");
    if (geteuid() == 0) {
        found(NULL, NULL, "/var/lib/aapfs");
        assert_int_equal(seteuid(65534), 0);
    }
    found(NULL, NULL, "/x/state/aapfs");
    setenv("XDG_STATE_HOME", "relative", 1);
    found(NULL, NULL, "/x/home/.local/state/aapfs");
    unsetenv("HOME");
    assert_int_equal(state_places_find("", "", &where, reason, sizeof(reason)), -ENOENT);
    assert_non_null(strstr(reason, "home directory"));
    assert_int_equal(seteuid(getuid()), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_made_with_all_that_is_missing, make_place, remove_place),
        cmocka_unit_test_setup_teardown(one_aapfs_at_a_time, make_place, remove_place),
        cmocka_unit_test_setup_teardown(whoever_reads_makes_nothing_and_needs_no_lock, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_missing_key_is_made_only_where_nothing_was_sealed, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(others_must_not_look_in, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_told, make_place, remove_place),
        cmocka_unit_test(is_looked_for_in_its_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
