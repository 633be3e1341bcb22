/*
 * The volumes that were created, and who uses them: Docker gives an ID for every use. One thread.
 *
 * The model is the JSON object that is in the state file, so that what is kept is what is: a change is made to a copy,
 * saved, and then it holds. {"Version": 1, "BootId": …, "Volumes": {NAME: {"Aap": …, "CreatedAt": …, "Users": [ID …]}}}
 *
 * A bind is there while a volume has users. It is made before its user is saved, and undone after its last user is: who
 * dies in between leaves a bind too many, which the next start undoes. After a reboot there are no users.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "kmsapi/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

enum { VOLUMES_REASON_SIZE = 768, VOLUMES_NAME_SIZE = 129, VOLUMES_ID_SIZE = 257, VOLUMES_USERS_MOST = 4096 };

struct volumes {
    const char *mountpoint; /* where aapfs is mounted, or will be */
    const char *binds;      /* the directory below which volumes are bound; an absolute path */
    const char *path;       /* the state's directory; volumes_open sets it */
    int directory;          /* the same, open and locked */
    json_t *state;
};

/*
 * Reads the state in the directory STATE (made when it is missing, 0700) and locks it; undoes binds that nobody uses.
 * 0, or negative errno and REASON. volumes_close it, also after a failure. STATE must stay.
 */
int volumes_open(struct volumes *volumes, const char *state, char *reason, size_t size);
void volumes_close(struct volumes *volumes);

/* Each: 0, or negative errno and REASON, one line for the person at the container runtime. */

/* AAP NULL: the volume's own name. A volume that is there with this AAP is a success. */
int volumes_create(struct volumes *volumes, const char *name, const char *aap, char *reason, size_t size);
int volumes_remove(struct volumes *volumes, const char *name, char *reason, size_t size);
int volumes_mount(struct volumes *volumes, const char *name, const char *id, char *reason, size_t size);
int volumes_unmount(struct volumes *volumes, const char *name, const char *id, char *reason, size_t size);

/* The volume NAME as the protocol tells it: a new reference; NULL and REASON. */
json_t *volumes_tell(const struct volumes *volumes, const char *name, char *reason, size_t size);

/* All of them, an array: a new reference; NULL when memory is short. */
json_t *volumes_tell_all(const struct volumes *volumes);
