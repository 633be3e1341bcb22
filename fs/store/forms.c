#include "fs/store/forms.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

/* The body: private_key_pem's size, 4 bytes, most significant first, private_key_pem, certificate_pem. */
static const char magic[] = "aapfs-forms-1\n";

enum { SIZE_SIZE = 4 };

int forms_close(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner, const char *aap_name,
                const char *client_key_id, const struct forms *forms, unsigned char **bytes, size_t *size)
{
    const struct envelope envelope = {magic, owner, aap_name, client_key_id};
    size_t pem = forms->private_key_pem.size, certificate = forms->certificate_pem.size;
    if (pem > ENVELOPE_SIZE_MOST || certificate > ENVELOPE_SIZE_MOST)
        return -EMSGSIZE;
    size_t body_size = SIZE_SIZE + pem + certificate;
    unsigned char *body = OPENSSL_malloc(body_size);
    if (!body)
        return -ENOMEM;
    for (unsigned int i = 0; i < SIZE_SIZE; i++)
        body[i] = (unsigned char)(pem >> (24 - 8 * i));
    memcpy(body + SIZE_SIZE, forms->private_key_pem.data, pem);
    if (certificate)
        memcpy(body + SIZE_SIZE + pem, forms->certificate_pem.data, certificate);
    int r = envelope_close(key, &envelope, (struct seal_text){body, body_size}, bytes, size);
    OPENSSL_clear_free(body, body_size);
    return r;
}

/* SIZE bytes at FROM as a file's content; none at all is no file. */
static int take(const unsigned char *from, size_t size, struct client_key_bytes *bytes)
{
    if (size == 0)
        return 0;
    bytes->data = OPENSSL_malloc(size + 1);
    if (!bytes->data)
        return -ENOMEM;
    memcpy(bytes->data, from, size);
    bytes->data[size] = '\0';
    bytes->size = size;
    return 0;
}

int forms_open(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner, const char *aap_name,
               const char *client_key_id, const unsigned char *bytes, size_t size, struct forms *forms)
{
    const struct envelope envelope = {magic, owner, aap_name, client_key_id};
    unsigned char *body;
    size_t body_size, pem = 0;
    *forms = (struct forms){0};
    int r = envelope_open(key, &envelope, bytes, size, &body, &body_size);
    if (r < 0)
        return r;
    for (unsigned int i = 0; i < SIZE_SIZE && i < body_size; i++)
        pem = pem << 8 | body[i];
    if (body_size < SIZE_SIZE || pem == 0 || pem > body_size - SIZE_SIZE)
        r = -EINVAL;
    if (r == 0)
        r = take(body + SIZE_SIZE, pem, &forms->private_key_pem);
    if (r == 0)
        r = take(body + SIZE_SIZE + pem, body_size - SIZE_SIZE - pem, &forms->certificate_pem);
    OPENSSL_clear_free(body, body_size);
    if (r < 0)
        forms_clear(forms);
    return r;
}

void forms_clear(struct forms *forms)
{
    OPENSSL_clear_free(forms->private_key_pem.data, forms->private_key_pem.size);
    OPENSSL_clear_free(forms->certificate_pem.data, forms->certificate_pem.size);
    *forms = (struct forms){0};
}
