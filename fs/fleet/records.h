/*
 * What a fleet keeps in its store, and where:
 *
 *     PREFIX/check                         a note that only the right fleet key opens
 *     PREFIX/aaps/AAP/current              which client key is the current one: a note
 *     PREFIX/aaps/AAP/keys/CLIENT_KEY_ID   a client key: a record
 *     PREFIX/aaps/AAP/deleted/CLIENT_KEY_ID  in its place, when KMS has deleted it: a note
 *     PREFIX/locks/AAP                     who may create and delete: a note
 *     PREFIX/intents/AAP/NUMBER-HOST       what was asked for: a record without a key
 *     PREFIX/hosts/HOST                    who is there: a note
 *     PREFIX/served/AAP/HOST               what a host serves: a note
 *
 * Each host watches what is below PREFIX/aaps/ alone; the rest is read when it is needed.
 *
 * Records and notes are sealed under the fleet key, in the form of the store's files (record.h, envelope.h), each with the
 * key's name as associated data: one that was put under another name does not open. Whoever can write there can still put an
 * older value of the same name back: who reads one must not go back by it.
 *
 * Pure, any thread; jansson must wipe what it frees (wiping_memory.h).
 */
#pragma once

#include <stddef.h>

#include "fs/config/config.h"
#include "fs/etcd/fleet_store.h"
#include "fs/store/record.h"

enum { FLEET_ID_SIZE = 254 };

enum fleet_kind {
    FLEET_CHECK,
    FLEET_HOST,
    FLEET_CURRENT,
    FLEET_LOCK,
    FLEET_INTENT,
    FLEET_CLIENT_KEY,
    FLEET_DELETED,
    FLEET_SERVED,
    FLEET_KINDS
};

struct fleet_name {
    enum fleet_kind kind;
    char aap[CONFIG_NAME_SIZE]; /* "": of a check or host */
    char id[FLEET_ID_SIZE];     /* the host, NUMBER-HOST of an intent, or the ClientKeyId; "": there is none */
};

/* 0 and KEY; -EINVAL: there can be no such name. */
int fleet_name_put(const char *prefix, const struct fleet_name *name, char key[static FLEET_KEY_SIZE]);

/* The other way; -EINVAL: fleet_name_put would not write it. */
int fleet_name_take(const char *prefix, const char *key, struct fleet_name *name);

/* What begins the names of all AAPs' keys, to watch; of one AAP's; of all hosts. 0 or -EINVAL. */
int fleet_name_aaps(const char *prefix, char key[static FLEET_KEY_SIZE]);
int fleet_name_aap(const char *prefix, const char *aap, char key[static FLEET_KEY_SIZE]);
int fleet_name_hosts(const char *prefix, char key[static FLEET_KEY_SIZE]);

/* The same of all of KIND that belong to AAP: FLEET_INTENT, FLEET_SERVED. */
int fleet_name_all(const char *prefix, enum fleet_kind kind, const char *aap, char key[static FLEET_KEY_SIZE]);

/* As record_close and record_open, for the key NAME of the fleet's store. OWNER's place does not matter. */
int fleet_record_close(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner, const char *name,
                       const struct record *record, unsigned char **bytes, size_t *size);
int fleet_record_open(const unsigned char key[static SEAL_KEY_SIZE], const struct record_owner *owner, const char *name,
                      const char *aap_name, const char *client_key_id, const unsigned char *bytes, size_t size,
                      struct record *record);

/* TEXT as the note at NAME: *BYTES (OPENSSL_clear_free it). 0, -ENOMEM, -EIO, -EMSGSIZE. */
int fleet_note_close(const unsigned char key[static SEAL_KEY_SIZE], const char *name, const char *text, unsigned char **bytes,
                     size_t *size);

/* 0 and *TEXT (OPENSSL_clear_free it, strlen); -EINVAL: no note of this version; -EBADMSG: another fleet key, another name, or
 * a byte was changed; -ENOMEM. */
int fleet_note_open(const unsigned char key[static SEAL_KEY_SIZE], const char *name, const unsigned char *bytes, size_t size,
                    char **text);
