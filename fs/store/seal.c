#include "fs/store/seal.h"

#include <errno.h>
#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "kmsapi/cleanup.h"

enum { NONCE_SIZE = 12, TAG_SIZE = 16 };

DEFINE_CLEANUP(EVP_CIPHER_CTX, EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)

int seal_close(const unsigned char key[static SEAL_KEY_SIZE], struct seal_text associated,
               struct seal_text plain, unsigned char *sealed)
{
    unsigned char *body = sealed + NONCE_SIZE;
    int size, rest;
    if (associated.size > INT_MAX || plain.size > INT_MAX - SEAL_OVERHEAD)
        return -EIO;
    _cleanup_(EVP_CIPHER_CTX) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (!context || RAND_bytes(sealed, NONCE_SIZE) != 1 ||
        !EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, sealed) ||
        !EVP_EncryptUpdate(context, NULL, &size, associated.data, (int)associated.size) ||
        !EVP_EncryptUpdate(context, body, &size, plain.data, (int)plain.size) ||
        !EVP_EncryptFinal_ex(context, body + size, &rest) ||
        !EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, body + plain.size))
        return -EIO;
    return 0;
}

int seal_open(const unsigned char key[static SEAL_KEY_SIZE], struct seal_text associated,
              struct seal_text sealed, unsigned char *plain)
{
    const unsigned char *nonce = sealed.data;
    unsigned char tag[TAG_SIZE];
    int size, rest;
    if (sealed.size < SEAL_OVERHEAD)
        return -EBADMSG;
    if (associated.size > INT_MAX || sealed.size > INT_MAX)
        return -EIO;
    size_t plain_size = sealed.size - SEAL_OVERHEAD;
    for (size_t i = 0; i < TAG_SIZE; i++)
        tag[i] = nonce[NONCE_SIZE + plain_size + i];
    _cleanup_(EVP_CIPHER_CTX) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (!context || !EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) ||
        !EVP_DecryptUpdate(context, NULL, &size, associated.data, (int)associated.size) ||
        !EVP_DecryptUpdate(context, plain, &size, nonce + NONCE_SIZE, (int)plain_size) ||
        !EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag)) {
        OPENSSL_cleanse(plain, plain_size);
        return -EIO;
    }
    if (EVP_DecryptFinal_ex(context, plain + size, &rest) > 0)
        return 0;
    OPENSSL_cleanse(plain, plain_size);
    return -EBADMSG;
}
