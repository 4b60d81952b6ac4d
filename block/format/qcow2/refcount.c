/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * refcount.c - which clusters of the image file are in use, and by how many
 *
 * A refcount table of offsets of refcount blocks, each a cluster of counts of 1 to 64 bits. A block that is missing stands for zeroes; it
 * is made in the first cluster that it describes, so that it needs nobody else's refcount.
 *
 * Freeing waits. What loses its last reference is queued (freed), moves on as the mapping is written (freed_written) and
 * flushed (freed_stable), and then waits for the requests that may still read or write there (freed_grace): they run in one of two
 * phases, and when the older phase has no request left, nobody remembers what was freed before it ended. Only then the refcount
 * goes down.
 *
 * Threads  the node's home loop; qcow2->lock held, but for qcow2_free()
 * Tests    tests/block/qcow2.c
 */
#include "block/format/qcow2/qcow2.h"
#include "base/bitmap.h"
#include "base/trace.h"

enum { TRACE_ALLOC, TRACE_FREE, TRACE_REFBLOCK, TRACE_REFTABLE };
static TracePoint refcount_trace[] = {
    [TRACE_ALLOC] = { "qcow2_alloc", "clusters of a qcow2 file were allocated" },
    [TRACE_FREE] = { "qcow2_free", "a range of a qcow2 file lost its references" },
    [TRACE_REFBLOCK] = { "qcow2_refblock_new", "a refcount block was made" },
    [TRACE_REFTABLE] = { "qcow2_reftable_grow", "the refcount table was made larger" },
};
TRACE_TABLE(refcount_trace)

/* The file grows by a sixteenth of its length, within these: few flushes for its length, little to cut off at the end. */
enum { GROW_MIN = 1 << 20, GROW_MAX = 64 << 20 };
/* Holes of fewer clusters do not send the search for runs back; so many ranges, so many bytes that wait make a sync. */
enum { WORTH_A_RUN = 16, MAX_FREED = 4096, MAX_FREED_BYTES = 1 << 30 };
#define MAX_FILE_OFFSET (1ULL << 56)       /* of what an L1 or L2 entry can name */

/* ---- counts in a block ---- */

uint64_t qcow2_refcount_load(const void *block, unsigned order, uint64_t index)
{
    const uint8_t *bytes = block;

    switch (order) {
    case 3: return bytes[index];
    case 4: return load_be16(bytes + 2 * index);
    case 5: return load_be32(bytes + 4 * index);
    case 6: return load_be64(bytes + 8 * index);
    default: {                             /* 1, 2, 4 bits: the lowest bits come first */
        unsigned bit = (unsigned)(index << order) & 7;

        return bytes[index << order >> 3] >> bit & ((1u << (1u << order)) - 1);
    }
    }
}

void qcow2_refcount_store(void *block, unsigned order, uint64_t index, uint64_t value)
{
    uint8_t *bytes = block;

    switch (order) {
    case 3: bytes[index] = value; return;
    case 4: store_be16(bytes + 2 * index, value); return;
    case 5: store_be32(bytes + 4 * index, value); return;
    case 6: store_be64(bytes + 8 * index, value); return;
    default: {
        unsigned bit = (unsigned)(index << order) & 7, mask = (1u << (1u << order)) - 1;
        uint8_t *byte = &bytes[index << order >> 3];

        *byte = (*byte & ~(mask << bit)) | (unsigned)value << bit;
        return;
    }
    }
}

/* ---- blocks ---- */

/* Offset of the block for a cluster; 0: none; -EIO: the table's entry is bad. */
static int64_t block_offset(Qcow2 *qcow2, uint64_t cluster)
{
    uint64_t index = cluster >> qcow2->refblock_bits, entry = index < qcow2->reftable_entries ? qcow2->reftable[index] : 0;
    uint64_t offset = entry & Q2_REFTABLE_OFFSET;

    if (offset == 0) {
        return 0;
    }
    if ((offset & (qcow2->cluster_size - 1)) || offset > INT64_MAX) {
        qcow2_corrupt(qcow2, true, offset, UINT64_MAX, "Refblock offset %#" PRIx64 " unaligned (reftable index: %#" PRIx64 ")", offset, index);
        return -EIO;
    }
    return offset;
}

