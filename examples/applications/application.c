/*
 * Reads secrets from a KMS instance with the client key of an AAP, and goes on with the new key after a rotation.
 * Names of secrets come from standard input, a line each.
 *
 *     cc -o application application.c $(pkg-config --cflags --libs libcurl libcrypto)
 *     echo db | ./application /run/aap/payments https://kst-hzz1234.cryptoservice.kms.aliyuncs.com PASSWORD_FILE
 *
 * Without PASSWORD_FILE the password is the key's own, which is there with expose_password = yes. The instance's CA is
 * taken from SSL_CERT_FILE.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

enum { FILE_MOST = 16384, ANSWER_MOST = 65536, NAME_MOST = 127 };

struct client_key {
    char id[128];
    EVP_PKEY *private_key;
};

struct answer {
    unsigned char bytes[ANSWER_MOST];
    size_t size;
};

/* A whole file, as a string. st_size is exact, and one read(2) gets it all. */
static bool read_file(int directory, const char *name, char *text, size_t room)
{
    struct stat attributes;
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
    bool good = file >= 0 && fstat(file, &attributes) == 0 && (size_t)attributes.st_size < room &&
                read(file, text, (size_t)attributes.st_size) == attributes.st_size;
    if (good)
        text[attributes.st_size] = '\0';
    if (file >= 0)
        close(file);
    return good;
}

/* `current` leads to one key's own directory: what is read there belongs together, whatever happens meanwhile. */
static bool load(int directory, const char *password_file, struct client_key *key)
{
    char pem[FILE_MOST] = "", password[256] = "", id[sizeof(key->id)];
    int current = openat(directory, "current", O_PATH | O_DIRECTORY | O_CLOEXEC);
    EVP_PKEY *private_key = NULL;
    if (current < 0)
        return false;
    if (read_file(current, "client_key_id", id, sizeof(id)) &&
        read_file(current, "private_key.pem", pem, sizeof(pem)) &&
        read_file(password_file ? AT_FDCWD : current, password_file ? password_file : "password", password,
                  sizeof(password))) {
        BIO *text = BIO_new_mem_buf(pem, -1);
        password[strcspn(password, "\n")] = '\0';
        private_key = PEM_read_bio_PrivateKey(text, NULL, NULL, password);
        BIO_free(text);
    }
    OPENSSL_cleanse(password, sizeof(password));
    close(current);
    if (!private_key)
        return false; /* the key before is used on */
    EVP_PKEY_free(key->private_key);
    key->private_key = private_key;
    snprintf(key->id, sizeof(key->id), "%.*s", (int)strcspn(id, "\n"), id);
    return true;
}

/* Whether `current` was replaced since the last call: it is the first name that moves in a rotation. */
static bool was_rotated(int watch)
{
    _Alignas(struct inotify_event) char events[4096];
    bool moved = false;
    ssize_t got;
    while ((got = read(watch, events, sizeof(events))) > 0)
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const struct inotify_event *)(events + at);
            moved |= event->mask & IN_Q_OVERFLOW || (event->len && strcmp(event->name, "current") == 0);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    return moved;
}

/* base64 of the RSASSA-PKCS1-v1_5 signature with SHA-256. */
static bool sign(EVP_PKEY *key, const char *text, char signature[static 1024])
{
    unsigned char bytes[512];
    size_t size = sizeof(bytes);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(context, bytes, &size, (const unsigned char *)text, strlen(text)) == 1 &&
                EVP_EncodeBlock((unsigned char *)signature, bytes, (int)size) > 0;
    EVP_MD_CTX_free(context);
    return good;
}

