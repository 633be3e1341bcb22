/* How aapfs is called: one table, for `aapfs --help` and for each sub-command. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* getopt's value of -h and --help; and the latter as a row of getopt_long's table. */
#define USAGE_HELP 'h'
#define USAGE_OPTION {"help", no_argument, NULL, USAGE_HELP}

/* All of it. */
void usage_print(FILE *stream);

/* Whether there is such a sub-command; and the one that WORD is a slip of, or NULL. */
bool usage_has(const char *command);
const char *usage_nearest(const char *word);

/*
 * What getopt said of COMMAND's words ends it: USAGE_HELP asks for its usage, on stdout, and the exit status is 0;
 * anything else is wrong: on stderr, and 2.
 */
int usage_end(const char *command, int option);

/* Whether WORD is no mount point, which is a path, by its slash, or a directory that is there. */
bool usage_is_no_place(const char *word);

/* Says on stderr that WORD is no command, and which one may be meant. The exit status. */
int usage_unknown(const char *word);