int qcow2_refcount_get(Qcow2 *qcow2, uint64_t cluster, uint64_t *refcount)
{
    int64_t offset = block_offset(qcow2, cluster);
    Qcow2Table *block;
    int ret;

    *refcount = 0;
    if (offset <= 0) {
        return offset;
    }
    ret = qcow2_cache_get(&qcow2->refblock_cache, offset, &block);
    if (ret < 0) {
        return ret;
    }
    *refcount = qcow2_refcount_load(block->data, qcow2->refcount_order, cluster & ((1ULL << qcow2->refblock_bits) - 1));
    qcow2_cache_put(&qcow2->refblock_cache, block);
    return 0;
}

static void reftable_set(Qcow2 *qcow2, uint64_t index, uint64_t entry)
{
    qcow2->reftable[index] = entry;
    bitmap_set(qcow2->reftable_dirty, index / (Q2_SECTOR / 8), 1);
    qcow2->reftable_is_dirty = true;
}

/* Room in the file up to end, on disk before the mapping. */
static int reach(Qcow2 *qcow2, uint64_t end)
{
    uint64_t size = qcow2->grow_mode == PREALLOC_OFF ? end + CLAMP(end / 16, GROW_MIN, GROW_MAX) : end;
    GError *error = NULL;

    if (end <= qcow2->file_end) {
        return 0;
    }
    if (!qcow2->node.file->growable) {
        return -ENOSPC;
    }
    if (node_truncate(qcow2->node.file, size, false, qcow2->grow_mode, 0, &error) < 0) {
        int errnum = error && error->domain == ROOST_ERROR && error->code > 0 ? error->code : EIO;

        g_clear_error(&error);
        return -errnum;
    }
    qcow2->file_end = MAX(qcow2->file_end, size);
    qcow2->file_grown = true;
    qcow2_order_after_write(qcow2);
    return 0;
}

static uint64_t reftable_on_disk(const Qcow2 *qcow2)
{
    return (uint64_t)qcow2->reftable_clusters << (qcow2->cluster_bits - 3);
}

static uint64_t reftable_limit(const Qcow2 *qcow2)
{
    return qcow2->reftable_growing ? qcow2->reftable_entries : reftable_on_disk(qcow2);
}

/* A new block for the table's entry `index`, in a free cluster, which it counts itself or whose block is there. */
static int block_make(Qcow2 *qcow2, uint64_t index, uint64_t cluster)
{
    uint64_t mask = (1ULL << qcow2->refblock_bits) - 1, offset = cluster << qcow2->cluster_bits;
    Qcow2Table *block, *own = NULL;
    int ret = qcow2_overlap_check(qcow2, 0, offset, qcow2->cluster_size);

    if (ret == 0) {
        ret = reach(qcow2, offset + qcow2->cluster_size);
    }
    if (ret == 0) {
        ret = qcow2_regions_add(qcow2, Q2_OL_REFBLOCK, offset);
    }
    if (ret == 0) {
        ret = qcow2_cache_new(&qcow2->refblock_cache, offset, &block);
    }
    if (ret < 0) {
        return ret;
    }
    TRACE(&refcount_trace[TRACE_REFBLOCK], "index %" PRIu64 " at 0x%" PRIx64, index, offset);
    reftable_set(qcow2, index, offset);
    qcow2_cache_put(&qcow2->refblock_cache, block);
    ret = qcow2_cache_get(&qcow2->refblock_cache, qcow2->reftable[cluster >> qcow2->refblock_bits] & Q2_REFTABLE_OFFSET, &own);
    if (ret == 0) {
        qcow2_refcount_store(own->data, qcow2->refcount_order, cluster & mask, 1);
        qcow2_cache_dirty(&qcow2->refblock_cache, own, (cluster & mask) << qcow2->refcount_order >> 3,
                          MAX(1u << qcow2->refcount_order >> 3, 1u));
    }
    qcow2_cache_put(&qcow2->refblock_cache, own);
    if (qcow2->zero_from < offset + qcow2->cluster_size) {
        qcow2->zero_from = offset + qcow2->cluster_size;
    }
    return ret;
}

