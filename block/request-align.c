/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request-align.c - requests that a driver could not take as they came: too fine, too long, in too many pieces, or in memory
 * that the host's disk cannot reach; zeroes where a driver has none; copy-on-read
 *
 * Memory    bounce buffers hold at most BOUNCE_MOST bytes per request, whatever its length
 * Threads   home loop, in coroutines; the range is the request's own where that is needed (request.c)
 * Tests     tests/block/gate.c
 */
#include "block/node-core.h"
#include "base/checked.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BOUNCE_MOST = 1 << 20, ZEROES_SIZE = 1 << 16, ZEROES_PIECES = 16 };

static uint8_t zeroes[ZEROES_SIZE] __attribute__((aligned(4096)));     /* never written */

static inline void free_bounce(void **memory) { free(*memory); }
#define BOUNCE __attribute__((cleanup(free_bounce))) void *

static size_t bounce_size(const Node *node, uint64_t bytes)
{
    size_t most = MAX((size_t)BOUNCE_MOST, node->limits.request_alignment);

    if (node->limits.max_transfer) {
        most = MIN(most, MAX(node->limits.max_transfer, node->limits.request_alignment));
    }
    return MIN(bytes, most - most % node->limits.request_alignment);
}

/* ---- the driver's own functions ---- */

static int driver_read(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    return node->driver->preadv ? node->driver->preadv(node, offset, to, flags) : -ENOTSUP;
}

static int driver_write(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    unsigned mine = REQ_FUA & ~node->driver->supported_write_flags;

    return node->driver->pwritev ? node->driver->pwritev(node, offset, from, flags & ~mine) : -ENOTSUP;
}

static int driver_read_plain(Node *node, uint64_t offset, void *buffer, size_t bytes)
{
    struct iovec piece = { buffer, bytes };

    return driver_read(node, offset, (Iov){ &piece, 1, 0, bytes }, 0);
}

static int driver_write_plain(Node *node, uint64_t offset, void *buffer, size_t bytes, RequestFlags flags)
{
    struct iovec piece = { buffer, bytes };

    return driver_write(node, offset, (Iov){ &piece, 1, 0, bytes }, flags);
}

/* ---- memory and pieces ---- */

/* How many bytes from the window's beginning can go to the driver in one request as they lie; 0: they must be bounced. */
static size_t direct_bytes(const Node *node, Iov window, size_t most)
{
    uint32_t memory = node->limits.memory_alignment, unit = node->limits.request_alignment;
    uint32_t pieces_most = node->limits.max_pieces ? node->limits.max_pieces : UINT32_MAX;
    uint32_t pieces = 0;
    size_t sum = 0, skip = window.skip;

    for (size_t i = 0; i < window.count && sum < most && pieces < pieces_most; i++) {
        size_t length = window.iov[i].iov_len;

        if (skip >= length) {
            skip -= length;
            continue;
        }
        uintptr_t at = (uintptr_t)window.iov[i].iov_base + skip;
        length = MIN(length - skip, most - sum);
        skip = 0;
        if (memory > 1 && (at % memory || length % unit)) {
            break;
        }
        sum += length;
        pieces++;
    }
    return sum - sum % unit;
}

static size_t transfer_most(const Node *node, size_t bytes)
{
    uint32_t most = node->limits.max_transfer, unit = node->limits.request_alignment;

    return most && most >= unit ? MIN(bytes, most - most % unit) : bytes;
}

static int bounce_read(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    BOUNCE memory = node_memalign(node, to.bytes);
    struct iovec piece = { memory, to.bytes };

    if (!memory) {
        return -ENOMEM;
    }
    memset(memory, 0, to.bytes);           /* a driver may leave it as it is (null-co): nothing of this process gets out */
    int result = driver_read(node, offset, (Iov){ &piece, 1, 0, to.bytes }, flags);
    if (result == 0) {
        iov_put(to, 0, memory, to.bytes);
    }
    return result;
}

static int bounce_write(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    BOUNCE memory = node_memalign(node, from.bytes);

    if (!memory) {
        return -ENOMEM;
    }
    iov_get(from, 0, memory, from.bytes);
    return driver_write_plain(node, offset, memory, from.bytes, flags);
}

