/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io.c - reads and writes of a qcow2 image
 *
 * A write goes one of three ways, run by run:
 *
 *   in place    the clusters are there and ours alone: one look-up in the cache, one write, no lock
 *   at once     there is nothing below but zeroes, and the new clusters come from where the file was never written: the mapping is set
 *               under the lock before the data is written, so that neighbours find it and need not wait. Nothing can be seen but zeroes
 *               until the data is there, on disk neither (cache.c)
 *   two steps   all else: what the write leaves of its first and last cluster (subcluster) is read from where it was, written
 *               together with the data in one request outside of the lock, and the mapping is set afterwards. Meanwhile who writes to the same clusters
 *               waits; who reads them sees what was there before
 *
 * Threads  the node's home loop; several requests run at once
 * Tests    tests/block/qcow2.c, tests/block/qcow2-formats.py
 */
#include "block/format/qcow2/qcow2.h"
#include "base/trace.h"
#include <stdlib.h>

enum { TRACE_READ, TRACE_WRITE, TRACE_WRITE_ALLOC };
static TracePoint io_trace[] = {
    [TRACE_READ] = { "qcow2_read", "a request reads from a qcow2 image" },
    [TRACE_WRITE] = { "qcow2_write", "a request writes to a qcow2 image" },
    [TRACE_WRITE_ALLOC] = { "qcow2_write_alloc", "a write is given clusters" },
};
TRACE_TABLE(io_trace)

enum { BOUNCE_MAX = 4 << 20 };             /* of encrypted data */

unsigned qcow2_request_begin(Qcow2 *qcow2)
{
    co_read_lock(&qcow2->gate);
    qcow2->phase_requests[qcow2->phase]++;
    return qcow2->phase;
}

void qcow2_request_end(Qcow2 *qcow2, unsigned phase)
{
    qcow2->phase_requests[phase]--;
    co_read_unlock(&qcow2->gate);
}

/* ---- reading ---- */

static int read_below(Qcow2 *qcow2, uint64_t guest, Iov to)
{
    uint64_t length = qcow2->node.backing ? MIN(node_length(qcow2->node.backing), qcow2->node.length) : 0;
    uint64_t there = guest < length ? MIN(to.bytes, length - guest) : 0;
    int ret = there ? node_preadv(qcow2->node.backing, guest, iov_part(to, 0, there), 0) : 0;

    if (there < to.bytes) {
        iov_set(to, there, 0, to.bytes - there);
    }
    return ret;
}

static int read_encrypted(Qcow2 *qcow2, uint64_t host, uint64_t guest, Iov to)
{
    uint8_t *bounce = qcow2->crypt ? node_memalign(qcow2->data, MIN(to.bytes, BOUNCE_MAX)) : NULL;
    int ret = bounce ? 0 : qcow2->crypt ? -ENOMEM : -EACCES;

    for (uint64_t done = 0, here; done < to.bytes && ret == 0; done += here) {
        here = MIN(to.bytes - done, BOUNCE_MAX);
        ret = node_pread(qcow2->data, host + done, bounce, here);
        if (ret == 0) {
            ret = qcow2_crypt(qcow2, false, host + done, guest + done, bounce, here);
        }
        iov_put(to, done, bounce, here);
    }
    free(bounce);
    return ret;
}

int qcow2_read(Qcow2 *qcow2, uint64_t guest, Iov to)
{
    Qcow2Reads beside = { 0 };
    int ret = 0, rest;

    for (uint64_t done = 0; done < to.bytes && ret == 0;) {
        Qcow2Map map;
        Iov part;

        ret = qcow2_map(qcow2, guest + done, to.bytes - done, &map);
        if (ret < 0) {
            break;
        }
        part = iov_part(to, done, map.bytes);
        switch (map.kind) {
        case Q2_NORMAL:
            ret = qcow2->crypt_method ? read_encrypted(qcow2, map.host, guest + done, part) : qcow2_data_request(qcow2, false, map.host, part, 0);
            break;
        case Q2_UNALLOCATED:
        case Q2_UNALLOCATED_ALLOC:
            ret = read_below(qcow2, guest + done, part);
            break;
        case Q2_COMPRESSED_DATA:
            if (done + map.bytes < to.bytes) {                         /* more follows: the next one need not wait for this one */
                ret = qcow2_read_compressed_beside(qcow2, &beside, map.entry, (guest + done) & (qcow2->cluster_size - 1), part);
            } else {
                ret = qcow2_read_compressed(qcow2, map.entry, (guest + done) & (qcow2->cluster_size - 1), part);
            }
            break;
        default:
            iov_set(part, 0, 0, part.bytes);
        }
        done += map.bytes;
    }
    rest = qcow2_reads_end(&beside);
    return ret < 0 ? ret : rest;
}

