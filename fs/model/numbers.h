/*
 * The numbers by which AAPs, client keys and generations are known, and which generation each published name shows.
 * They live in one flat piece of memory that is given from above (the mount memory), so that they mean the same to
 * every worker of a mount: numbers are handed out once, never shift and are never used again. A worker may be killed at
 * any moment: an entry is written before the count that makes it one.
 *
 * A generation is one publication of a client key as its AAP's current one; it is what a published
 * name leads to. Numbers begin at 1; 0 is "none".
 *
 * Guarded by the registry's lock: call with it held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The names that a rotation replaces in an AAP's directory, in the order of their publication. */
enum published_name {
    PUBLISHED_CURRENT, /* the symbolic link */
    PUBLISHED_CLIENT_KEY_JSON,
    PUBLISHED_CLIENT_KEY_P12,
    PUBLISHED_PRIVATE_KEY_DATA,
    PUBLISHED_PRIVATE_KEY_PEM,
    PUBLISHED_CERTIFICATE_PEM,
    PUBLISHED_CLIENT_KEY_ID,
    PUBLISHED_KEY_ALGORITHM,
    PUBLISHED_NOT_BEFORE,
    PUBLISHED_NOT_AFTER,
    PUBLISHED_PASSWORD, /* where the configuration exposes it */
    PUBLISHED_COUNT
};

enum {
    NUMBERS_MOST_AAPS = 32768,
    NUMBERS_HASHES = 1 << 14,
    NUMBERS_MOST_KEYS = 1 << 20,
    NUMBERS_MOST_GENERATIONS = 1 << 20,
    NUMBERS_MOST_FOREIGN = 1 << 15,
    NUMBERED_CERTIFICATE_SIZE = 4096,
    AAP_NAME_SIZE = 201,
    CLIENT_KEY_ID_SIZE = 129,
};

/*
 * What is shown moves in the middle of a publication; `settled` follows when that has ended. A worker that
 * finds the two apart knows that somebody may not have been told.
 */
struct numbered_aap {
    char name[AAP_NAME_SIZE];
    bool shown, settled;      /* its directory has been published */
    bool removed;             /* nothing is known of it any more: its directory goes, or (not settled) has gone */
    uint32_t removals;        /* of the directory: one that comes again is another directory to the kernel */
    uint32_t same_hash;       /* the AAP before whose name has this hash; 0: none */
    uint32_t newest_key;      /* 0: it has none */
    uint32_t newest;          /* generation */
    uint32_t settled_generation; /* every name shows it, and every watcher was told */
    bool loose;               /* while that is not the newest: the kernel asks for every name soon, see tree/lifetime.h */
    int64_t changed_ns;       /* mtime of its directory */
    uint32_t published[PUBLISHED_COUNT]; /* the generation that each name shows */
    bool hook_owed;           /* the first one's on_rotate did not end well before this mount began */
    uint32_t hook_generation; /* the newest one for which on_rotate has ended, or was not to run; 0: none */
    uint32_t followed;        /* the newest one to which those who hold older files were told to go; 0: none */
};

/* What the three say of an AAP's directory; of a key's (keys/<id>) two do, and registry_key.deleted that it goes. */
enum directory_state {
    DIRECTORY_TO_COME,   /* nobody sees it: it is to be published, also where it has gone and comes again */
    DIRECTORY_APPEARING, /* its name is seen, and not everybody was told: no worker publishes it a second time */
    DIRECTORY_SHOWN,     /* and everybody was told: the kernel may believe it for long */
    DIRECTORY_LEAVING,   /* seen still, and to be removed: nothing is begun of it */
    DIRECTORY_VANISHING, /* its name is gone, and not everybody was told: the next worker removes it once more */
    DIRECTORY_GONE,      /* and everybody was told: its number waits for one of that name */
};

struct numbered_key {
    char client_key_id[CLIENT_KEY_ID_SIZE];
    uint32_t aap;
    uint32_t previous;   /* the AAP's key before; 0: none */
    bool shown, settled; /* keys/<id> has been published */
    uint32_t removals;   /* of keys/<id>, as above */
};

