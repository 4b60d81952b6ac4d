/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.h - a disk in memory that takes its limits at their word: whatever breaks the gate's promises ends the test
 */
#pragma once
#include "tests/block/block.h"

typedef struct Memory {
    Node node;
    uint8_t *bytes;
    bool yields;                           /* lets others run in the middle of each request */
    bool no_zeroes;
    int fail_after;                        /* requests until -EIO; -1: never */
    unsigned reads, writes, zeroings, discards, flushes, fua, at_once, most_at_once, unmaps;
} Memory;

static inline int memory_enter(Memory *memory, uint64_t offset, uint64_t bytes)
{
    const NodeLimits *limits = &memory->node.limits;

    g_assert_cmpuint(offset % limits->request_alignment, ==, 0);
    g_assert_cmpuint(bytes % limits->request_alignment, ==, 0);
    g_assert_cmpuint(offset + bytes, <=, memory->node.length);
    g_assert_cmpuint(bytes, >, 0);
    memory->at_once++;
    memory->most_at_once = MAX(memory->most_at_once, memory->at_once);
    if (memory->yields) {
        co_yield_turn();
    }
    return memory->fail_after == 0 ? -EIO : (memory->fail_after -= memory->fail_after > 0, 0);
}

static inline int memory_leave(Memory *memory, int result)
{
    if (memory->yields) {
        co_yield_turn();
    }
    memory->at_once--;
    return result;
}

static inline void memory_check(const Memory *memory, Iov window)
{
    const NodeLimits *limits = &memory->node.limits;
    struct iovec *pieces = g_new0(struct iovec, window.count + 1);
    size_t count = iov_plain(window, pieces);

    g_assert_true(!limits->max_transfer || window.bytes <= limits->max_transfer);
    g_assert_true(!limits->max_pieces || count <= limits->max_pieces);
    for (size_t i = 0; limits->memory_alignment > 1 && i < count; i++) {
        g_assert_cmpuint((uintptr_t)pieces[i].iov_base % limits->memory_alignment, ==, 0);
        g_assert_cmpuint(pieces[i].iov_len % limits->request_alignment, ==, 0);
    }
    g_free(pieces);
}

static inline int memory_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    Memory *memory = (Memory *)node;
    int result = memory_enter(memory, offset, to.bytes);

    (void)flags;
    memory_check(memory, to);
    memory->reads++;
    if (result == 0) {
        iov_put(to, 0, memory->bytes + offset, to.bytes);
    }
    return memory_leave(memory, result);
}

static inline int memory_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    Memory *memory = (Memory *)node;
    int result = memory_enter(memory, offset, from.bytes);

    memory_check(memory, from);
    memory->writes++;
    memory->fua += (flags & REQ_FUA) != 0;
    if (result == 0) {
        iov_get(from, 0, memory->bytes + offset, from.bytes);
    }
    return memory_leave(memory, result);
}

static inline int memory_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    Memory *memory = (Memory *)node;
    const NodeLimits *limits = &node->limits;
    int result;

    if (memory->no_zeroes) {
        return -ENOTSUP;
    }
    result = memory_enter(memory, offset, bytes);
    g_assert_true(!limits->max_zeroes || bytes <= limits->max_zeroes);
    g_assert_true(!limits->zeroes_alignment || (offset | bytes) % limits->zeroes_alignment == 0);
    memory->zeroings++;
    memory->unmaps += (flags & REQ_MAY_UNMAP) != 0;
    memset(memory->bytes + offset, 0, bytes);
    return memory_leave(memory, result);
}

static inline int memory_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    Memory *memory = (Memory *)node;
    int result = memory_enter(memory, offset, bytes);

    g_assert_true(!node->limits.max_discard || bytes <= node->limits.max_discard);
    memory->discards++;
    memset(memory->bytes + offset, 0xd1, bytes);
    return memory_leave(memory, result);
}

static inline int memory_flush(Node *node)
{
    Memory *memory = (Memory *)node;

    if (memory->yields) {
        co_yield_turn();
    }
    memory->flushes++;
    return 0;
}

static inline int memory_truncate(Node *node, uint64_t size, bool exact, Preallocation how, RequestFlags flags, GError **err)
{
    Memory *memory = (Memory *)node;

    (void)exact;
    (void)how;
    (void)err;
    if (flags & REQ_ZERO_WRITE) {
        return -ENOTSUP;
    }
    memory->bytes = g_realloc(memory->bytes, size);
    if (size > node->length) {
        memset(memory->bytes + node->length, 0xee, size - node->length);
    }
    node->length = size;
    return 0;
}

static inline void memory_close(Node *node)
{
    g_free(((Memory *)node)->bytes);
}

static const NodeDriver memory_driver = {
    .name = "memory",  .help = "a test's disk",  .kind = NODE_PROTOCOL,  .size = sizeof(Memory),
    .preadv = memory_preadv,  .pwritev = memory_pwritev,  .pwrite_zeroes = memory_pwrite_zeroes,  .pdiscard = memory_pdiscard,
    .flush = memory_flush,  .truncate = memory_truncate,  .close = memory_close,
};

static inline Memory *memory_new(uint64_t size, NodeLimits limits)
{
    Memory *memory = (Memory *)node_new(&memory_driver, NULL, io_loop_current(), NULL);

    memory->bytes = g_malloc0(size);
    memory->fail_after = -1;
    memory->node.length = size;
    memory->node.limits = limits;
    memory->node.writable = memory->node.discard = true;
    memory->node.core->opened = true;
    return memory;
}
