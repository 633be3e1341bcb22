/*
 * The configuration: what it is, and what of it a reload cannot change. Read (file.h) at start and at a reload; read-only
 * afterwards, any thread. DESIGN: "Configuration".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CONFIG_NAME_SIZE = 201, CONFIG_TEXT_SIZE = 256, CONFIG_PATH_SIZE = 1024, CONFIG_COMMAND_SIZE = 1024,
       CONFIG_PREFIX_SIZE = 129, CONFIG_ENDPOINTS_MOST = 9 };

enum config_rotate_at { ROTATE_AT_PERCENT, ROTATE_BEFORE_END, ROTATE_NEVER };
enum config_password_source { PASSWORD_KEEP, PASSWORD_GENERATE, PASSWORD_FILE };
enum config_first_key { FIRST_KEY_BY_HAND, FIRST_KEY_GENERATE, FIRST_KEY_FILE };
enum config_delete_superseded { DELETE_EXPIRED, DELETE_AFTER, DELETE_NEVER };

/* Rotations are spread over that much of the validity before rotate_at; a time before the end leaves a 10th of it at least. */
enum { ROTATE_JITTER_PERCENT = 6, ROTATE_SHORTEST_SHARE = 10 };

/* Client keys that KMS gives an AAP; and of ours that may be unexpired at once: one place is left for the next one. */
enum { CONFIG_QUOTA_KEYS = 3, CONFIG_KEYS_AT_ONCE = CONFIG_QUOTA_KEYS - 1 };

/* [defaults], or what [aap NAME] makes of it. */
struct config_aap {
    uid_t owner;
    gid_t group;
    mode_t mode;                 /* of the files with the private half */
    gid_t control_group;         /* may write `control`; (gid_t)-1: root alone (default) */
    int64_t validity_seconds;    /* 0: "kms", send no dates; a year is at least this many */
    unsigned int validity_years; /* as many calendar years; 0: it was not given in years */
    unsigned int max_keys;       /* default 3: KMS's quota, whoever made them */
    enum config_rotate_at rotate_at; /* default 66 % */
    unsigned int rotate_at_percent;  /* of the validity */
    int64_t rotate_before_seconds;   /* before NotAfter */
    enum config_password_source password_source;
    char password_file[CONFIG_PATH_SIZE];
    enum config_first_key first_key; /* of an AAP that has none; default: a person writes its password */
    char first_key_file[CONFIG_PATH_SIZE];
    bool expose_password;
    enum config_delete_superseded delete_superseded;
    int64_t delete_after_seconds;    /* after it was superseded and no longer in use */
    char on_rotate[CONFIG_COMMAND_SIZE]; /* "", "none", or a command for the shell */
    uid_t on_rotate_user;        /* (uid_t)-1: the one that aapfs has (default) */
    unsigned int on_rotate_timeout_ms; /* default 60 s; 1 s to 1 h */
};

/* [fleet] */
struct config_fleet {
    char etcd[CONFIG_ENDPOINTS_MOST][CONFIG_TEXT_SIZE]; /* its members' URLs */
    size_t etcd_count;                                  /* 0: no fleet (default) */
    char prefix[CONFIG_PREFIX_SIZE];                    /* of its keys; default "aapfs" */
    char fleet_key[CONFIG_PATH_SIZE];                   /* "": a credential of systemd's */
    char ca_file[CONFIG_PATH_SIZE];                     /* default "": the system's */
    char certificate[CONFIG_PATH_SIZE], certificate_key[CONFIG_PATH_SIZE]; /* default "": none; both or none */
    char user[CONFIG_TEXT_SIZE], password_file[CONFIG_PATH_SIZE];          /* the same */
};

struct config {
    char file[CONFIG_PATH_SIZE]; /* where it was read, for messages; "": nowhere */
    /* [kms] */
    char region[64];             /* default "": to be found elsewhere, commands/configure.h */
    bool vpc;                    /* network = vpc; default public */
    char endpoint[CONFIG_TEXT_SIZE]; /* default https://kms[-vpc].<region>.aliyuncs.com */
    bool endpoint_is_given;
    char credentials[CONFIG_TEXT_SIZE]; /* default "default"; as kmsapi/credentials/source.h has it */
    char ca_file[CONFIG_PATH_SIZE];  /* default "": the system's */
    char proxy[CONFIG_TEXT_SIZE];    /* default "": from the environment */
    unsigned int request_timeout_ms; /* default 30 s; 100 ms to 1 h */
    bool all_aaps;               /* aaps = all (default) */
    char (*aap_names)[CONFIG_NAME_SIZE]; /* else these */
    size_t aap_name_count;
    unsigned int requests_per_second; /* default 2: what nobody waits for */
    int64_t sync_interval_ms;         /* default 1 h */
    /* [mount] */
    char state[CONFIG_PATH_SIZE], state_key[CONFIG_PATH_SIZE]; /* default "": as fs/store/state.h finds them */
    unsigned int settle_ms;         /* default 60 s; 1 s to 1 h */
    unsigned int creation_guard_ms; /* default 5 s; 0 to 1 h */
    bool audit;                     /* default no */
    bool control;                   /* default yes; no: every control write is EPERM */
    struct config_fleet fleet;
    /* [defaults] */
    struct config_aap defaults;
    /* [aap NAME] sections, sorted by name */
    struct config_section {
        char name[CONFIG_NAME_SIZE];
        struct config_aap values;
    } *sections;
    size_t section_count;
};

/* Fills *CONFIG with the defaults alone; free it with config_clear. */
void config_defaults(struct config *config);

/*
 * Whether a mount that has lived with OLD can go on with NEW. 0; or -EINVAL and REASON: the first key that cannot
 * change, and what to do.
 */
int config_check_reload(const struct config *old, const struct config *new, char *reason, size_t reason_size);

/*
 * For --region, --endpoint, --state and --state-key: the same checks; an endpoint that was derived from a region
 * follows. A relative path is taken from the current directory.
 */
int config_set_region(struct config *config, const char *region, char *reason, size_t reason_size);
int config_set_endpoint(struct config *config, const char *endpoint, char *reason, size_t reason_size);
void config_set_vpc(struct config *config, bool vpc);
int config_set_state(struct config *config, const char *path, char *reason, size_t reason_size);
int config_set_state_key(struct config *config, const char *path, char *reason, size_t reason_size);

/* Whether on_rotate is a command: neither empty nor "none". */
bool config_has_command(const struct config_aap *aap);

/* What holds for the AAP NAME: its section, else the defaults. */
const struct config_aap *config_for_aap(const struct config *config, const char *name);

void config_clear(struct config *config);

/* Whether NAME is shown as a directory: 1 to 200 of A-Z a-z 0-9 _ - . and no leading dot. */
bool config_aap_name_is_shown(const char *name);
