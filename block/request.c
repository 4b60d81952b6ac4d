/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.c - the gate: every read, write, zeroing, discard and flush of a node passes here before its driver sees it
 *
 * Hostile   offsets and lengths come from guests and images: held against the node's length here, once
 * Order     requests to different bytes run side by side. One that must change more than it was given (a part of a block) keeps a
 *           range for itself: it waits for what overlaps and came before it, and what overlaps and comes later waits for it
 * Flush     covers the writes that were done when it began. A protocol's flush is shared by all who wait for one, and is left
 *           out when nothing was written; a format's always runs, since it has caches of its own
 * Threads   home loop, in coroutines
 * Tests     tests/block/gate.c
 */
#include "block/node-core.h"
#include "base/checked.h"
#include "base/trace.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { TRACE_READ, TRACE_WRITE, TRACE_ZEROES, TRACE_DISCARD, TRACE_FLUSH };
static TracePoint gate_trace[] = {
    [TRACE_READ] = { "node_read", "a read reached a node" },
    [TRACE_WRITE] = { "node_write", "a write reached a node" },
    [TRACE_ZEROES] = { "node_write_zeroes", "a request to write zeroes reached a node" },
    [TRACE_DISCARD] = { "node_discard", "a discard reached a node" },
    [TRACE_FLUSH] = { "node_flush", "a flush reached a node" } };
TRACE_TABLE(gate_trace)

/* ---- order ---- */

