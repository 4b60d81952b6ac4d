/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resize.c - larger and smaller qcow2 images
 *
 * What comes into being reads as zeroes, whatever a backing file, an earlier life or a saved machine left there; what goes gives its space
 * back, at the end of the file by cutting it. The header's size changes after a growing image's tables, and before a shrinking one's.
 *
 * Threads  the node's home loop; the gate is held exclusively
 * Tests    tests/block/qcow2.c, tests/block/qcow2-formats.py
 */
#include "block/format/qcow2/qcow2.h"
#include "base/trace.h"

enum { TRACE_TRUNCATE };
static TracePoint resize_trace[] = { [TRACE_TRUNCATE] = { "qcow2_truncate", "a qcow2 image changes its size" } };
TRACE_TABLE(resize_trace)

enum { ZEROES = 64 << 10 };
static const uint8_t zeroes[ZEROES];

static uint64_t align_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) & ~(unit - 1);
}

static int write_zeroes(Qcow2 *qcow2, uint64_t guest, uint64_t end)
{
    int ret = 0;

    while (guest < end && ret == 0) {
        struct iovec piece = { (void *)zeroes, MIN(end - guest, ZEROES) };

        ret = qcow2_write(qcow2, guest, iov_all(&piece, 1), 0);
        guest += piece.iov_len;
    }
    return ret;
}

/* The range reads as zeroes; nothing is written where it does already. */
static int make_zero(Qcow2 *qcow2, uint64_t guest, uint64_t end)
{
    uint64_t head_end = MIN(align_up(guest, qcow2->cluster_size), end), tail = end & ~(qcow2->cluster_size - 1);
    int ret = 0;

    for (uint64_t at = guest; at < head_end && ret == 0;) {
        Qcow2Map map;

        ret = qcow2_map(qcow2, at, head_end - at, &map);
        if (ret == 0 && (map.kind == Q2_NORMAL || map.kind == Q2_COMPRESSED_DATA || qcow2->node.backing)) {
            ret = write_zeroes(qcow2, at, at + map.bytes);
        }
        at += map.bytes;
    }
    if (ret == 0 && tail > head_end && qcow2->version >= 3 && !(qcow2->autoclear & Q2_AUTOCLEAR_DATA_RAW)) {
        ret = qcow2_zero_clusters(qcow2, head_end, tail - head_end, true);
        head_end = tail;
    }
    return ret == 0 && head_end < end ? write_zeroes(qcow2, head_end, end) : ret;
}

/* ---- growing ---- */

static int set_size(Qcow2 *qcow2, uint64_t size)
{
    uint64_t old = qcow2->node.length;
    int ret;

    qcow2->node.length = size;
    ret = qcow2_header_commit(qcow2);
    if (ret < 0) {
        qcow2->node.length = old;
    }
    return ret;
}

/* A saved machine's memory, where the disk is about to be. */
static int drop_vm_state(Qcow2 *qcow2)
{
    uint64_t begin = qcow2_vm_state_offset(qcow2), span = 1ULL << (qcow2->l2_bits + qcow2->cluster_bits);
    int ret = 0;

    for (uint64_t i = qcow2_l1_index(qcow2, begin); i < qcow2->l1_size && ret == 0; i++) {
        if (qcow2->l1[i] & Q2_L1_OFFSET) {
            ret = qcow2_discard_clusters(qcow2, i * span, span, Q2_FREE_OTHER, false);
        }
    }
    return ret;
}

static int grow(Qcow2 *qcow2, uint64_t size, Preallocation preallocation, GError **err)
{
    uint64_t old = qcow2->node.length, span = 1ULL << (qcow2->l2_bits + qcow2->cluster_bits);
    uint64_t below = qcow2->node.backing ? MIN(node_length(qcow2->node.backing), size) : 0;
    int ret = drop_vm_state(qcow2);

    if (ret == 0) {
        co_lock(&qcow2->lock);
        ret = qcow2_l1_grow(qcow2, size / span + (size % span != 0));
        co_unlock(&qcow2->lock);
    }
    if (ret < 0) {
        fail(err, -ret, "Failed to grow the L1 table: %s", strerror(-ret));
        return ret;
    }
    if (qcow2->external) {
        ret = node_truncate(qcow2->data, size, false, preallocation == PREALLOC_METADATA ? PREALLOC_OFF : preallocation, 0, err);
        if (ret < 0) {
            return ret;
        }
    }
    ret = set_size(qcow2, size);
    /* The old tail's cluster may hold bytes behind the old end; a longer backing file would shine through. */
    if (ret == 0) {
        ret = make_zero(qcow2, old, MIN(MAX(align_up(old, qcow2->cluster_size), below), size));
    }
    if (ret == 0 && preallocation != PREALLOC_OFF) {
        ret = qcow2_preallocate(qcow2, old, size, preallocation);
    }
    if (ret < 0) {
        fail(err, -ret, "Failed to resize the image: %s", strerror(-ret));
    }
    return ret;
}

/* ---- shrinking ---- */

