/*
 * The certificate and key that the emulator serves TLS with, as PEM texts. The main thread.
 */
#ifndef AAPFS_EMULATOR_TLS_FILES_H
#define AAPFS_EMULATOR_TLS_FILES_H

#include <stddef.h>

struct tls_files {
    char *certificate_pem, *key_pem; /* free() them */
};

/* 0, or negative errno and REASON. */
int tls_files_read(const char *certificate, const char *key, struct tls_files *files, char *reason,
                   size_t size);

/*
 * The same from DIRECTORY's certificate.pem and key.pem, made when missing: self-signed, for
 * 127.0.0.1, ::1 and localhost, a year long.
 */
int tls_files_self_signed(const char *directory, struct tls_files *files, char *reason,
                          size_t size);

#endif
