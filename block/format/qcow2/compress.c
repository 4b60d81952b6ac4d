/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compress.c - compressed clusters: zlib (raw deflate, window of 12 bits) and zstd
 *
 * A compressed cluster's bytes begin anywhere in the file and are described in sectors; several share a cluster of the file, each counted
 * by the refcounts of the clusters that it touches. Compressing and decompressing happen on worker threads, several clusters of a request at
 * once; space is given out under the lock, one after the other, so that they pack.
 *
 * Hostile  the bytes: decompression writes into one cluster and stops there, and what gives less is an I/O error
 * Threads  the node's home loop; worker threads see nothing but buffers
 * Tests    tests/block/qcow2-formats.py, tests/fuzz/qcow2.c
 */
#include "block/format/qcow2/qcow2.h"
#include "base/trace.h"
#include <stdlib.h>
#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

enum { TRACE_COMPRESS, TRACE_DECOMPRESS };
static TracePoint compress_trace[] = {
    [TRACE_COMPRESS] = { "qcow2_compress", "a cluster was compressed" },
    [TRACE_DECOMPRESS] = { "qcow2_decompress", "a cluster was decompressed" },
};
TRACE_TABLE(compress_trace)

enum { WINDOW_BITS = -12, MEMORY_LEVEL = 9, MAX_PARALLEL = 8 };
enum { SLICE = 8192, HASH_BITS = 12, HASHES = 1 << HASH_BITS, WINDOW = 1 << 12, FEW = 4 };           /* is_hopeless() */

/* ---- the algorithms ---- */

static int zlib_decompress(const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    z_stream stream = { .next_in = (Bytef *)in, .avail_in = in_bytes, .next_out = out, .avail_out = out_bytes };
    int ret = inflateInit2(&stream, WINDOW_BITS);

    if (ret != Z_OK) {
        return -ENOMEM;
    }
    ret = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    /* The stream may go on, and the sectors hold more than the stream: what counts is that the cluster is full. */
    return (ret == Z_STREAM_END || ret == Z_BUF_ERROR || ret == Z_OK) && stream.avail_out == 0 ? 0 : -EIO;
}

/* Is there nothing for deflate to find? Its codes gain no more than the tables that describe them where bytes are about equally frequent in every
 * slice (by their squares: random ones are at n * n / 256 + n), and its window holds hardly a repetition of four bytes. What was compressed or
 * encrypted before looks so; to find that out by compressing takes twenty times as long. */
static bool is_hopeless(const uint8_t *in, size_t bytes)
{
    uint16_t last[HASHES] = { 0 };         /* where four bytes of this hash were; positions wrap, which only forgets */
    size_t repetitions = 0;

    for (size_t slice = 0; slice + SLICE <= bytes; slice += SLICE) {
        uint32_t counts[256] = { 0 };
        uint64_t squares = 0;

        for (size_t i = slice; i < slice + SLICE; i++) {
            counts[in[i]]++;
        }
        for (int i = 0; i < 256; i++) {
            squares += (uint64_t)counts[i] * counts[i];
        }
        if (squares > (uint64_t)SLICE * SLICE / 256 + 2 * SLICE) {
            return false;
        }
        for (size_t i = slice; i + 4 <= slice + SLICE && repetitions <= FEW; i++) {
            uint16_t *at = &last[(uint32_t)load_le32(in + i) * 2654435761u >> (32 - HASH_BITS)];
            size_t back = (uint16_t)(i - *at);

            repetitions += back > 0 && back <= i && back < WINDOW && memcmp(in + i, in + i - back, 4) == 0;
            *at = (uint16_t)i;
        }
    }
    return bytes >= SLICE && bytes % SLICE == 0 && repetitions <= FEW;
}

