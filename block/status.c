/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status.c - where the bytes of a range are: in one node, and through the chain below it
 *
 * A driver answers for its own layer; here the answer is cut to what was asked, followed down to the file that holds the bytes
 * (STATUS_RECURSE), and completed: what no layer holds reads as zeroes.
 *
 * Threads  home loop, in coroutines
 * Tests    tests/block/gate.c, tests/block/graph.c
 */
#include "block/node-core.h"
#include "base/checked.h"
#include <errno.h>

typedef struct Answer { int flags; uint64_t count, map; Node *file; } Answer;

static Answer ask_driver(Node *node, bool exact, uint64_t offset, uint64_t bytes)
{
    Answer answer = { .count = bytes };

    if (node->driver->block_status) {
        uint64_t unit = node->limits.request_alignment, first = offset - offset % unit, skipped = offset - first;
        uint64_t whole = MIN((skipped + bytes + unit - 1) / unit * unit, node->length > first ? node->length - first : 0);

        answer.flags = node->driver->block_status(node, exact, first, MAX(whole, bytes), &answer.count, &answer.map, &answer.file);
        answer.count = answer.count > skipped ? MIN(answer.count - skipped, bytes) : 0;
        answer.map += skipped;
        if (answer.flags >= 0 && answer.count == 0) {
            answer.flags = -EIO;           /* a driver that answers nothing must not make loops of its callers */
        }
    } else if (node->driver->kind == NODE_FILTER && node->file) {
        answer = (Answer){ STATUS_OFFSET | STATUS_RECURSE, bytes, offset, node->file };
    } else {
        answer.flags = STATUS_DATA | STATUS_ALLOCATED;
        if (node->driver->kind == NODE_PROTOCOL) {
            answer = (Answer){ answer.flags | STATUS_OFFSET, bytes, offset, node };
        }
    }
    return answer;
}

static int layer_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file);

/* What the file below says about bytes that lie there. */
static int follow(Answer *answer, bool exact)
{
    Node *file = NULL;
    uint64_t count = 0, map = 0;
    int inner = layer_status(answer->file, exact, answer->map, answer->count, &count, &map, &file);

    if (inner < 0) {
        return inner;
    }
    if (!(answer->flags & (STATUS_DATA | STATUS_ZERO))) {      /* raw, and filters: theirs is the child's answer */
        answer->count = count ? count : answer->count;
        answer->flags = count ? inner & (STATUS_DATA | STATUS_ZERO | STATUS_OFFSET | STATUS_ALLOCATED | STATUS_COMPRESSED)
                              : STATUS_ZERO | STATUS_ALLOCATED;
        answer->map = map;
        answer->file = file;
    } else if (count == 0 || ((inner & STATUS_EOF) && (inner & STATUS_ZERO))) {
        answer->flags |= STATUS_ZERO;      /* behind the end of the file, or in a hole that reaches it */
    } else {
        answer->count = count;
        answer->flags |= inner & STATUS_ZERO;
    }
    return 0;
}

static int no_layer(const Node *node, uint64_t offset)
{
    const Node *backing = node->backing;

    return node->driver->backing_child && (!backing || offset >= backing->length) ? STATUS_ZERO : 0;
}

/* exact: DATA and ZERO are wanted, not only ALLOCATED. */
static int layer_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    uint64_t length = node->length;

    *count = 0;
    if (map) {
        *map = 0;
    }
    if (file) {
        *file = NULL;
    }
    if (offset >= length) {
        return STATUS_EOF;
    }
    if (bytes == 0) {
        return 0;
    }
    node->core->in_flight++;
    Answer answer = ask_driver(node, exact, offset, MIN(bytes, length - offset));
    if (answer.flags >= 0 && (answer.flags & STATUS_RECURSE) && answer.file && answer.file != node && (answer.flags & STATUS_OFFSET)
        && (exact || !(answer.flags & (STATUS_DATA | STATUS_ZERO)))) {
        int failed = follow(&answer, exact);
        answer.flags = failed < 0 ? failed : answer.flags;
    }
    if (--node->core->in_flight == 0 && __atomic_load_n(&node_drains, __ATOMIC_RELAXED)) {
        node_idle(node->loop);
    }
    if (answer.flags < 0) {
        return answer.flags;
    }
    answer.flags &= ~STATUS_RECURSE;
    answer.flags |= answer.flags & (STATUS_DATA | STATUS_ZERO) ? STATUS_ALLOCATED : no_layer(node, offset);
    *count = answer.count;
    if (map && (answer.flags & STATUS_OFFSET)) {
        *map = answer.map;
    }
    if (file && (answer.flags & STATUS_OFFSET)) {
        *file = answer.file;
    }
    return answer.flags | (offset + answer.count == length ? STATUS_EOF : 0);
}

int node_block_status(Node *node, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    return layer_status(node, true, offset, bytes, count, map, file);
}

static int chain_status(Node *node, Node *base, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file,
                        unsigned *depth)
{
    unsigned layers = 0;
    uint64_t here = 0;
    int flags = 0;

    *count = 0;
    if (offset >= node->length) {
        return STATUS_EOF;
    }
    bytes = MIN(bytes, node->length - offset);
    for (Node *at = node; at && at != base; at = node_backing(at), layers++) {
        flags = layer_status(at, exact, offset, bytes, &here, map, file);
        if (flags < 0) {
            return flags;
        }
        if (here == 0) {                   /* a shorter image below: what lies behind its end was decided by its being short */
            here = bytes;
            flags = STATUS_ZERO | STATUS_ALLOCATED;
        } else if (at != node) {
            flags &= ~STATUS_EOF;
        }
        bytes = MIN(bytes, here);
        if (flags & STATUS_ALLOCATED) {
            break;
        }
        flags &= ~(STATUS_DATA | STATUS_ZERO | STATUS_OFFSET);
    }
    if (!(flags & STATUS_ALLOCATED) && !base) {
        flags |= STATUS_ZERO;              /* the chain ended */
    }
    *count = bytes;
    if (depth) {
        *depth = layers;
    }
    return (flags & ~STATUS_EOF) | (offset + bytes == node->length ? STATUS_EOF : 0);
}

int node_block_status_above(Node *node, Node *base, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file,
                            unsigned *depth)
{
    return chain_status(node, base, true, offset, bytes, count, map, file, depth);
}

int node_is_allocated_above(Node *top, Node *base, bool include_base, uint64_t offset, uint64_t bytes, uint64_t *count)
{
    int flags = chain_status(top, include_base && base ? node_backing(base) : base, false, offset, bytes, count, NULL, NULL, NULL);

    return flags < 0 ? flags : (flags & STATUS_ALLOCATED) != 0;
}