int qcow2_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    Qcow2 *qcow2 = QCOW2(node);
    unsigned phase = qcow2_request_begin(qcow2);
    int ret = qcow2_read(qcow2, offset, to);

    (void)flags;
    TRACE(&io_trace[TRACE_READ], "0x%" PRIx64 " + 0x%zx: %d", offset, to.bytes, ret);
    qcow2_request_end(qcow2, phase);
    return ret;
}

/* ---- allocating writes in flight ---- */

void qcow2_alloc_begin(Qcow2 *qcow2, Qcow2Alloc *alloc, uint64_t guest, uint64_t bytes)
{
    *alloc = (Qcow2Alloc){ .first = guest >> qcow2->cluster_bits, .end = qcow2_clusters(qcow2, guest + bytes), .next = qcow2->allocs };
    qcow2->allocs = alloc;
}

void qcow2_alloc_end(Qcow2 *qcow2, Qcow2Alloc *alloc)
{
    Qcow2Alloc **at = &qcow2->allocs;

    while (*at != alloc) {
        at = &(*at)->next;
    }
    *at = alloc->next;
    co_queue_wake_all(&alloc->waiters);
}

/* How much of the range, from its begin, nobody else is about to map. */
static uint64_t undisturbed(const Qcow2 *qcow2, uint64_t guest, uint64_t bytes, Qcow2Alloc **other)
{
    uint64_t first = guest >> qcow2->cluster_bits, end = qcow2_clusters(qcow2, guest + bytes);

    *other = NULL;
    for (Qcow2Alloc *alloc = qcow2->allocs; alloc; alloc = alloc->next) {
        if (alloc->first < end && first < alloc->end) {
            *other = alloc;
            end = MAX(alloc->first, first);
        }
    }
    return *other ? (end == first ? 0 : MIN(bytes, (end << qcow2->cluster_bits) - guest)) : bytes;
}

void qcow2_wait_allocs(Qcow2 *qcow2, uint64_t guest, uint64_t bytes)
{
    Qcow2Alloc *other;

    while (undisturbed(qcow2, guest, bytes, &other) < bytes) {
        co_queue_wait(&other->waiters, &qcow2->lock);
    }
}

/* ---- writing ---- */

typedef struct Run {                       /* clusters that a write is given, or fills */
    Qcow2Alloc alloc;
    uint64_t guest, bytes;                 /* of the request */
    uint64_t host;                         /* of the cluster that guest lies in */
    uint64_t count;
    bool fresh, zero_under;                /* the clusters read as zeroes; so does the guest */
    bool fill;                             /* the place was there: no new clusters */
    bool whole;                            /* all of the first and last cluster is copied, not only their subclusters */
    bool at_once;
} Run;

/* Under all of guest's cluster. */
static bool below_is_zero(const Qcow2 *qcow2, uint64_t guest)
{
    uint64_t cluster = guest & ~(qcow2->cluster_size - 1);

    return !qcow2->node.backing || cluster >= MIN(node_length(qcow2->node.backing), qcow2->node.length);
}

typedef enum { WAY_IN_PLACE, WAY_NEW, WAY_FILL } Way;
typedef struct Cluster { Way way; bool zero_under, has_data; } Cluster;