static ptrdiff_t zlib_compress(const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    z_stream stream = { .next_in = (Bytef *)in, .avail_in = in_bytes, .next_out = out, .avail_out = out_bytes };
    int ret = is_hopeless(in, in_bytes) ? Z_BUF_ERROR
                                        : deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);

    if (ret != Z_OK) {
        return ret == Z_BUF_ERROR ? -ENOSPC : -ENOMEM;
    }
    ret = deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return ret == Z_STREAM_END ? (ptrdiff_t)(out_bytes - stream.avail_out) : -ENOSPC;
}

#ifdef HAVE_ZSTD
static int zstd_decompress(const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer from = { in, in_bytes, 0 };
    ZSTD_outBuffer to = { out, out_bytes, 0 };
    size_t ret = 1;

    if (!context) {
        return -ENOMEM;
    }
    while (to.pos < to.size) {
        size_t before = from.pos + to.pos;

        ret = ZSTD_decompressStream(context, &to, &from);
        if (ZSTD_isError(ret) || from.pos + to.pos == before) {
            break;                         /* broken, or it wants more than the sectors hold */
        }
    }
    ZSTD_freeDCtx(context);
    return to.pos == to.size && !ZSTD_isError(ret) ? 0 : -EIO;
}

static ptrdiff_t zstd_compress(const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t ret;

    if (!context) {
        return -ENOMEM;
    }
    ret = ZSTD_compress2(context, out, out_bytes, in, in_bytes);
    ZSTD_freeCCtx(context);
    return ZSTD_isError(ret) ? -ENOSPC : (ptrdiff_t)ret;
}
#endif

int qcow2_decompress(unsigned type, const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
#ifdef HAVE_ZSTD
    if (type == Q2_ZSTD) {
        return zstd_decompress(in, in_bytes, out, out_bytes);
    }
#endif
    return type == Q2_ZLIB ? zlib_decompress(in, in_bytes, out, out_bytes) : -ENOTSUP;
}

/* Bytes, at most out_bytes; -ENOSPC when they do not fit: then the cluster is not worth it. */
static ptrdiff_t compress_cluster(unsigned type, const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
#ifdef HAVE_ZSTD
    if (type == Q2_ZSTD) {
        return zstd_compress(in, in_bytes, out, out_bytes);
    }
#endif
    return type == Q2_ZLIB ? zlib_compress(in, in_bytes, out, out_bytes) : -ENOTSUP;
}

typedef struct Work {
    unsigned type;
    const uint8_t *in;
    uint8_t *out;
    size_t in_bytes, out_bytes;
} Work;

static int work_decompress(void *opaque)
{
    Work *work = opaque;

    return qcow2_decompress(work->type, work->in, work->in_bytes, work->out, work->out_bytes);
}

static int work_compress(void *opaque)
{
    Work *work = opaque;

    return compress_cluster(work->type, work->in, work->in_bytes, work->out, work->out_bytes);
}

/* ---- reading ---- */

int qcow2_read_compressed(Qcow2 *qcow2, uint64_t entry, uint64_t skip, Iov to)
{
    uint64_t offset, bytes;
    uint8_t *in, *out;
    int ret;

    qcow2_compressed_range(qcow2, entry, &offset, &bytes);
    if (offset >= qcow2->file_end) {
        qcow2_corrupt(qcow2, false, offset, bytes, "Compressed cluster at %#" PRIx64 " lies beyond the end of the file", offset);
        return -EIO;
    }
    in = node_memalign(qcow2->node.file, bytes);
    out = node_memalign(qcow2->node.file, qcow2->cluster_size);
    ret = in && out ? node_pread(qcow2->node.file, offset, in, bytes) : -ENOMEM;
    if (ret == 0) {
        Work work = { qcow2->compression_type, in, out, bytes, qcow2->cluster_size };

        ret = co_work(work_decompress, &work);
    }
    if (ret == 0) {
        iov_put(to, 0, out + skip, MIN(to.bytes, qcow2->cluster_size - skip));
    }
    TRACE(&compress_trace[TRACE_DECOMPRESS], "0x%" PRIx64 " + %" PRIu64 ": %d", offset, bytes, ret);
    free(in);
    free(out);
    return ret;
}

