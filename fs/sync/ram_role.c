#include "fs/sync/ram_role.h"

#include <errno.h>
#include <string.h>

#include "fs/engine/engine.h"
#include "fs/engine/operation.h"
#include "fs/model/aap_state.h"
#include "kmsapi/kms.h"

void ram_role_note(struct registry_aap *aap, const char *authentication_method)
{
    if (!aap || !authentication_method[0])
        return;
    aap->method_asked = true;
    aap->ram_role = !kms_aap_may_have_client_keys(authentication_method);
    if (!aap->ram_role && strcmp(aap->failure.error.code, RAM_ROLE_CODE) == 0)
        aap->failure = (struct registry_failure){0}; /* it was made anew */
}

bool ram_role_refuses(struct operation *operation)
{
    struct registry *registry = operation->engine->parts.registry;
    registry_lock(registry);
    const struct registry_aap *aap = registry_aap(registry, operation->aap);
    bool refuses = aap && aap->ram_role;
    registry_unlock(registry);
    if (refuses)
        operation_refuse(operation, EPERM, RAM_ROLE_CODE,
                         "this application access point is used with a RAM role (AuthenticationMethod RAMRole) and has no client "
                         "keys; nothing was sent: write to one whose AuthenticationMethod is ClientKey");
    return refuses;
}