/* What a write to an entry's subclusters has to do. guest: where the cluster begins, since a backing file may end within it. */
static Cluster look(const Qcow2 *qcow2, uint64_t entry, uint64_t bitmap, uint64_t guest)
{
    bool copied = qcow2->external ? (entry & Q2_COPIED) != 0 : (entry & Q2_COPIED) && (entry & Q2_L2_OFFSET);
    uint32_t allocated = bitmap, zero = bitmap >> 32;
    Cluster cluster = { .way = WAY_NEW };

    if (entry & Q2_COMPRESSED) {
        cluster.has_data = true;
        return cluster;
    }
    if (qcow2->subclusters == 1) {
        bool normal = !(entry & Q2_ZERO) && ((entry & Q2_L2_OFFSET) || copied);

        cluster.has_data = normal;
        cluster.zero_under = !normal && ((entry & Q2_ZERO) || below_is_zero(qcow2, guest));
        cluster.way = !copied ? WAY_NEW : normal ? WAY_IN_PLACE : WAY_FILL;
        return cluster;
    }
    cluster.has_data = allocated != 0;
    cluster.zero_under = allocated == 0 && (zero == 0xffffffffu || below_is_zero(qcow2, guest));
    cluster.way = copied ? WAY_FILL : WAY_NEW;
    return cluster;
}

/* How many entries from index on go the same way; for FILL contiguous in the file. */
static uint64_t same_way(const Qcow2 *qcow2, const Qcow2Table *table, uint32_t index, uint64_t guest, uint64_t most, Cluster first)
{
    uint64_t host = qcow2_l2_entry(qcow2, table, index) & Q2_L2_OFFSET, count = 1;

    if (qcow2->subclusters > 1 && (first.way == WAY_FILL || !first.zero_under)) {
        return 1;
    }
    for (; count < most && index + count < 1u << qcow2->slice_bits; count++) {
        uint64_t entry = qcow2_l2_entry(qcow2, table, index + count);
        Cluster next = look(qcow2, entry, qcow2_l2_bitmap(qcow2, table, index + count), guest + (count << qcow2->cluster_bits));

        if (next.way != first.way || next.zero_under != first.zero_under ||
            (first.way == WAY_FILL && (entry & Q2_L2_OFFSET) != host + (count << qcow2->cluster_bits))) {
            break;
        }
    }
    return count;
}

/* For up to *count clusters. */
static int64_t place_for(Qcow2 *qcow2, uint64_t guest, uint64_t *count, bool *fresh)
{
    *fresh = false;
    return qcow2->external ? (int64_t)(guest & ~(qcow2->cluster_size - 1)) : qcow2_alloc_run(qcow2, count, fresh);
}

static void map_run(Qcow2 *qcow2, const Run *run, Qcow2Table *table, uint32_t index)
{
    uint64_t mask = qcow2->cluster_size - 1;

    for (uint64_t i = 0; i < run->count; i++) {
        uint64_t old = qcow2_l2_entry(qcow2, table, index + i), bitmap = qcow2_l2_bitmap(qcow2, table, index + i);

        if (qcow2->subclusters > 1) {
            uint64_t from = i == 0 ? (run->guest & mask) >> qcow2->subcluster_bits : 0, last = run->guest + run->bytes - 1;
            uint64_t to = i == run->count - 1 ? ((last & mask) >> qcow2->subcluster_bits) + 1 : qcow2->subclusters;
            uint64_t written = run->whole ? 0xffffffffULL : ((1ULL << to) - 1) & ~((1ULL << from) - 1);

            bitmap = old & Q2_COMPRESSED ? 0 : bitmap;
            bitmap = (bitmap & ~(written << 32)) | written;
        }
        if (!run->fill) {
            qcow2_free_entry(qcow2, old, Q2_FREE_NEVER);
        }
        qcow2_l2_set(qcow2, table, index + i, (run->host + (i << qcow2->cluster_bits)) | Q2_COPIED, bitmap);
    }
}

