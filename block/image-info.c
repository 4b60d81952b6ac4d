/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image-info.c - what an image says about itself, as QMP's ImageInfo
 *
 * Threads  co: the node's home loop
 * Tests    tests/block/img-commands.py, tests/qmp/block.py
 */
#include "base/error.h"
#include "base/timer.h"
#include "block/driver.h"

static Value *snapshot_value(const ImageSnapshot *snapshot)
{
    Value *value = value_new_object();

    value_set(value, "id", value_new_string(snapshot->id));
    value_set(value, "name", value_new_string(snapshot->name));
    value_set(value, "vm-state-size", value_new_uint(snapshot->vm_state_size));
    value_set(value, "date-sec", value_new_uint(snapshot->date_sec));
    value_set(value, "date-nsec", value_new_uint(snapshot->date_nsec));
    value_set(value, "vm-clock-sec", value_new_uint(snapshot->vm_clock_ns / NS_PER_SECOND));
    value_set(value, "vm-clock-nsec", value_new_uint(snapshot->vm_clock_ns % NS_PER_SECOND));
    if (snapshot->icount >= 0) {
        value_set(value, "icount", value_new_int(snapshot->icount));
    }
    return value;
}

static bool add_snapshots(Value *into, Node *node, GError **err)
{
    const ImageSnapshotOps *ops = node_driver(node)->snapshots;
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(ImageSnapshot));
    int result = ops && ops->list ? ops->list(node, list) : 0;

    if (result == -ENOTSUP) {
        return true;
    }
    if (result < 0) {
        return fail(err, -result, "'%s': its snapshots cannot be read: %s", node_filename(node), g_strerror(-result));
    }
    if (list->len) {
        Value *snapshots = value_new_list();
        for (guint i = 0; i < list->len; i++) {
            value_append(snapshots, snapshot_value(&g_array_index(list, ImageSnapshot, i)));
        }
        value_set(into, "snapshots", snapshots);
    }
    return true;
}

static void add_backing(Value *into, const Node *node)
{
    const char *name = node_backing_name(node), *format = node_backing_format(node);
    g_autofree char *full = name && *name ? node_full_backing_name(node, NULL) : NULL;

    if (!name || !*name) {
        return;
    }
    value_set(into, "backing-filename", value_new_string(name));
    if (full) {
        value_set(into, "full-backing-filename", value_new_string(full));
    }
    if (format && *format) {
        value_set(into, "backing-filename-format", value_new_string(format));
    }
}

Value *image_info_value(Node *node, const char *name, GError **err)
{
    g_autoptr(Value) value = value_new_object();
    ImageInfo info = { 0 };
    int64_t allocated = node_allocated_size(node);

    if (node_driver(node)->info) {
        node_driver(node)->info(node, &info);
    }
    value_set(value, "filename", value_new_string(name));
    value_set(value, "format", value_new_string(node_driver_name(node)));
    value_set(value, "virtual-size", value_new_uint(node_length(node)));
    if (allocated >= 0) {
        value_set(value, "actual-size", value_new_int(allocated));
    }
    if (node_encrypted(node) || info.encrypted) {
        value_set(value, "encrypted", value_new_bool(true));
    }
    if (info.cluster_size) {
        value_set(value, "cluster-size", value_new_uint(info.cluster_size));
    }
    value_set(value, "dirty-flag", value_new_bool(info.dirty));
    if (info.specific) {
        value_set(value, "format-specific", info.specific);
    }
    add_backing(value, node);
    return add_snapshots(value, node, err) ? g_steal_pointer(&value) : NULL;
}
