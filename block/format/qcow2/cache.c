/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache.c - metadata in memory, and the order in which it goes back to disk
 *
 * Two caches of bounded size: slices of L2 tables, and refcount blocks. The L1 table and the refcount table are in memory as a whole
 * (qcow2.h). A table is found by a hash of its offset without yielding; the clock algorithm evicts; what is dirty is written by
 * writeback alone, never one table at a time.
 *
 * The order on disk. Between two flushes a disk may keep any subset of what was written, in any order. The image is sound when
 *
 *   (1) whatever a table on disk refers to has a refcount on disk that counts it: else a later allocation hands it out again;
 *   (2) a cluster's refcount goes down, and the cluster is used anew, only after no table on disk refers to it;
 *   (3) a refcount block, a copied L2 table, a copied or compressed cluster, a cluster that held other bytes before has its content on
 *       disk before something on disk refers to it;
 *   (4) the file is long enough for all that tables on disk refer to.
 *
 * So a writeback has up to four steps. It begins by copying, in one go without a yield, all that is dirty in the mapping (L2
 * slices, L1) and in the refcount table: a consistent picture, which may change in memory while the steps run.
 *
 *   refcount blocks
 *      | flush A    only when the refcount table changed too: (3) for new blocks
 *   refcount table
 *      | flush B    only when something was written since the last flush that the mapping needs: the above for (1), data for (3), the
 *      |            file's length for (4). `unstable` counts such writes, `stable` says how many of them a flush has covered
 *   L2 slices, L1 table
 *      | flush C    the caller's (qcow2_sync), or the next one that happens
 *   refcounts that go down; the clusters may be used again: (2)
 *
 * L2 and L1 need no order between each other, since a new L2 table's cluster holds zeroes (no mapping) or its copy before flush B.
 * And a data cluster that was never written, under guest clusters that read as zeroes, needs none either: whether its
 * bytes or its mapping come first, the guest reads old zeroes or new bytes. Allocating writes to a fresh image therefore cost
 * one flush B per guest flush for the refcounts, and nothing else.
 *
 * With lazy refcounts the dirty bit is on disk before the first mapping: then (1) is a repair's work, and flush B is left out
 * for refcounts alone.
 *
 * Models   metadata caching of qcow2 images
 * Omits    checksums: the format has none
 * Hostile  offsets come from images: a table is read where it lies, and zeroes beyond the end of the file
 * Threads  the node's home loop
 * Tests    tests/block/qcow2.c, tests/fuzz/qcow2.c
 */
#include "block/format/qcow2/qcow2.h"
#include "base/bitmap.h"
#include "base/trace.h"
#include <stdlib.h>

enum { TRACE_CACHE_MISS, TRACE_WRITEBACK, TRACE_FLUSH };
static TracePoint cache_trace[] = {
    [TRACE_CACHE_MISS] = { "qcow2_cache_miss", "an L2 slice or a refcount block is read" },
    [TRACE_WRITEBACK] = { "qcow2_writeback", "dirty metadata of a qcow2 image is written" },
    [TRACE_FLUSH] = { "qcow2_flush_files", "the files below a qcow2 image are flushed" },
};
TRACE_TABLE(cache_trace)

enum { MIN_TABLES = 4, MAX_MERGED = 64 };

/* ---- tables ---- */

int qcow2_cache_init(Qcow2 *qcow2, Qcow2Cache *cache, Qcow2Region kind, uint32_t table_bytes, uint64_t cache_bytes)
{
    uint64_t limit = CLAMP(cache_bytes / table_bytes, MIN_TABLES, INT32_MAX), buckets = 16;

    while (buckets < limit && buckets < 1 << 20) {
        buckets *= 2;
    }
    *cache = (Qcow2Cache){ .qcow2 = qcow2, .kind = kind, .bytes = table_bytes, .bits = __builtin_ctz(table_bytes), .limit = limit,
                           .mask = buckets - 1 };
    cache->tables = g_try_new0(Qcow2Table, limit);
    cache->buckets = g_try_new0(uint32_t, buckets);
    if (!cache->tables || !cache->buckets) {
        qcow2_cache_free(cache);
        return -ENOMEM;
    }
    return 0;
}

