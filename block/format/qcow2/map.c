/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map.c - from guest offsets to clusters of the file, and the changes of that mapping which need no data to be written
 *
 * Hostile  L1 and L2 entries come from the image: alignment and reserved combinations are checked at each look-up; what points
 *          beyond the end of the file reads as zeroes
 * Threads  the node's home loop; see qcow2.h for who holds the lock
 * Tests    tests/block/qcow2.c
 */
#include "block/format/qcow2/qcow2.h"
#include "base/bitmap.h"
#include "base/trace.h"

enum { TRACE_L2_NEW, TRACE_L1_GROW, TRACE_UNMAP };
static TracePoint map_trace[] = {
    [TRACE_L2_NEW] = { "qcow2_l2_new", "an L2 table was made, or copied from a shared one" },
    [TRACE_L1_GROW] = { "qcow2_l1_grow", "the L1 table was made larger" },
    [TRACE_UNMAP] = { "qcow2_unmap", "clusters of the guest were unmapped or zeroed" },
};
TRACE_TABLE(map_trace)

/* ---- looking up ---- */

Qcow2Kind qcow2_kind(const Qcow2 *qcow2, uint64_t entry, uint64_t bitmap, unsigned subcluster)
{
    /* A data file's cluster 0 is a place like any other: there COPIED says that it is one. */
    bool place = (entry & Q2_L2_OFFSET) || (qcow2->external && (entry & Q2_COPIED));

    if (entry & Q2_COMPRESSED) {
        return Q2_COMPRESSED_DATA;
    }
    if (qcow2->subclusters == 1) {
        if (entry & Q2_ZERO) {
            return qcow2->version < 3 ? Q2_INVALID : place ? Q2_ZERO_ALLOC : Q2_ZERO_PLAIN;
        }
        return place ? Q2_NORMAL : Q2_UNALLOCATED;
    }
    bool allocated = bitmap >> subcluster & 1, zero = bitmap >> (32 + subcluster) & 1;

    if (allocated) {
        return zero || !place ? Q2_INVALID : Q2_NORMAL;
    }
    return zero ? (place ? Q2_ZERO_ALLOC : Q2_ZERO_PLAIN) : place ? Q2_UNALLOCATED_ALLOC : Q2_UNALLOCATED;
}

/* The slice of the table at l2, and the entry's index in it. */
static int get_slice(Qcow2 *qcow2, uint64_t l2, uint64_t guest, Qcow2Table **out, uint32_t *index)
{
    uint64_t entry = guest >> qcow2->cluster_bits & ((1ULL << qcow2->l2_bits) - 1);

    *index = entry & ((1u << qcow2->slice_bits) - 1);
    return qcow2_cache_get(&qcow2->l2_cache, l2 + (entry >> qcow2->slice_bits << qcow2->l2_cache.bits), out);
}

static bool l2_offset_good(Qcow2 *qcow2, uint64_t index)
{
    uint64_t l2 = qcow2->l1[index] & Q2_L1_OFFSET;

    if (l2 & (qcow2->cluster_size - 1)) {
        qcow2_corrupt(qcow2, true, UINT64_MAX, UINT64_MAX, "L2 table offset %#" PRIx64 " unaligned (L1 index: %#" PRIx64 ")", l2, index);
        return false;
    }
    return true;
}

int qcow2_l2_get(Qcow2 *qcow2, uint64_t guest, Qcow2Table **out, uint32_t *index)
{
    uint64_t l1_index = qcow2_l1_index(qcow2, guest), l2 = l1_index < qcow2->l1_size ? qcow2->l1[l1_index] & Q2_L1_OFFSET : 0;

    *out = NULL;
    *index = 0;
    if (l2 == 0) {
        return 0;
    }
    return l2_offset_good(qcow2, l1_index) ? get_slice(qcow2, l2, guest, out, index) : -EIO;
}

