/*
 * A command line to words, as a shell splits it, but no more than that: quotes and backslashes (one at a line's end
 * joins it with the next), nothing that is replaced. Pure, any thread.
 */
#ifndef AAPFS_KMSAPI_WORDS_H
#define AAPFS_KMSAPI_WORDS_H

enum { WORDS_MOST = 64 };

/*
 * *WORDS: at least one, ended by NULL, one block to free(). -EINVAL: none or an empty first one, over 64, an open quote,
 * a backslash at the very end; -ENOMEM.
 */
int words_split(const char *line, char ***words);

#endif
