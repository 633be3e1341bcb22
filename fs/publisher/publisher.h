/*
 * The publisher: a process of its own that makes a change visible through the mount, by rename(2) and rmdir(2), so that
 * the kernel tells inotify's watchers. It knows names only. It is a process because whoever waits for the mount cannot
 * die before the mount is answered: a worker with such a thread could not be replaced.
 *
 * Work comes and results go as single messages of a SOCK_SEQPACKET socket, whose ends outlive publisher and worker.
 * Each piece of work gets a thread: any local user can hold a directory's lock, and nobody else's publication may wait
 * for it. Work that is sent again (to a new publisher) is carried out once.
 *
 * What a name showed before, and its attributes, the kernel may believe for a day (tree/lifetime.h). So all names of a
 * piece of work are loosened before the first of them is replaced: a mkdir(2) of a name that is there fails, but first
 * the kernel looks it up anew, however long it had to live (FUSE's revalidation with LOOKUP_EXCL, Linux 5.15).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum { PUBLISHER_STEPS = 12, HIDDEN_NAME_SIZE = 34 };

enum publisher_action {
    PUBLISHER_RENAME, /* DIRECTORY/FROM to DIRECTORY/TO; FROM "": removes the file DIRECTORY/TO */
    PUBLISHER_RMDIR,  /* DIRECTORY/TO */
    PUBLISHER_ATTRIBUTES, /* the kernel forgets the attributes of each step's NODE */
    PUBLISHER_LOOSEN, /* the mount cannot be reached: notify the kernel that names in DIRECTORY are about to change, */
    PUBLISHER_FORGET, /* and that they have */
    PUBLISHER_FOLLOW, /* NODE shows something else: the kernel is to ask, and through DIRECTORY/FROM its watchers hear */
    PUBLISHER_FORGET_FILES, /* the same where the mount cannot be reached: watchers hear nothing */
};

struct publisher_step {
    char from[HIDDEN_NAME_SIZE];
    char to[256];
    uint64_t parent; /* node id, for PUBLISHER_LOOSEN and PUBLISHER_FORGET */
    uint64_t before; /* node id of what TO has shown so far, which the kernel may believe for long; 0: nothing */
    uint64_t node;   /* for PUBLISHER_ATTRIBUTES, and for PUBLISHER_FOLLOW; there FROM "": nobody can watch it */
};

struct publisher_work {
    uint64_t id;
    enum publisher_action action;
    uint32_t count;
    char directory[512]; /* below the mount, "." for its root */
    struct publisher_step steps[PUBLISHER_STEPS];
};

enum { PUBLISHER_HELLO = 0 };

struct publisher_result {
    uint64_t id; /* PUBLISHER_HELLO: a publisher has begun, and knows of no work yet */
    uint32_t done; /* steps that were carried out, from the first */
    int32_t error; /* errno of the step that was not; 0: all were */
    uint32_t known; /* PUBLISHER_FOLLOW: of how many of the nodes the kernel knew */
};

/*
 * The publisher's life, called in its process: works until SOCKET is closed at the other end. MOUNTPOINT is where the
 * mount is, DEVICE its st_dev, FUSE the descriptor for notifications. Returns the exit status, for _exit.
 */
int publisher_run(int socket, const char *mountpoint, dev_t device, int fuse);
