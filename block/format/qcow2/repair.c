/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * repair.c - a new refcount table with new blocks, made from what the check counted
 *
 * The new structure goes to clusters that neither the image nor the old structure uses, is written and flushed, and only then named by the
 * header, in one sector: a cut of power leaves the old structure or the new one, whole. The clusters of the old one are free in the
 * new one's counts.
 *
 * Threads  as check.c
 * Tests    tests/block/qcow2-check.py
 */
#include "block/format/qcow2/check.h"
#include "base/bitmap.h"
#include <stdlib.h>
#include <string.h>

typedef struct Rebuild {
    Check *check;
    RefMap *old;                           /* clusters of the old structure: free, but not to be written yet */
    GHashTable *blocks;                    /* index (owned) to its cluster (owned) */
    GArray *order;                         /* of indexes; those at the end have no place yet */
    uint64_t cursor, table_offset, table_clusters;
} Rebuild;

/* ---- what is in use ---- */

static bool release_one(Rebuild *rebuild, uint64_t cluster)
{
    uint64_t count = refmap_get(rebuild->check->refs, cluster);

    return count == 0 || (refmap_set(rebuild->check->refs, cluster, count - 1) && refmap_set(rebuild->old, cluster, 1));
}

/* The old structure's references are taken back, as refcount_structure() in check.c counted them. */
static bool release_old(Rebuild *rebuild)
{
    Qcow2 *qcow2 = rebuild->check->qcow2;
    uint64_t first = qcow2->reftable_offset >> qcow2->cluster_bits;
    bool done = true;

    if (range_within(first, qcow2->reftable_clusters, rebuild->check->clusters)) {
        for (uint32_t i = 0; i < qcow2->reftable_clusters && done; i++) {
            done = release_one(rebuild, first + i);
        }
    }
    for (uint64_t i = 0; i < qcow2->reftable_entries && done; i++) {
        uint64_t entry = qcow2->reftable[i], cluster = entry >> qcow2->cluster_bits;

        if (entry && !(entry & (qcow2->cluster_size - 1)) && cluster < rebuild->check->clusters) {
            done = release_one(rebuild, cluster);
        }
    }
    return done;
}

static bool need_block(Rebuild *rebuild, uint64_t cluster)
{
    uint64_t index = cluster >> rebuild->check->qcow2->refblock_bits;

    if (!g_hash_table_contains(rebuild->blocks, &index)) {
        uint64_t *key = g_new(uint64_t, 1), *place = g_new0(uint64_t, 1);

        *key = index;
        g_hash_table_insert(rebuild->blocks, key, place);
        g_array_append_val(rebuild->order, index);
    }
    return index < Q2_MAX_REFTABLE_BYTES / 8;
}

static bool need_used(Rebuild *rebuild)
{
    RefMap *refs = rebuild->check->refs;

    for (uint64_t page = refmap_next_page(refs, 0); page != UINT64_MAX; page = refmap_next_page(refs, page + 1)) {
        for (uint64_t i = 0; i < REFMAP_PAGE; i++) {
            uint64_t cluster = (page << REFMAP_PAGE_BITS) + i;

            if (refmap_get(refs, cluster)) {
                if (!need_block(rebuild, cluster)) {
                    return false;
                }
                i |= (1ULL << rebuild->check->qcow2->refblock_bits) - 1;       /* to the block's end; blocks and pages are powers of two */
            }
        }
    }
    return true;
}

/* ---- places ---- */

static bool is_free(Rebuild *rebuild, uint64_t cluster)
{
    return refmap_get(rebuild->check->refs, cluster) == 0 && refmap_get(rebuild->old, cluster) == 0;
}

/* So many free clusters in a row, taken; UINT64_MAX: no memory to note it. */
static uint64_t take_run(Rebuild *rebuild, uint64_t from, uint64_t count)
{
    uint64_t begin = from, length = 0;

    for (uint64_t cluster = from; length < count; cluster++) {
        if (is_free(rebuild, cluster)) {
            length++;
        } else {
            begin = cluster + 1;
            length = 0;
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!refmap_set(rebuild->check->refs, begin + i, 1) || !need_block(rebuild, begin + i)) {
            return UINT64_MAX;
        }
    }
    return begin;
}

/* A block may lie in a range that no block covered yet: then there is one more to place. Each covers at least 64 clusters, so it ends. */
static bool place_blocks(Rebuild *rebuild, guint *done)
{
    for (; *done < rebuild->order->len; (*done)++) {
        uint64_t index = g_array_index(rebuild->order, uint64_t, *done);
        uint64_t cluster = take_run(rebuild, rebuild->cursor, 1);

        if (cluster == UINT64_MAX) {
            return false;
        }
        rebuild->cursor = cluster + 1;
        *(uint64_t *)g_hash_table_lookup(rebuild->blocks, &index) = cluster;
    }
    return true;
}

static uint64_t entries_needed(Rebuild *rebuild)
{
    uint64_t most = 0;

    for (guint i = 0; i < rebuild->order->len; i++) {
        most = MAX(most, g_array_index(rebuild->order, uint64_t, i));
    }
    return most + 1;
}

