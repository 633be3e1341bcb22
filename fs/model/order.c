#include "fs/model/order.h"

#include <string.h>

#include "fs/base/nanoseconds.h"

int64_t order_made_ns(const struct registry_key *key)
{
    int64_t begun_ns = key->scheduled ? nanoseconds(key->not_before_time) : 0;
    return begun_ns > key->made_ns ? begun_ns : key->made_ns;
}

bool order_is_greater(int64_t made_ns, const char *client_key_id, int64_t than_made_ns, const char *than_id)
{
    return made_ns != than_made_ns ? made_ns > than_made_ns : strcmp(client_key_id, than_id) > 0;
}
