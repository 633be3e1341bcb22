#include "fs/commands/read_password.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP};

enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

struct held_signals {
    struct sigaction before[SIGNALS];
    sigset_t mask; /* before, too */
};

static volatile sig_atomic_t signal_that_came;

static void note_signal(int number)
{
    signal_that_came = number;
}

/* They come in while a line is waited for, and nowhere else; one that is ignored stays so. */
static void hold_signals(struct held_signals *held)
{
    const struct sigaction noted = {.sa_handler = note_signal};
    sigset_t all;
    signal_that_came = 0;
    sigemptyset(&all);
    for (int i = 0; i < SIGNALS; i++)
        sigaddset(&all, signals[i]);
    sigprocmask(SIG_BLOCK, &all, &held->mask);
    for (int i = 0; i < SIGNALS; i++) {
        sigaction(signals[i], NULL, &held->before[i]);
        if (held->before[i].sa_handler != SIG_IGN)
            sigaction(signals[i], &noted, NULL);
    }
}

/* What came does here what it does without a question. */
static void release_signals(const struct held_signals *held)
{
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &held->before[i], NULL);
    if (signal_that_came)
        raise(signal_that_came);
    sigprocmask(SIG_SETMASK, &held->mask, NULL);
}

/* MASK: the signals' while it waits. */
static ssize_t read_line(int file, const sigset_t *mask, char line[PASSWORD_LINE_SIZE])
{
    struct pollfd polled = {.fd = file, .events = POLLIN};
    size_t size = 0;
    while (size < PASSWORD_LINE_SIZE) {
        ssize_t got = ppoll(&polled, 1, NULL, mask) < 0 ? -1 : read(file, line + size, 1);
        if (got < 0)
            return -errno;
        if (got == 0 && size == 0)
            return -ENODATA;
        if (got == 0 || line[size] == '\n')
            return (ssize_t)size;
        size++;
    }
    return -EMSGSIZE;
}

ssize_t read_password_line(int file, char line[PASSWORD_LINE_SIZE])
{
    return read_line(file, NULL, line);
}

static ssize_t ask_once(int terminal, const char *prompt, char line[PASSWORD_LINE_SIZE])
{
    struct termios before, silent;
    if (tcgetattr(terminal, &before) < 0)
        return -errno;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    struct held_signals held;
    hold_signals(&held);
    ssize_t size = tcsetattr(terminal, TCSAFLUSH, &silent) < 0 ? -errno : 0;
    if (size == 0) {
        dprintf(terminal, "%s", prompt);
        size = read_line(terminal, &held.mask, line);
        dprintf(terminal, "\n");
        tcsetattr(terminal, TCSAFLUSH, &before);
    }
    release_signals(&held);
    return size;
}

ssize_t read_password_ask(int terminal, const char *prompt, char line[PASSWORD_LINE_SIZE])
{
    ssize_t size;
    do
        size = ask_once(terminal, prompt, line);
    while (size == -EINTR && signal_that_came == SIGTSTP);
    return size;
}
