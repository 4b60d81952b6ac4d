/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2.c - fuzz target: any bytes as a qcow2 image on a disk in memory, and requests to it
 *
 * Input    one byte: how many steps of eight bytes follow (what, place, length); the rest is the image
 * Holds    what opens can be closed again; each request ends; a block status is not longer than what was asked
 */
#include "base/bytes.h"
#include "block/format/qcow2/qcow2.h"
#include "tests/fuzz/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP = 8, LENGTH_MOST = 96 << 10 };

/* ---- requests ---- */

static uint8_t pattern[LENGTH_MOST], found[LENGTH_MOST];

static void write_and_read(Node *node, uint64_t offset, uint64_t bytes, uint8_t byte, RequestFlags flags)
{
    struct iovec piece = { pattern, bytes };

    memset(pattern, byte, bytes);
    if (node_pwritev(node, offset, iov_all(&piece, 1), flags) == 0) {
        node_pread(node, offset, found, bytes);
    }
}

static void status(Node *node, uint64_t offset, uint64_t bytes)
{
    for (unsigned i = 0; i < 64 && bytes; i++) {
        uint64_t count = 0, map;
        Node *file;
        int ret = node_block_status(node, offset, bytes, &count, &map, &file);

        if (ret < 0 || count == 0) {
            return;
        }
        g_assert_cmpuint(count, <=, bytes);
        offset += count;
        bytes -= count;
    }
}

static void step(Node *node, const uint8_t *at)
{
    uint64_t length = node_length(node), place = ((uint64_t)load_be32(at + 1) << (at[7] & 31)) & ~(at[7] & 32 ? 511ULL : 0);
    uint64_t offset = length ? place % length : 0, bytes = MIN(MIN((uint64_t)load_be16(at + 5) * 2 + 1, length - offset), LENGTH_MOST);
    struct iovec piece = { found, bytes };

    if (bytes == 0) {
        return;
    }
    switch (at[0] % 12) {
    case 0: case 1: case 2: node_pread(node, offset, found, bytes); break;
    case 3: case 4: write_and_read(node, offset, bytes, at[7], 0); break;
    case 5: write_and_read(node, offset & ~65535ULL, MIN(65536, length - (offset & ~65535ULL)), at[7], REQ_COMPRESSED); break;
    case 6: node_pwrite_zeroes(node, offset, bytes, at[7] & 1 ? REQ_MAY_UNMAP : 0); break;
    case 7: node_pdiscard(node, offset, bytes); break;
    case 8: node_flush(node); break;
    case 9: status(node, offset, length - offset); break;
    case 10: qcow2_truncate(node, MIN(length + bytes, 1 << 30) & ~511ULL, true, at[7] & 1 ? PREALLOC_METADATA : PREALLOC_OFF, 0, NULL); break;
    case 11: qcow2_load_vmstate(node, offset, iov_all(&piece, 1)); break;
    }
}

typedef struct Input { const uint8_t *data; size_t size; } Input;

static int run(void *opaque)
{
    const Input *input = opaque;
    size_t steps = MIN(input->data[0], (input->size - 1) / STEP);
    const uint8_t *image = input->data + 1 + steps * STEP;
    Node *disk = disk_new(image, input->size - 1 - steps * STEP), *node;
    g_autoptr(Value) options = value_new_object();
    NodeOpen how = { .writable = steps % 4 != 3, .discard = true, .no_backing = true };

    value_set(options, "driver", value_new_string("qcow2"));
    value_set(options, "file", value_new_string(node_name(disk)));
    if (node_open(&node, options, &how, NULL)) {
        for (size_t i = 0; i < steps; i++) {
            step(node, input->data + 1 + i * STEP);
        }
        node_unref(node);
    }
    node_unref(disk);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = { data, size };

    if (size > 1) {
        io_loop_run(io_loop_main(), run, &input);
    }
    return 0;
}