/* Under the lock: what becomes of the write's begin. -EAGAIN: look again (somebody else was about to map it). */
static int plan(Qcow2 *qcow2, uint64_t guest, uint64_t bytes, Run *run)
{
    uint64_t in_cluster = guest & (qcow2->cluster_size - 1);
    Qcow2Alloc *other;
    Qcow2Table *table;
    Cluster first;
    uint32_t index;
    int64_t host;
    int ret;

    bytes = undisturbed(qcow2, guest, bytes, &other);
    if (bytes == 0) {
        co_queue_wait(&other->waiters, &qcow2->lock);
        return -EAGAIN;
    }
    ret = qcow2_l2_get_writable(qcow2, guest, &table, &index);
    if (ret < 0) {
        return ret;
    }
    first = look(qcow2, qcow2_l2_entry(qcow2, table, index), qcow2_l2_bitmap(qcow2, table, index), guest - in_cluster);
    *run = (Run){ .guest = guest, .zero_under = first.zero_under, .fill = first.way == WAY_FILL };
    run->whole = qcow2->subclusters == 1 || (!run->fill && first.has_data);
    run->count = same_way(qcow2, table, index, guest - in_cluster, qcow2_clusters(qcow2, in_cluster + bytes), first);
    host = first.way == WAY_IN_PLACE ? -EAGAIN : run->fill ? (int64_t)(qcow2_l2_entry(qcow2, table, index) & Q2_L2_OFFSET)
                                                           : place_for(qcow2, guest, &run->count, &run->fresh);
    run->bytes = MIN(bytes, (run->count << qcow2->cluster_bits) - in_cluster);
    if (host >= 0) {
        run->host = host;
        run->at_once = run->fresh && run->zero_under && !qcow2->crypt_method;
        if (run->at_once) {
            run->whole = true;
            map_run(qcow2, run, table, index);
        } else {
            qcow2_alloc_begin(qcow2, &run->alloc, guest, run->bytes);
        }
    }
    qcow2_cache_put(&qcow2->l2_cache, table);
    TRACE(&io_trace[TRACE_WRITE_ALLOC], "0x%" PRIx64 " + 0x%" PRIx64 " host 0x%" PRIx64 " fresh %d zero %d fill %d at_once %d", guest, run->bytes,
          (uint64_t)host, run->fresh, run->zero_under, run->fill, run->at_once);
    return host < 0 ? (int)host : 0;
}

static int write_encrypted(Qcow2 *qcow2, uint64_t host, uint64_t guest, Iov from, RequestFlags flags)
{
    uint8_t *bounce = qcow2->crypt ? node_memalign(qcow2->data, MIN(from.bytes, BOUNCE_MAX)) : NULL;
    int ret = bounce ? 0 : qcow2->crypt ? -ENOMEM : -EACCES;

    for (uint64_t done = 0, here; done < from.bytes && ret == 0; done += here) {
        struct iovec piece = { bounce, here = MIN(from.bytes - done, BOUNCE_MAX) };

        iov_get(from, done, bounce, here);
        ret = qcow2_crypt(qcow2, true, host + done, guest + done, bounce, here);
        if (ret == 0) {
            ret = node_pwritev(qcow2->data, host + done, iov_all(&piece, 1), flags);
        }
    }
    free(bounce);
    return ret;
}

static int write_data(Qcow2 *qcow2, uint64_t host, uint64_t guest, Iov from, RequestFlags flags)
{
    int ret = 0;

    if (!qcow2->external) {
        uint64_t mask = qcow2->cluster_size - 1;

        if (host > ((qcow2->file_end + mask) & ~mask) || from.bytes > ((qcow2->file_end + mask) & ~mask) - host) {
            qcow2_corrupt(qcow2, true, host, from.bytes, "Cluster of guest offset %#" PRIx64 " lies beyond the end of the file", guest);
            return -EIO;
        }
        ret = qcow2_overlap_check(qcow2, 0, host, from.bytes);
    }
    if (ret < 0) {
        return ret;
    }
    return qcow2->crypt_method ? write_encrypted(qcow2, host, guest, from, flags) : qcow2_data_request(qcow2, true, host, from, flags);
}

/* What the run does not write of its first and last unit, around the data, as one request. */
static int write_around(Qcow2 *qcow2, const Run *run, Iov from, uint64_t head, uint64_t tail)
{
    uint64_t at = run->guest - head, in_cluster = at & (qcow2->cluster_size - 1);
    uint8_t *edges = node_memalign(qcow2->data, head + tail);
    struct iovec *pieces = g_try_new(struct iovec, from.count + 2);
    size_t count = 0;
    int ret = edges && pieces ? 0 : -ENOMEM;

    if (ret == 0 && run->zero_under) {
        memset(edges, 0, head + tail);
    } else if (ret == 0) {
        struct iovec piece = { edges, head };

        ret = head ? qcow2_read(qcow2, at, iov_all(&piece, 1)) : 0;
        piece = (struct iovec){ edges + head, tail };
        if (ret == 0 && tail) {
            ret = qcow2_read(qcow2, run->guest + run->bytes, iov_all(&piece, 1));
        }
    }
    if (ret == 0) {
        if (head) {
            pieces[count++] = (struct iovec){ edges, head };
        }
        count += iov_plain(from, pieces + count);
        if (tail) {
            pieces[count++] = (struct iovec){ edges + head, tail };
        }
        ret = write_data(qcow2, run->host + in_cluster, at, iov_all(pieces, count), 0);
    }
    free(edges);
    g_free(pieces);
    return ret;
}

