/* The state key: where it is looked for, made once, and refused when others could have it. */
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

#include "fs/base/secret_file.h"
#include "fs/store/state_key.h"

static char place[64], path[128], reason[256];

static int make_place(void **state)
{
    snprintf(place, sizeof(place), "/tmp/aapfs-state-key-%s", "XXXXXX");
    assert_non_null(mkdtemp(place));
    snprintf(path, sizeof(path), "%s/aapfs/state.key", place);
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv("XDG_CONFIG_HOME");
    return 0;
}

static int remove_one(const char *name, const struct stat *attributes, int type, struct FTW *where)
{
    return remove(name);
}

static int remove_place(void **state)
{
    return nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *text, mode_t mode)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
    assert_int_equal(fchmod(file, mode), 0);
    close(file);
}

/* As a mount does it: the file is opened, or made and opened, and read from the descriptor. */
static int obtain(const char *from, bool may_make, unsigned char key[static SEAL_KEY_SIZE])
{
    int file = state_key_open(from, reason, sizeof(reason));
    if (file == -ENOENT && may_make) {
        assert_int_equal(state_key_make(from, reason, sizeof(reason)), 0);
        file = state_key_open(from, reason, sizeof(reason));
    }
    if (file < 0)
        return file;
    int r = state_key_read(file, key);
    assert_int_equal(close(file), 0);
    return r;
}

static void is_made_once_and_read_again(void **state)
{
    unsigned char first[SEAL_KEY_SIZE], again[SEAL_KEY_SIZE];
    struct stat attributes;
    assert_int_equal(obtain(path, false, first), -ENOENT);
    assert_string_equal(reason, ""); /* whether that is wrong is for the caller to say */
    assert_int_equal(obtain(path, true, first), 0);
    assert_int_equal(obtain(path, true, again), 0);
    assert_memory_equal(first, again, SEAL_KEY_SIZE);
    assert_int_equal(stat(path, &attributes), 0);
    assert_int_equal(attributes.st_mode & 07777, 0600);
    assert_int_equal(attributes.st_size, 65);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(obtain(path, true, again), 0);
    assert_memory_not_equal(first, again, SEAL_KEY_SIZE);
    /* what is there stays, whoever comes to make it */
    assert_int_equal(state_key_make(path, reason, sizeof(reason)), 0);
    assert_int_equal(obtain(path, true, first), 0);
    assert_memory_equal(first, again, SEAL_KEY_SIZE);
}

static void an_open_file_is_read_after_it_was_removed(void **state)
{
    unsigned char first[SEAL_KEY_SIZE], again[SEAL_KEY_SIZE];
    assert_int_equal(obtain(path, true, first), 0);
    int file = state_key_open(path, reason, sizeof(reason));
    assert_true(file >= 0);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(state_key_read(file, again), 0);
        assert_memory_equal(first, again, SEAL_KEY_SIZE);
    }
    close(file);
}

#define DIGITS_63 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

static void what_is_no_key_is_refused_and_left(void **state)
{
    static const char *const texts[] = {"", "\n", DIGITS_63, DIGITS_63 "\n", DIGITS_63 "ff\n", DIGITS_63 "ff", DIGITS_63 "g\n",
                                        " " DIGITS_63 "f", "\n" DIGITS_63 "f", DIGITS_63 "f\nf", DIGITS_63 "f\v",
                                        DIGITS_63 "f                 " /* 17 */};
    unsigned char key[SEAL_KEY_SIZE];
    assert_int_equal(obtain(path, true, key), 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct stat attributes;
        put(texts[i], 0600);
        assert_int_equal(obtain(path, true, key), -EINVAL);
        assert_int_equal(stat(path, &attributes), 0);
        assert_int_equal(attributes.st_size, strlen(texts[i]));
    }
}