/* How many blocks are missing for clusters [first, first + count). */
static int64_t missing_blocks(Qcow2 *qcow2, uint64_t first, uint64_t count)
{
    int64_t missing = 0;

    for (uint64_t index = first >> qcow2->refblock_bits; index <= (first + count - 1) >> qcow2->refblock_bits; index++) {
        int64_t offset = block_offset(qcow2, index << qcow2->refblock_bits);

        if (offset < 0) {
            return offset;
        }
        missing += offset == 0;
    }
    return missing;
}

/* Those, in the first of these clusters, which are free: since they follow each other, each is counted by a block that is there or was made
 * before it, or by itself. -EAGAIN: the table had to grow, which used clusters, maybe these. */
static int make_missing(Qcow2 *qcow2, uint64_t first, uint64_t count)
{
    uint64_t last = (first + count - 1) >> qcow2->refblock_bits, place = first;
    int ret = 0;

    if (last >= reftable_limit(qcow2)) {
        ret = qcow2->reftable_growing ? -EFBIG : qcow2_reftable_grow(qcow2, first + count - 1);
        return ret < 0 ? ret : -EAGAIN;
    }
    for (uint64_t index = first >> qcow2->refblock_bits; index <= last && ret == 0; index++) {
        if (!(qcow2->reftable[index] & Q2_REFTABLE_OFFSET)) {
            ret = block_make(qcow2, index, place++);
        }
    }
    return ret;
}

/* The block that counts a cluster, pinned. One that is missing is made at the end of the file: who counts up clusters that have no block
 * (a repair) may be about to count those beside them. */
static int block_get_writable(Qcow2 *qcow2, uint64_t cluster, Qcow2Table **out)
{
    int64_t offset = block_offset(qcow2, cluster);

    if (offset == 0) {
        uint64_t hint = qcow2->free_hint, index = cluster >> qcow2->refblock_bits;
        int64_t place;
        int ret;

        qcow2->free_hint = MAX(qcow2_clusters(qcow2, qcow2->file_end), cluster + 1);
        place = qcow2_alloc(qcow2, qcow2->cluster_size, NULL);
        qcow2->free_hint = MIN(hint, qcow2->free_hint);
        if (place < 0) {
            return place;
        }
        if (index >= reftable_limit(qcow2)) {
            ret = qcow2_reftable_grow(qcow2, cluster);
            if (ret < 0) {
                return ret;
            }
        }
        offset = block_offset(qcow2, cluster);                         /* that very allocation may have needed it */
        if (offset == 0) {
            ret = block_make(qcow2, index, (uint64_t)place >> qcow2->cluster_bits);
            offset = ret < 0 ? ret : place;
        } else {
            qcow2_free(qcow2, place, qcow2->cluster_size, Q2_FREE_NEVER);
        }
    }
    return offset < 0 ? (int)offset : qcow2_cache_get(&qcow2->refblock_cache, offset, out);
}

/* ---- changing ---- */

