/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gate.c - what the gate makes of requests: alignment, order, splits, zeroes, discards, flushes, draining */
#include "tests/block/memory.h"
#include <stdlib.h>

enum { DISK = 256 * 1024 };

static void fill(uint8_t *buffer, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        buffer[i] = (uint8_t)g_test_rand_int();
    }
}

/* ---- against a shadow ---- */

static size_t cut(struct iovec *pieces, uint8_t *buffer, size_t bytes)
{
    size_t count = 0;

    for (size_t at = 0; at < bytes; count++) {
        size_t part = count == 19 ? bytes - at : MIN(bytes - at, (size_t)g_test_rand_int_range(1, 9000));
        pieces[count] = (struct iovec){ buffer + at, part };
        at += part;
    }
    return count;
}

static void one_operation(Memory *memory, uint8_t *shadow, uint8_t *buffer)
{
    size_t offset = (size_t)g_test_rand_int_range(0, DISK - 1), bytes = (size_t)g_test_rand_int_range(0, DISK / 8);
    struct iovec pieces[20];
    Node *node = &memory->node;

    bytes = MIN(bytes, DISK - offset);
    switch (g_test_rand_int_range(0, 4)) {
    case 0:
        fill(buffer, bytes);
        g_assert_cmpint(node_pwritev(node, offset, (Iov){ pieces, cut(pieces, buffer, bytes), 0, bytes }, g_test_rand_bit() ? REQ_FUA : 0), ==, 0);
        memcpy(shadow + offset, buffer, bytes);
        break;
    case 1:
        g_assert_cmpint(node_pwrite_zeroes(node, offset, bytes, g_test_rand_bit() ? REQ_MAY_UNMAP : 0), ==, 0);
        memset(shadow + offset, 0, bytes);
        break;
    default:
        memset(buffer, 0x55, bytes);
        g_assert_cmpint(node_preadv(node, offset, (Iov){ pieces, cut(pieces, buffer, bytes), 0, bytes }, 0), ==, 0);
        g_assert_cmpint(memcmp(buffer, shadow + offset, bytes), ==, 0);
    }
}

static const NodeLimits limits_tried[] = {
    { .request_alignment = 1, .memory_alignment = 1 },
    { .request_alignment = 512, .memory_alignment = 1 },
    { .request_alignment = 4096, .memory_alignment = 4096 },
    { .request_alignment = 512, .memory_alignment = 512, .max_transfer = 8192, .max_pieces = 3, .max_zeroes = 65536, .zeroes_alignment = 4096 },
    { .request_alignment = 65536, .memory_alignment = 4096, .max_transfer = 65536 },
    { .request_alignment = 1, .memory_alignment = 1, .max_transfer = 1000, .max_pieces = 2 },
};

static int alignment(void *opaque)
{
    g_autofree uint8_t *shadow = g_malloc(DISK), *buffer = g_malloc(DISK);

    (void)opaque;
    for (size_t i = 0; i < G_N_ELEMENTS(limits_tried); i++) {
        Memory *memory = memory_new(DISK, limits_tried[i]);
        memory->no_zeroes = i == 2;
        memset(shadow, 0, DISK);
        for (int k = 0; k < 400; k++) {
            one_operation(memory, shadow, buffer);
        }
        g_assert_cmpint(memcmp(memory->bytes, shadow, DISK), ==, 0);
        g_assert_cmpuint(memory->node.core->in_flight, ==, 0);
        g_assert_null(memory->node.core->first);
        node_unref(&memory->node);
    }
    return 0;
}

/* ---- many at once, each in bytes of its own, all in the same blocks ---- */

enum { WRITERS = 8, STRIPE = 100, ROUNDS = 30 };

typedef struct Writer { Memory *memory; unsigned number, *left; Coroutine *parent; } Writer;

static void write_stripes(void *opaque)
{
    Writer *writer = opaque;
    uint8_t bytes[STRIPE], back[STRIPE];

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t offset = (uint64_t)(g_test_rand_int_range(0, 40) * WRITERS + (int)writer->number) * STRIPE;
        memset(bytes, (int)(writer->number * ROUNDS) + round, sizeof bytes);
        g_assert_cmpint(node_pwrite(&writer->memory->node, offset, bytes, sizeof bytes), ==, 0);
        g_assert_cmpint(node_pread(&writer->memory->node, offset, back, sizeof back), ==, 0);
        g_assert_cmpint(memcmp(bytes, back, sizeof bytes), ==, 0);
    }
    if (--*writer->left == 0) {
        io_loop_wake(io_loop_current(), writer->parent);
    }
}

static int parts_of_blocks(void *opaque)
{
    Memory *memory = memory_new(DISK, (NodeLimits){ .request_alignment = 4096, .memory_alignment = 1 });
    Writer writers[WRITERS];
    unsigned left = WRITERS;

    (void)opaque;
    memory->yields = true;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (Writer){ memory, i, &left, coroutine_self() };
        coroutine_enter(coroutine_new(write_stripes, &writers[i]));
    }
    coroutine_yield();
    g_assert_cmpuint(left, ==, 0);
    g_assert_cmpuint(memory->most_at_once, >, 1);              /* whole blocks of others went on meanwhile */
    node_unref(&memory->node);
    return 0;
}

