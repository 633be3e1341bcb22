/*
 * Parses a write to an AAP's or the mount's control file: one write, one command. Pure, any thread. DESIGN: "Control".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum control_verb {
    CONTROL_NOT_PARSED,
    CONTROL_CREATE, /* a password, alone or with dates, bare or as JSON */
    CONTROL_DELETE, /* delete KAAP.… */
    CONTROL_DELETE_FOREIGN, /* the same for a key that was made elsewhere */
    CONTROL_ADOPT,  /* a key with its private half, made elsewhere, as JSON */
    CONTROL_RETRY_CHECK, /* judge rejected keys again */
    CONTROL_ROTATE,   /* a creation with password_source's password */
    CONTROL_RELOADED, /* the applications have the current key */
    /* .aapfs/control */
    CONTROL_SYNC,    /* list the AAPs again */
    CONTROL_UPGRADE, /* have the installed program take over */
    CONTROL_RELOAD,  /* read the configuration again */
    CONTROL_FORGET,  /* forget NAME: an AAP that KMS no longer has */
    CONTROL_ADOPT_STATE, /* the state directory belongs to this machine now */
    CONTROL_ROTATE_DUE,  /* what is due is attempted now */
    CONTROL_PUBLISH, /* the engine's own: a Scheduled key becomes the current one */
    CONTROL_SHARED_KEY, /* the same: a key of the fleet comes here, or goes */
    CONTROL_INHERITED, /* a creation that an earlier worker had begun, and whose key is safe */
    CONTROL_VERBS,
};

enum { CONTROL_SIZE = 4096 }; /* st_size of every control file, and the most that is accepted */

struct control_command {
    enum control_verb verb;
    char password[129];
    bool has_dates;
    char not_before[21], not_after[21]; /* as KMS takes them: yyyy-MM-ddTHH:mm:ssZ */
    int64_t not_before_time, not_after_time; /* seconds since 1970 */
    char client_key_id[129];
    char private_key_data[CONTROL_SIZE]; /* base64, as in a client key file */
    char aap_name[201];
};

/*
 * Parses SIZE bytes written at OFFSET to an AAP's control (MOUNT false) or to .aapfs/control (MOUNT
 * true). NOW (seconds since 1970, KMS's time) is what NotAfter must lie after. 0, or -EINVAL and
 * REASON: one line that says what, why and what to do, without a byte of what was written.
 */
int control_parse(bool mount, const char *text, size_t size, int64_t offset, int64_t now,
                  struct control_command *command, char *reason, size_t reason_size);

/* Wipes all, or what is secret alone. */
void control_clear(struct control_command *command);
void control_wipe_secrets(struct control_command *command);

/* Whether PASSWORD follows KMS's rules; if not, REASON. For config and `aapfs create` too. */
bool control_password_is_valid(const char *password, size_t size, char *reason, size_t reason_size);
