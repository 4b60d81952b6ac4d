/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory-disk.c - see memory-disk.h */
#include "tests/rig/memory-disk.h"
#include "base/loop.h"
#include "block/node-core.h"
#include <string.h>

static int begin(MemoryDisk *disk)
{
    if (disk->hold) {
        disk->holding++;
        co_queue_wait(&disk->held, NULL);
        disk->holding--;
    }
    if (disk->failures) {
        disk->failures--;
        return -disk->fail_with;
    }
    return 0;
}

static int disk_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    MemoryDisk *disk = (MemoryDisk *)node;

    (void)flags;
    disk->reads++;
    int result = begin(disk);
    if (result == 0) {
        iov_put(to, 0, disk->bytes + offset, to.bytes);
    }
    return result;
}

static int disk_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    MemoryDisk *disk = (MemoryDisk *)node;

    disk->writes++;
    disk->flags = flags;
    int result = begin(disk);
    if (result == 0) {
        iov_get(from, 0, disk->bytes + offset, from.bytes);
    }
    return result;
}

static int disk_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    MemoryDisk *disk = (MemoryDisk *)node;

    disk->zeroes++;
    disk->flags = flags;
    int result = begin(disk);
    if (result == 0) {
        memset(disk->bytes + offset, 0, bytes);
    }
    return result;
}

/* What was discarded is not zero: nobody promised it. */
static int disk_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    MemoryDisk *disk = (MemoryDisk *)node;

    disk->discards++;
    int result = begin(disk);
    if (result == 0) {
        memset(disk->bytes + offset, 0xdd, bytes);
    }
    return result;
}

static int disk_flush(Node *node)
{
    MemoryDisk *disk = (MemoryDisk *)node;

    disk->flushes++;
    return begin(disk);
}

static const NodeDriver memory_driver = {
    .name = "memory", .help = "bytes of a test", .kind = NODE_PROTOCOL, .size = sizeof(MemoryDisk),
    .preadv = disk_preadv, .pwritev = disk_pwritev, .pwrite_zeroes = disk_pwrite_zeroes, .pdiscard = disk_pdiscard, .flush = disk_flush,
    .supported_write_flags = REQ_FUA, .supported_zero_flags = REQ_FUA | REQ_MAY_UNMAP,
};

MemoryDisk *memory_disk_new(const char *name, uint64_t size)
{
    g_autoptr(GError) err = NULL;
    MemoryDisk *disk = (MemoryDisk *)node_new(&memory_driver, name, io_loop_main(), &err);

    g_assert_no_error(err);
    disk->node.length = size;
    disk->node.writable = disk->node.discard = disk->node.core->opened = true;
    disk->bytes = g_malloc0(MAX(size, 1));
    return disk;
}

void memory_disk_settle(void)
{
    for (unsigned turns = 0; turns < 64; turns++) {
        while (loop_iterate(false)) {
        }
        io_loop_turn(io_loop_main(), false);
    }
}

static void wake(void *opaque)
{
    MemoryDisk *disk = opaque;

    disk->hold = false;
    co_queue_wake_all(&disk->held);
}

void memory_disk_release_soon(MemoryDisk *disk)
{
    io_loop_post(disk->node.loop, wake, disk);
}

void memory_disk_release(MemoryDisk *disk)
{
    wake(disk);
    memory_disk_settle();
}

void memory_disk_resize(MemoryDisk *disk, uint64_t size)
{
    disk->bytes = g_realloc(disk->bytes, MAX(size, 1));
    if (size > disk->node.length) {
        memset(disk->bytes + disk->node.length, 0, size - disk->node.length);
    }
    disk->node.length = size;
    node_tell_resized(&disk->node);
    memory_disk_settle();
}

void memory_disk_free(MemoryDisk *disk)
{
    uint8_t *bytes = disk->bytes;

    node_unref(&disk->node);
    g_free(bytes);
}