void qcow2_cache_free(Qcow2Cache *cache)
{
    for (uint32_t i = 0; cache->tables && i < cache->made; i++) {
        free(cache->tables[i].data);
    }
    g_clear_pointer(&cache->tables, g_free);
    g_clear_pointer(&cache->buckets, g_free);
    cache->made = 0;
}

static uint32_t *bucket_of(Qcow2Cache *cache, uint64_t offset)
{
    return &cache->buckets[(uint32_t)(offset >> cache->bits) & cache->mask];
}

static bool is_dirty(const Qcow2Table *table)
{
    return table->dirty_from < table->dirty_to;
}

static void clean(Qcow2Cache *cache, Qcow2Table *table)
{
    if (is_dirty(table)) {
        cache->dirty--;
    }
    table->dirty_from = table->dirty_to = 0;
}

static void unhash(Qcow2Cache *cache, Qcow2Table *table)
{
    uint32_t number = table - cache->tables + 1, *at = bucket_of(cache, table->offset);

    while (*at != number) {
        at = &cache->tables[*at - 1].next;
    }
    *at = table->next;
    if (is_dirty(table)) {
        cache->dirty--;
    }
    *table = (Qcow2Table){ .data = table->data };
}

static void hash(Qcow2Cache *cache, Qcow2Table *table, uint64_t offset)
{
    uint32_t *bucket = bucket_of(cache, offset);

    table->offset = offset;
    table->next = *bucket;
    *bucket = table - cache->tables + 1;
    table->used = true;
    table->pins = 1;
}

/* A table that nobody needs, with memory, not in the hash. NULL: all are pinned or dirty (*dirty says which), or no memory. */
static Qcow2Table *take_free(Qcow2Cache *cache, bool *dirty)
{
    *dirty = false;
    if (cache->made < cache->limit) {
        Qcow2Table *table = &cache->tables[cache->made];

        table->data = node_memalign(cache->qcow2->node.file, cache->bytes);
        if (table->data) {
            cache->made++;
            return table;
        }
    }
    for (uint32_t turn = 0; turn < 2 * cache->made; turn++) {
        Qcow2Table *table = &cache->tables[cache->hand];

        cache->hand = cache->hand + 1 < cache->made ? cache->hand + 1 : 0;
        if (table->pins || table->loading) {
            continue;
        }
        if (table->used) {
            table->used = false;
        } else if (table->offset && is_dirty(table)) {
            *dirty = true;
        } else {
            if (!table->data && !(table->data = node_memalign(cache->qcow2->node.file, cache->bytes))) {
                return NULL;
            }
            if (table->offset) {
                unhash(cache, table);
            }
            return table;
        }
    }
    return NULL;
}

/* NULL in *out: it waited for one, and meanwhile the table that is wanted may have come. */
static int make_room(Qcow2Cache *cache, Qcow2Table **out)
{
    bool dirty;
    int ret;

    *out = take_free(cache, &dirty);
    if (*out) {
        return 0;
    }
    if (cache->made == 0) {
        return -ENOMEM;
    }
    if (dirty) {
        ret = qcow2_writeback(cache->qcow2);
        if (ret < 0) {
            return ret;
        }
    } else {
        co_queue_wait(&cache->waiters, NULL);
    }
    return 0;
}

static Qcow2Table *lookup(Qcow2Cache *cache, uint64_t offset)
{
    for (uint32_t i = *bucket_of(cache, offset); i; i = cache->tables[i - 1].next) {
        if (cache->tables[i - 1].offset == offset) {
            return &cache->tables[i - 1];
        }
    }
    return NULL;
}

static int load(Qcow2Cache *cache, Qcow2Table *table)
{
    uint64_t offset = table->offset;
    int ret;

    TRACE(&cache_trace[TRACE_CACHE_MISS], "kind %d offset 0x%" PRIx64, cache->kind, offset);
    table->loading = true;
    ret = node_pread(cache->qcow2->node.file, offset, table->data, cache->bytes);
    table->loading = false;
    if (ret < 0) {
        table->pins = 0;
        unhash(cache, table);
    }
    co_queue_wake_all(&cache->waiters);
    return ret;
}

