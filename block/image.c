/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image.c - images as wholes: sizes, creating, finding snapshots
 *
 * Threads   home loop, in coroutines
 * Tests     tests/block/graph.c
 */
#include "block/node-core.h"
#include "block/drivers.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

const char *const preallocation_names[] = { "off", "metadata", "falloc", "full", NULL };

/* ---- size ---- */

/* What is new must not show what the backing file has there. */
static bool shows_backing(const Node *node, uint64_t old, uint64_t size)
{
    return size > old && node->backing && node_length(node->backing) > old;
}

static int grow_zeroed(Node *node, uint64_t old, uint64_t size, RequestFlags flags, bool exact, Preallocation preallocation, GError **err)
{
    bool zeroed = !(flags & REQ_ZERO_WRITE);
    int result = node->driver->truncate(node, size, exact, preallocation, flags, zeroed ? err : NULL);

    if (result == -ENOTSUP && !zeroed) {
        result = node->driver->truncate(node, size, exact, preallocation, flags & ~REQ_ZERO_WRITE, err);
        zeroed = node->zero_beyond && !shows_backing(node, old, size);
        if (result == 0 && !zeroed && size > old) {
            result = request_zeroes(node, old, size - old, REQ_MAY_UNMAP);
            if (result < 0) {
                fail(err, -result, "'%s': the new space could not be zeroed: %s", node_who(node), strerror(-result));
            }
        }
    } else if (result < 0 && !zeroed) {
        fail(err, -result, "'%s': it cannot be resized: %s", node_who(node), strerror(-result));
    }
    return result;
}

/* What takes its length from this node is as long as it now. */
static void tell_parents(Node *node)
{
    node_tell_resized(node);
    for (size_t i = 0; i < node->core->parents->len; i++) {
        const Child *edge = node->core->parents->pdata[i];
        Node *parent = edge->parent;
        if (edge->role == CHILD_FILTERED && parent->core->opened && (parent->driver->kind == NODE_FILTER || parent->driver->length)) {
            node_refresh_length(parent);
        }
    }
}

int node_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err)
{
    uint64_t old = node->length;
    Tracked request;
    int result;

    if (!node->writable || node->core->corrupt) {
        fail(err, EACCES, "'%s' is read-only", node_who(node));
        return -EACCES;
    }
    if (size > INT64_MAX) {
        fail(err, EFBIG, "'%s': %" PRIu64 " bytes are more than a disk can have", node_who(node), size);
        return -EFBIG;
    }
    if (node->driver->kind == NODE_FILTER && !node->driver->truncate && node->file) {
        result = node_truncate(node->file, size, exact, preallocation, flags, err);
        node->length = node->file->length;
        return result;
    }
    if (!node->driver->truncate) {
        fail(err, ENOTSUP, "'%s': a %s node cannot be resized", node_who(node), node->driver->name);
        return -ENOTSUP;
    }
    flags |= shows_backing(node, old, size) ? REQ_ZERO_WRITE : 0;
    request_begin(node, &request, MIN(old, size), UINT64_MAX, true);
    result = grow_zeroed(node, old, size, flags, exact, preallocation, err);
    node->core->written++;
    request_end(node, &request);
    if (result == 0 && node->length != old) {
        tell_parents(node);
    }
    return result;
}

int64_t node_refresh_length(Node *node)
{
    uint64_t old = node->length;
    int64_t length = (int64_t)old;

    if (node->driver->length) {
        length = node->driver->length(node);
    } else if (node->driver->kind == NODE_FILTER && node->file) {
        length = node_refresh_length(node->file);
    }
    if (length >= 0 && (uint64_t)length != old) {
        __atomic_store_n(&node->length, (uint64_t)length, __ATOMIC_RELAXED);
        tell_parents(node);
    }
    return length;
}

int64_t node_allocated_size(Node *node)
{
    int64_t sum = 0;

    if (node->driver->allocated) {
        return node->driver->allocated(node);
    }
    if (node->driver->kind == NODE_PROTOCOL) {
        return -ENOTSUP;
    }
    for (size_t i = 0; i < node->core->children->len; i++) {
        const Child *edge = node->core->children->pdata[i];
        int64_t part = edge->role == CHILD_BACKING ? 0 : node_allocated_size(edge->node);
        if (part < 0) {
            return part;
        }
        sum += part;
    }
    return sum;
}

/* ---- snapshots and bitmaps ---- */

void image_snapshot_clear(ImageSnapshot *snapshot)
{
    g_clear_pointer(&snapshot->id, g_free);
    g_clear_pointer(&snapshot->name, g_free);
}

static bool take_match(GArray *all, const char *wanted, bool by_id, ImageSnapshot *out)
{
    for (size_t i = 0; i < all->len; i++) {
        ImageSnapshot *snapshot = &g_array_index(all, ImageSnapshot, i);
        if (g_strcmp0(by_id ? snapshot->id : snapshot->name, wanted) == 0) {
            *out = *snapshot;
            out->id = g_strdup(snapshot->id);
            out->name = g_strdup(snapshot->name);
            return true;
        }
    }
    return false;
}

bool image_snapshot_find(Node *node, const char *name_or_id, ImageSnapshot *out, GError **err)
{
    if (!node->driver->snapshots || !node->driver->snapshots->list) {
        return fail(err, ENOTSUP, "'%s': a %s image has no snapshots", node_who(node), node->driver->name);
    }
    g_autoptr(GArray) all = g_array_new(FALSE, TRUE, sizeof(ImageSnapshot));
    g_array_set_clear_func(all, (GDestroyNotify)image_snapshot_clear);
    int result = node->driver->snapshots->list(node, all);
    if (result < 0) {
        return fail(err, -result, "'%s': its snapshots cannot be listed: %s", node_who(node), strerror(-result));
    }
    return take_match(all, name_or_id, true, out) || take_match(all, name_or_id, false, out)
           || fail(err, ENOENT, "'%s': snapshot '%s' not found", node_who(node), name_or_id);
}

void image_bitmap_clear(ImageBitmap *bitmap)
{
    g_clear_pointer(&bitmap->name, g_free);
}
