/*
 * What became of a request to etcd: libcurl's result, or what its gateway answers, as an error for a person and what to do
 * now. Pure, any thread; all of it is hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "fs/etcd/exchange.h"
#include "fs/etcd/fleet_store.h"

enum trouble_next {
    TROUBLE_FINAL,     /* etcd refused it, and any other member would */
    TROUBLE_TOKEN,     /* it was refused for the token that it came with */
    TROUBLE_ELSEWHERE, /* this member cannot; another one may */
    TROUBLE_NOWHERE,   /* nor can another one, most likely: something is set wrongly */
};

struct trouble {
    enum trouble_next next;
    struct fleet_error error; /* MAYBE_DONE: of a change; reads are the caller's to except */
};

/* An error of aapfs's own about the member at URL. */
void trouble_set(struct trouble *trouble, enum trouble_next next, int number, const char *url, const char *text);

/* EXCHANGE has ended without an answer. */
void trouble_of_curl(struct trouble *trouble, const struct exchange *exchange, const char *url);

/* It has an answer, with a status that is not 200. */
void trouble_of_answer(struct trouble *trouble, long status, const char *body, size_t size, const char *url);

/* ANSWER tells an error, of whatever status it is. */
void trouble_of_error(struct trouble *trouble, const json_t *answer, const char *url);

/* "rpc error: code = PermissionDenied desc = etcdserver: permission denied", as a canceled watch gives its reason. */
void trouble_of_reason(struct trouble *trouble, const char *reason, const char *url);