/* Of clusters [first, end), all within one block; *done: how many were changed before a failure. */
static int change_in_block(Qcow2 *qcow2, uint64_t first, uint64_t end, int64_t delta, uint64_t *done, GArray *now_free)
{
    uint64_t mask = (1ULL << qcow2->refblock_bits) - 1, from, to;
    Qcow2Table *block;
    int ret = block_get_writable(qcow2, first, &block);

    *done = 0;
    if (ret < 0) {
        return ret;
    }
    for (uint64_t cluster = first; cluster < end && ret == 0; cluster++) {
        uint64_t count = qcow2_refcount_load(block->data, qcow2->refcount_order, cluster & mask);

        if (delta < 0 && count < (uint64_t)-delta) {
            ret = -EINVAL;
        } else if (delta > 0 && (count > qcow2->refcount_max || (uint64_t)delta > qcow2->refcount_max - count)) {
            ret = -ERANGE;
        } else {
            qcow2_refcount_store(block->data, qcow2->refcount_order, cluster & mask, count + delta);
            (*done)++;
            if (count + delta == 0) {
                qcow2->free_hint = MIN(qcow2->free_hint, cluster);
                if (now_free) {
                    Qcow2Freed gone = { cluster << qcow2->cluster_bits, qcow2->cluster_size, 0 };

                    g_array_append_val(now_free, gone);
                }
            }
        }
    }
    from = (first & mask) << qcow2->refcount_order >> 3;
    to = (((first + *done - 1) & mask) << qcow2->refcount_order >> 3) + MAX(1u << qcow2->refcount_order >> 3, 1u);
    if (*done) {
        qcow2_cache_dirty(&qcow2->refblock_cache, block, from, to - from);
    }
    qcow2_cache_put(&qcow2->refblock_cache, block);
    return ret;
}

static int change(Qcow2 *qcow2, uint64_t first, uint64_t end, int64_t delta, GArray *now_free)
{
    uint64_t at = first;
    int ret = 0;

    while (at < end && ret == 0) {
        uint64_t block_end = ((at >> qcow2->refblock_bits) + 1) << qcow2->refblock_bits, done;

        ret = change_in_block(qcow2, at, MIN(end, block_end), delta, &done, now_free);
        at += done;
        if (ret == -EAGAIN) {
            ret = 0;
        }
    }
    if (ret < 0 && at > first) {
        change(qcow2, first, at, -delta, NULL);
    }
    return ret;
}

/* What lies in metadata that is now free leaves the caches; the file may take the space back. */
static void space_gone(Qcow2 *qcow2, GArray *now_free, Qcow2Free why)
{
    for (guint i = 0, next; i < now_free->len; i = next) {
        uint64_t offset = g_array_index(now_free, Qcow2Freed, i).offset, end = offset + qcow2->cluster_size;

        for (next = i + 1; next < now_free->len && g_array_index(now_free, Qcow2Freed, next).offset == end; next++) {
            end += qcow2->cluster_size;
        }
        if ((end - offset) >> qcow2->cluster_bits >= WORTH_A_RUN) {
            qcow2->run_hint = MIN(qcow2->run_hint, offset >> qcow2->cluster_bits);
        }
        qcow2_regions_remove(qcow2, offset, end - offset);
        qcow2_cache_forget(&qcow2->l2_cache, offset, end - offset);
        qcow2_cache_forget(&qcow2->refblock_cache, offset, end - offset);
        if (qcow2->compressed_next > offset && qcow2->compressed_next <= end) {
            qcow2->compressed_next = 0;
        }
        if (qcow2->discard_passes[why] && offset < qcow2->file_end) {
            node_pdiscard(qcow2->node.file, offset, MIN(end, qcow2->file_end) - offset);       /* best effort */
        }
    }
}

int qcow2_refcount_add(Qcow2 *qcow2, uint64_t offset, uint64_t bytes, int64_t delta, Qcow2Free why)
{
    uint64_t first = offset >> qcow2->cluster_bits, end;
    g_autoptr(GArray) now_free = NULL;
    int ret;

    if (bytes == 0) {
        return 0;
    }
    if (!checked_add(offset, bytes, &end) || end > MAX_FILE_OFFSET) {
        return -EINVAL;
    }
    now_free = delta < 0 ? g_array_new(FALSE, FALSE, sizeof(Qcow2Freed)) : NULL;
    ret = change(qcow2, first, qcow2_clusters(qcow2, end), delta, now_free);
    if (ret == -EINVAL) {
        qcow2_corrupt(qcow2, false, offset, bytes, "Refcount of a cluster at %#" PRIx64 "..%#" PRIx64 " would become negative", offset, end);
    }
    if (ret == 0 && now_free) {
        space_gone(qcow2, now_free, why);
    }
    return ret;
}