/* The headers of a GetSecretValue whose body is BODY, signed. Free them with curl_slist_free_all. */
static struct curl_slist *make_headers(const struct client_key *key, const unsigned char *body, size_t size)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char hex[2 * sizeof(digest) + 1], date[64], text[1024], signature[1024], line[2048];
    time_t now = time(NULL);
    struct tm fields;
    SHA256(body, size, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02X", digest[i]);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &fields));
    /* the headers that begin with x-kms- are in ascending order; three c's are right */
    int prefix = snprintf(text, sizeof(text), "POST\n%s\napplication/x-protobuf\n%s\n", hex, date);
    snprintf(text + prefix, sizeof(text) - (size_t)prefix,
             "x-kms-acccesskeyid:%s\nx-kms-apiname:GetSecretValue\nx-kms-apiversion:dkms-gcs-0.2\n"
             "x-kms-signaturemethod:RSA_PKCS1_SHA_256\n/",
             key->id);
    if (!sign(key->private_key, text, signature))
        return NULL;
    struct curl_slist *headers = curl_slist_append(NULL, "accept: application/x-protobuf");
    headers = curl_slist_append(headers, "content-type: application/x-protobuf");
    headers = curl_slist_append(headers, "x-kms-apiname: GetSecretValue");
    headers = curl_slist_append(headers, "x-kms-apiversion: dkms-gcs-0.2");
    headers = curl_slist_append(headers, "x-kms-signaturemethod: RSA_PKCS1_SHA_256");
    snprintf(line, sizeof(line), "x-kms-acccesskeyid: %s", key->id);
    headers = curl_slist_append(headers, line);
    snprintf(line, sizeof(line), "date: %s", date);
    headers = curl_slist_append(headers, line);
    snprintf(line, sizeof(line), "content-sha256: %s", hex);
    headers = curl_slist_append(headers, line);
    snprintf(line, sizeof(line), "authorization: Bearer %s", signature);
    return curl_slist_append(headers, line);
}

static size_t take(char *data, size_t one, size_t size, void *user)
{
    struct answer *answer = user;
    if (size > sizeof(answer->bytes) - answer->size)
        return 0;
    memcpy(answer->bytes + answer->size, data, size);
    answer->size += size;
    return size;
}

/* A number of Protocol Buffers at *AT, which moves behind it. */
static size_t read_number(const struct answer *answer, size_t *at)
{
    size_t number = 0;
    for (unsigned int shift = 0; *at < answer->size && shift < 63; shift += 7) {
        unsigned char byte = answer->bytes[(*at)++];
        number |= (size_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    return number;
}

/* The text of field NUMBER, or an empty one. */
static void find_text(const struct answer *answer, size_t number, char *text, size_t room)
{
    *text = '\0';
    for (size_t at = 0; at < answer->size;) {
        size_t key = read_number(answer, &at), value = read_number(answer, &at);
        if ((key & 7) != 2)
            continue; /* a number: there is no other kind in these answers */
        if (value > answer->size - at)
            return;
        if (key >> 3 == number)
            snprintf(text, room, "%.*s", (int)value, (const char *)answer->bytes + at);
        at += value;
    }
}

static void get_secret_value(CURL *curl, const struct client_key *key, const char *name)
{
    unsigned char body[NAME_MOST + 2] = {0x0a, (unsigned char)strlen(name)}; /* field 1, SecretName */
    static struct answer answer;
    static char value[ANSWER_MOST], code[256];
    long status = 0;
    memcpy(body + 2, name, body[1]);
    answer.size = 0;
    struct curl_slist *headers = make_headers(key, body, body[1] + 2U);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body[1] + 2);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    CURLcode result = headers ? curl_easy_perform(curl) : CURLE_OUT_OF_MEMORY;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    find_text(&answer, 3, value, sizeof(value)); /* SecretData, or ErrorMessage */
    find_text(&answer, 2, code, sizeof(code));
    if (result != CURLE_OK)
        printf("%s failed: %s\n", name, curl_easy_strerror(result));
    else if (status != 200)
        printf("%s failed: %s: %s (%s)\n", name, code, value, key->id);
    else
        printf("%s = %s (%s)\n", name, value, key->id);
    fflush(stdout);
    curl_slist_free_all(headers);
}

int main(int count, char **words)
{
    struct client_key key = {0};
    char name[NAME_MOST + 2];
    if (count < 3) {
        fprintf(stderr, "usage: application DIRECTORY ENDPOINT [PASSWORD_FILE]\n");
        return 2;
    }
    const char *password_file = count > 3 ? words[3] : NULL;
    int directory = open(words[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    /* the watch comes first: nothing is missed in between */
    if (inotify_add_watch(watch, words[1], IN_MOVED_TO | IN_ONLYDIR) < 0 || !load(directory, password_file, &key)) {
        fprintf(stderr, "%s: no client key: %s\n", words[1], strerror(errno));
        return 1;
    }
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, words[2]);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    if (getenv("SSL_CERT_FILE"))
        curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
    while (fgets(name, sizeof(name), stdin)) {
        name[strcspn(name, "\n")] = '\0';
        if (was_rotated(watch) && !load(directory, password_file, &key))
            fprintf(stderr, "%s: the new client key cannot be read\n", words[1]);
        get_secret_value(curl, &key, name);
    }
    curl_easy_cleanup(curl);
    EVP_PKEY_free(key.private_key);
    close(watch);
    close(directory);
    return 0;
}
