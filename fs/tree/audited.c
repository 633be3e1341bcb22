#include "fs/tree/audited.h"

#include <stdio.h>
#include <string.h>

#include "fs/tree/content.h"
#include "fs/tree/names.h"

bool audited_name(struct registry *registry, struct node node, struct audit_open *opened)
{
    const struct registry_key *key;
    const struct registry_aap *aap;
    enum key_file file = content_key_file(registry, node, &aap, &key);
    if (file == KEY_FILE_COUNT || !content_is_private(file))
        return false;
    enum published_name name = PUBLISHED_CURRENT;
    while (published_name_file(name) != file)
        name++;
    bool own = node.kind == NODE_KIND_KEY_FILE;
    snprintf(opened->file, sizeof(opened->file), "%s/%s%s%s%s", aap->name, own ? "keys/" : "",
             own ? key->client_key_id : "", own ? "/" : "", published_name_text(name));
    memcpy(opened->client_key_id, key->client_key_id, sizeof(opened->client_key_id));
    return true;
}