static bool has_place(Qcow2Kind kind)
{
    return kind == Q2_NORMAL || kind == Q2_ZERO_ALLOC || kind == Q2_UNALLOCATED_ALLOC;
}

/* May the entry's offset be used? */
static bool entry_good(Qcow2 *qcow2, uint64_t entry, Qcow2Kind kind, uint64_t guest)
{
    uint64_t cluster = guest & ~(qcow2->cluster_size - 1), host = entry & Q2_L2_OFFSET;

    if (kind == Q2_INVALID) {
        qcow2_corrupt(qcow2, true, UINT64_MAX, UINT64_MAX, "Invalid cluster entry found (guest offset: %#" PRIx64 ", entry: %#" PRIx64 ")", cluster,
                      entry);
        return false;
    }
    if (kind == Q2_COMPRESSED_DATA && qcow2->external) {
        qcow2_corrupt(qcow2, true, UINT64_MAX, UINT64_MAX, "Compressed cluster entry found in image with external data file (guest offset: %#" PRIx64 ")",
                      cluster);
        return false;
    }
    if (!has_place(kind)) {
        return true;
    }
    if (host & (qcow2->cluster_size - 1)) {
        qcow2_corrupt(qcow2, true, UINT64_MAX, UINT64_MAX, "Cluster allocation offset %#" PRIx64 " unaligned (guest offset: %#" PRIx64 ")", host,
                      cluster);
        return false;
    }
    if (qcow2->external && host != cluster) {
        qcow2_corrupt(qcow2, true, UINT64_MAX, UINT64_MAX, "External data file host cluster offset %#" PRIx64 " does not match guest cluster offset: %#" PRIx64,
                      host, cluster);
        return false;
    }
    return true;
}

/* How many bytes from guest on are the same kind, contiguous in the file where they have a place. */
static uint64_t run_length(Qcow2 *qcow2, const Qcow2Table *table, uint32_t index, uint64_t guest, uint64_t bytes, Qcow2Kind kind)
{
    uint64_t mask = qcow2->cluster_size - 1, sub_size = 1ULL << qcow2->subcluster_bits, first = qcow2_l2_entry(qcow2, table, index), found = 0;
    uint32_t entries = 1u << qcow2->slice_bits;
    unsigned sub = (guest & mask) >> qcow2->subcluster_bits;

    for (uint32_t i = index; i < entries; i++, sub = 0) {
        uint64_t entry = qcow2_l2_entry(qcow2, table, i), bitmap = qcow2_l2_bitmap(qcow2, table, i);

        if (i > index && (kind == Q2_COMPRESSED_DATA || (has_place(kind) && (entry & (Q2_L2_OFFSET | Q2_COPIED)) !=
                          (first & (Q2_L2_OFFSET | Q2_COPIED)) + ((uint64_t)(i - index) << qcow2->cluster_bits)))) {
            break;
        }
        for (; sub < qcow2->subclusters; sub++) {
            if (qcow2_kind(qcow2, entry, bitmap, sub) != kind) {
                return found;
            }
            found += i == index && found == 0 ? sub_size - (guest & (sub_size - 1)) : sub_size;
        }
        if (found >= bytes) {
            return bytes;
        }
    }
    return MIN(found, bytes);
}

int qcow2_map(Qcow2 *qcow2, uint64_t guest, uint64_t bytes, Qcow2Map *map)
{
    uint64_t mask = qcow2->cluster_size - 1;
    Qcow2Table *table;
    uint32_t index;
    int ret = qcow2_l2_get(qcow2, guest, &table, &index);

    *map = (Qcow2Map){ .kind = Q2_UNALLOCATED };
    if (ret < 0) {
        return ret;
    }
    if (!table) {
        uint64_t span = 1ULL << (qcow2->l2_bits + qcow2->cluster_bits);

        map->bytes = MIN(bytes, span - (guest & (span - 1)));
        return 0;
    }
    uint64_t entry = qcow2_l2_entry(qcow2, table, index);

    map->kind = qcow2_kind(qcow2, entry, qcow2_l2_bitmap(qcow2, table, index), (guest & mask) >> qcow2->subcluster_bits);
    map->entry = entry;
    map->writable = qcow2->external || (entry & Q2_COPIED);
    map->host = has_place(map->kind) ? (entry & Q2_L2_OFFSET) + (guest & mask) : 0;
    map->bytes = run_length(qcow2, table, index, guest, bytes, map->kind);
    qcow2_cache_put(&qcow2->l2_cache, table);
    return entry_good(qcow2, entry, map->kind, guest) ? 0 : -EIO;
}

