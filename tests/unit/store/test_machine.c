/* Whose machine a state directory is: told by what lies in it, and by nothing else. */
#include <errno.h>
#include <fcntl.h>
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

#include "fs/store/machine.h"

static const char first[] = "3d1219c7c4c5404aaa1f6d2a48adfda4\n", second[] = "3d1219c7c4c5404aaa1f6d2a48adfda5\n";
static char place[64], id_file[80], noted[80];
static int directory;

static int make_place(void **unused)
{
    strcpy(place, "/tmp/aapfs-machine-XXXXXX");
    assert_non_null(mkdtemp(place));
    snprintf(id_file, sizeof(id_file), "%s/machine-id", place);
    snprintf(noted, sizeof(noted), "%s/.machine", place);
    directory = open(place, O_RDONLY | O_DIRECTORY);
    return directory < 0;
}

static int remove_place(void **unused)
{
    close(directory);
    unlink(id_file);
    unlink(noted);
    return rmdir(place);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void another_machine_is_told_until_it_is_noted(void **unused)
{
    struct stat attributes;
    write_file(id_file, first);
    assert_false(machine_is_noted(directory));
    assert_false(machine_is_other(directory, id_file)); /* nothing is noted: it was made where there was no id */
    assert_int_equal(machine_note(directory, id_file), 0);
    assert_true(machine_is_noted(directory));
    assert_false(machine_is_other(directory, id_file));
    assert_int_equal(stat(noted, &attributes), 0);
    assert_int_equal(attributes.st_mode & 07777, 0600);
    write_file(id_file, second);
    assert_true(machine_is_other(directory, id_file));
    assert_int_equal(machine_note(directory, id_file), 0);
    assert_false(machine_is_other(directory, id_file));
    write_file(id_file, first);
    assert_true(machine_is_other(directory, id_file));
}

static void what_is_noted_is_the_hash(void **unused)
{
    char text[128] = "";
    write_file(id_file, first);
    assert_int_equal(machine_note(directory, id_file), 0);
    int file = open(noted, O_RDONLY);
    assert_int_equal(read(file, text, sizeof(text)), 65);
    close(file);
    /* printf 'aapfs machine 1\n3d1219c7c4c5404aaa1f6d2a48adfda4' | sha256sum */
    assert_string_equal(text, "aa5cbf531e55ad1bb39cb63bbf73bde084c28d7d12225c401ea3d1dc96ad68d4\n");
    /* damaged, cut, longer: not this machine's */
    static const char *const wrong[] = {"", "\n", "hello\n"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        write_file(noted, wrong[i]);
        assert_true(machine_is_other(directory, id_file));
    }
    text[64] = '\0';
    write_file(noted, text);
    assert_true(machine_is_other(directory, id_file));
    text[64] = '\n';
    text[65] = '\n';
    write_file(noted, text);
    assert_true(machine_is_other(directory, id_file));
}

static void without_an_id_nothing_is_checked(void **unused)
{
    static const char *const none[] = {"", "uninitialized\n", "3d1219c7c4c5404aaa1f6d2a48adfda\n",
                                       "3D1219C7C4C5404AAA1F6D2A48ADFDA4\n", "3d1219c7c4c5404aaa1f6d2a48adfda4\n\n"};
    assert_false(machine_is_other(directory, id_file)); /* no file */
    assert_int_equal(machine_note(directory, id_file), 0);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        write_file(id_file, none[i]);
        assert_int_equal(machine_note(directory, id_file), 0);
        assert_int_equal(access(noted, F_OK), -1);
        assert_false(machine_is_other(directory, id_file));
    }
    write_file(noted, second);
    assert_false(machine_is_other(directory, id_file));
    /* the newline may be missing */
    write_file(id_file, "3d1219c7c4c5404aaa1f6d2a48adfda4");
    assert_int_equal(machine_note(directory, id_file), 0);
    write_file(id_file, first);
    assert_false(machine_is_other(directory, id_file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(another_machine_is_told_until_it_is_noted, make_place, remove_place),
        cmocka_unit_test_setup_teardown(what_is_noted_is_the_hash, make_place, remove_place),
        cmocka_unit_test_setup_teardown(without_an_id_nothing_is_checked, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