/* ---- zeroes ---- */

static int zeroes_are_found(void *opaque)
{
    Memory *memory = memory_new(DISK, (NodeLimits){ .request_alignment = 512, .memory_alignment = 1 });
    g_autofree uint8_t *buffer = g_malloc0(8192);

    (void)opaque;
    memset(memory->bytes, 1, DISK);
    g_assert_cmpint(node_pwrite(&memory->node, 0, buffer, 8192), ==, 0);
    g_assert_cmpuint(memory->zeroings, ==, 0);
    memory->node.detect_zeroes = DETECT_ZEROES_ON;
    g_assert_cmpint(node_pwrite(&memory->node, 0, buffer, 8192), ==, 0);
    g_assert_cmpuint(memory->zeroings, ==, 1);
    g_assert_cmpuint(memory->unmaps, ==, 0);
    buffer[8191] = 1;
    g_assert_cmpint(node_pwrite(&memory->node, 0, buffer, 8192), ==, 0);
    g_assert_cmpuint(memory->zeroings, ==, 1);
    memory->node.core->how.discard = true;
    g_assert_cmpint(node_pwrite_zeroes(&memory->node, 0, 8192, REQ_MAY_UNMAP), ==, 0);
    memory->node.discard = false;
    g_assert_cmpint(node_pwrite_zeroes(&memory->node, 0, 8192, REQ_MAY_UNMAP), ==, 0);
    g_assert_cmpuint(memory->zeroings, ==, 3);
    g_assert_cmpint(node_pwrite_zeroes(&memory->node, 1, 8192, REQ_NO_FALLBACK), ==, -ENOTSUP);
    memory->no_zeroes = true;
    g_assert_cmpint(node_pwrite_zeroes(&memory->node, 0, 8192, REQ_NO_FALLBACK), ==, -ENOTSUP);
    g_assert_cmpint(node_pwrite_zeroes(&memory->node, 0, DISK, 0), ==, 0);
    for (size_t i = 0; i < DISK; i++) {
        g_assert_cmpuint(memory->bytes[i], ==, 0);
    }
    node_unref(&memory->node);
    return 0;
}

static int discards_shrink(void *opaque)
{
    Memory *memory = memory_new(DISK + 512, (NodeLimits){ .request_alignment = 512, .memory_alignment = 1, .discard_alignment = 4096,
                                                          .max_discard = 8192 });

    (void)opaque;
    g_assert_cmpint(node_pdiscard(&memory->node, 100, 4096), ==, 0);
    g_assert_cmpuint(memory->discards, ==, 0);
    g_assert_cmpint(node_pdiscard(&memory->node, 4095, 20480), ==, 0);
    g_assert_cmpuint(memory->discards, ==, 2);                 /* [4096, 20480) in parts of 8192 */
    g_assert_cmpuint(memory->bytes[4095], ==, 0);
    g_assert_cmpuint(memory->bytes[4096], ==, 0xd1);
    g_assert_cmpuint(memory->bytes[20479], ==, 0xd1);
    g_assert_cmpuint(memory->bytes[20480], ==, 0);
    g_assert_cmpint(node_pdiscard(&memory->node, DISK, 512), ==, 0);
    g_assert_cmpuint(memory->discards, ==, 3);                 /* the end of the disk is the end of a unit */
    g_assert_cmpint(node_pdiscard(&memory->node, DISK, 1024), ==, -EIO);
    memory->node.discard = false;
    g_assert_cmpint(node_pdiscard(&memory->node, 0, 65536), ==, 0);
    g_assert_cmpuint(memory->discards, ==, 3);
    node_unref(&memory->node);
    return 0;
}

/* ---- flushes ---- */

static void flush_alone(void *opaque)
{
    Writer *writer = opaque;

    g_assert_cmpint(node_flush(&writer->memory->node), ==, 0);
    --*writer->left;
}