/* ---- changing ---- */

void qcow2_l1_set(Qcow2 *qcow2, uint32_t index, uint64_t entry)
{
    qcow2->l1[index] = entry;
    bitmap_set(qcow2->l1_dirty, index / (Q2_SECTOR / 8), 1);
    qcow2->l1_is_dirty = true;
}

void qcow2_l2_set(Qcow2 *qcow2, Qcow2Table *table, uint32_t index, uint64_t entry, uint64_t bitmap)
{
    uint32_t at = index * qcow2->l2_entry_bytes;

    store_be64(table->data + at, entry);
    if (qcow2->l2_entry_bytes == 16) {
        store_be64(table->data + at + 8, bitmap);
    }
    qcow2_cache_dirty(&qcow2->l2_cache, table, at, qcow2->l2_entry_bytes);
}

/* A new table's cluster reads as zeroes, or is written so before the mapping can name it. */
static int l2_new(Qcow2 *qcow2, uint64_t l1_index, uint64_t guest, Qcow2Table **out, uint32_t *index)
{
    uint64_t entry = guest >> qcow2->cluster_bits & ((1ULL << qcow2->l2_bits) - 1);
    bool fresh;
    int64_t l2 = qcow2_alloc(qcow2, qcow2->cluster_size, &fresh);
    int ret = l2 < 0 ? (int)l2 : 0;

    if (ret == 0 && !fresh) {
        ret = node_pwrite_zeroes(qcow2->node.file, l2, qcow2->cluster_size, 0);
        qcow2_order_after_write(qcow2);
    }
    if (ret == 0) {
        ret = qcow2_regions_add(qcow2, Q2_OL_ACTIVE_L2, l2);
    }
    if (ret == 0) {
        *index = entry & ((1u << qcow2->slice_bits) - 1);
        ret = qcow2_cache_zero(&qcow2->l2_cache, l2 + (entry >> qcow2->slice_bits << qcow2->l2_cache.bits), out);
    }
    if (ret < 0) {
        if (l2 > 0) {
            qcow2_free(qcow2, l2, qcow2->cluster_size, Q2_FREE_NEVER);
        }
        return ret;
    }
    TRACE(&map_trace[TRACE_L2_NEW], "L1 index %" PRIu64 " at 0x%" PRIx64 " fresh %d", l1_index, (uint64_t)l2, fresh);
    qcow2_l1_set(qcow2, l1_index, l2 | Q2_COPIED);
    return 0;
}

/* What the cache holds of the old table is newer than the file. */
static int l2_gather(Qcow2 *qcow2, uint64_t l2, uint8_t *data)
{
    for (uint64_t at = 0; at < qcow2->cluster_size; at += qcow2->l2_cache.bytes) {
        Qcow2Table *slice;
        int ret = qcow2_cache_get(&qcow2->l2_cache, l2 + at, &slice);

        if (ret < 0) {
            return ret;
        }
        memcpy(data + at, slice->data, qcow2->l2_cache.bytes);
        qcow2_cache_put(&qcow2->l2_cache, slice);
    }
    return 0;
}