static int get(Qcow2Cache *cache, uint64_t offset, bool fresh, Qcow2Table **out)
{
    for (;;) {
        Qcow2Table *table = lookup(cache, offset);
        int ret;

        if (table && table->loading) {
            co_queue_wait(&cache->waiters, NULL);
            continue;
        }
        if (table) {
            table->pins++;
            table->used = true;
        } else {
            ret = make_room(cache, &table);
            if (ret < 0) {
                return ret;
            }
            if (!table) {
                continue;
            }
            hash(cache, table, offset);
            ret = fresh ? 0 : load(cache, table);
            if (ret < 0) {
                return ret;
            }
        }
        if (fresh) {
            memset(table->data, 0, cache->bytes);
            qcow2_cache_dirty(cache, table, 0, cache->bytes);
        }
        *out = table;
        return 0;
    }
}

int qcow2_cache_get(Qcow2Cache *cache, uint64_t offset, Qcow2Table **out)
{
    Qcow2Table *table = qcow2_cache_find(cache, offset);

    if (table) {
        table->pins++;
        *out = table;
        return 0;
    }
    return get(cache, offset, false, out);
}

int qcow2_cache_new(Qcow2Cache *cache, uint64_t offset, Qcow2Table **out)
{
    return get(cache, offset, true, out);
}

int qcow2_cache_zero(Qcow2Cache *cache, uint64_t offset, Qcow2Table **out)
{
    int ret = get(cache, offset, true, out);

    if (ret == 0) {
        clean(cache, *out);
    }
    return ret;
}

void qcow2_cache_put(Qcow2Cache *cache, Qcow2Table *table)
{
    if (table && --table->pins == 0 && !co_queue_is_empty(&cache->waiters)) {
        co_queue_wake_all(&cache->waiters);
    }
}

void qcow2_cache_dirty(Qcow2Cache *cache, Qcow2Table *table, uint32_t from, uint32_t bytes)
{
    if (!is_dirty(table)) {
        table->dirty_from = from;
        table->dirty_to = from + bytes;
        cache->dirty++;
        return;
    }
    table->dirty_from = MIN(table->dirty_from, from);
    table->dirty_to = MAX(table->dirty_to, from + bytes);
}

/* A table that is pinned (it is being written) stays, clean. Its cluster is not used anew while that write runs: it was freed by a
 * sync that waits for it, or by an exclusive user. */
void qcow2_cache_forget(Qcow2Cache *cache, uint64_t offset, uint64_t bytes)
{
    uint64_t tables = bytes >> cache->bits;

    if (tables > cache->made) {
        for (uint32_t i = 0; i < cache->made; i++) {
            Qcow2Table *table = &cache->tables[i];

            if (table->offset && table->offset - offset < bytes) {
                clean(cache, table);
                if (!table->pins && !table->loading) {
                    unhash(cache, table);
                }
            }
        }
        return;
    }
    for (uint64_t i = 0; i < MAX(tables, 1); i++) {
        Qcow2Table *table = lookup(cache, offset + (i << cache->bits));

        if (table) {
            clean(cache, table);
            if (!table->pins && !table->loading) {
                unhash(cache, table);
            }
        }
    }
}

void qcow2_cache_trim(Qcow2Cache *cache)
{
    for (uint32_t i = 0; i < cache->made; i++) {
        Qcow2Table *table = &cache->tables[i];

        if (table->pins || table->loading || is_dirty(table)) {
            continue;
        }
        if (table->used) {
            table->used = false;
        } else {
            if (table->offset) {
                unhash(cache, table);
            }
            g_clear_pointer(&table->data, free);
        }
    }
}

/* ---- writing back ---- */

typedef struct Copy {                      /* of bytes that go to the file */
    uint64_t offset;
    uint32_t bytes;
    Qcow2Region region;
    Qcow2Table *table;                     /* pinned; NULL: a piece of the L1 or refcount table */
    uint8_t *data;
} Copy;

static void copy_clear(void *copy)
{
    free(((Copy *)copy)->data);
}

static int by_offset(const void *a, const void *b)
{
    uint64_t left = ((const Copy *)a)->offset, right = ((const Copy *)b)->offset;

    return left < right ? -1 : left > right;
}

