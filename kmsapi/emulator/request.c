#include "kmsapi/emulator/request.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BODY_MOST = 1 << 20 };

static int add_pair(struct pairs *pairs, char *name, char *value)
{
    struct acs3_pair *grown =
        name && value ? reallocarray(pairs->items, pairs->count + 1, sizeof(*grown)) : NULL;
    if (!grown) {
        free(name);
        free(value);
        return -ENOMEM;
    }
    pairs->items = grown;
    pairs->items[pairs->count++] = (struct acs3_pair){name, value};
    return 0;
}

static void clear_pairs(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free((void *)(uintptr_t)pairs->items[i].name);
        free((void *)(uintptr_t)pairs->items[i].value);
    }
    free(pairs->items);
    *pairs = (struct pairs){0};
}

static int hexadecimal(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "+" is a space, as in forms. 0, -ENOMEM, -EINVAL for what is no encoding or would be a NUL. */
static int decode(const char *text, size_t size, char **decoded)
{
    char *out = malloc(size + 1);
    if (!out)
        return -ENOMEM;
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '%') {
            out[used++] = text[i] == '+' ? ' ' : text[i];
            continue;
        }
        bool whole = size - i > 2;
        int high = whole ? hexadecimal(text[i + 1]) : -1;
        int low = whole ? hexadecimal(text[i + 2]) : -1;
        if (high < 0 || low < 0 || (high == 0 && low == 0)) {
            free(out);
            return -EINVAL;
        }
        out[used++] = (char)(high << 4 | low);
        i += 2;
    }
    out[used] = '\0';
    *decoded = out;
    return 0;
}

static int decode_pairs(const char *text, struct pairs *pairs)
{
    while (*text) {
        size_t size = strcspn(text, "&");
        const char *equals = memchr(text, '=', size);
        size_t name_size = equals ? (size_t)(equals - text) : size;
        const char *value_text = equals ? equals + 1 : text + size;
        char *name = NULL, *value = NULL;
        int r = decode(text, name_size, &name);
        if (r == 0)
            r = decode(value_text, (size_t)(text + size - value_text), &value);
        if (r < 0) {
            free(name);
            return r;
        }
        r = add_pair(pairs, name, value);
        if (r < 0)
            return r;
        text += size + (text[size] == '&');
    }
    return 0;
}

int request_set_url(struct request *request, const char *method, const char *url)
{
    size_t path_size = strcspn(url, "?");
    request->method = strdup(method);
    request->url = strdup(url);
    request->path = strndup(url, path_size);
    if (!request->method || !request->url || !request->path)
        return -ENOMEM;
    return url[path_size] == '?' ? decode_pairs(url + path_size + 1, &request->query) : 0;
}

int request_add_header(struct request *request, const char *name, const char *value)
{
    return add_pair(&request->headers, strdup(name), strdup(value ? value : ""));
}

int request_add_body(struct request *request, const char *data, size_t size)
{
    if (size > BODY_MOST - request->body_size)
        return -EMSGSIZE;
    char *grown = realloc(request->body, request->body_size + size + 1);
    if (!grown)
        return -ENOMEM;
    memcpy(grown + request->body_size, data, size);
    request->body = grown;
    request->body_size += size;
    request->body[request->body_size] = '\0';
    return 0;
}

int request_read_form(struct request *request)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const char *type = request_header(request, "content-type");
    if (!type || !request->body || strncasecmp(type, form, strlen(form)) != 0)
        return 0;
    return decode_pairs(request->body, &request->form);
}

void request_clear(struct request *request)
{
    free(request->method);
    free(request->url);
    free(request->path);
    free(request->body);
    clear_pairs(&request->query);
    clear_pairs(&request->form);
    clear_pairs(&request->headers);
    *request = (struct request){0};
}

const char *request_header(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->headers.count; i++)
        if (strcasecmp(request->headers.items[i].name, name) == 0)
            return request->headers.items[i].value;
    return NULL;
}

static const char *find(const struct pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->count; i++)
        if (strcmp(pairs->items[i].name, name) == 0)
            return pairs->items[i].value;
    return NULL;
}

const char *request_parameter(const struct request *request, const char *name)
{
    const char *value = find(&request->query, name);
    return value ? value : find(&request->form, name);
}

const char *request_action(const struct request *request)
{
    const char *action = request_header(request, "x-acs-action");
    return action ? action : request_parameter(request, "Action");
}

const char *request_version(const struct request *request)
{
    const char *version = request_header(request, "x-acs-version");
    return version ? version : request_parameter(request, "Version");
}

bool request_is_v2(const struct request *request)
{
    return !request_header(request, "authorization") && request_parameter(request, "SignatureMethod");
}

static json_t *pairs_to_json(const struct pairs *pairs)
{
    json_t *list = json_array();
    for (size_t i = 0; i < pairs->count; i++)
        json_array_append_new(list,
                              json_pack("[s, s]", pairs->items[i].name, pairs->items[i].value));
    return list;
}

json_t *request_to_json(const struct request *request)
{
    /* null: it is no text */
    return json_pack("{s:s, s:s, s:o, s:o, s:o?}", "Method", request->method, "Url", request->url,
                     "Query", pairs_to_json(&request->query), "Headers",
                     pairs_to_json(&request->headers), "Body",
                     json_stringn(request->body ? request->body : "", request->body_size));
}