static int l2_copy(Qcow2 *qcow2, uint64_t l1_index)
{
    uint64_t old = qcow2->l1[l1_index] & Q2_L1_OFFSET;
    uint8_t *data = node_memalign(qcow2->node.file, qcow2->cluster_size);
    int64_t l2 = 0;
    int ret = data ? l2_gather(qcow2, old, data) : -ENOMEM;

    if (ret == 0) {
        l2 = qcow2_alloc(qcow2, qcow2->cluster_size, NULL);
        ret = l2 < 0 ? (int)l2 : 0;
    }
    if (ret == 0) {
        ret = node_pwrite(qcow2->node.file, l2, data, qcow2->cluster_size);
        qcow2_order_after_write(qcow2);
    }
    free(data);
    if (ret == 0) {
        ret = qcow2_regions_add(qcow2, Q2_OL_ACTIVE_L2, l2);
    }
    if (ret < 0) {
        if (l2 > 0) {
            qcow2_free(qcow2, l2, qcow2->cluster_size, Q2_FREE_NEVER);
        }
        return ret;
    }
    TRACE(&map_trace[TRACE_L2_NEW], "L1 index %" PRIu64 " at 0x%" PRIx64 " copied from 0x%" PRIx64, l1_index, (uint64_t)l2, old);
    qcow2_l1_set(qcow2, l1_index, l2 | Q2_COPIED);
    qcow2_regions_remove(qcow2, old, qcow2->cluster_size);
    qcow2_free(qcow2, old, qcow2->cluster_size, Q2_FREE_OTHER);
    return 0;
}

int qcow2_l2_get_writable(Qcow2 *qcow2, uint64_t guest, Qcow2Table **out, uint32_t *index)
{
    uint64_t l1_index = qcow2_l1_index(qcow2, guest), entry;
    int ret;

    if (l1_index >= qcow2->l1_size) {
        ret = qcow2_l1_grow(qcow2, MAX(l1_index + 1, qcow2->l1_size + qcow2->l1_size / 2));
        if (ret < 0) {
            return ret;
        }
    }
    entry = qcow2->l1[l1_index];
    if (!(entry & Q2_L1_OFFSET)) {
        return l2_new(qcow2, l1_index, guest, out, index);
    }
    if (!l2_offset_good(qcow2, l1_index)) {
        return -EIO;
    }
    if (!(entry & Q2_COPIED)) {
        ret = l2_copy(qcow2, l1_index);
        if (ret < 0) {
            return ret;
        }
        entry = qcow2->l1[l1_index];
    }
    return get_slice(qcow2, entry & Q2_L1_OFFSET, guest, out, index);
}

/* ---- a larger L1 table ---- */

static bool l1_room(Qcow2 *qcow2, uint64_t entries)
{
    uint64_t *table, *dirty;

    if (entries <= qcow2->l1_allocated) {
        return true;
    }
    table = g_try_new0(uint64_t, entries);
    dirty = g_try_new0(uint64_t, bitmap_words(entries / (Q2_SECTOR / 8) + 1));
    if (!table || !dirty) {
        g_free(table);
        g_free(dirty);
        return false;
    }
    if (qcow2->l1) {
        memcpy(table, qcow2->l1, (uint64_t)qcow2->l1_size * 8);
        memcpy(dirty, qcow2->l1_dirty, bitmap_words(qcow2->l1_allocated / (Q2_SECTOR / 8) + 1) * 8);
    }
    g_free(qcow2->l1);
    g_free(qcow2->l1_dirty);
    qcow2->l1 = table;
    qcow2->l1_dirty = dirty;
    qcow2->l1_allocated = entries;
    return true;
}

/* All that the old table says, its refcounts and its L2 tables are on disk before the new one is written, and that is before the
 * header names it. A failure of the last step leaks the new table: whether the header names it cannot be known. */
