/* What looks like a command for a control file. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether WORD, the first one of a line, is a command of an AAP's or of the mount's control, begins with one, or is
 * likely to be one that was mistyped. Such a word is no password: a typo would cost a client key, of which KMS gives few.
 */
bool control_word_is_like_a_command(const char *word, size_t size);