static bool place_all(Rebuild *rebuild)
{
    Qcow2 *qcow2 = rebuild->check->qcow2;
    guint done = 0;

    while (place_blocks(rebuild, &done)) {
        uint64_t needed = qcow2_clusters(qcow2, entries_needed(rebuild) * 8), at;

        if (needed <= rebuild->table_clusters) {
            return true;
        }
        for (uint64_t i = 0; i < rebuild->table_clusters; i++) {
            refmap_set(rebuild->check->refs, (rebuild->table_offset >> qcow2->cluster_bits) + i, 0);
        }
        at = take_run(rebuild, rebuild->cursor, needed);
        if (at == UINT64_MAX) {
            return false;
        }
        rebuild->table_offset = at << qcow2->cluster_bits;
        rebuild->table_clusters = needed;
    }
    return false;
}

/* ---- writing ---- */

static int write_block(Rebuild *rebuild, uint64_t index, uint64_t cluster)
{
    Check *check = rebuild->check;
    Qcow2 *qcow2 = check->qcow2;
    uint64_t count = 1ULL << qcow2->refblock_bits, first = index << qcow2->refblock_bits;

    memset(check->block, 0, qcow2->cluster_size);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t refcount = refmap_get(check->refs, first + i);

        if (refcount) {
            qcow2_refcount_store(check->block, qcow2->refcount_order, i, refcount);
        }
    }
    return node_pwrite(qcow2->node.file, cluster << qcow2->cluster_bits, check->block, qcow2->cluster_size);
}

static int write_blocks(Rebuild *rebuild, uint64_t *table)
{
    GHashTableIter iter;
    void *key, *value;
    int result = 0;

    g_hash_table_iter_init(&iter, rebuild->blocks);
    while (result >= 0 && g_hash_table_iter_next(&iter, &key, &value)) {
        uint64_t index = *(uint64_t *)key, cluster = *(uint64_t *)value;

        table[index] = cluster << rebuild->check->qcow2->cluster_bits;
        result = write_block(rebuild, index, cluster);
    }
    return result;
}

static int write_table(Rebuild *rebuild, const uint64_t *table)
{
    uint64_t bytes = rebuild->table_clusters << rebuild->check->qcow2->cluster_bits;
    g_autofree uint8_t *out = g_try_malloc(bytes);

    if (!out) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < bytes / 8; i++) {
        store_be64(out + i * 8, table[i]);
    }
    return node_pwrite(rebuild->check->qcow2->node.file, rebuild->table_offset, out, bytes);
}

static int switch_over(Rebuild *rebuild, uint64_t *table, uint64_t *dirty)
{
    Qcow2 *qcow2 = rebuild->check->qcow2;
    uint64_t offset = qcow2->reftable_offset;
    uint32_t clusters = qcow2->reftable_clusters;
    int result = node_flush(qcow2->node.file);

    if (result < 0) {
        return result;
    }
    qcow2->reftable_offset = rebuild->table_offset;
    qcow2->reftable_clusters = (uint32_t)rebuild->table_clusters;
    result = qcow2_header_commit(qcow2);
    if (result < 0) {
        qcow2->reftable_offset = offset;
        qcow2->reftable_clusters = clusters;
        return result;
    }
    g_free(qcow2->reftable);
    g_free(qcow2->reftable_dirty);
    qcow2->reftable = table;
    qcow2->reftable_dirty = dirty;
    qcow2->reftable_entries = rebuild->table_clusters << (qcow2->cluster_bits - 3);
    qcow2->reftable_is_dirty = false;
    return 0;
}

static int write_all(Rebuild *rebuild)
{
    Qcow2 *qcow2 = rebuild->check->qcow2;
    uint64_t entries = rebuild->table_clusters << (qcow2->cluster_bits - 3);
    uint64_t *table = g_try_new0(uint64_t, entries), *dirty = g_try_new0(uint64_t, bitmap_words(entries / (Q2_SECTOR / 8) + 1));
    int result = table && dirty ? write_blocks(rebuild, table) : -ENOMEM;

    if (result >= 0) {
        result = write_table(rebuild, table);
    }
    if (result >= 0) {
        result = switch_over(rebuild, table, dirty);
    }
    if (result < 0) {
        g_free(table);
        g_free(dirty);
    }
    return result;
}

int check_rebuild(Check *check)
{
    Rebuild rebuild = { .check = check };
    int result = -ENOMEM;

    rebuild.old = refmap_new(1 << 30);
    rebuild.blocks = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    rebuild.order = g_array_new(false, false, sizeof(uint64_t));
    check->block_index = UINT64_MAX;
    check->block_dirty = false;
    if (release_old(&rebuild) && need_used(&rebuild) && place_all(&rebuild)) {
        result = write_all(&rebuild);
    } else {
        check_tell(check, "ERROR the refcounts do not fit into a refcount table of %d bytes, or into memory", Q2_MAX_REFTABLE_BYTES);
    }
    if (result >= 0) {
        int64_t bytes = node_refresh_length(check->qcow2->node.file);

        check->mismatch = false;
        if (bytes > 0) {
            check->file_bytes = (uint64_t)bytes;
            check->clusters = qcow2_clusters(check->qcow2, check->file_bytes);
        }
        check->qcow2->zero_from = UINT64_MAX;
    }
    refmap_free(rebuild.old);
    g_hash_table_destroy(rebuild.blocks);
    g_array_unref(rebuild.order);
    return result;
}
