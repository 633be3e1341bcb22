/*
 * Makes a text from outside harmless before it is kept, shown or logged. Pure, any thread.
 */
#ifndef AAPFS_KMSAPI_ERROR_TEXT_H
#define AAPFS_KMSAPI_ERROR_TEXT_H

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

#endif
