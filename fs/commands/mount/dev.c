#include "fs/commands/mount/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "kmsapi/cleanup.h"

static int random_text(char text[static DEV_KEY_SIZE])
{
    unsigned char bytes[(DEV_KEY_SIZE - 1) / 2];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return -EIO;
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

/* In the child. Returns only when no emulator is found. */
static void run_emulator(const struct dev_kms *kms, int out)
{
    static const char *const places[] = {"kms-emulator", "../kmsapi/emulator/kms-emulator"};
    char access_key[2 * DEV_KEY_SIZE], self[PATH_MAX], path[PATH_MAX + 64];
    /* a trial may be of keys that end in a minute; how many there may be is what KMS says */
    static const char *const constant[] = {
        "kms-emulator", "--listen", "127.0.0.1:0",    "--aap", "payments",
        "--aap",        "orders",   "--min-validity", "0",     NULL};
    char *const *words = (char *const *)(uintptr_t)constant; /* exec(3) does not change them */
    snprintf(access_key, sizeof(access_key), "%s:%s", kms->access_key_id, kms->access_key_secret);
    if (setenv("KMS_EMULATOR_ACCESS_KEY", access_key, 1) < 0 || dup2(out, STDOUT_FILENO) < 0)
        return;
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (size > 0) {
        self[size] = '\0';
        const char *directory = dirname(self);
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
            snprintf(path, sizeof(path), "%s/%s", directory, places[i]);
            execv(path, words);
        }
    }
    execvp(words[0], words);
}

static int read_endpoint(struct dev_kms *kms, int out)
{
    _cleanup_(fclose) FILE *lines = fdopen(out, "r");
    char line[128];
    if (!lines) {
        close(out);
        return -errno;
    }
    if (!fgets(line, sizeof(line), lines) || sscanf(line, "listening on %63s", kms->endpoint) != 1)
        return -ENOENT;
    return 0;
}

int dev_kms_start(struct dev_kms *kms)
{
    int out[2];
    pid_t parent = getpid();
    *kms = (struct dev_kms){0};
    if (random_text(kms->access_key_id) < 0 || random_text(kms->access_key_secret) < 0 || pipe2(out, O_CLOEXEC) < 0)
        return log_failure(-EIO, "--dev: %s", strerror(errno));
    kms->process = fork();
    if (kms->process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        setpgid(0, 0); /* ^C is for the mount, which goes first */
        if (getppid() == parent)
            run_emulator(kms, out[1]);
        log_error("--dev: kms-emulator is neither beside aapfs nor in PATH; it is in the package aapfs-emulator");
        _exit(127);
    }
    close(out[1]);
    int r = kms->process < 0 ? -errno : read_endpoint(kms, out[0]);
    if (kms->process < 0)
        close(out[0]);
    if (r < 0) {
        dev_kms_stop(kms);
        return log_failure(r, "--dev: kms-emulator did not start");
    }
    kms->credentials = (struct credentials){.access_key_id = kms->access_key_id,
                                            .access_key_secret = kms->access_key_secret};
    return 0;
}

void dev_kms_stop(struct dev_kms *kms)
{
    if (kms->process > 0) {
        kill(kms->process, SIGTERM);
        waitpid(kms->process, NULL, 0);
    }
    kms->process = 0;
}

/* -- its state ----------------------------------------------------------------------------- */

int dev_state_make(struct dev_state *dev)
{
    const char *above = getenv("TMPDIR");
    if (!above || above[0] != '/')
        above = "/tmp";
    if (snprintf(dev->path, sizeof(dev->path), "%s/aapfs-dev-XXXXXX", above) >= (int)sizeof(dev->path))
        return log_failure(-ENAMETOOLONG, "--dev: TMPDIR: %s", strerror(ENAMETOOLONG));
    if (!mkdtemp(dev->path))
        return log_failure(-errno, "--dev: %s: %s", dev->path, strerror(errno));
    dev->places.may_make_key = true;
    snprintf(dev->places.directory, sizeof(dev->places.directory), "%s/state", dev->path);
    snprintf(dev->places.key, sizeof(dev->places.key), "%s/state.key", dev->path);
    return 0;
}

static int remove_one(const char *path, const struct stat *attributes, int type, struct FTW *where)
{
    if (remove(path) < 0)
        log_error("--dev: %s: %s", path, strerror(errno));
    return 0;
}

void dev_state_remove(const struct dev_state *dev)
{
    nftw(dev->path, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
