#include "fs/tree/node_id.h"

#include "fs/keys/numbers.h"
#include "fs/keys/registry.h"

enum { NUMBER_BITS = 26, REPORT_SHIFT = 26, FILE_SHIFT = 52, KIND_SHIFT = 58 };

#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)
#define FILE_MASK   UINT64_C(63)

uint64_t node_id_of(struct node node)
{
    if (node.kind == NODE_KIND_ROOT)
        return NODE_ROOT;
    return (uint64_t)node.kind << KIND_SHIFT | (uint64_t)node.file << FILE_SHIFT |
           (node.report & NUMBER_MASK) << REPORT_SHIFT | (node.number & NUMBER_MASK);
}

/* What each kind may carry. */
static const struct {
    bool number;
    unsigned int files;
    bool report;
    bool number_may_be_0;
    bool directory;
} shapes[NODE_KIND_COUNT] = {
    [NODE_KIND_MOUNT] = {.directory = true},
    [NODE_KIND_AAP] = {.number = true, .directory = true},
    [NODE_KIND_AAP_CONTROL] = {.number = true},
    [NODE_KIND_KEYS] = {.number = true, .directory = true},
    [NODE_KIND_KEY] = {.number = true, .directory = true},
    [NODE_KIND_KEY_FILE] = {.number = true, .files = KEY_FILE_COUNT},
    [NODE_KIND_PUBLISHED] = {.number = true, .files = PUBLISHED_COUNT},
    [NODE_KIND_REPORT] = {.number = true, .number_may_be_0 = true, .files = REPORT_KIND_COUNT,
                          .report = true},
};

bool node_from_id(uint64_t id, struct node *node)
{
    if (id == NODE_ROOT) {
        *node = (struct node){.kind = NODE_KIND_ROOT};
        return true;
    }
    uint64_t kind = id >> KIND_SHIFT;
    if (kind == NODE_KIND_ROOT || kind >= NODE_KIND_COUNT)
        return false;
    *node = (struct node){
        .kind = (enum node_kind)kind,
        .file = (unsigned int)(id >> FILE_SHIFT & FILE_MASK),
        .report = (uint32_t)(id >> REPORT_SHIFT & NUMBER_MASK),
        .number = (uint32_t)(id & NUMBER_MASK),
    };
    if (node->file != 0 && node->file >= shapes[kind].files)
        return false;
    if (node->report != 0 && !shapes[kind].report)
        return false;
    if (node->number == 0)
        return !shapes[kind].number || shapes[kind].number_may_be_0;
    return shapes[kind].number;
}

bool node_is_directory(struct node node)
{
    return node.kind == NODE_KIND_ROOT || shapes[node.kind].directory;
}