typedef struct Piece {                     /* of a request that reads several clusters at once */
    Qcow2 *qcow2;
    Qcow2Reads *reads;
    uint64_t entry, skip;
    Iov to;
} Piece;

static void read_piece(void *opaque)
{
    Piece *piece = opaque;
    Qcow2Reads *reads = piece->reads;
    int ret = qcow2_read_compressed(piece->qcow2, piece->entry, piece->skip, piece->to);

    g_free(piece);
    reads->ret = reads->ret < 0 ? reads->ret : ret;
    reads->running--;
    co_queue_wake_all(&reads->waiters);
}

int qcow2_read_compressed_beside(Qcow2 *qcow2, Qcow2Reads *reads, uint64_t entry, uint64_t skip, Iov to)
{
    Piece *piece = g_new(Piece, 1);
    Coroutine *helper = coroutine_new(read_piece, piece);

    if (!helper) {
        g_free(piece);
        return qcow2_read_compressed(qcow2, entry, skip, to);
    }
    while (reads->running >= MAX_PARALLEL) {
        co_queue_wait(&reads->waiters, NULL);
    }
    *piece = (Piece){ qcow2, reads, entry, skip, to };
    reads->running++;
    coroutine_enter(helper);
    return reads->ret;
}

int qcow2_reads_end(Qcow2Reads *reads)
{
    while (reads->running) {
        co_queue_wait(&reads->waiters, NULL);
    }
    return reads->ret;
}

/* ---- writing ---- */

/* Room for size bytes, after the last compressed cluster where it fits: in what is left of that one's cluster, going on in the next if that
 * is free. Each cluster that the bytes touch is counted once more. */
static int64_t place(Qcow2 *qcow2, uint64_t size)
{
    uint64_t mask = qcow2->cluster_size - 1, at = qcow2->compressed_next, left = at & mask ? qcow2->cluster_size - (at & mask) : 0;
    int64_t more = 1, fresh;

    if (left && size > left) {
        more = qcow2_alloc_at(qcow2, at + left, 1, NULL);
    }
    if (left && more > 0) {
        int ret = qcow2_refcount_add(qcow2, at, 1, 1, Q2_FREE_NEVER);

        if (ret == 0) {
            qcow2->compressed_next = at + size;
            return at;
        }
        if (size > left) {
            qcow2_free(qcow2, at + left, qcow2->cluster_size, Q2_FREE_NEVER);
        }
        if (ret != -ERANGE) {
            return ret;
        }
    }
    fresh = qcow2_alloc(qcow2, qcow2->cluster_size, NULL);
    qcow2->compressed_next = fresh < 0 ? 0 : fresh + size;
    return fresh;
}

/* What place() gave, back. */
static void unplace(Qcow2 *qcow2, uint64_t offset, uint64_t size)
{
    qcow2_free(qcow2, offset, size, Q2_FREE_NEVER);
}

static int map_compressed(Qcow2 *qcow2, uint64_t guest, uint64_t offset, uint64_t size)
{
    uint64_t sectors = ((offset + size - 1) / Q2_SECTOR) - offset / Q2_SECTOR;
    Qcow2Table *table;
    uint32_t index;
    int ret = qcow2_l2_get_writable(qcow2, guest, &table, &index);

    if (ret == 0) {
        qcow2_free_entry(qcow2, qcow2_l2_entry(qcow2, table, index), Q2_FREE_NEVER);
        qcow2_l2_set(qcow2, table, index, Q2_COMPRESSED | offset | sectors << qcow2->compressed_shift, 0);
        qcow2_cache_put(&qcow2->l2_cache, table);
    }
    return ret;
}

