/* aapfs create|rotate [-m MOUNTPOINT] [--password-file FILE|-] AAP */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "fs/base/log.h"
#include "fs/base/usage.h"
#include "fs/commands/commands.h"
#include "fs/commands/control_file.h"
#include "fs/commands/read_password.h"
#include "fs/engine/control.h"
#include "fs/tree/report_aap.h"
#include "kmsapi/cleanup.h"

/* Instead of a password: the one that password_source says. */
static const char kept[] = "rotate\n";

/* ROTATE: nothing is the kept one. The size of what was typed, 0 for nothing, or negative errno after a line. */
static ssize_t ask(const char *aap, bool rotate, char line[PASSWORD_LINE_SIZE])
{
    char prompt[300], again[PASSWORD_LINE_SIZE] = "";
    _cleanup_(close) int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (terminal < 0 && rotate)
        return 0;
    if (terminal < 0)
        return log_failure(-errno, "no terminal to ask for the password; give --password-file FILE or -");
    snprintf(prompt, sizeof(prompt), "Password for %.200s's new client key%s: ", aap,
             rotate ? " (Enter alone: the kept one)" : "");
    ssize_t size = read_password_ask(terminal, prompt, line);
    if (size == 0 && rotate)
        return 0;
    ssize_t second = size < 0 ? size : read_password_ask(terminal, "Again: ", again);
    bool same = second == size && size >= 0 && memcmp(line, again, (size_t)size) == 0;
    OPENSSL_cleanse(again, sizeof(again));
    if (size < 0 || second < 0)
        log_error("the password could not be read");
    else if (!same)
        log_error("the two passwords differ; nothing was done");
    return same ? size : -EINVAL;
}

static ssize_t take_from(const char *path, char line[PASSWORD_LINE_SIZE])
{
    bool standard = strcmp(path, "-") == 0;
    _cleanup_(close) int file = standard ? fcntl(0, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -errno : read_password_line(file, line);
    if (size < 0)
        log_error("%s: %s", standard ? "standard input" : path, size == -ENODATA ? "it is empty" : strerror((int)-size));
    return size;
}

static int has_key(const char *mountpoint, const char *aap)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s/client_key_id", mountpoint, aap);
    return access(path, F_OK) == 0;
}

/* After a line, where nobody needs to be asked for a password: KMS has no client keys of this AAP. */
static bool is_for_ram_role(const char *mountpoint, const char *aap)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s/status", mountpoint, aap);
    json_t *status = json_load_file(path, 0, NULL);
    const char *note = json_string_value(json_object_get(status, "Note"));
    bool is = note && strncmp(note, REPORT_RAM_ROLE, strlen(REPORT_RAM_ROLE)) == 0;
    if (is)
        log_error("%s: %s", aap, note);
    json_decref(status);
    return is;
}

/* As JSON, in which every password can be said; none has a character that JSON would escape. */
static int write_password(const char *mountpoint, const char *aap, const char *password, size_t size)
{
    char command[PASSWORD_LINE_SIZE + 32], reason[256];
    if (!control_password_is_valid(password, size, reason, sizeof(reason)))
        return log_failure(-EINVAL, "%s: %s", aap, reason);
    int length = snprintf(command, sizeof(command), "{\"Password\":\"%.*s\"}\n", (int)size, password);
    int r = control_file_write(mountpoint, aap, command, (size_t)length);
    OPENSSL_cleanse(command, sizeof(command));
    return r;
}

static int create(const char *mountpoint, const char *aap, bool rotate, const char *password_file)
{
    char line[PASSWORD_LINE_SIZE] = "";
    ssize_t size = password_file ? take_from(password_file, line) : ask(aap, rotate, line);
    int r = (int)size;
    if (size == 0 && rotate && !password_file)
        r = control_file_write(mountpoint, aap, kept, strlen(kept));
    else if (size >= 0)
        r = write_password(mountpoint, aap, line, (size_t)size);
    OPENSSL_cleanse(line, sizeof(line));
    if (r == 0)
        r = control_file_print_id(mountpoint, aap);
    return r < 0;
}

int command_create(int count, char **words)
{
    static const struct option options[] = {
        {"password-file", required_argument, NULL, 'p'}, USAGE_OPTION, {0}};
    const char *mountpoint = COMMANDS_DEFAULT_MOUNT, *password_file = NULL;
    int option;
    while ((option = getopt_long(count, words, "m:h", options, NULL)) != -1) {
        if (option == 'm')
            mountpoint = optarg;
        else if (option == 'p')
            password_file = optarg;
        else
            return usage_end(words[0], option);
    }
    if (count - optind != 1)
        return usage_end(words[0], '?');
    const char *aap = words[optind];
    bool rotate = strcmp(words[0], "rotate") == 0;
    if (control_file_find(mountpoint, aap) < 0 || is_for_ram_role(mountpoint, aap))
        return 1;
    if (rotate && !has_key(mountpoint, aap))
        return log_failure(1, "%s: there is no key to rotate; make one by: aapfs create %s", aap, aap);
    return create(mountpoint, aap, rotate, password_file);
}