/* Whole sectors, so that a file opened with O_DIRECT takes them as they are. */
static int copy_cache(Qcow2Cache *cache, GArray *copies)
{
    for (uint32_t i = 0; cache->dirty && i < cache->made; i++) {
        Qcow2Table *table = &cache->tables[i];
        uint32_t from = table->dirty_from & ~(Q2_SECTOR - 1u), to = MIN((table->dirty_to + Q2_SECTOR - 1) & ~(Q2_SECTOR - 1u), cache->bytes);
        Copy copy = { .offset = table->offset + from, .bytes = to - from, .region = cache->kind, .table = table };

        if (!table->offset || !is_dirty(table)) {
            continue;
        }
        copy.data = node_memalign(cache->qcow2->node.file, copy.bytes);
        if (!copy.data) {
            return -ENOMEM;
        }
        memcpy(copy.data, table->data + from, copy.bytes);
        table->pins++;
        clean(cache, table);
        g_array_append_val(copies, copy);
    }
    return 0;
}

/* The 512-byte pieces of a table in memory whose bits are set. */
static int copy_table(Qcow2 *qcow2, GArray *copies, Qcow2Region region, uint64_t offset, const uint64_t *entries, uint64_t count,
                      uint64_t *dirty)
{
    uint64_t per_piece = Q2_SECTOR / 8, pieces = (count + per_piece - 1) / per_piece;

    for (uint64_t piece = bitmap_next_set(dirty, 0, pieces); piece < pieces; piece = bitmap_next_set(dirty, piece + 1, pieces)) {
        uint64_t first = piece * per_piece, last = MIN(first + per_piece, count);
        Copy copy = { .offset = offset + first * 8, .bytes = (last - first) * 8, .region = region };

        copy.data = node_memalign(qcow2->node.file, Q2_SECTOR);
        if (!copy.data) {
            return -ENOMEM;
        }
        for (uint64_t i = first; i < last; i++) {
            store_be64(copy.data + (i - first) * 8, entries[i]);
        }
        bitmap_clear(dirty, piece, 1);
        g_array_append_val(copies, copy);
    }
    return 0;
}

static void copy_done(Qcow2 *qcow2, Copy *copy, bool written)
{
    Qcow2Cache *cache = copy->region == Q2_OL_REFBLOCK ? &qcow2->refblock_cache : &qcow2->l2_cache;

    if (copy->table) {
        if (!written) {
            qcow2_cache_dirty(cache, copy->table, copy->offset - copy->table->offset, copy->bytes);
        }
        qcow2_cache_put(cache, copy->table);
        copy->table = NULL;
    } else if (!written && copy->region == Q2_OL_ACTIVE_L1) {
        bitmap_set(qcow2->l1_dirty, (copy->offset - qcow2->l1_offset) / Q2_SECTOR, 1);
        qcow2->l1_is_dirty = true;
    } else if (!written && copy->region == Q2_OL_REFTABLE) {
        bitmap_set(qcow2->reftable_dirty, (copy->offset - qcow2->reftable_offset) / Q2_SECTOR, 1);
        qcow2->reftable_is_dirty = true;
    }
}

/* Neighbours in the file go down as one request. All are tried; the first error is returned. */
static int write_copies(Qcow2 *qcow2, GArray *copies, int ret)
{
    g_array_sort(copies, by_offset);
    for (guint i = 0, next; i < copies->len; i = next) {
        struct iovec iov[MAX_MERGED];
        Copy *first = &g_array_index(copies, Copy, i);
        uint64_t bytes = 0;

        for (next = i; next < copies->len && next - i < MAX_MERGED; next++) {
            Copy *copy = &g_array_index(copies, Copy, next);

            if (copy->offset != first->offset + bytes || copy->region != first->region) {
                break;
            }
            iov[next - i] = (struct iovec){ copy->data, copy->bytes };
            bytes += copy->bytes;
        }
        if (ret == 0) {
            ret = qcow2_overlap_check(qcow2, first->region, first->offset, bytes);
        }
        if (ret == 0) {
            ret = node_pwritev(qcow2->node.file, first->offset, iov_all(iov, next - i), 0);
        }
        for (guint j = i; j < next; j++) {
            copy_done(qcow2, &g_array_index(copies, Copy, j), ret == 0);
        }
    }
    return ret;
}

static void move_freed(GArray *from, GArray *to)
{
    g_array_append_vals(to, from->data, from->len);
    g_array_set_size(from, 0);
}