/* ---- freeing ---- */

void qcow2_free(Qcow2 *qcow2, uint64_t offset, uint64_t bytes, Qcow2Free why)
{
    Qcow2Freed freed = { offset, bytes, why };
    Qcow2Freed *last = qcow2->freed->len ? &g_array_index(qcow2->freed, Qcow2Freed, qcow2->freed->len - 1) : NULL;

    if (bytes == 0) {
        return;
    }
    TRACE(&refcount_trace[TRACE_FREE], "0x%" PRIx64 " + 0x%" PRIx64 " why %d", offset, bytes, why);
    qcow2->freed_bytes += bytes;
    /* Whole clusters only: parts of one, of compressed clusters, count one by one. */
    if (last && last->why == why && last->offset + last->bytes == offset && !((offset | bytes) & (qcow2->cluster_size - 1)) &&
        !(last->offset & (qcow2->cluster_size - 1))) {
        last->bytes += bytes;
    } else {
        g_array_append_val(qcow2->freed, freed);
    }
}

void qcow2_compressed_range(const Qcow2 *qcow2, uint64_t entry, uint64_t *offset, uint64_t *bytes)
{
    uint64_t sectors = (entry >> qcow2->compressed_shift & qcow2->compressed_sectors_mask) + 1;

    *offset = entry & qcow2->compressed_offset_mask;
    *bytes = sectors * Q2_SECTOR - (*offset & (Q2_SECTOR - 1));
}

void qcow2_free_entry(Qcow2 *qcow2, uint64_t entry, Qcow2Free why)
{
    uint64_t offset, bytes;

    if (qcow2->external) {
        return;                            /* nothing there is counted */
    }
    if (entry & Q2_COMPRESSED) {
        qcow2_compressed_range(qcow2, entry, &offset, &bytes);
        qcow2_free(qcow2, offset, bytes, why);
    } else if (entry & Q2_L2_OFFSET) {
        qcow2_free(qcow2, entry & Q2_L2_OFFSET, qcow2->cluster_size, why);
    }
}

/* One list's refcounts go down; a failure leaks what is left of its range. */
static int release(Qcow2 *qcow2, GArray *list)
{
    g_autoptr(GArray) mine = g_array_new(FALSE, FALSE, sizeof(Qcow2Freed));
    int ret = 0;

    g_array_append_vals(mine, list->data, list->len);
    g_array_set_size(list, 0);
    for (guint i = 0; i < mine->len; i++) {
        const Qcow2Freed *freed = &g_array_index(mine, Qcow2Freed, i);
        int one = qcow2_refcount_add(qcow2, freed->offset, freed->bytes, -1, freed->why);

        qcow2->freed_bytes -= freed->bytes;
        ret = ret < 0 ? ret : one;
    }
    return ret;
}

int qcow2_release_freed(Qcow2 *qcow2)
{
    int ret = 0;

    for (;;) {
        unsigned older = qcow2->phase ^ 1;

        if (qcow2->phase_requests[older]) {
            return ret;
        }
        if (qcow2->freed_grace->len) {
            int one = release(qcow2, qcow2->freed_grace);

            ret = ret < 0 ? ret : one;
        } else if (qcow2->freed_stable->len) {
            g_array_append_vals(qcow2->freed_grace, qcow2->freed_stable->data, qcow2->freed_stable->len);
            g_array_set_size(qcow2->freed_stable, 0);
            qcow2->phase = older;          /* new requests count there; those of this phase run out */
        } else {
            return ret;
        }
    }
}

/* ---- allocating ---- */