/* Is the guest's subcluster data already? Then a fill leaves its rest alone. co */
static int subcluster_is_data(Qcow2 *qcow2, uint64_t guest, bool *is)
{
    Qcow2Map map;
    int ret = qcow2_map(qcow2, guest, 1, &map);

    *is = map.kind == Q2_NORMAL;
    return ret;
}

static int write_run(Qcow2 *qcow2, const Run *run, Iov from)
{
    uint64_t unit = run->whole ? qcow2->cluster_size : 1ULL << qcow2->subcluster_bits, end = run->guest + run->bytes;
    uint64_t head = run->guest & (unit - 1), tail = (unit - (end & (unit - 1))) & (unit - 1);
    bool is_data = false;
    int ret = 0;

    if (run->zero_under && run->fresh && !qcow2->crypt_method) {
        head = tail = 0;                   /* the zeroes are there */
    }
    if (run->fill && !run->whole && head) {
        ret = subcluster_is_data(qcow2, run->guest, &is_data);
        head = is_data ? 0 : head;
    }
    if (ret == 0 && run->fill && !run->whole && tail) {
        ret = subcluster_is_data(qcow2, end - 1, &is_data);
        tail = is_data ? 0 : tail;
    }
    if (ret < 0) {
        return ret;
    }
    return head || tail ? write_around(qcow2, run, from, head, tail)
                        : write_data(qcow2, run->host + (run->guest & (qcow2->cluster_size - 1)), run->guest, from, 0);
}

/* The second step: the mapping, or on failure the clusters back. */
static int finish(Qcow2 *qcow2, Run *run, int ret)
{
    Qcow2Table *table;
    uint32_t index;

    qcow2_order_after_write(qcow2);        /* before the mapping can be in anybody's picture */
    co_lock(&qcow2->lock);
    if (ret == 0) {
        ret = qcow2_l2_get_writable(qcow2, run->guest, &table, &index);
    }
    if (ret == 0) {
        map_run(qcow2, run, table, index);
        qcow2_cache_put(&qcow2->l2_cache, table);
    } else if (!run->fill && !qcow2->external) {
        qcow2_free(qcow2, run->host, run->count << qcow2->cluster_bits, Q2_FREE_NEVER);
    }
    qcow2_alloc_end(qcow2, &run->alloc);
    co_unlock(&qcow2->lock);
    return ret;
}

/* *done: bytes written; 0 where the begin has become writable in place. */
static int write_allocating(Qcow2 *qcow2, uint64_t guest, Iov from, uint64_t *done, RequestFlags flags)
{
    Run run;
    int ret;

    *done = 0;
    co_lock(&qcow2->lock);
    ret = plan(qcow2, guest, from.bytes, &run);
    co_unlock(&qcow2->lock);
    if (ret < 0) {
        return ret == -EAGAIN ? 0 : ret;
    }
    from = iov_part(from, 0, run.bytes);
    if (run.at_once) {
        /* A sync may take the mapping down and find all clean before the data is there: the data bears the flag itself. */
        ret = write_data(qcow2, run.host + (guest & (qcow2->cluster_size - 1)), guest, from, flags & REQ_FUA);
    } else {
        ret = finish(qcow2, &run, write_run(qcow2, &run, from));
    }
    *done = ret == 0 ? run.bytes : 0;
    return ret;
}

int qcow2_write(Qcow2 *qcow2, uint64_t guest, Iov from, RequestFlags flags)
{
    int ret = 0;

    for (uint64_t done = 0, here; done < from.bytes && ret == 0; done += here) {
        Qcow2Map map;

        if (qcow2->corrupt) {
            return -EIO;
        }
        ret = qcow2_map(qcow2, guest + done, from.bytes - done, &map);
        here = map.bytes;
        if (ret < 0) {
            break;
        }
        if (map.kind == Q2_NORMAL && map.writable) {
            ret = write_data(qcow2, map.host, guest + done, iov_part(from, done, here), flags & REQ_FUA);
        } else {
            ret = write_allocating(qcow2, guest + done, iov_part(from, done, from.bytes - done), &here, flags);
        }
    }
    return ret;
}

