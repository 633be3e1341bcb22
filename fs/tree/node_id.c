#include "fs/tree/node_id.h"

#include <assert.h>

#include "fs/model/numbers.h"
#include "fs/model/registry.h"

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

static const unsigned int files[NODE_KIND_COUNT] = {
    [NODE_KIND_KEY_FILE] = KEY_FILE_COUNT,
    [NODE_KIND_PUBLISHED] = PUBLISHED_COUNT,
    [NODE_KIND_REPORT] = REPORT_KIND_COUNT,
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
    if ((node->file != 0 && node->file >= files[kind]) || (node->report != 0 && kind != NODE_KIND_REPORT))
        return false;
    return node->number ? kind >= NODE_KIND_AAP : kind < NODE_KIND_AAP || kind == NODE_KIND_REPORT;
}

/*
 * Each kind has a range of its own, in which a number has a place for each of its files:
 *
 *   1, 2, 3            the root, .aapfs, .aapfs/control
 *   2^18 + 4 * AAP     its directory, control, keys
 *   2^25 + 16 * key    its directory, then its files
 *   2^26 + 16 * gen.   the published files of a generation
 *   2^28 + ...         the mount's own reports: 26 bits of content, 2 of kind
 *   2^31 + ...         an AAP's reports: 15 bits of content, 15 of AAP, 1 of kind; the content's others from 2^32 on
 */
enum { AAP_RANGE = 1 << 18, KEY_RANGE = 1 << 25, PUBLISHED_RANGE = 1 << 26, MOUNT_REPORT_RANGE = 1 << 28 };
enum { AAP_REPORT_BITS = 15, AAP_REPORT_CONTENTS = 1 << AAP_REPORT_BITS };

static_assert(NUMBERS_MOST_AAPS <= 1 << AAP_REPORT_BITS && KEY_FILE_COUNT + 1 <= 16 && PUBLISHED_COUNT <= 16 &&
              NUMBERS_MOST_KEYS < (1 << 21) && NUMBERS_MOST_GENERATIONS < (1 << 21), "each in its range");

static uint64_t report_inode_number(struct node node)
{
    uint64_t report = node.report & NUMBER_MASK;
    if (node.number == 0)
        return MOUNT_REPORT_RANGE + (report << 2 | node.file);
    uint64_t place = (report % AAP_REPORT_CONTENTS << AAP_REPORT_BITS | (node.number - 1)) << 1 | node.file;
    return (report >> AAP_REPORT_BITS) << 32 | UINT64_C(1) << 31 | place;
}

uint64_t node_inode_number(struct node node)
{
    uint64_t number = node.number;
    switch (node.kind) {
    case NODE_KIND_AAP:
    case NODE_KIND_AAP_CONTROL:
    case NODE_KIND_KEYS:
        return AAP_RANGE + 4 * number + (node.kind - NODE_KIND_AAP);
    case NODE_KIND_KEY:
        return KEY_RANGE + 16 * number;
    case NODE_KIND_KEY_FILE:
        return KEY_RANGE + 16 * number + 1 + node.file;
    case NODE_KIND_PUBLISHED:
        return PUBLISHED_RANGE + 16 * number + node.file;
    case NODE_KIND_REPORT:
        return report_inode_number(node);
    case NODE_KIND_MOUNT:
        return 2;
    case NODE_KIND_MOUNT_CONTROL:
        return 3;
    default:
        return 1;
    }
}