static int flushes_are_shared(void *opaque)
{
    Memory *memory = memory_new(DISK, (NodeLimits){ .request_alignment = 1, .memory_alignment = 1 });
    unsigned left = WRITERS;
    Writer writer = { memory, 0, &left, NULL };

    (void)opaque;
    g_assert_cmpint(node_flush(&memory->node), ==, 0);
    g_assert_cmpuint(memory->flushes, ==, 0);                  /* nothing was written */
    g_assert_cmpint(node_pwrite(&memory->node, 0, "x", 1), ==, 0);
    memory->yields = true;
    for (unsigned i = 0; i < WRITERS; i++) {
        coroutine_enter(coroutine_new(flush_alone, &writer));
    }
    while (left) {
        co_yield_turn();
    }
    g_assert_cmpuint(memory->flushes, ==, 1);
    g_assert_cmpint(node_flush(&memory->node), ==, 0);
    g_assert_cmpuint(memory->flushes, ==, 1);
    struct iovec piece = { (void *)"y", 1 };
    g_assert_cmpint(node_pwritev(&memory->node, 0, (Iov){ &piece, 1, 0, 1 }, REQ_FUA), ==, 0);
    g_assert_cmpuint(memory->flushes, ==, 2);                  /* this driver has no FUA */
    g_assert_cmpuint(memory->fua, ==, 0);
    memory->node.cache = CACHE_NO_FLUSH;
    g_assert_cmpint(node_pwrite(&memory->node, 0, "z", 1), ==, 0);
    g_assert_cmpint(node_flush(&memory->node), ==, 0);
    g_assert_cmpuint(memory->flushes, ==, 2);
    node_unref(&memory->node);
    return 0;
}

/* ---- draining ---- */

static void write_slowly(void *opaque)
{
    Writer *writer = opaque;
    g_autofree uint8_t *bytes = g_malloc0(DISK);

    g_assert_cmpint(node_pwrite(&writer->memory->node, 0, bytes, DISK), ==, 0);
    --*writer->left;
}

static int drain_waits(void *opaque)
{
    Memory *memory = memory_new(DISK, (NodeLimits){ .request_alignment = 512, .memory_alignment = 1, .max_transfer = 512 });
    unsigned left = 3;
    Writer writer = { memory, 0, &left, NULL };

    (void)opaque;
    memory->yields = true;
    for (unsigned i = 0; i < 3; i++) {
        coroutine_enter(coroutine_new(write_slowly, &writer));
    }
    g_assert_cmpuint(left, ==, 3);
    node_drain_begin(&memory->node);
    g_assert_cmpuint(left, ==, 0);
    g_assert_cmpuint(memory->at_once, ==, 0);
    g_assert_cmpint(node_pwrite(&memory->node, 0, "x", 1), ==, 0);         /* whoever drains may write */
    node_drain_end(&memory->node);
    node_unref(&memory->node);
    return 0;
}

/* ---- size ---- */

static int new_space_is_zero(void *opaque)
{
    Memory *memory = memory_new(4096, (NodeLimits){ .request_alignment = 512, .memory_alignment = 1 });

    (void)opaque;
    g_assert_cmpint(node_truncate(&memory->node, 8192, true, PREALLOC_OFF, 0, NULL), ==, 0);
    g_assert_cmpuint(memory->bytes[4096], ==, 0xee);
    g_assert_cmpint(node_truncate(&memory->node, 16384, true, PREALLOC_OFF, REQ_ZERO_WRITE, NULL), ==, 0);
    g_assert_cmpuint(memory->bytes[8192], ==, 0);
    g_assert_cmpuint(memory->bytes[16383], ==, 0);
    g_assert_cmpint(node_truncate(&memory->node, 512, true, PREALLOC_OFF, 0, NULL), ==, 0);
    g_assert_cmpint(node_pwrite(&memory->node, 512, "x", 1), ==, -EIO);
    g_assert_cmpint(node_truncate(&memory->node, UINT64_MAX, true, PREALLOC_OFF, 0, NULL), ==, -EFBIG);
    memory->node.growable = true;
    memory->bytes = g_realloc(memory->bytes, 4096);
    uint8_t back[1024];
    memset(back, 7, sizeof back);
    g_assert_cmpint(node_pread(&memory->node, 0, back, sizeof back), ==, 0);
    g_assert_cmpuint(back[512], ==, 0);
    node_unref(&memory->node);
    return 0;
}

static int failures_come_back(void *opaque)
{
    Memory *memory = memory_new(DISK, (NodeLimits){ .request_alignment = 4096, .memory_alignment = 4096 });
    uint8_t bytes[10000] = { 0 };

    (void)opaque;
    for (int i = 0; i < 4; i++) {
        memory->fail_after = i;
        g_assert_cmpint(node_pwrite(&memory->node, 100, bytes, sizeof bytes), ==, -EIO);
    }
    memory->fail_after = 0;
    g_assert_cmpint(node_pread(&memory->node, 100, bytes, sizeof bytes), ==, -EIO);
    g_assert_cmpint(node_pwrite_zeroes(&memory->node, 100, 60000, 0), ==, -EIO);
    g_assert_cmpuint(memory->node.core->in_flight, ==, 0);
    node_unref(&memory->node);
    return 0;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test("/gate/alignment", alignment);
    block_test("/gate/parts of blocks", parts_of_blocks);
    block_test("/gate/zeroes", zeroes_are_found);
    block_test("/gate/discards", discards_shrink);
    block_test("/gate/flushes", flushes_are_shared);
    block_test("/gate/drain", drain_waits);
    block_test("/gate/new space", new_space_is_zero);
    block_test("/gate/failures", failures_come_back);
    return g_test_run();
}