static bool overlap(const Tracked *a, const Tracked *b)
{
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* What came before a request, overlaps it, and is kept apart from it; NULL: it may go on. */
static Tracked *in_the_way(const Tracked *request)
{
    for (Tracked *earlier = request->previous; earlier; earlier = earlier->previous) {
        if ((earlier->serialising || request->serialising) && overlap(earlier, request)) {
            return earlier;
        }
    }
    return NULL;
}

static void wait_turn(const Tracked *request)
{
    Tracked *earlier;

    while ((earlier = in_the_way(request)) != NULL) {
        co_queue_wait(&earlier->waiting, NULL);
    }
}

/* A range may end beyond UINT64_MAX only for "everything behind", which is cut here. */
static inline void begin(Node *node, Tracked *request, uint64_t offset, uint64_t bytes, bool serialising)
{
    NodeCore *core = node->core;

    *request = (Tracked){ .previous = core->last, .offset = offset, .bytes = MIN(bytes, UINT64_MAX - offset), .serialising = serialising };
    *(core->last ? &core->last->next : &core->first) = request;
    core->last = request;
    core->in_flight++;
    core->serialising += serialising;
    if (__builtin_expect(core->serialising, 0)) {
        wait_turn(request);
    }
}

static inline void end(Node *node, Tracked *request)
{
    NodeCore *core = node->core;

    *(request->previous ? &request->previous->next : &core->first) = request->next;
    *(request->next ? &request->next->previous : &core->last) = request->previous;
    core->serialising -= request->serialising;
    if (__builtin_expect(!co_queue_is_empty(&request->waiting), 0)) {
        co_queue_wake_all(&request->waiting);
    }
    if (--core->in_flight == 0 && __builtin_expect(__atomic_load_n(&node_drains, __ATOMIC_RELAXED), 0)) {
        node_idle(node->loop);
    }
}

void request_begin(Node *node, Tracked *request, uint64_t offset, uint64_t bytes, bool serialising)
{
    begin(node, request, offset, bytes, serialising);
}

void request_end(Node *node, Tracked *request)
{
    end(node, request);
}

/* ---- checks ---- */

static inline bool aligned(const Node *node, uint64_t offset, uint64_t bytes)
{
    return ((offset | bytes) & (node->limits.request_alignment - 1)) == 0;
}

static int check_write(const Node *node, uint64_t offset, uint64_t bytes)
{
    if (!node->writable) {
        return -EPERM;
    }
    if (node->core->corrupt) {
        return -EIO;
    }
    if (!range_within(offset, bytes, node->growable ? INT64_MAX : node->length)) {
        return -EIO;
    }
    if (__builtin_expect(__atomic_load_n(&node->core->write_threshold, __ATOMIC_RELAXED) != 0, 0)) {
        node_tell_threshold(node, offset + bytes);
    }
    return 0;
}

static inline void wrote(Node *node, uint64_t end_offset)
{
    node->core->written++;
    if (end_offset > node->length) {
        __atomic_store_n(&node->length, end_offset, __ATOMIC_RELAXED);
    }
}

/* The block that a request touches at either end, as whole blocks. */
static void round_out(const Node *node, uint64_t *offset, uint64_t *bytes)
{
    uint64_t mask = node->limits.request_alignment - 1, last = (*offset + *bytes + mask) & ~mask;

    *offset &= ~mask;
    *bytes = last - *offset;
}

static int finish_write(Node *node, int result, RequestFlags flags, unsigned native)
{
    if (result == 0 && (flags & REQ_FUA) && !(native & REQ_FUA)) {
        result = node_flush(node);
    }
    return result;
}

/* ---- read ---- */

/* A file that grows ends where it ends: what lies behind reads as zeroes. */
static int read_at_the_end(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    uint64_t length = node->length;
    size_t there = offset < length ? MIN(to.bytes, length - offset) : 0;
    int result = there ? node_preadv(node, offset, iov_part(to, 0, there), flags) : 0;

    iov_set(to, there, 0, to.bytes - there);
    return result;
}

/* Whole clusters are kept, so whole clusters are this request's own meanwhile. */
static int read_and_keep(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    uint64_t unit = MAX(node->core->cluster_size, node->limits.request_alignment), first = offset - offset % unit;
    Tracked request;

    begin(node, &request, first, (offset + to.bytes - first + unit - 1) / unit * unit, true);
    int result = request_copy_on_read(node, offset, to, flags);
    end(node, &request);
    return result;
}

static int slow_read(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    return aligned(node, offset, to.bytes) ? request_read(node, offset, to, flags) : request_read_unaligned(node, offset, to, flags);
}

int node_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    Tracked request;
    int result;

    TRACE(&gate_trace[TRACE_READ], "node %s offset %" PRIu64 " bytes %zu flags 0x%x", node->name, offset, to.bytes, flags);
    if (__builtin_expect(!range_within(offset, to.bytes, node->length), 0)) {
        return node->growable && range_within(offset, to.bytes, INT64_MAX) ? read_at_the_end(node, offset, to, flags) : -EIO;
    }
    if (__builtin_expect(to.bytes == 0, 0)) {
        return 0;
    }
    if (__builtin_expect(flags & REQ_COPY_ON_READ, 0)) {
        if (!node->writable || node->core->corrupt) {
            flags &= ~(REQ_COPY_ON_READ | REQ_PREFETCH);
        }
        if (flags & REQ_COPY_ON_READ) {
            return read_and_keep(node, offset, to, flags);
        }
    }
    begin(node, &request, offset, to.bytes, flags & REQ_SERIALISE);
    if (aligned(node, offset, to.bytes) && node->limits.memory_alignment == 1
        && (!node->limits.max_transfer || to.bytes <= node->limits.max_transfer)
        && (!node->limits.max_pieces || to.count <= node->limits.max_pieces)) {
        result = node->driver->preadv ? node->driver->preadv(node, offset, to, flags) : -ENOTSUP;
    } else {
        result = slow_read(node, offset, to, flags);
    }
    end(node, &request);
    return result;
}

/* ---- write ---- */

static bool looks_for_zeroes(const Node *node, Iov from, RequestFlags flags)
{
    return node->detect_zeroes != DETECT_ZEROES_OFF && !(flags & (REQ_COMPRESSED | REQ_UNCHANGED)) && iov_is_zero(from);
}