int request_read(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    int result = 0;

    for (size_t at = 0; at < to.bytes && result == 0;) {
        Iov rest = iov_part(to, at, transfer_most(node, to.bytes - at));
        size_t direct = direct_bytes(node, rest, rest.bytes);
        size_t part = direct ? direct : bounce_size(node, rest.bytes);

        rest = iov_part(rest, 0, part);
        result = direct ? driver_read(node, offset + at, rest, flags) : bounce_read(node, offset + at, rest, flags);
        at += part;
    }
    return result;
}

int request_write(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    int result = 0;

    if (node->limits.memory_alignment == 1 && !node->limits.max_transfer && !node->limits.max_pieces) {
        return driver_write(node, offset, from, flags);
    }
    for (size_t at = 0; at < from.bytes && result == 0;) {
        Iov rest = iov_part(from, at, flags & REQ_COMPRESSED ? from.bytes - at : transfer_most(node, from.bytes - at));
        size_t direct = flags & REQ_COMPRESSED ? rest.bytes : direct_bytes(node, rest, rest.bytes);
        size_t part = direct ? direct : bounce_size(node, rest.bytes);

        rest = iov_part(rest, 0, part);
        result = direct ? driver_write(node, offset + at, rest, flags) : bounce_write(node, offset + at, rest, flags);
        at += part;
    }
    return result;
}

/* ---- parts of blocks ---- */

static int read_part(Node *node, void *block, uint64_t offset, Iov to)
{
    uint32_t unit = node->limits.request_alignment;
    uint64_t first = offset - offset % unit;
    int result;

    memset(block, 0, unit);
    result = driver_read_plain(node, first, block, unit);
    if (result == 0) {
        iov_put(to, 0, (uint8_t *)block + (offset - first), to.bytes);
    }
    return result;
}

/* from without pieces: zeroes. */
static int write_part(Node *node, void *block, uint64_t offset, Iov from, RequestFlags flags)
{
    uint32_t unit = node->limits.request_alignment;
    uint64_t first = offset - offset % unit;
    int result;

    memset(block, 0, unit);
    result = node->growable && first >= node->length ? 0 : driver_read_plain(node, first, block, unit);
    if (result < 0) {
        return result;
    }
    if (from.count) {
        iov_get(from, 0, (uint8_t *)block + (offset - first), from.bytes);
    } else {
        memset((uint8_t *)block + (offset - first), 0, from.bytes);
    }
    return driver_write_plain(node, first, block, unit, flags);
}

/* The bytes of [offset, offset + bytes) before the first whole block, or all of them when they lie in one. */
static size_t head_bytes(const Node *node, uint64_t offset, size_t bytes)
{
    uint32_t unit = node->limits.request_alignment;
    size_t inside = offset % unit;

    return inside ? MIN(bytes, unit - inside) : bytes < unit ? bytes : 0;
}

int request_read_unaligned(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    size_t head = head_bytes(node, offset, to.bytes), tail = (to.bytes - head) % node->limits.request_alignment;
    size_t middle = to.bytes - head - tail;
    BOUNCE block = node_memalign(node, node->limits.request_alignment);
    int result = block ? 0 : -ENOMEM;

    if (result == 0 && head) {
        result = read_part(node, block, offset, iov_part(to, 0, head));
    }
    if (result == 0 && middle) {
        result = request_read(node, offset + head, iov_part(to, head, middle), flags);
    }
    if (result == 0 && tail) {
        result = read_part(node, block, offset + head + middle, iov_part(to, head + middle, tail));
    }
    return result;
}

static Iov part_of(Iov from, size_t offset, size_t bytes)
{
    return from.count ? iov_part(from, offset, bytes) : (Iov){ NULL, 0, 0, bytes };
}

int request_write_unaligned(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    size_t head = head_bytes(node, offset, from.bytes), tail = (from.bytes - head) % node->limits.request_alignment;
    size_t middle = from.bytes - head - tail;
    BOUNCE block = node_memalign(node, node->limits.request_alignment);
    int result = block ? 0 : -ENOMEM;

    if (result == 0 && head) {
        result = write_part(node, block, offset, part_of(from, 0, head), flags);
    }
    if (result == 0 && middle) {
        result = from.count ? request_write(node, offset + head, iov_part(from, head, middle), flags)
                            : request_zeroes(node, offset + head, middle, flags);
    }
    if (result == 0 && tail) {
        result = write_part(node, block, offset + head + middle, part_of(from, head + middle, tail), flags);
    }
    return result;
}

/* ---- zeroes ---- */

