/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * null.c - "null-co": a disk that keeps nothing, for tests and for measuring what lies above it
 *
 * Models   null-co:// of QEMU with size, latency-ns and read-zeroes; null-aio is the same under another name
 * Omits    any storage: what a read finds is what the buffer held, or zeroes with read-zeroes=on
 * Threads  home loop
 * Tests    tests/block/graph.c
 */
#include "block/drivers.h"
#include "base/error.h"
#include "base/timer.h"
#include <errno.h>
#include <string.h>

typedef struct NullDisk {
    Node node;
    uint64_t size, latency_ns;
    bool read_zeroes;
} NullDisk;

static const Field null_options[] = {
    PROP_SIZE("size", NullDisk, size, UINT64_C(1) << 30, .max = INT64_MAX, .min = 0, .help = "bytes; default 1G"),
    PROP_U64("latency-ns", NullDisk, latency_ns, 0, .max = 60 * NS_PER_SECOND, .help = "nanoseconds that each request takes"),
    PROP_BOOL("read-zeroes", NullDisk, read_zeroes, false, .help = "reads give zeroes; else the buffer stays as it was"),
    FIELD_END };

static bool null_open(Node *node, const NodeOpen *how, GError **err)
{
    NullDisk *disk = (NullDisk *)node;

    (void)how;
    (void)err;
    node->length = disk->size;
    return true;
}

static int wait_a_while(const NullDisk *disk)
{
    if (disk->latency_ns) {
        co_sleep((int64_t)disk->latency_ns);
    }
    return 0;
}

static int null_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    NullDisk *disk = (NullDisk *)node;

    (void)offset;
    (void)flags;
    if (disk->read_zeroes) {
        iov_set(to, 0, 0, to.bytes);
    }
    return wait_a_while(disk);
}

static int null_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    (void)offset;
    (void)from;
    (void)flags;
    return wait_a_while((NullDisk *)node);
}

static int null_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    (void)offset;
    (void)bytes;
    (void)flags;
    return wait_a_while((NullDisk *)node);
}

static int null_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    (void)offset;
    (void)bytes;
    return wait_a_while((NullDisk *)node);
}

static int null_flush(Node *node)
{
    return wait_a_while((NullDisk *)node);
}

static int null_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    (void)exact;
    *count = bytes;
    *map = offset;
    *file = node;
    return STATUS_OFFSET | (((NullDisk *)node)->read_zeroes ? STATUS_ZERO : STATUS_DATA);
}

static int64_t null_allocated(Node *node)
{
    (void)node;
    return 0;
}

static Value *null_parse_filename(const char *filename, GError **err)
{
    const char *rest = strstr(filename, "://");

    if (!rest || rest[3]) {
        fail(err, EINVAL, "'%s': null-co:// and null-aio:// have nothing behind them; options are driver=null-co,size=...", filename);
        return NULL;
    }
    Value *options = value_new_object();
    value_set(options, "driver", value_new_string(g_str_has_prefix(filename, "null-aio") ? "null-aio" : "null-co"));
    return options;
}

static char *null_filename(const Node *node)
{
    return g_strdup_printf("%s://", node->driver->name);
}

#define NULL_DRIVER(name_, prefixes_)                                                                                   \
    .name = name_, .help = "a disk that keeps nothing", .kind = NODE_PROTOCOL, .size = sizeof(NullDisk),                 \
    .options = null_options, .prefixes = prefixes_, .parse_filename = null_parse_filename,                               \
    .open = null_open, .preadv = null_preadv, .pwritev = null_pwritev, .pwrite_zeroes = null_pwrite_zeroes,              \
    .pdiscard = null_pdiscard, .flush = null_flush, .block_status = null_block_status, .allocated = null_allocated,      \
    .supported_write_flags = REQ_FUA, .supported_zero_flags = REQ_FUA | REQ_MAY_UNMAP, .filename = null_filename

static const char *const null_co_prefixes[] = { "null-co:", NULL };
static const char *const null_aio_prefixes[] = { "null-aio:", NULL };

const NodeDriver null_co_driver = { NULL_DRIVER("null-co", null_co_prefixes) };
const NodeDriver null_aio_driver = { NULL_DRIVER("null-aio", null_aio_prefixes) };