/* How many clusters from `cluster` on are free, looking at no more than count; -errno. */
static int64_t count_free(Qcow2 *qcow2, uint64_t cluster, uint64_t count)
{
    uint64_t found = 0, mask = (1ULL << qcow2->refblock_bits) - 1;

    while (found < count) {
        uint64_t at = cluster + found, here = MIN(count - found, mask + 1 - (at & mask));
        int64_t offset = block_offset(qcow2, at);
        Qcow2Table *block;
        int ret;

        if (offset < 0) {
            return offset;
        }
        if (offset == 0) {
            found += here;
            continue;
        }
        ret = qcow2_cache_get(&qcow2->refblock_cache, offset, &block);
        if (ret < 0) {
            return ret;
        }
        for (; here && qcow2_refcount_load(block->data, qcow2->refcount_order, (cluster + found) & mask) == 0; here--) {
            found++;
        }
        qcow2_cache_put(&qcow2->refblock_cache, block);
        if (here) {
            break;
        }
    }
    return found;
}

/* The first cluster at or after `cluster` that is free. */
static int64_t next_free(Qcow2 *qcow2, uint64_t cluster)
{
    uint64_t mask = (1ULL << qcow2->refblock_bits) - 1;

    for (;;) {
        int64_t offset = block_offset(qcow2, cluster);
        Qcow2Table *block;
        int ret;

        if (offset <= 0) {
            return offset < 0 ? offset : (int64_t)cluster;
        }
        ret = qcow2_cache_get(&qcow2->refblock_cache, offset, &block);
        if (ret < 0) {
            return ret;
        }
        do {
            if (qcow2_refcount_load(block->data, qcow2->refcount_order, cluster & mask) == 0) {
                qcow2_cache_put(&qcow2->refblock_cache, block);
                return cluster;
            }
        } while (++cluster & mask);
        qcow2_cache_put(&qcow2->refblock_cache, block);
    }
}

/* A run of count free clusters; hints move over what is known to be in use. */
static int64_t find_run(Qcow2 *qcow2, uint64_t count)
{
    uint64_t from = count == 1 ? qcow2->free_hint : MAX(qcow2->run_hint, qcow2->free_hint);
    bool first = true;

    for (;;) {
        int64_t at = next_free(qcow2, from), run;

        if (at < 0) {
            return at;
        }
        if (first && from == qcow2->free_hint) {
            qcow2->free_hint = at;
        }
        first = false;
        run = count_free(qcow2, at, count);
        if (run < 0 || (uint64_t)run == count) {
            return run < 0 ? run : at;
        }
        from = at + run;
    }
}

static int take(Qcow2 *qcow2, uint64_t cluster, uint64_t count, bool *fresh)
{
    uint64_t offset = cluster << qcow2->cluster_bits, end = (cluster + count) << qcow2->cluster_bits;
    int ret;

    if (end > MAX_FILE_OFFSET) {
        return -EFBIG;
    }
    ret = qcow2_overlap_check(qcow2, 0, offset, end - offset);
    if (ret == 0) {
        ret = reach(qcow2, end);
    }
    if (ret == 0) {
        ret = change(qcow2, cluster, cluster + count, 1, NULL);
    }
    if (ret < 0) {
        return ret;
    }
    if (fresh) {
        *fresh = offset >= qcow2->zero_from;
    }
    if (qcow2->zero_from < end) {
        qcow2->zero_from = end;
    }
    if (qcow2->free_hint == cluster) {
        qcow2->free_hint = cluster + count;
    }
    if (count > 1) {
        qcow2->run_hint = cluster + count;
    }
    TRACE(&refcount_trace[TRACE_ALLOC], "0x%" PRIx64 " + %" PRIu64 " clusters", offset, count);
    return 0;
}

