/*
 * What etcd's JSON gateway answers. All of it is hostile: what is not exactly as etcd writes it is refused as a whole
 * (-EBADMSG). Pure, any thread; each may also return -ENOMEM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "fs/etcd/fleet_store.h"

enum { ANSWER_TOKEN_SIZE = 8192, ANSWER_ID_SIZE = 24, ANSWER_REASON_SIZE = 256 };

/* Entries with texts of their own. Zeroed: none. */
struct answer_entries {
    struct fleet_entry *list;
    size_t count;
};

void answer_entries_free(struct answer_entries *entries);

/* BODY is one JSON object, its texts without NULs; json_decref it. NULL: it is not. */
json_t *answer_parse(const char *body, size_t size);

/* The revision that an answer's header tells. */
int answer_revision(const json_t *answer, int64_t *revision);

/* What a range was asked for. */
struct answer_asked {
    const char *key;
    bool prefix; /* what begins so */
    bool keys_only;
};

/* The last key of a part of a range. OPENSSL_free KEY, which has a NUL behind it that SIZE does not count; NULL: that was all. */
struct answer_last {
    unsigned char *key;
    size_t size;
};

/* The entries of a range. A key that could not be ours (not printable ASCII, or too long) is left out. */
int answer_range(const json_t *answer, const struct answer_asked *asked, struct answer_entries *entries,
                 struct answer_last *last);

/* Of a commit that compares COMPARES; where it is not *DONE: ENTRIES, one for each of them. */
int answer_commit(const json_t *answer, const struct fleet_compare *compares, size_t count, bool *done,
                  struct answer_entries *entries);

/* ID and seconds of a lease. To keepalive: TTL 0, there is none. */
int answer_lease(const json_t *answer, int64_t *id, int64_t *ttl_s);

/* Of authenticate: what can stand in a header. */
int answer_token(const json_t *answer, char token[static ANSWER_TOKEN_SIZE]);

/* One line of a watch. */
struct answer_watch {
    char cluster[ANSWER_ID_SIZE]; /* the store's own id; "": not told */
    int64_t revision;             /* of the member, when it was sent */
    bool created, canceled;
    bool fragment;                /* what belongs to it goes on in the next line */
    bool broadcast;               /* of no watch in particular */
    int64_t reached;              /* everything up to it has been told by now, unless a fragment follows; 0: that is not told */
    int64_t compact_revision;     /* not 0: canceled, because what was asked for is no more */
    char reason[ANSWER_REASON_SIZE]; /* canceled: as gRPC writes an error */
    struct answer_entries entries; /* those removed have version 0 */
};

/* ANSWER is what stands in "result". */
int answer_watch(const json_t *answer, const char *prefix, struct answer_watch *watch);
