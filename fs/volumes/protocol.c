#include "fs/volumes/protocol.h"

#include <stdio.h>
#include <string.h>

#include "fs/volumes/volumes_file.h"

enum { OK = 200, BAD_REQUEST = 400, NOT_FOUND = 404, WRONG_METHOD = 405, FAILED = 500 };

struct call {
    struct volumes *volumes;
    const json_t *request;
    const char *name; /* the request's; "": none */
    char reason[VOLUMES_REASON_SIZE];
};

/* Each returns the answer, a new reference; NULL after a reason. */
typedef json_t *operation(struct call *call);

static json_t *done(int r)
{
    return r < 0 ? NULL : json_pack("{s:s}", "Err", "");
}

static json_t *activate(struct call *call)
{
    return json_pack("{s:[s]}", "Implements", "VolumeDriver");
}

/* A volume is on this machine and on no other. */
static json_t *capabilities(struct call *call)
{
    return json_pack("{s:{s:s}}", "Capabilities", "Scope", "local");
}

/* What is not for a terminal or a log becomes "?". */
static void make_harmless(const char *text, char *to, size_t size)
{
    size_t i = 0;
    for (; text[i] && i + 1 < size; i++)
        to[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    to[i] = '\0';
}

/* The option aap, or NULL where it is not given. -1 after a reason. */
static int find_aap(struct call *call, const char **aap)
{
    const char *name;
    json_t *value, *options = json_object_get(call->request, "Opts");
    *aap = NULL;
    if (options && !json_is_object(options) && !json_is_null(options)) {
        snprintf(call->reason, sizeof(call->reason), "Opts: not an object");
        return -1;
    }
    json_object_foreach(options, name, value) {
        char harmless[64];
        make_harmless(name, harmless, sizeof(harmless));
        if (strcmp(name, "aap") != 0) {
            snprintf(call->reason, sizeof(call->reason), "-o %s: no such option; right is -o aap=NAME", harmless);
            return -1;
        }
        *aap = json_string_value(value);
        if (!*aap) {
            snprintf(call->reason, sizeof(call->reason), "-o aap=…: not a text");
            return -1;
        }
    }
    return 0;
}

static json_t *create(struct call *call)
{
    const char *aap;
    if (find_aap(call, &aap) < 0)
        return NULL;
    return done(volumes_create(call->volumes, call->name, aap, call->reason, sizeof(call->reason)));
}

static json_t *remove_volume(struct call *call)
{
    return done(volumes_remove(call->volumes, call->name, call->reason, sizeof(call->reason)));
}

static json_t *path(struct call *call)
{
    _cleanup_(json) json_t *told = volumes_tell(call->volumes, call->name, call->reason, sizeof(call->reason));
    return told ? json_pack("{s:O, s:s}", "Mountpoint", json_object_get(told, "Mountpoint"), "Err", "") : NULL;
}

static json_t *mount_volume(struct call *call)
{
    const char *id = volumes_text(call->request, "ID");
    int r = volumes_mount(call->volumes, call->name, id, call->reason, sizeof(call->reason));
    return r < 0 ? NULL : path(call);
}

static json_t *unmount(struct call *call)
{
    const char *id = volumes_text(call->request, "ID");
    return done(volumes_unmount(call->volumes, call->name, id, call->reason, sizeof(call->reason)));
}

static json_t *get(struct call *call)
{
    json_t *told = volumes_tell(call->volumes, call->name, call->reason, sizeof(call->reason));
    return told ? json_pack("{s:o, s:s}", "Volume", told, "Err", "") : NULL;
}

static json_t *list(struct call *call)
{
    return json_pack("{s:o, s:s}", "Volumes", volumes_tell_all(call->volumes), "Err", "");
}

static const struct {
    const char *url;
    operation *run;
} operations[] = {
    {"/Plugin.Activate", activate},
    {"/VolumeDriver.Create", create},
    {"/VolumeDriver.Remove", remove_volume},
    {"/VolumeDriver.Mount", mount_volume},
    {"/VolumeDriver.Unmount", unmount},
    {"/VolumeDriver.Path", path},
    {"/VolumeDriver.Get", get},
    {"/VolumeDriver.List", list},
    {"/VolumeDriver.Capabilities", capabilities},
};

static operation *find_operation(const char *url)
{
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        if (strcmp(operations[i].url, url) == 0)
            return operations[i].run;
    return NULL;
}

static unsigned int refuse(unsigned int status, const char *reason, json_t **answer)
{
    *answer = json_pack("{s:s}", "Err", reason);
    return status;
}

unsigned int protocol_run(struct volumes *volumes, const char *method, const char *url, const char *body, size_t size,
                          json_t **answer)
{
    operation *run = find_operation(url);
    if (!run)
        return refuse(NOT_FOUND, "no such operation", answer);
    if (strcmp(method, "POST") != 0)
        return refuse(WRONG_METHOD, "POST is right", answer);
    /* Docker sends no body where there is nothing to say */
    _cleanup_(json) json_t *request = size > 0 ? json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL) : json_object();
    if (json_is_null(request)) {
        json_decref(request);
        request = json_object();
    }
    if (!json_is_object(request))
        return refuse(BAD_REQUEST, "the body is not a JSON object", answer);
    struct call call = {.volumes = volumes, .request = request, .name = volumes_text(request, "Name")};
    *answer = run(&call);
    return *answer ? OK : refuse(FAILED, call.reason[0] ? call.reason : "memory is short", answer);
}