int node_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    Tracked request;
    uint64_t first = offset, whole = from.bytes;
    int result = check_write(node, offset, from.bytes);

    TRACE(&gate_trace[TRACE_WRITE], "node %s offset %" PRIu64 " bytes %zu flags 0x%x", node->name, offset, from.bytes, flags);
    if (result < 0 || from.bytes == 0) {
        return result;
    }
    if ((flags & REQ_COMPRESSED) && !(node->driver->supported_write_flags & REQ_COMPRESSED)) {
        return -ENOTSUP;
    }
    if (__builtin_expect(looks_for_zeroes(node, from, flags), 0)) {
        return node_pwrite_zeroes(node, offset, from.bytes,
                                  (flags & REQ_FUA) | (node->detect_zeroes == DETECT_ZEROES_UNMAP ? REQ_MAY_UNMAP : 0));
    }
    bool fits = aligned(node, offset, from.bytes) || (flags & REQ_COMPRESSED);
    if (!fits) {
        round_out(node, &first, &whole);
    }
    begin(node, &request, first, whole, !fits || (flags & REQ_SERIALISE));
    result = fits ? request_write(node, offset, from, flags) : request_write_unaligned(node, offset, from, flags);
    wrote(node, result == 0 ? offset + from.bytes : 0);
    end(node, &request);
    return finish_write(node, result, flags, node->driver->supported_write_flags);
}

int node_pread(Node *node, uint64_t offset, void *buffer, uint64_t bytes)
{
    struct iovec piece = { buffer, bytes };

    return node_preadv(node, offset, (Iov){ &piece, 1, 0, bytes }, 0);
}

int node_pwrite(Node *node, uint64_t offset, const void *buffer, uint64_t bytes)
{
    struct iovec piece = { (void *)buffer, bytes };

    return node_pwritev(node, offset, (Iov){ &piece, 1, 0, bytes }, 0);
}

/* ---- zeroes ---- */

static int zero_parts(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    uint64_t mask = MAX(node->limits.request_alignment, 1) - 1, last = offset + bytes;
    uint64_t first_whole = (offset + mask) & ~mask, last_whole = last & ~mask;
    int result = 0;

    if (first_whole >= last_whole) {
        return request_write_unaligned(node, offset, (Iov){ NULL, 0, 0, bytes }, flags);
    }
    if (offset < first_whole) {
        result = request_write_unaligned(node, offset, (Iov){ NULL, 0, 0, first_whole - offset }, flags);
    }
    if (result == 0) {
        result = request_zeroes(node, first_whole, last_whole - first_whole, flags);
    }
    if (result == 0 && last_whole < last) {
        result = request_write_unaligned(node, last_whole, (Iov){ NULL, 0, 0, last - last_whole }, flags);
    }
    return result;
}

int node_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    Tracked request;
    uint64_t first = offset, whole = bytes;
    int result = check_write(node, offset, bytes);

    TRACE(&gate_trace[TRACE_ZEROES], "node %s offset %" PRIu64 " bytes %" PRIu64 " flags 0x%x", node->name, offset, bytes, flags);
    if (result < 0 || bytes == 0) {
        return result;
    }
    if (!node->discard) {
        flags &= ~REQ_MAY_UNMAP;
    }
    bool fits = aligned(node, offset, bytes);
    if (!fits && (flags & REQ_NO_FALLBACK)) {
        return -ENOTSUP;
    }
    if (!fits) {
        round_out(node, &first, &whole);
    }
    begin(node, &request, first, whole, !fits || (flags & REQ_SERIALISE));
    result = fits ? request_zeroes(node, offset, bytes, flags) : zero_parts(node, offset, bytes, flags);
    wrote(node, result == 0 ? offset + bytes : 0);
    end(node, &request);
    return finish_write(node, result, flags, node->driver->supported_zero_flags & node->driver->supported_write_flags);
}