/* count clusters in a row. Blocks that are missing for them come first, in the same row. */
static int64_t alloc_row(Qcow2 *qcow2, uint64_t count, bool *fresh)
{
    for (;;) {
        uint64_t room, blocks = 0;
        int64_t first, missing;
        int ret;

        do {
            room = count + blocks;
            first = find_run(qcow2, room);
            missing = first < 0 ? first : missing_blocks(qcow2, first, room);
            if (missing < 0) {
                return missing;
            }
            blocks = missing;
        } while (count + blocks > room);
        if ((uint64_t)first + room > MAX_FILE_OFFSET >> qcow2->cluster_bits) {
            return -EFBIG;
        }
        ret = make_missing(qcow2, first, room);
        if (ret == 0) {
            ret = take(qcow2, first + missing, count, fresh);
        }
        if (ret != -EAGAIN) {
            return ret < 0 ? ret : (int64_t)((uint64_t)(first + missing) << qcow2->cluster_bits);
        }
    }
}

/* What was freed comes back: at once where it may, by a sync where too much of it waits. */
static int gather_freed(Qcow2 *qcow2)
{
    if (qcow2->freed->len > MAX_FREED || (qcow2->freed->len && qcow2->freed_bytes > MAX_FREED_BYTES)) {
        return qcow2_sync_locked(qcow2);
    }
    return qcow2->freed_stable->len || qcow2->freed_grace->len ? qcow2_release_freed(qcow2) : 0;
}

int64_t qcow2_alloc(Qcow2 *qcow2, uint64_t bytes, bool *fresh)
{
    uint64_t count = qcow2_clusters(qcow2, bytes);
    int64_t offset;

    if (count == 0 || count > INT32_MAX) {
        return -EINVAL;
    }
    gather_freed(qcow2);                   /* when it fails, the space stays in use */
    offset = alloc_row(qcow2, count, fresh);
    if (offset == -ENOSPC && qcow2->freed_bytes) {
        /* The file cannot grow, but space waits for its references to be gone on disk. */
        int ret = qcow2_sync_locked(qcow2);

        offset = ret < 0 ? ret : alloc_row(qcow2, count, fresh);
    }
    return offset;
}

static int64_t alloc_some(Qcow2 *qcow2, uint64_t *count, bool *fresh)
{
    for (;;) {
        int64_t first = find_run(qcow2, MIN(*count, WORTH_A_RUN)), run = first < 0 ? first : count_free(qcow2, first, *count);
        int64_t missing = run > 0 ? missing_blocks(qcow2, first, run) : run;
        int ret;

        if (missing < 0) {
            return missing;
        }
        if (missing >= run) {
            *count = 1;
            return alloc_row(qcow2, 1, fresh);
        }
        ret = missing ? make_missing(qcow2, first, run) : 0;
        if (ret == 0) {
            ret = take(qcow2, first + missing, run - missing, fresh);
        }
        if (ret != -EAGAIN) {
            *count = run - missing;
            return ret < 0 ? ret : (int64_t)((uint64_t)(first + missing) << qcow2->cluster_bits);
        }
    }
}

int64_t qcow2_alloc_run(Qcow2 *qcow2, uint64_t *count, bool *fresh)
{
    int64_t offset;

    gather_freed(qcow2);
    offset = alloc_some(qcow2, count, fresh);
    if (offset == -ENOSPC) {
        *count = 1;
        offset = qcow2_alloc(qcow2, qcow2->cluster_size, fresh);
    }
    return offset;
}

int64_t qcow2_alloc_at(Qcow2 *qcow2, uint64_t offset, uint64_t count, bool *fresh)
{
    uint64_t cluster = offset >> qcow2->cluster_bits;
    int64_t run = count_free(qcow2, cluster, count), missing = run > 0 ? missing_blocks(qcow2, cluster, run) : run;
    int ret;

    if (run <= 0 || missing < 0) {
        return run <= 0 ? run : missing;
    }
    if (missing) {
        return 0;                          /* a block would have to lie there */
    }
    ret = take(qcow2, cluster, run, fresh);
    return ret < 0 ? ret : run;
}

/* ---- a larger table ---- */

