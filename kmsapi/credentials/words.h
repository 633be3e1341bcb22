/*
 * A command line to words, as a shell splits it, but no more than that: quotes and backslashes,
 * nothing that is replaced. Pure, any thread.
 */
#ifndef AAPFS_KMSAPI_WORDS_H
#define AAPFS_KMSAPI_WORDS_H

enum { WORDS_MOST = 64 };

/*
 * *WORDS: at least one, ended by NULL, one block to free(). -EINVAL: none, over 64, an open quote;
 * -ENOMEM.
 */
int words_split(const char *line, char ***words);

#endif
