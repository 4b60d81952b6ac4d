/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2-check.c - fuzz target: any bytes as a qcow2 image that is checked and repaired; then snapshots and bitmaps of it
 *
 * Input    one byte: what to do (bits 0, 1: repair leaks, errors; bit 2: snapshots, bit 3: bitmaps, bit 4: refcount width); then the image
 * Holds    what was repaired until nothing is left is clean when it is checked again
 */
#include "block/format/qcow2/qcow2.h"
#include "block/image.h"
#include "tests/fuzz/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Input { const uint8_t *data; size_t size; } Input;

static bool open_image(Node **node, Node *disk, bool checking)
{
    g_autoptr(Value) options = value_new_object();
    NodeOpen how = { .writable = true, .no_backing = true, .checking = checking };

    value_set(options, "driver", value_new_string("qcow2"));
    value_set(options, "file", value_new_string(node_name(disk)));
    return node_open(node, options, &how, NULL);
}

static void check(Node *disk, CheckRepair repair)
{
    ImageCheck first = { 0 }, again = { 0 };
    Node *node;
    int result;

    if (!open_image(&node, disk, true)) {
        return;
    }
    result = qcow2_check(node, &first, repair);
    if (result >= 0 && repair == (REPAIR_ERRORS | REPAIR_LEAKS) && !first.corruptions && !first.leaks && !first.check_errors) {
        result = qcow2_check(node, &again, 0);
        if (result >= 0) {
            g_assert_cmpuint(again.corruptions, ==, 0);
            g_assert_cmpuint(again.leaks, ==, 0);
        }
    }
    node_unref(node);
}

static void snapshots(Node *node)
{
    g_autoptr(GArray) list = g_array_new(false, false, sizeof(ImageSnapshot));
    ImageSnapshot made = { .name = (char *)"made", .icount = -1 };

    if (qcow2_snapshot_ops.create(node, &made, NULL) >= 0) {
        qcow2_snapshot_ops.apply(node, made.id, NULL);
    }
    g_free(made.id);
    qcow2_snapshot_ops.list(node, list);
    for (guint i = 0; i < MIN(list->len, 8u); i++) {
        qcow2_snapshot_ops.apply(node, g_array_index(list, ImageSnapshot, i).id, NULL);
        qcow2_snapshot_ops.remove(node, g_array_index(list, ImageSnapshot, i).id, NULL);
    }
}

static void bitmaps(Node *node)
{
    g_autoptr(GArray) list = g_array_new(false, false, sizeof(ImageBitmap));
    uint64_t length = node_length(node);
    uint8_t byte = 1;

    qcow2_bitmap_ops.add(node, "made", 512, true, NULL);
    node_pwrite(node, length ? (length - 1) / 2 : 0, &byte, length ? 1 : 0);
    qcow2_bitmap_ops.list(node, list);
    for (guint i = 0; i < MIN(list->len, 8u); i++) {
        const char *name = g_array_index(list, ImageBitmap, i).name;

        qcow2_bitmap_ops.merge(node, "made", node, name, NULL);
        qcow2_bitmap_ops.enable(node, name, i & 1, NULL);
        qcow2_bitmap_ops.remove(node, name, NULL);
    }
}

static int run(void *opaque)
{
    const Input *input = opaque;
    uint8_t what = input->data[0];
    Node *disk = disk_new(input->data + 1, MIN(input->size - 1, (size_t)DISK_MOST)), *node;

    check(disk, (CheckRepair)(what & 3));
    if (what & 28 && open_image(&node, disk, false)) {
        g_autoptr(Value) options = value_new_object();
        ImageInfo info = { 0 };

        qcow2_info(node, &info);
        value_unref(info.specific);
        if (what & 4) {
            snapshots(node);
        }
        if (what & 8) {
            bitmaps(node);
        }
        if (what & 16) {
            value_set(options, "refcount_bits", value_new_uint(1u << what / 32 % 7));
            qcow2_amend(node, options, false, NULL, NULL);
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