static int write_zeroes_out(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    struct iovec pieces[ZEROES_PIECES];
    int result = 0;

    flags &= ~(REQ_MAY_UNMAP | REQ_NO_FALLBACK);
    for (uint64_t at = 0; at < bytes && result == 0;) {
        size_t part = MIN(bytes - at, (uint64_t)ZEROES_SIZE * ZEROES_PIECES), filled = 0;
        size_t count = 0;

        while (filled < part) {
            pieces[count] = (struct iovec){ zeroes, MIN(part - filled, ZEROES_SIZE) };
            filled += pieces[count++].iov_len;
        }
        result = request_write(node, offset + at, (Iov){ pieces, count, 0, part }, flags);
        at += part;
    }
    return result;
}

static int zero_chunk(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    unsigned passed = flags & (node->driver->supported_zero_flags | REQ_NO_FALLBACK | REQ_ZERO_WRITE);
    int result = node->driver->pwrite_zeroes ? node->driver->pwrite_zeroes(node, offset, bytes, passed) : -ENOTSUP;

    if (result == -ENOTSUP && !(flags & REQ_NO_FALLBACK)) {
        result = write_zeroes_out(node, offset, bytes, flags);
        /* The caller flushes where a driver's zeroes do not take FUA; here the writes took it, or the flush does no harm. */
    }
    return result;
}

int request_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    uint32_t unit = MAX(node->limits.zeroes_alignment, node->limits.request_alignment);
    uint64_t most = node->limits.max_zeroes ? node->limits.max_zeroes - node->limits.max_zeroes % unit : INT64_MAX - INT64_MAX % unit;
    int result = 0;

    most = MAX(most, unit);
    if ((flags & REQ_NO_FALLBACK) && !node->driver->pwrite_zeroes) {
        return -ENOTSUP;
    }
    for (uint64_t at = 0; at < bytes && result == 0;) {
        uint64_t first = offset + at, left = bytes - at, part;

        if (first % unit || left < unit) { /* finer than the driver's zeroes */
            part = MIN(left, unit - first % unit);
            result = flags & REQ_NO_FALLBACK ? -ENOTSUP : write_zeroes_out(node, first, part, flags);
        } else {
            part = MIN(left - left % unit, most);
            result = zero_chunk(node, first, part, flags);
        }
        at += part;
    }
    return result;
}

/* ---- copy on read ---- */

static int copy_chunk(Node *node, uint64_t offset, void *buffer, size_t bytes)
{
    struct iovec piece = { buffer, bytes };
    Iov window = { &piece, 1, 0, bytes };
    int result;

    memset(buffer, 0, bytes);
    result = request_read(node, offset, window, 0);
    if (result < 0) {
        return result;
    }
    result = iov_is_zero(window) ? request_zeroes(node, offset, bytes, 0) : request_write(node, offset, window, REQ_UNCHANGED);
    node->core->written++;
    /* A full disk keeps nobody from reading. */
    return result == -ENOSPC || result == -EDQUOT ? 0 : result;
}

/* Whole clusters around the range, as far as the node reaches: a part of one would be filled up by the driver with a second read. */
int request_copy_on_read(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    uint64_t unit = MAX(node->core->cluster_size, node->limits.request_alignment);
    uint64_t at = offset - offset % unit, last = MIN(node->length, (offset + to.bytes + unit - 1) / unit * unit);
    BOUNCE memory = NULL;
    int result = 0;

    while (at < last && result == 0) {
        uint64_t count = 0, first = MAX(at, offset);
        int status = node_block_status(node, at, MIN(last - at, (uint64_t)BOUNCE_MOST), &count, NULL, NULL);

        if (status < 0 || count == 0) {
            return status < 0 ? status : -EIO;
        }
        uint64_t end = MIN(at + count, offset + to.bytes);
        Iov part = first < end ? iov_part(to, first - offset, end - first) : (Iov){ 0 };
        if (status & STATUS_ALLOCATED) {
            result = !part.bytes || (flags & REQ_PREFETCH) ? 0
                     : (first | part.bytes) % node->limits.request_alignment ? request_read_unaligned(node, first, part, 0)
                                                                            : request_read(node, first, part, 0);
        } else {
            memory = memory ? memory : node_memalign(node, BOUNCE_MOST);
            result = !memory ? -ENOMEM : copy_chunk(node, at, memory, count);
            if (result == 0 && part.bytes && !(flags & REQ_PREFETCH)) {
                iov_put(part, 0, (uint8_t *)memory + (first - at), part.bytes);
            }
        }
        at += count;
    }
    return result;
}
