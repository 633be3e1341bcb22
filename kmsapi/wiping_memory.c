#include "kmsapi/wiping_memory.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>
#include <openssl/crypto.h>

/* Stands before every block: how much there is to wipe. */
union head {
    size_t size;
    max_align_t aligned;
};

static void *wiping_malloc(size_t size)
{
    if (size > SIZE_MAX - sizeof(union head))
        return NULL;
    union head *head = malloc(sizeof(*head) + size);
    if (!head)
        return NULL;
    head->size = size;
    return head + 1;
}

static void wiping_free(void *block)
{
    if (!block)
        return;
    union head *head = (union head *)block - 1;
    OPENSSL_cleanse(block, head->size);
    free(head);
}

static void *wiping_calloc(size_t count, size_t size)
{
    size_t whole;
    if (__builtin_mul_overflow(count, size, &whole))
        return NULL;
    void *block = wiping_malloc(whole);
    return block ? memset(block, 0, whole) : NULL;
}

static void *wiping_realloc(void *block, size_t size)
{
    void *grown = wiping_malloc(size);
    if (!grown || !block)
        return grown;
    size_t old = ((union head *)block - 1)->size;
    memcpy(grown, block, old < size ? old : size);
    wiping_free(block);
    return grown;
}

static char *wiping_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = wiping_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

int wiping_memory_install(void)
{
    json_set_alloc_funcs(wiping_malloc, wiping_free);
    json_object_seed(0); /* before there are threads */
    CURLcode code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc, wiping_free,
                                         wiping_realloc, wiping_strdup, wiping_calloc);
    return code == CURLE_OK ? 0 : -ENOMEM;
}
