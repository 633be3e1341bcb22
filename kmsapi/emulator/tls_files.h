/*
 * The certificate and key that the emulator serves TLS with, as PEM texts. The main thread.
 */
#pragma once

#include <stddef.h>

struct tls_files {
    char *certificate_pem, *key_pem; /* free() them */
};

/* 0, or negative errno and REASON. */
int tls_files_read(const char *certificate, const char *key, struct tls_files *files, char *reason,
                   size_t size);

/*
 * The same from DIRECTORY's certificate.pem and key.pem, for 127.0.0.1, ::1 and localhost. What is missing or has ended is
 * made anew, for a year: the directory (0700), a CA that is nowhere else and whose key is not kept (ca.pem, which clients
 * trust), and the server's certificate by it.
 */
int tls_files_self_signed(const char *directory, struct tls_files *files, char *reason,
                          size_t size);