int qcow2_flush_files(Qcow2 *qcow2)
{
    uint64_t unstable = qcow2->unstable;
    uint64_t freed_until = qcow2->freed_moved + qcow2->freed_written->len;
    uint64_t mapped = qcow2->mapped;
    int ret;

    ret = qcow2->external ? node_flush(qcow2->data) : 0;
    if (ret == 0) {
        ret = node_flush(qcow2->node.file);
    }
    TRACE(&cache_trace[TRACE_FLUSH], "result %d", ret);
    if (ret < 0) {
        return ret;
    }
    qcow2->stable = MAX(qcow2->stable, unstable);
    qcow2->mapped_stable = MAX(qcow2->mapped_stable, mapped);
    /* Appended at the end only, and taken from the begin, maybe by another flush meanwhile. */
    if (freed_until > qcow2->freed_moved) {
        guint count = freed_until - qcow2->freed_moved;

        g_array_append_vals(qcow2->freed_stable, qcow2->freed_written->data, count);
        g_array_remove_range(qcow2->freed_written, 0, count);
        qcow2->freed_moved = freed_until;
    }
    return 0;
}

static int flush_if_unstable(Qcow2 *qcow2)
{
    return qcow2->stable < qcow2->unstable ? qcow2_flush_files(qcow2) : 0;
}

typedef struct Picture { GArray *mapping, *reftable, *freed; } Picture;

static int take_picture(Qcow2 *qcow2, Picture *picture, bool lazy)
{
    int ret = copy_cache(&qcow2->l2_cache, picture->mapping);

    if (ret == 0 && qcow2->l1_is_dirty) {
        ret = copy_table(qcow2, picture->mapping, Q2_OL_ACTIVE_L1, qcow2->l1_offset, qcow2->l1, qcow2->l1_size, qcow2->l1_dirty);
        qcow2->l1_is_dirty = ret < 0;
    }
    if (ret == 0 && qcow2->reftable_is_dirty && !lazy) {
        /* Entries beyond the table in the file wait for the larger table. */
        uint64_t entries = MIN(qcow2->reftable_entries, (uint64_t)qcow2->reftable_clusters << (qcow2->cluster_bits - 3));

        ret = copy_table(qcow2, picture->reftable, Q2_OL_REFTABLE, qcow2->reftable_offset, qcow2->reftable, entries, qcow2->reftable_dirty);
        qcow2->reftable_is_dirty = ret < 0;
    }
    move_freed(qcow2->freed, picture->freed);
    return ret;
}

static int write_refcounts(Qcow2 *qcow2, Picture *picture, int ret)
{
    GArray *blocks = g_array_new(FALSE, FALSE, sizeof(Copy));

    g_array_set_clear_func(blocks, copy_clear);
    if (ret == 0) {
        ret = copy_cache(&qcow2->refblock_cache, blocks);
    }
    if (blocks->len) {
        ret = write_copies(qcow2, blocks, ret);
        qcow2->unstable++;
    }
    g_array_unref(blocks);
    if (picture->reftable->len) {
        if (ret == 0) {
            ret = flush_if_unstable(qcow2);                            /* flush A */
        }
        ret = write_copies(qcow2, picture->reftable, ret);
        qcow2->unstable++;
    }
    return ret;
}

/* Inside qcow2->writing. lazy: the dirty bit stands for the refcounts. */
static int writeback(Qcow2 *qcow2, bool lazy)
{
    Picture picture = { g_array_new(FALSE, FALSE, sizeof(Copy)), g_array_new(FALSE, FALSE, sizeof(Copy)),
                        g_array_new(FALSE, FALSE, sizeof(Qcow2Freed)) };
    int ret;

    g_array_set_clear_func(picture.mapping, copy_clear);
    g_array_set_clear_func(picture.reftable, copy_clear);
    ret = take_picture(qcow2, &picture, lazy);
    qcow2->mapping_in_flight = picture.mapping->len != 0;
    TRACE(&cache_trace[TRACE_WRITEBACK], "mapping %u reftable %u refblocks %u freed %u lazy %d", picture.mapping->len, picture.reftable->len,
          qcow2->refblock_cache.dirty, picture.freed->len, lazy);
    if (!lazy) {
        ret = write_refcounts(qcow2, &picture, ret);
    }
    if (picture.mapping->len) {
        if (ret == 0) {
            ret = flush_if_unstable(qcow2);                            /* flush B */
        }
        ret = write_copies(qcow2, picture.mapping, ret);
        qcow2->mapped++;
    }
    qcow2->mapping_in_flight = false;
    move_freed(picture.freed, ret == 0 ? qcow2->freed_written : qcow2->freed);
    g_array_unref(picture.mapping);
    g_array_unref(picture.reftable);
    g_array_unref(picture.freed);
    return ret;
}