/* Tables that map nothing of what is left. Their clusters are unmapped already. */
static int drop_tables(Qcow2 *qcow2, uint64_t size)
{
    uint64_t span = 1ULL << (qcow2->l2_bits + qcow2->cluster_bits);

    for (uint64_t i = size / span + (size % span != 0); i < qcow2->l1_size; i++) {
        uint64_t l2 = qcow2->l1[i] & Q2_L1_OFFSET;

        if (l2) {
            qcow2_l1_set(qcow2, i, 0);
            qcow2_free(qcow2, l2, qcow2->cluster_size, Q2_FREE_ALWAYS);
        }
    }
    return 0;
}

/* The file ends behind its last cluster in use. */
static int cut_file(Qcow2 *qcow2)
{
    uint64_t last = qcow2_clusters(qcow2, qcow2->file_end), refcount = 0;
    int ret = 0;

    while (last > 0 && ret == 0 && refcount == 0) {
        uint64_t index = (last - 1) >> qcow2->refblock_bits;

        if (index >= qcow2->reftable_entries || qcow2->reftable[index] == 0) {
            last = index << qcow2->refblock_bits;
            continue;
        }
        ret = qcow2_refcount_get(qcow2, last - 1, &refcount);
        last -= ret == 0 && refcount == 0;
    }
    if (ret == 0 && qcow2->node.file->growable && last << qcow2->cluster_bits < qcow2->file_end) {
        ret = node_truncate(qcow2->node.file, last << qcow2->cluster_bits, false, PREALLOC_OFF, 0, NULL);
        if (ret == 0) {
            qcow2->file_end = last << qcow2->cluster_bits;
            qcow2->zero_from = qcow2->zero_from == UINT64_MAX ? UINT64_MAX : qcow2->file_end;
            qcow2->free_hint = MIN(qcow2->free_hint, last);
            qcow2->run_hint = MIN(qcow2->run_hint, last);
        }
    }
    return ret;
}

static int shrink(Qcow2 *qcow2, uint64_t size, GError **err)
{
    uint64_t old = qcow2->node.length, cluster_end = align_up(size, qcow2->cluster_size);
    /* While it can still be read: what the last cluster holds behind the new end. */
    int ret = make_zero(qcow2, size, MIN(cluster_end, old));

    if (ret == 0) {
        ret = drop_vm_state(qcow2);
    }
    if (ret == 0 && cluster_end < old) {
        ret = qcow2_discard_clusters(qcow2, cluster_end, align_up(old, qcow2->cluster_size) - cluster_end, Q2_FREE_ALWAYS, false);
    }
    if (ret == 0) {
        co_lock(&qcow2->lock);
        ret = drop_tables(qcow2, size);
        if (ret == 0) {
            ret = qcow2_sync_locked(qcow2);
        }
        if (ret == 0) {
            ret = set_size(qcow2, size);
        }
        if (ret == 0) {
            cut_file(qcow2);               /* no harm when it cannot be */
        }
        co_unlock(&qcow2->lock);
    }
    if (ret == 0 && qcow2->external) {
        ret = node_truncate(qcow2->data, size, false, PREALLOC_OFF, 0, err);
        return ret;
    }
    if (ret < 0) {
        fail(err, -ret, "Failed to shrink the image: %s", strerror(-ret));
    }
    return ret;
}

/* ---- both ---- */

static int refuse(Qcow2 *qcow2, uint64_t size, Preallocation preallocation, GError **err)
{
    if (qcow2->corrupt) {
        fail(err, EIO, "The image is corrupt");
        return -EIO;
    }
    if (size & (Q2_SECTOR - 1)) {
        fail(err, EINVAL, "The new size must be a multiple of %u", Q2_SECTOR);
        return -EINVAL;
    }
    if (size > INT64_MAX - qcow2->cluster_size) {
        fail(err, EFBIG, "Failed to grow the L1 table: %s", strerror(EFBIG));
        return -EFBIG;
    }
    if (qcow2->snapshot_count && qcow2->version < 3) {
        fail(err, ENOTSUP, "Can't resize a v2 image which has snapshots");
        return -ENOTSUP;
    }
    if (size < qcow2->node.length && preallocation != PREALLOC_OFF) {
        fail(err, EINVAL, "Preallocation can't be used for shrinking an image");
        return -EINVAL;
    }
    return qcow2_bitmaps_resize(qcow2, size, err) ? 0 : -ENOTSUP;
}

int qcow2_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);
    int ret;

    (void)exact;
    (void)flags;                           /* what is new reads as zeroes in any case */
    co_write_lock(&qcow2->gate);
    TRACE(&resize_trace[TRACE_TRUNCATE], "%" PRIu64 " to %" PRIu64 " preallocation %d", node->length, size, preallocation);
    ret = refuse(qcow2, size, preallocation, err);
    if (ret == 0 && size > node->length) {
        ret = grow(qcow2, size, preallocation, err);
    } else if (ret == 0 && size < node->length) {
        ret = shrink(qcow2, size, err);
    }
    co_write_unlock(&qcow2->gate);
    return ret;
}