/* -ENOSPC: the place cannot be named by a compressed entry. */
static int store(Qcow2 *qcow2, uint64_t guest, const uint8_t *data, uint64_t size)
{
    Qcow2Alloc alloc;
    int64_t offset;
    int ret;

    co_lock(&qcow2->lock);
    qcow2_wait_allocs(qcow2, guest, qcow2->cluster_size);
    offset = place(qcow2, size);
    if (offset >= 0 && (uint64_t)offset + size > qcow2->compressed_offset_mask) {
        unplace(qcow2, offset, size);
        offset = -ENOSPC;
    }
    if (offset >= 0) {
        qcow2_alloc_begin(qcow2, &alloc, guest, qcow2->cluster_size);
    }
    co_unlock(&qcow2->lock);
    if (offset < 0) {
        return offset;
    }
    ret = qcow2_overlap_check(qcow2, 0, offset, size);
    if (ret == 0) {
        ret = node_pwrite(qcow2->node.file, offset, data, size);
    }
    qcow2_order_after_write(qcow2);
    co_lock(&qcow2->lock);
    ret = ret == 0 ? map_compressed(qcow2, guest, offset, size) : ret;
    if (ret < 0) {
        unplace(qcow2, offset, size);
    }
    qcow2_alloc_end(qcow2, &alloc);
    co_unlock(&qcow2->lock);
    return ret;
}

/* One cluster; the image's tail is filled up with zeroes. */
static int write_cluster(Qcow2 *qcow2, uint64_t guest, Iov from)
{
    uint8_t *in = node_memalign(qcow2->node.file, qcow2->cluster_size), *out = node_memalign(qcow2->node.file, qcow2->cluster_size);
    Work work = { qcow2->compression_type, in, out, qcow2->cluster_size, qcow2->cluster_size - 1 };
    int ret = -ENOMEM;

    if (in && out) {
        iov_get(from, 0, in, from.bytes);
        memset(in + from.bytes, 0, qcow2->cluster_size - from.bytes);
        ret = co_work(work_compress, &work);
        TRACE(&compress_trace[TRACE_COMPRESS], "0x%" PRIx64 ": %d", guest, ret);
    }
    if (ret > 0) {
        ret = qcow2->corrupt ? -EIO : store(qcow2, guest, out, ret);
    }
    free(in);
    free(out);
    return ret == -ENOSPC ? qcow2_write(qcow2, guest, from, 0) : ret;
}

typedef struct Group {                     /* clusters of one request, taken by several coroutines */
    Qcow2 *qcow2;
    uint64_t guest, next;
    Iov from;
    unsigned running;
    int ret;
    CoQueue waiters;
} Group;

static void group_run(void *opaque)
{
    Group *group = opaque;

    while (group->ret == 0 && group->next < group->from.bytes) {
        uint64_t at = group->next, here = MIN(group->from.bytes - at, group->qcow2->cluster_size);
        int ret;

        group->next += here;
        ret = write_cluster(group->qcow2, group->guest + at, iov_part(group->from, at, here));
        group->ret = group->ret < 0 ? group->ret : ret;
    }
    if (--group->running == 0) {
        co_queue_wake_all(&group->waiters);
    }
}

int qcow2_write_compressed(Qcow2 *qcow2, uint64_t guest, Iov from)
{
    Group group = { .qcow2 = qcow2, .guest = guest, .from = from, .running = 1 };
    uint64_t clusters = qcow2_clusters(qcow2, from.bytes);

    if (qcow2->external) {
        return -ENOTSUP;
    }
    if ((guest & (qcow2->cluster_size - 1)) || ((from.bytes & (qcow2->cluster_size - 1)) && guest + from.bytes != qcow2->node.length)) {
        return -EINVAL;
    }
    if (qcow2->crypt_method) {
        return qcow2_write(qcow2, guest, from, 0);                     /* what is encrypted is not compressed */
    }
    for (uint64_t i = 1; i < MIN(clusters, MIN(MAX_PARALLEL, g_get_num_processors())); i++) {
        Coroutine *helper = coroutine_new(group_run, &group);

        if (!helper) {
            break;
        }
        group.running++;
        coroutine_enter(helper);
    }
    group_run(&group);
    while (group.running) {
        co_queue_wait(&group.waiters, NULL);
    }
    return group.ret;
}
