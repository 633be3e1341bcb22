/* One line from a file, or from a terminal without echo. */
#pragma once

#include <sys/types.h>

enum { PASSWORD_LINE_SIZE = 256 };

/* One line of FILE without its newline: the size, or negative errno, -ENODATA where there is none. */
ssize_t read_password_line(int file, char line[PASSWORD_LINE_SIZE]);

/*
 * The same of TERMINAL, after PROMPT. A signal that ends or stops this process meanwhile finds the terminal as it was; after
 * a stop it is asked again.
 */
ssize_t read_password_ask(int terminal, const char *prompt, char line[PASSWORD_LINE_SIZE]);
