/* A password from a file, also from one that never answers. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/engine_rig.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool hangs; /* whatever opens the file */

int __real_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, mode_t mode)
{
    pthread_mutex_lock(&lock);
    while (hangs && strstr(path, "/password"))
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return __real_open64(path, flags, mode);
}

/* The same for clang, where glibc 2.41 checks what is opened. */
int __wrap___open64_2(const char *path, int flags)
{
    return __wrap_open64(path, flags, 0);
}

static void set_hangs(bool value)
{
    pthread_mutex_lock(&lock);
    hangs = value;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* An engine; PAYMENTS has a key, and its next password is in a file with that text. */
static void start(const char *text, mode_t mode)
{
    char *path = rig.config.defaults.password_file;
    snprintf(path, sizeof(rig.config.defaults.password_file), "%s/password", rig_place());
    rig.config.defaults.password_source = PASSWORD_FILE;
    rig.config.defaults.rotate_at = ROTATE_NEVER;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fchmod(fileno(file), mode), 0);
    fclose(file);
    table_add("payments");
    rig_start();
    table_serve();
    rig_do("payments", RIG_PASSWORD);
}

static void assert_refused(uint64_t number, const char *text)
{
    rig_expect_nothing();
    rig_assert_failed(number, "payments", -EINVAL, "PasswordSource");
    assert_non_null(strstr(rig_aap("payments")->failure.error.message, text));
    assert_null(strstr(rig_aap("payments")->failure.error.message, "secret"));
}

static void its_first_line_is_taken(void **unused)
{
    start("Filepass1~\nsecret\n", 0600);
    rig_write("payments", "rotate");
    rig_await_thread();
    assert_string_equal(rig_expect(RIG_CREATE, "payments")->password, "Filepass1~");
}

static void one_that_others_can_read_is_refused(void **unused)
{
    start("secretF1~\n", 0640);
    uint64_t number = rig_write("payments", "rotate");
    rig_await_thread();
    assert_refused(number, "chown it and chmod 0600");
}

static void one_that_is_no_password_is_refused(void **unused)
{
    start("secret\n", 0600);
    uint64_t number = rig_write("payments", "rotate");
    rig_await_thread();
    assert_refused(number, "/password: the first line: ");
}

static void one_that_is_missing_is_refused(void **unused)
{
    start("", 0600);
    assert_int_equal(unlink(rig.config.defaults.password_file), 0);
    uint64_t number = rig_write("payments", "rotate");
    rig_await_thread();
    assert_refused(number, "No such file or directory");
}

static void one_that_does_not_answer_is_waited_for_once(void **unused)
{
    start("Filepass1~\n", 0600);
    set_hangs(true);
    uint64_t number = rig_write("payments", "rotate");
    rig_pass(rig.config.request_timeout_ms - 1);
    assert_false(rig_is_answered(number));
    rig_pass(1);
    assert_refused(number, "does not answer");
    assert_refused(rig_write("payments", "rotate"), "does not answer"); /* nothing else is read for it until then */
    set_hangs(false);
    rig_await_thread();
    rig_expect_nothing(); /* nobody waits for that password */
    rig_write("payments", "rotate");
    rig_await_thread();
    rig_expect(RIG_CREATE, "payments");
}

static void the_engine_ends_without_it(void **unused)
{
    start("Filepass1~\n", 0600);
    set_hangs(true);
    uint64_t number = rig_write("payments", "rotate");
    rig_stop(NULL);
    assert_int_equal(rig_result(number), -EIO);
    set_hangs(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(its_first_line_is_taken),
        rig_test(one_that_others_can_read_is_refused),
        rig_test(one_that_is_no_password_is_refused),
        rig_test(one_that_is_missing_is_refused),
        rig_test(one_that_does_not_answer_is_waited_for_once),
        rig_test(the_engine_ends_without_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