int qcow2_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    Qcow2 *qcow2 = QCOW2(node);
    unsigned phase = qcow2_request_begin(qcow2);
    int ret = flags & REQ_COMPRESSED ? qcow2_write_compressed(qcow2, offset, from) : qcow2_write(qcow2, offset, from, flags);

    if (qcow2->bitmaps) {
        qcow2_bitmaps_dirty(qcow2, offset, from.bytes);
    }
    TRACE(&io_trace[TRACE_WRITE], "0x%" PRIx64 " + 0x%zx flags %d: %d", offset, from.bytes, flags, ret);
    qcow2_request_end(qcow2, phase);
    /* Data in place went down with the flag; that is all when the mapping needs nothing. */
    if (ret == 0 && (flags & REQ_FUA) && ((flags & REQ_COMPRESSED) || !qcow2_is_clean(qcow2))) {
        ret = qcow2_sync(qcow2);
    }
    return ret;
}

/* ---- without data ---- */

/* Whole units; the image's tail counts as one. */
static bool whole_units(const Qcow2 *qcow2, uint64_t offset, uint64_t *bytes, uint64_t unit)
{
    uint64_t end = offset + *bytes;

    if (end == qcow2->node.length) {
        end = (end + unit - 1) & ~(unit - 1);
    }
    *bytes = end - offset;
    return !((offset | *bytes) & (unit - 1));
}

static int zero_raw_data(Qcow2 *qcow2, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    int ret = 0;

    for (uint64_t done = 0; done < bytes && ret == 0;) {
        Qcow2Map map;

        ret = qcow2_map(qcow2, offset + done, bytes - done, &map);
        if (ret == 0 && map.kind != Q2_NORMAL) {
            return -ENOTSUP;
        }
        done += map.bytes;
    }
    return ret < 0 ? ret : node_pwrite_zeroes(qcow2->data, offset, bytes, flags & REQ_MAY_UNMAP);
}

static int zero(Qcow2 *qcow2, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    if (qcow2->corrupt) {
        return -EIO;
    }
    if (qcow2->autoclear & Q2_AUTOCLEAR_DATA_RAW) {
        return zero_raw_data(qcow2, offset, bytes, flags);
    }
    if (qcow2->version < 3) {
        /* No zero flag: only an unmapped cluster over nothing reads so. */
        if (!(flags & REQ_MAY_UNMAP) || qcow2->node.backing || !whole_units(qcow2, offset, &bytes, qcow2->cluster_size)) {
            return -ENOTSUP;
        }
        return qcow2_discard_clusters(qcow2, offset, bytes, Q2_FREE_REQUEST, false);
    }
    if (!whole_units(qcow2, offset, &bytes, 1ULL << qcow2->subcluster_bits)) {
        return -ENOTSUP;
    }
    return qcow2_zero_clusters(qcow2, offset, bytes, flags & REQ_MAY_UNMAP);
}

int qcow2_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    Qcow2 *qcow2 = QCOW2(node);
    unsigned phase = qcow2_request_begin(qcow2);
    int ret = zero(qcow2, offset, bytes, flags);

    if (qcow2->bitmaps && ret != -ENOTSUP) {
        qcow2_bitmaps_dirty(qcow2, offset, bytes);
    }
    qcow2_request_end(qcow2, phase);
    return ret;
}

int qcow2_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    Qcow2 *qcow2 = QCOW2(node);
    unsigned phase;
    int ret;

    /* Version 2 has no zero flag: what was written must not show the backing file again. */
    if ((qcow2->version < 3 && qcow2->node.backing) || !whole_units(qcow2, offset, &bytes, qcow2->cluster_size)) {
        return -ENOTSUP;
    }
    phase = qcow2_request_begin(qcow2);
    if (qcow2->corrupt) {
        ret = -EIO;
    } else if (qcow2->autoclear & Q2_AUTOCLEAR_DATA_RAW) {
        ret = node_pdiscard(qcow2->data, offset, MIN(bytes, node->length - offset));
    } else {
        ret = qcow2_discard_clusters(qcow2, offset, bytes, Q2_FREE_REQUEST, true);
        if (ret == 0 && qcow2->external && qcow2->discard_passes[Q2_FREE_REQUEST]) {
            ret = node_pdiscard(qcow2->data, offset, MIN(bytes, node->length - offset));
        }
    }
    if (qcow2->bitmaps) {
        qcow2_bitmaps_dirty(qcow2, offset, MIN(bytes, node->length - offset));
    }
    qcow2_request_end(qcow2, phase);
    /* Who only discards would queue without end. */
    if (ret == 0 && qcow2->freed->len > 4096) {
        ret = qcow2_sync(qcow2);
    }
    return ret;
}