static int l1_write(Qcow2 *qcow2, uint64_t offset, uint64_t entries)
{
    g_autofree uint8_t *table = g_try_malloc0(entries * 8);
    int ret = table ? qcow2_writeback(qcow2) : -ENOMEM;

    for (uint32_t i = 0; ret == 0 && i < qcow2->l1_size; i++) {
        store_be64(table + (uint64_t)i * 8, qcow2->l1[i]);
    }
    if (ret == 0) {
        ret = qcow2_overlap_check(qcow2, 0, offset, entries * 8);
    }
    if (ret == 0) {
        ret = node_pwrite(qcow2->node.file, offset, table, entries * 8);
    }
    return ret == 0 ? qcow2_flush_files(qcow2) : ret;
}

int qcow2_l1_grow(Qcow2 *qcow2, uint64_t entries)
{
    uint64_t old_offset = qcow2->l1_offset;
    uint32_t old_size = qcow2->l1_size;
    int64_t offset;
    int ret;

    if (entries <= old_size) {
        return 0;
    }
    if (entries > qcow2->max_l1_entries) {
        return -EFBIG;
    }
    if (!l1_room(qcow2, entries)) {
        return -ENOMEM;
    }
    offset = qcow2_alloc(qcow2, entries * 8, NULL);
    if (offset < 0) {
        return offset;
    }
    ret = l1_write(qcow2, offset, entries);
    if (ret < 0) {
        return ret;
    }
    memset(qcow2->l1 + old_size, 0, (entries - old_size) * 8);
    qcow2->l1_offset = offset;
    qcow2->l1_size = entries;
    ret = qcow2_header_commit(qcow2);
    if (ret < 0) {
        qcow2->l1_offset = old_offset;
        qcow2->l1_size = old_size;
        return ret;
    }
    TRACE(&map_trace[TRACE_L1_GROW], "%" PRIu64 " entries at 0x%" PRIx64, entries, (uint64_t)offset);
    if (old_size) {
        qcow2_free(qcow2, old_offset, qcow2_clusters(qcow2, (uint64_t)old_size * 8) << qcow2->cluster_bits, Q2_FREE_OTHER);
    }
    return 0;
}

/* ---- unmapping and zeroing ---- */

typedef struct Change Change;
struct Change {
    /* One entry (subclusters [from, to) of it); false: this one cannot be changed so. */
    bool (*entry)(Qcow2 *qcow2, const Change *change, Qcow2Table *table, uint32_t index, unsigned from, unsigned to);
    Qcow2Free why;
    bool keep_zero, may_unmap;
};

/* The entries of one slice, under the lock; *done: bytes of the guest. */
static int change_slice(Qcow2 *qcow2, const Change *change, uint64_t guest, uint64_t bytes, uint64_t *done)
{
    uint64_t mask = qcow2->cluster_size - 1, at = guest;
    Qcow2Table *table;
    uint32_t index, entries = 1u << qcow2->slice_bits;
    bool good = true;
    int ret;

    CO_SCOPE(&qcow2->lock);
    qcow2_wait_allocs(qcow2, guest, bytes);
    ret = qcow2_l2_get_writable(qcow2, guest, &table, &index);
    if (ret < 0) {
        return ret;
    }
    for (; good && at < guest + bytes && index < entries; index++) {
        uint64_t here = MIN(guest + bytes - at, qcow2->cluster_size - (at & mask));

        good = change->entry(qcow2, change, table, index, (at & mask) >> qcow2->subcluster_bits,
                             ((at & mask) + here + (1ULL << qcow2->subcluster_bits) - 1) >> qcow2->subcluster_bits);
        at += good ? here : 0;
    }
    qcow2_cache_put(&qcow2->l2_cache, table);
    *done = at - guest;
    return good ? 0 : -ENOTSUP;
}

/* Where there is no table and nothing below, nothing has to be made to change it. */
static bool nothing_there(const Qcow2 *qcow2, uint64_t guest)
{
    uint64_t l1_index = qcow2_l1_index(qcow2, guest);

    return (l1_index >= qcow2->l1_size || !(qcow2->l1[l1_index] & Q2_L1_OFFSET)) && !qcow2->node.backing;
}