/* For lazy refcounts: may the next mapping go without them? */
static int go_lazy(Qcow2 *qcow2, bool *lazy)
{
    *lazy = qcow2->lazy;
    return !qcow2->lazy || (qcow2->incompatible & Q2_INCOMPAT_DIRTY) || qcow2->refblock_cache.dirty == 0 ? 0 : qcow2_mark(qcow2, Q2_INCOMPAT_DIRTY, 0);
}

int qcow2_writeback(Qcow2 *qcow2)
{
    CO_SCOPE(&qcow2->writing);

    int ret = qcow2->corrupt ? -EIO : qcow2_header_settle(qcow2);

    return ret < 0 ? ret : writeback(qcow2, false);
}

bool qcow2_is_clean(const Qcow2 *qcow2)
{
    return qcow2->l2_cache.dirty == 0 && !qcow2->l1_is_dirty && !qcow2->mapping_in_flight && qcow2->mapped == qcow2->mapped_stable;
}

/* Whoever comes while another flush runs is served by the one after it, which serves all that came until it began. */
static int sync_metadata(Qcow2 *qcow2)
{
    uint64_t ticket = ++qcow2->syncs_begun, covers;
    bool lazy;
    int ret;

    CO_SCOPE(&qcow2->writing);
    if (qcow2->syncs_done >= ticket) {
        return 0;
    }
    covers = qcow2->syncs_begun;
    if (qcow2->corrupt) {
        return -EIO;
    }
    ret = qcow2_header_settle(qcow2);
    if (ret == 0) {
        ret = go_lazy(qcow2, &lazy);
    }
    if (ret == 0) {
        ret = writeback(qcow2, lazy);
    }
    if (ret == 0) {
        ret = qcow2_flush_files(qcow2);                                /* flush C */
    }
    if (ret == 0) {
        qcow2->syncs_done = covers;
    }
    return ret;
}

int qcow2_sync_locked(Qcow2 *qcow2)
{
    int ret = sync_metadata(qcow2);

    return ret < 0 ? ret : qcow2_release_freed(qcow2);
}

int qcow2_sync(Qcow2 *qcow2)
{
    int ret = sync_metadata(qcow2);

    if (ret == 0 && qcow2->freed_bytes) {
        co_lock(&qcow2->lock);
        ret = qcow2_release_freed(qcow2);
        co_unlock(&qcow2->lock);
    }
    return ret;
}

int qcow2_caches_drop(Qcow2 *qcow2)
{
    int ret = qcow2_sync_locked(qcow2);

    if (ret == 0 && qcow2->refblock_cache.dirty) {
        ret = qcow2_writeback(qcow2);      /* of what was just released */
    }
    if (ret == 0) {
        qcow2_cache_forget(&qcow2->l2_cache, 0, UINT64_MAX);
        qcow2_cache_forget(&qcow2->refblock_cache, 0, UINT64_MAX);
    }
    return ret;
}

int qcow2_unfinished_begin(Qcow2 *qcow2, bool *marked)
{
    *marked = qcow2->version >= 3 && !(qcow2->incompatible & Q2_INCOMPAT_DIRTY);
    return *marked ? qcow2_mark(qcow2, Q2_INCOMPAT_DIRTY, 0) : 0;
}

int qcow2_unfinished_end(Qcow2 *qcow2, bool marked, int result)
{
    if (result < 0 || !marked || qcow2->lazy) {
        return result;                     /* what failed half-way is mended when it is opened again */
    }
    result = qcow2_sync_locked(qcow2);
    if (result == 0) {
        result = qcow2_writeback(qcow2);   /* of what that released */
    }
    if (result == 0) {
        result = qcow2_flush_files(qcow2);
    }
    return result == 0 ? qcow2_mark(qcow2, 0, Q2_INCOMPAT_DIRTY) : result;
}
