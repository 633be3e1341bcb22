/*
 * Client keys that were made elsewhere: what a listing tells of them is shown in keys/<id>. They come and go with
 * the listings. The engine's thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fs/sync/listed_ids.h"
#include "kmsapi/kms.h"

struct engine;

/*
 * A complete listing of AAP: foreign keys that are new are added and shown, those that it lacks are removed, one after the
 * other; DONE when there is nothing left, or at an error.
 */
void foreign_keys_show(struct engine *engine, uint32_t aap, const struct kms_client_key *keys, size_t count,
                       const struct listed_ids *listed, void (*done)(struct engine *engine, int result));

/* At the start: those that an earlier worker has shown. With the registry's lock. */
void foreign_keys_load(struct engine *engine);
