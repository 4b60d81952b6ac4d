/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk.h - a small disk in memory under an image that a fuzzer made */
#pragma once
#include "base/error.h"
#include "block/node-core.h"
#include <errno.h>
#include <string.h>

#ifndef DISK_MOST
#define DISK_MOST (4 << 20)
#endif

typedef struct Disk { Node node; GByteArray *bytes; } Disk;

static int grow(Disk *disk, uint64_t length)
{
    uint64_t old = disk->bytes->len;

    if (length > DISK_MOST) {
        return -ENOSPC;
    }
    g_byte_array_set_size(disk->bytes, length);
    if (length > old) {
        memset(disk->bytes->data + old, 0, length - old);
    }
    disk->node.length = length;
    return 0;
}

static int disk_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    Disk *disk = (Disk *)node;
    uint64_t there = offset < disk->bytes->len ? MIN(to.bytes, disk->bytes->len - offset) : 0;

    (void)flags;
    iov_put(to, 0, disk->bytes->data + (there ? offset : 0), there);
    iov_set(to, there, 0, to.bytes - there);
    return 0;
}

static int disk_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    Disk *disk = (Disk *)node;
    int ret = offset > DISK_MOST || from.bytes > DISK_MOST ? -ENOSPC : 0;

    (void)flags;
    if (ret == 0 && offset + from.bytes > disk->bytes->len) {
        ret = grow(disk, offset + from.bytes);
    }
    if (ret == 0) {
        iov_get(from, 0, disk->bytes->data + offset, from.bytes);
    }
    return ret;
}

static int disk_flush(Node *node)
{
    (void)node;
    return 0;
}

static int disk_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err)
{
    int ret = grow((Disk *)node, size);

    (void)exact;
    (void)preallocation;
    (void)flags;
    if (ret < 0) {
        fail(err, -ret, "full");
    }
    return ret;
}

static void disk_close(Node *node)
{
    g_byte_array_unref(((Disk *)node)->bytes);
}

static const NodeDriver disk_driver = {
    .name = "fuzz-disk",  .help = "a small disk in memory",  .kind = NODE_PROTOCOL,  .size = sizeof(Disk),
    .preadv = disk_preadv,  .pwritev = disk_pwritev,  .flush = disk_flush,  .truncate = disk_truncate,  .close = disk_close,
};

static Node *disk_new(const uint8_t *data, size_t size)
{
    Disk *disk = (Disk *)node_new(&disk_driver, NULL, io_loop_current(), NULL);

    disk->bytes = g_byte_array_new();
    g_byte_array_append(disk->bytes, data, size);
    disk->node.length = size;
    disk->node.limits = (NodeLimits){ .request_alignment = 1, .memory_alignment = 1 };
    disk->node.writable = disk->node.growable = disk->node.zero_beyond = true;
    disk->node.core->opened = true;
    return &disk->node;
}