struct numbered_generation {
    uint32_t aap;
    uint32_t key;
    int64_t made_ns; /* mtime: when the key became current here, nanoseconds since 1970 */
    uint32_t previous; /* the AAP's generation before; 0: none */
    bool unheld;       /* superseded, and the kernel has no file of it: nobody can hold one again */
    int64_t shown_ms;  /* CLOCK_MONOTONIC when the first of its names moved; 0: none has */
    uint32_t told[PUBLISHED_COUNT]; /* the newer generation whose attributes its file was last given; 0: its own */
};

/* For SHOWN_MS: before anybody looked. */
#define NUMBERS_SHOWN_ALWAYS (-(INT64_C(1) << 60))

/* What is shown of a foreign key, so that the next worker shows it before it has listed anything. Texts may be "". */
struct numbered_foreign {
    uint32_t key; /* 0: nobody's */
    char key_algorithm[65], not_before[21], not_after[21];
    char certificate[NUMBERED_CERTIFICATE_SIZE];
    int64_t made_ns;
};

struct numbers;

/* How much memory numbers_open needs. Most of it is never touched: give it sparse. */
size_t numbers_size(void);

/* MEMORY, zeroed or as an earlier worker left it: the numbers in it; NULL when they make no sense. */
struct numbers *numbers_open(void *memory);

/* The number of the AAP NAME; 0: it has none. */
uint32_t numbers_find_aap(const struct numbers *numbers, const char *name);

/* The same, given now if it has none; 0 when there is no room. */
uint32_t numbers_add_aap(struct numbers *numbers, const char *name);

/* The number of CLIENT_KEY_ID in AAP, given now if it has none; 0 when there is no room. */
uint32_t numbers_add_key(struct numbers *numbers, uint32_t aap, const char *client_key_id);

/*
 * A new generation of KEY, made at MADE_NS or, so that mtimes rise strictly, a nanosecond after
 * the AAP's generation before; 0 when there is no room.
 */
uint32_t numbers_add_generation(struct numbers *numbers, uint32_t key, int64_t made_ns);

/* NAME shows GENERATION from now on, or something newer as before. NOW_MS: CLOCK_MONOTONIC, or NUMBERS_SHOWN_ALWAYS. */
void numbers_show(struct numbers *numbers, uint32_t generation, enum published_name name, int64_t now_ms);

/* GENERATION has no such file: NAME shows nothing from now on, or something newer as before. */
void numbers_hide(struct numbers *numbers, uint32_t generation, enum published_name name);

/* The newest generation of AAP that began to be shown at SINCE_MS or before; 0: none did. */
uint32_t numbers_shown_since(struct numbers *numbers, uint32_t aap, int64_t since_ms);

/* When the first generation of AAP after GENERATION began to be shown; INT64_MAX: none did. */
int64_t numbers_superseded_ms(struct numbers *numbers, uint32_t aap, uint32_t generation);

/* The place for the foreign key of number KEY: its own, or one to be filled, KEY last. NULL when there is no room. */
struct numbered_foreign *numbers_place_foreign(struct numbers *numbers, uint32_t key);

/* The I-th place, in use or not; NULL after the last. */
struct numbered_foreign *numbers_foreign(struct numbers *numbers, uint32_t i);

/* The newest generation of AAP; 0: it has none. */
uint32_t numbers_newest_generation(const struct numbers *numbers, uint32_t aap);

/* What a number stands for; NULL for one that was never given. */
struct numbered_aap *numbers_aap(struct numbers *numbers, uint32_t number);
struct numbered_key *numbers_key(struct numbers *numbers, uint32_t number);
struct numbered_generation *numbers_generation(struct numbers *numbers, uint32_t number);

enum directory_state numbers_aap_directory(const struct numbered_aap *aap);
enum directory_state numbers_key_directory(const struct numbered_key *key);

uint32_t numbers_aap_count(const struct numbers *numbers);
uint32_t numbers_key_count(const struct numbers *numbers);
uint32_t numbers_generation_count(const struct numbers *numbers);