/* ---- discard ---- */

int node_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    uint32_t alignment = MAX(node->limits.discard_alignment, node->limits.request_alignment);
    uint64_t most = node->limits.max_discard ? node->limits.max_discard - node->limits.max_discard % alignment : UINT64_MAX;
    uint64_t at, last;
    Tracked request;
    int result = node->writable ? range_within(offset, bytes, node->length) ? 0 : -EIO : -EPERM;

    TRACE(&gate_trace[TRACE_DISCARD], "node %s offset %" PRIu64 " bytes %" PRIu64, node->name, offset, bytes);
    if (result < 0 || !node->discard || !node->driver->pdiscard || node->core->corrupt) {
        return result < 0 ? result : node->core->corrupt ? -EIO : 0;
    }
    at = (offset + alignment - 1) / alignment * alignment;
    /* The end of the disk counts as the end of a unit. */
    last = offset + bytes == node->length && node->length % node->limits.request_alignment == 0 ? node->length
                                                                                                 : (offset + bytes) / alignment * alignment;
    if (at >= last) {
        return 0;
    }
    begin(node, &request, at, last - at, false);
    for (most = MAX(most, alignment); at < last && result == 0;) {
        uint64_t part = MIN(last - at, most);
        result = node->driver->pdiscard(node, at, part);
        at += part;
    }
    wrote(node, 0);
    end(node, &request);
    return result == -ENOTSUP ? 0 : result;
}

/* ---- flush ---- */

static int shared_flush(Node *node)
{
    NodeCore *core = node->core;
    uint64_t need = core->written;

    while (core->flushing) {
        co_queue_wait(&core->flush_waiting, NULL);
        if (core->flush_covers >= need) {
            return core->flush_result;     /* that one began after our writes were done */
        }
    }
    if (core->flushed >= need) {
        return 0;
    }
    core->flushing = true;
    need = core->written;
    int result = node->driver->flush(node);
    core->flushing = false;
    core->flush_covers = need;
    core->flush_result = result;
    if (result == 0) {
        core->flushed = MAX(core->flushed, need);
    }
    co_queue_wake_all(&core->flush_waiting);
    return result;
}

int node_flush(Node *node)
{
    NodeCore *core = node->core;
    int result = 0;

    TRACE(&gate_trace[TRACE_FLUSH], "node %s writes %" PRIu64 " flushed %" PRIu64, node->name, core->written, core->flushed);
    if (!node->writable || !core->opened) {
        return 0;
    }
    core->in_flight++;
    if (node->driver->kind == NODE_PROTOCOL) {
        result = (node->cache & CACHE_NO_FLUSH) || !node->driver->flush ? 0 : shared_flush(node);
    } else if (node->driver->flush) {
        result = node->driver->flush(node);
    } else if (node->file) {
        result = node_flush(node->file);
    }
    if (--core->in_flight == 0 && __atomic_load_n(&node_drains, __ATOMIC_RELAXED)) {
        node_idle(node->loop);
    }
    return result;
}

/* ---- copying within the host ---- */

int node_copy_range(Node *from, uint64_t from_offset, Node *to, uint64_t to_offset, uint64_t bytes, RequestFlags flags)
{
    Tracked request;
    int result = check_write(to, to_offset, bytes);

    if (result < 0) {
        return result;
    }
    if (!range_within(from_offset, bytes, from->length)) {
        return -EIO;
    }
    if (!to->driver->copy_range || !aligned(to, to_offset, bytes) || !aligned(from, from_offset, bytes) || from->loop != to->loop) {
        return -ENOTSUP;
    }
    begin(to, &request, to_offset, bytes, flags & REQ_SERIALISE);
    result = to->driver->copy_range(from, from_offset, to, to_offset, bytes, flags);
    wrote(to, result == 0 ? to_offset + bytes : 0);
    end(to, &request);
    return finish_write(to, result, flags, 0);
}
