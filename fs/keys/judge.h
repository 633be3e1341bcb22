/*
 * From a record to a key that is shown: whether it is usable, its forms, its place in the registry. Used by what
 * brings keys: rotation, load, recheck. The engine's thread, or the main thread before there is one.
 */
#pragma once

#include "fs/model/registry.h"
#include "fs/store/store.h"
#include "kmsapi/client_key.h"

/*
 * Opens RECORD's key and writes its forms. 0; -EKEYREJECTED and REASON: it cannot be used, also when it had expired before
 * it was asked for; -ENOMEM.
 */
int judge_record(struct client_key_library *library, const struct record *record,
                 struct client_key *key, char *reason, size_t size);

/* The same for a key that was judged good before: its forms are in STORE. Any error: judge_record it. */
int judge_restore(struct store *store, const struct record *record, struct client_key *key);

/*
 * Adds RECORD's key, with its forms KEY (taken over), to AAP. NULL when memory or numbers are short, or it has one of
 * that id already. With the registry's lock.
 */
struct registry_key *judge_admit(struct registry *registry, struct registry_aap *aap,
                                 const struct record *record, struct client_key *key);

/*
 * RECORD's key comes to AAP now, asked for when it says: its made_ns, and whether it waits for its NotBefore. NOW: KMS's
 * time. With the registry's lock.
 */
void judge_set_times(const struct registry_aap *aap, int64_t now, struct record *record);

/* When RECORD's key was asked for, KMS's time; where it does not say, about. */
int64_t judge_asked(const struct record *record);

/* RECORD's key cannot be used: to AAP's rejected ones. With the registry's lock. */
void judge_reject(struct registry_aap *aap, const struct record *record);

/* Keeps KEY's forms beside its record; a failure costs the next start time and nothing else. */
void judge_keep_forms(struct store *store, const char *aap_name, const struct registry_key *key);