/* However its line was ended: by openssl rand -hex, through tr -d, by printf, systemd-creds or an editor. */
static void is_read_as_people_write_it(void **state)
{
    static const char *const texts[] = {DIGITS_63 "f\n", DIGITS_63 "f", DIGITS_63 "f\r\n", DIGITS_63 "f \n", DIGITS_63 "f\n\n",
                                        DIGITS_63 "f\t", DIGITS_63 "F\n",
                                        "0123456789ABCDEF0123456789abcdef0123456789AbCdEf0123456789abcdef"};
    unsigned char key[SEAL_KEY_SIZE];
    assert_int_equal(obtain(path, true, key), 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put(texts[i], 0600);
        if (obtain(path, true, key) < 0)
            fail_msg("%zu: %s", i, texts[i]);
        assert_int_equal(key[0], 0x01);
        assert_int_equal(key[13], 0xab);
        assert_int_equal(key[31], 0xef);
    }
}

static void others_must_not_have_it(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0610, 0666};
    unsigned char key[SEAL_KEY_SIZE];
    assert_int_equal(obtain(path, true, key), 0);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(obtain(path, true, key), -EACCES);
        assert_non_null(strstr(reason, "chmod 0600"));
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(obtain(path, true, key), 0);
}

static void is_looked_for_in_its_places(void **state)
{
    char found[256], expected[160];
    bool may_make = false;
    assert_int_equal(state_key_place("/some/key", found, sizeof(found), &may_make), 0);
    assert_string_equal(found, "/some/key");
    assert_false(may_make);
    assert_int_equal(state_key_place(NULL, found, sizeof(found), &may_make), 0);
    assert_true(may_make);
    if (geteuid() == 0)
        assert_string_equal(found, "/etc/aapfs/state.key");
    /* a directory without the file does not count, one with it counts first */
    setenv("CREDENTIALS_DIRECTORY", place, 1);
    assert_int_equal(state_key_place("/some/key", found, sizeof(found), &may_make), 0);
    assert_string_equal(found, "/some/key");
    snprintf(expected, sizeof(expected), "%s/aapfs.state-key", place);
    close(open(expected, O_WRONLY | O_CREAT, 0400));
    assert_int_equal(state_key_place("/some/key", found, sizeof(found), &may_make), 0);
    assert_string_equal(found, expected);
    assert_false(may_make);
    assert_int_equal(state_key_place("/some/key", found, 8, &may_make), -ENAMETOOLONG);
}

/* Another key of the same form, that nobody makes: a fleet's. */
static void one_that_was_given(void **state)
{
    char found[256], expected[300], other[200];
    assert_int_equal(state_key_given("aapfs.fleet-key", NULL, found, sizeof(found)), -ENOENT);
    assert_int_equal(state_key_given("aapfs.fleet-key", "/configured", found, sizeof(found)), 0);
    assert_string_equal(found, "/configured");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", place, 1), 0);
    assert_int_equal(state_key_given("aapfs.fleet-key", NULL, found, sizeof(found)), -ENOENT);
    snprintf(expected, sizeof(expected), "%s/aapfs.fleet-key", place);
    close(open(expected, O_WRONLY | O_CREAT, 0600));
    assert_int_equal(state_key_given("aapfs.fleet-key", "/configured", found, sizeof(found)), 0);
    assert_string_equal(found, expected);
    /* through a link, as a volume of Kubernetes has it, and not to what others can read */
    snprintf(other, sizeof(other), "%s/link", place);
    assert_int_equal(symlink("aapfs.fleet-key", other), 0);
    int file = secret_file_open(other, true, reason, sizeof(reason));
    assert_true(file >= 0);
    close(file);
    assert_int_equal(secret_file_open(other, false, reason, sizeof(reason)), -ELOOP);
    assert_int_equal(chmod(expected, 0640), 0);
    assert_int_equal(secret_file_open(other, true, reason, sizeof(reason)), -EACCES);
    assert_int_equal(secret_file_open(place, true, reason, sizeof(reason)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_made_once_and_read_again, make_place, remove_place),
        cmocka_unit_test_setup_teardown(an_open_file_is_read_after_it_was_removed, make_place, remove_place),
        cmocka_unit_test_setup_teardown(is_read_as_people_write_it, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_is_no_key_is_refused_and_left, make_place, remove_place),
        cmocka_unit_test_setup_teardown(others_must_not_have_it, make_place, remove_place),
        cmocka_unit_test_setup_teardown(is_looked_for_in_its_places, make_place, remove_place),
        cmocka_unit_test_setup_teardown(one_that_was_given, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