static int change_range(Qcow2 *qcow2, const Change *change, uint64_t guest, uint64_t bytes)
{
    uint64_t span = 1ULL << (qcow2->slice_bits + qcow2->cluster_bits);
    int ret = 0;

    TRACE(&map_trace[TRACE_UNMAP], "0x%" PRIx64 " + 0x%" PRIx64 " why %d", guest, bytes, change->why);
    while (bytes && ret == 0) {
        uint64_t here = MIN(bytes, span - (guest & (span - 1))), done = here;

        if (!nothing_there(qcow2, guest)) {
            ret = change_slice(qcow2, change, guest, here, &done);
        }
        guest += done;
        bytes -= done;
    }
    return ret;
}

static bool discard_entry(Qcow2 *qcow2, const Change *change, Qcow2Table *table, uint32_t index, unsigned from, unsigned to)
{
    uint64_t entry = qcow2_l2_entry(qcow2, table, index), bitmap = qcow2_l2_bitmap(qcow2, table, index), new_entry = 0, new_bitmap = 0;
    Qcow2Kind kind = qcow2_kind(qcow2, entry, bitmap, 0);
    bool there = (entry & (Q2_L2_OFFSET | Q2_COMPRESSED | Q2_COPIED)) != 0;

    (void)from;
    (void)to;
    /* What was written must not show the backing file again, and what was never written here need not be remembered. */
    if (change->keep_zero && (there || qcow2->node.backing)) {
        new_entry = qcow2->version >= 3 && qcow2->subclusters == 1 ? Q2_ZERO : 0;
        new_bitmap = qcow2->subclusters > 1 ? 0xffffffffULL << 32 : 0;
    } else if (kind == Q2_ZERO_PLAIN && change->keep_zero) {
        return true;
    }
    if (change->why == Q2_FREE_REQUEST && qcow2->options.discard_no_unref && (entry & Q2_L2_OFFSET) && !(entry & Q2_COMPRESSED) &&
        (entry & Q2_COPIED) && change->keep_zero && qcow2->version >= 3) {
        new_entry |= entry & (Q2_L2_OFFSET | Q2_COPIED);               /* the place stays, so that the image does not fragment */
    } else if (there) {
        qcow2_free_entry(qcow2, entry, change->why);
    }
    if (new_entry != entry || new_bitmap != bitmap) {
        qcow2_l2_set(qcow2, table, index, new_entry, new_bitmap);
    }
    return true;
}

int qcow2_discard_clusters(Qcow2 *qcow2, uint64_t guest, uint64_t bytes, Qcow2Free why, bool keep_zero)
{
    const Change change = { .entry = discard_entry, .why = why, .keep_zero = keep_zero };

    return change_range(qcow2, &change, guest, bytes);
}

static bool zero_entry(Qcow2 *qcow2, const Change *change, Qcow2Table *table, uint32_t index, unsigned from, unsigned to)
{
    uint64_t entry = qcow2_l2_entry(qcow2, table, index), bitmap = qcow2_l2_bitmap(qcow2, table, index), new_entry = entry, new_bitmap = 0;
    bool whole = from == 0 && to == qcow2->subclusters, compressed = entry & Q2_COMPRESSED;

    if (!whole && compressed) {
        return false;
    }
    if (whole && !compressed && !(entry & (Q2_L2_OFFSET | Q2_COPIED | Q2_ZERO)) && bitmap == 0 && !qcow2->node.backing) {
        return true;                       /* zeroes already */
    }
    if (whole && (compressed || (change->may_unmap && !qcow2->external && (entry & Q2_L2_OFFSET)))) {
        qcow2_free_entry(qcow2, entry, Q2_FREE_REQUEST);
        new_entry = 0;
    }
    if (qcow2->subclusters == 1) {
        new_entry |= Q2_ZERO;
    } else {
        uint64_t range = (to == 32 ? 0xffffffffULL : (1ULL << to) - 1) & ~((1ULL << from) - 1);

        new_bitmap = whole ? 0xffffffffULL << 32 : (bitmap & ~range) | range << 32;
    }
    if (new_entry != entry || new_bitmap != bitmap) {
        qcow2_l2_set(qcow2, table, index, new_entry, new_bitmap);
    }
    return true;
}