int qcow2_flush(Node *node)
{
    Qcow2 *qcow2 = QCOW2(node);
    int ret;

    if (!node->writable) {
        return 0;
    }
    co_read_lock(&qcow2->gate);
    ret = qcow2_sync(qcow2);
    co_read_unlock(&qcow2->gate);
    return ret;
}

/* Clusters of data may be holes in the file: preallocated, or written in part. Asking the file each time costs, so only where the
 * file has far fewer bytes than it is long. */
static bool may_be_sparse(Qcow2 *qcow2)
{
    if (qcow2->sparse < 0) {
        int64_t there = node_allocated_size(qcow2->data), length = node_length(qcow2->data);

        qcow2->sparse = there >= 0 && there < length / 2;
    }
    return qcow2->sparse > 0;
}

int qcow2_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    Qcow2 *qcow2 = QCOW2(node);
    unsigned phase = qcow2_request_begin(qcow2);
    Qcow2Map here;
    int ret = qcow2_map(qcow2, offset, bytes, &here);

    *count = here.bytes;
    if (ret == 0) {
        bool place = (here.kind == Q2_NORMAL || here.kind == Q2_ZERO_ALLOC) && !qcow2->crypt_method;

        *map = here.host;
        *file = qcow2->data;
        ret |= place ? STATUS_OFFSET : 0;
        switch (here.kind) {
        case Q2_NORMAL: ret |= STATUS_DATA | STATUS_ALLOCATED | (exact && place && may_be_sparse(qcow2) ? STATUS_RECURSE : 0); break;
        case Q2_COMPRESSED_DATA: ret |= STATUS_DATA | STATUS_ALLOCATED | STATUS_COMPRESSED; break;
        case Q2_ZERO_PLAIN:
        case Q2_ZERO_ALLOC: ret |= STATUS_ZERO | STATUS_ALLOCATED; break;
        default: break;
        }
    }
    qcow2_request_end(qcow2, phase);
    return ret;
}

/* ---- the VM state, beyond the disk's end ---- */

int qcow2_save_vmstate(Node *node, uint64_t position, Iov from)
{
    Qcow2 *qcow2 = QCOW2(node);
    unsigned phase = qcow2_request_begin(qcow2);
    uint64_t guest;
    int ret = -EFBIG;

    if (checked_add(qcow2_vm_state_offset(qcow2), position, &guest) && range_within(guest, from.bytes, INT64_MAX)) {
        ret = qcow2_write(qcow2, guest, from, 0);
    }
    qcow2_request_end(qcow2, phase);
    return ret;
}

int qcow2_load_vmstate(Node *node, uint64_t position, Iov to)
{
    Qcow2 *qcow2 = QCOW2(node);
    unsigned phase = qcow2_request_begin(qcow2);
    uint64_t guest;
    int ret = -EFBIG;

    if (checked_add(qcow2_vm_state_offset(qcow2), position, &guest) && range_within(guest, to.bytes, INT64_MAX)) {
        ret = qcow2_read(qcow2, guest, to);
    }
    qcow2_request_end(qcow2, phase);
    return ret;
}

int qcow2_make_empty(Node *node)
{
    Qcow2 *qcow2 = QCOW2(node);
    uint64_t bytes = qcow2_clusters(qcow2, node->length) << qcow2->cluster_bits;
    unsigned phase = qcow2_request_begin(qcow2);
    int ret = qcow2->corrupt ? -EIO : qcow2_discard_clusters(qcow2, 0, bytes, Q2_FREE_OTHER, false);

    qcow2_request_end(qcow2, phase);
    return ret < 0 ? ret : qcow2_sync(qcow2);
}