/* In memory first, then allocated through itself, written, flushed, named by the header. Nobody else allocates meanwhile (lock), so nothing
 * that a writeback puts on disk needs the entries that only the new table has room for. */
static int write_reftable(Qcow2 *qcow2, uint64_t offset, uint64_t bytes)
{
    g_autofree uint8_t *table = g_try_malloc(bytes);
    int ret;

    if (!table) {
        return -ENOMEM;
    }
    ret = qcow2_writeback(qcow2);          /* the blocks that it names */
    for (uint64_t i = 0; i < bytes / 8; i++) {
        store_be64(table + i * 8, qcow2->reftable[i]);
    }
    if (ret == 0) {
        ret = qcow2_overlap_check(qcow2, 0, offset, bytes);
    }
    if (ret == 0) {
        ret = node_pwrite(qcow2->node.file, offset, table, bytes);
    }
    return ret == 0 ? qcow2_flush_files(qcow2) : ret;
}

static bool reftable_resize(Qcow2 *qcow2, uint64_t entries)
{
    size_t words = bitmap_words(entries / (Q2_SECTOR / 8) + 1);
    uint64_t *table = g_try_new0(uint64_t, entries), *dirty = g_try_new0(uint64_t, words);

    if (!table || !dirty) {
        g_free(table);
        g_free(dirty);
        return false;
    }
    memcpy(table, qcow2->reftable, qcow2->reftable_entries * 8);
    memcpy(dirty, qcow2->reftable_dirty, bitmap_words(qcow2->reftable_entries / (Q2_SECTOR / 8) + 1) * 8);
    g_free(qcow2->reftable);
    g_free(qcow2->reftable_dirty);
    qcow2->reftable = table;
    qcow2->reftable_dirty = dirty;
    qcow2->reftable_entries = entries;
    return true;
}

/* A failure leaks the new table: whether the header names it cannot be known yet. */
static int reftable_move(Qcow2 *qcow2, uint64_t entries)
{
    uint64_t old_offset = qcow2->reftable_offset, bytes = entries * 8;
    uint32_t old_clusters = qcow2->reftable_clusters;
    int64_t offset = qcow2_alloc(qcow2, bytes, NULL);
    int ret = offset < 0 ? (int)offset : write_reftable(qcow2, offset, bytes);

    if (ret < 0) {
        return ret;
    }
    qcow2->reftable_offset = offset;
    qcow2->reftable_clusters = bytes >> qcow2->cluster_bits;
    ret = qcow2_header_commit(qcow2);
    if (ret < 0) {
        qcow2->reftable_offset = old_offset;
        qcow2->reftable_clusters = old_clusters;
        return ret;
    }
    TRACE(&refcount_trace[TRACE_REFTABLE], "%" PRIu64 " entries at 0x%" PRIx64, entries, (uint64_t)offset);
    qcow2_free(qcow2, old_offset, (uint64_t)old_clusters << qcow2->cluster_bits, Q2_FREE_OTHER);
    return qcow2_regions_rebuild(qcow2);
}

int qcow2_reftable_grow(Qcow2 *qcow2, uint64_t cluster)
{
    uint64_t needed = (cluster >> qcow2->refblock_bits) + 1, per_cluster = qcow2->cluster_size / 8, entries;
    int ret;

    if (needed <= reftable_on_disk(qcow2)) {
        return 0;
    }
    /* Half as much again, and room for the clusters of the table itself and the blocks that count them. */
    entries = MAX(needed, reftable_on_disk(qcow2)) * 3 / 2 + 2;
    entries = MIN((entries + per_cluster - 1) / per_cluster * per_cluster, Q2_MAX_REFTABLE_BYTES / 8);
    if (entries < needed) {
        return -EFBIG;
    }
    if (entries > qcow2->reftable_entries && !reftable_resize(qcow2, entries)) {
        return -ENOMEM;
    }
    qcow2->reftable_growing = true;
    ret = reftable_move(qcow2, qcow2->reftable_entries);
    qcow2->reftable_growing = false;
    return ret;
}
