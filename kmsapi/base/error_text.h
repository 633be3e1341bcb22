/*
 * Makes a text from outside harmless before it is kept, shown or logged, or finds a secret in it. Pure, any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes TEXT (SIZE bytes) to CLEAN as one line of UTF-8, NUL-terminated, cut at a character to
 * CLEAN_SIZE - 1 bytes. It ends before "string to sign" and "canonical" in any case: KMS echoes
 * the request's parameters there. Every PASSWORD in it (NULL or "": none) becomes "[password]":
 * as is, percent-encoded once or twice, as \u00XX, as an entity of XML, a mixture of these, or base64. What is not
 * UTF-8 or printable becomes spaces.
 */
void error_text_clean(const char *text, size_t size, const char *password, char *clean,
                      size_t clean_size);

/*
 * Whether TEXT holds 16 bytes in a row of SECRET (all of one that is shorter; NULL or "": none), which its sender was told,
 * as they are or percent-encoded once or twice.
 */
bool error_text_tells(const char *text, const char *secret);