int qcow2_zero_clusters(Qcow2 *qcow2, uint64_t guest, uint64_t bytes, bool may_unmap)
{
    const Change change = { .entry = zero_entry, .why = Q2_FREE_REQUEST, .may_unmap = may_unmap };

    return change_range(qcow2, &change, guest, bytes);
}

/* ---- preallocation ---- */

/* Of up to *wanted clusters. Those that are not fresh are zeroed; subclusters have their place, and their data still comes from below. */
static int preallocate_run(Qcow2 *qcow2, Qcow2Table *table, uint32_t index, uint64_t guest, uint64_t *wanted)
{
    bool fresh = true;
    int64_t host = qcow2->external ? (int64_t)guest : qcow2_alloc_run(qcow2, wanted, &fresh);
    uint64_t count = *wanted;
    int ret = host < 0 ? (int)host : 0;

    if (ret == 0 && !fresh) {
        ret = node_pwrite_zeroes(qcow2->data, host, count << qcow2->cluster_bits, 0);
        qcow2_order_after_write(qcow2);
    }
    for (uint64_t i = 0; ret == 0 && i < count; i++) {
        qcow2_l2_set(qcow2, table, index + i, (host + (i << qcow2->cluster_bits)) | Q2_COPIED, 0);
    }
    return ret;
}

static int preallocate_slice(Qcow2 *qcow2, uint64_t guest, uint64_t end)
{
    uint64_t count = (end - guest + qcow2->cluster_size - 1) >> qcow2->cluster_bits;
    Qcow2Table *table = NULL;
    uint32_t index;
    int ret;

    CO_SCOPE(&qcow2->lock);
    qcow2_wait_allocs(qcow2, guest, end - guest);
    ret = qcow2_l2_get_writable(qcow2, guest, &table, &index);
    for (uint64_t i = 0, run; ret == 0 && i < count; i += run) {
        for (run = 0; i + run < count; run++) {
            uint64_t entry = qcow2_l2_entry(qcow2, table, index + i + run);

            if ((entry & (Q2_L2_OFFSET | Q2_COMPRESSED | Q2_COPIED)) || (qcow2->subclusters == 1 && (entry & Q2_ZERO))) {
                break;
            }
        }
        if (run) {
            ret = preallocate_run(qcow2, table, index + i, guest + (i << qcow2->cluster_bits), &run);
        } else {
            run = 1;                       /* one that has its place */
        }
    }
    qcow2_cache_put(&qcow2->l2_cache, table);
    return ret;
}

int qcow2_preallocate(Qcow2 *qcow2, uint64_t guest, uint64_t end, Preallocation mode)
{
    uint64_t span = 1ULL << (qcow2->slice_bits + qcow2->cluster_bits);
    int ret = 0;

    if (!qcow2->external && qcow2->file_grown && mode != PREALLOC_METADATA && qcow2->file_end > qcow2->zero_from) {
        /* What was grown without space is given back, to come again with it. */
        ret = node_truncate(qcow2->node.file, qcow2->zero_from, false, PREALLOC_OFF, 0, NULL);
        qcow2->file_end = ret < 0 ? qcow2->file_end : qcow2->zero_from;
    }
    qcow2->grow_mode = mode == PREALLOC_METADATA || qcow2->external ? PREALLOC_OFF : mode;
    guest &= ~(qcow2->cluster_size - 1);
    while (guest < end && ret == 0) {
        uint64_t stop = MIN(end, guest + span - (guest & (span - 1)));

        ret = preallocate_slice(qcow2, guest, stop);
        guest = stop;
    }
    qcow2->grow_mode = PREALLOC_OFF;
    return ret;
}
