/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check.c - every reference to a cluster of the image file counted anew, and held against the refcounts
 *
 * In passes: the fixed metadata (header, L1 tables of the image and of its snapshots, snapshot table, encryption header, bitmaps, refcount
 * table and blocks), then each L2 table once with the number of L1 entries that name it, then the refcount blocks once more, which nobody
 * else may use. After that check-compare.c compares and repair.c mends.
 *
 * Bounded: each L1 and each L2 table is read once, however often it is named; counts are sparse (refmap.h) and have a limit; what lies
 * beyond the end of the file is an error and not counted.
 *
 * Words and counters are those of `qemu-img check`. Other than there, a refcount block beyond the end does not make the file grow, and
 * a used cluster with refcount 0 is mended in place as long as the refcount blocks themselves are sound.
 *
 * Threads  coroutines, the image to itself: gate held exclusively, lock held
 * Tests    tests/block/qcow2-check.py, tests/fuzz/qcow2-check.c
 */
#include "block/format/qcow2/check.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_LIMIT (1ULL << 30)          /* bytes of counts: an image of 500 TiB */
enum { CHUNK = 64 * 1024 };

static void say(Check *check, char *take)
{
    if (check->out->tell) {
        check->out->tell(check->out->opaque, take);
    }
    g_free(take);
}

void check_tell(Check *check, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(check, g_strdup_vprintf(format, args));
    va_end(args);
}

void check_corrupt(Check *check, uint64_t times)
{
    check->out->corruptions += times;
}

void check_unread(Check *check, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(check, g_strdup_vprintf(format, args));
    va_end(args);
    check->out->check_errors++;
    check->unread = true;
}

int check_read(Check *check, uint64_t offset, void *data, uint64_t bytes)
{
    uint64_t there = offset < check->file_bytes ? MIN(bytes, check->file_bytes - offset) : 0;

    memset((uint8_t *)data + there, 0, bytes - there);
    return there ? node_pread(check->qcow2->node.file, offset, data, there) : 0;
}

/* ---- counting ---- */

static bool count_one(Check *check, uint64_t cluster, uint64_t times)
{
    uint64_t count = refmap_get(check->refs, cluster), sum;

    if (!checked_add(count, times, &sum) || sum > check->qcow2->refcount_max) {
        check_tell(check, "ERROR: overflow cluster offset=0x%" PRIx64, cluster << check->qcow2->cluster_bits);
        check_tell(check, "  Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a clean copy if the image "
                   "cannot be opened for writing");
        check_corrupt(check, 1);
        sum = check->qcow2->refcount_max;
    }
    if (!refmap_set(check->refs, cluster, sum) || (check->counting_fixed && !refmap_set(check->fixed, cluster, 1))) {
        check->failure = -ENOMEM;
        return false;
    }
    return true;
}

void check_count(Check *check, uint64_t offset, uint64_t bytes, uint64_t times)
{
    uint64_t end;

    if (bytes == 0 || times == 0) {
        return;
    }
    if (!checked_add(offset, bytes, &end) || (end > check->file_bytes && end - check->file_bytes >= check->qcow2->cluster_size)) {
        check_tell(check, "ERROR: counting reference for region exceeding the end of the file by one cluster or more: offset 0x%" PRIx64
                   " size 0x%" PRIx64, offset, bytes);
        check_corrupt(check, times);
        return;
    }
    for (uint64_t cluster = offset >> check->qcow2->cluster_bits; cluster <= (end - 1) >> check->qcow2->cluster_bits; cluster++) {
        if (!count_one(check, cluster, times)) {
            return;
        }
    }
}

/* ---- L1 tables ---- */

static void table_found(Check *check, uint64_t offset, uint64_t times, bool active)
{
    size_t index = GPOINTER_TO_SIZE(g_hash_table_lookup(check->tables_at, &offset));
    uint64_t *key;

    if (index) {
        CheckTable *table = &g_array_index(check->tables, CheckTable, index - 1);

        table->times += times;
        table->active |= active;
        return;
    }
    if (check->tables->len * 64ULL > MEMORY_LIMIT) {
        check->failure = -ENOMEM;
        return;
    }
    g_array_append_val(check->tables, ((CheckTable){ offset, times, active }));
    key = g_new(uint64_t, 1);
    *key = offset;
    g_hash_table_insert(check->tables_at, key, GSIZE_TO_POINTER((size_t)check->tables->len));
}

static void l1_entry(Check *check, uint64_t entry, uint64_t times, bool active)
{
    uint64_t offset = entry & Q2_L1_OFFSET;

    if (!entry) {
        return;
    }
    if (entry & Q2_L1_RESERVED) {
        check_tell(check, "ERROR found L1 entry with reserved bits set: %" PRIx64, entry);
        check_corrupt(check, times);
    }
    if (!offset) {
        check_tell(check, "ERROR found L1 entry without an offset: %" PRIx64, entry);
        check_corrupt(check, times);
        return;
    }
    check->counting_fixed = false;
    check_count(check, offset, check->qcow2->cluster_size, times);
    check->counting_fixed = true;
    if (offset & (check->qcow2->cluster_size - 1)) {
        check_tell(check, "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry corrupted", offset);
        check_corrupt(check, times);
    }
    if (offset < check->file_bytes) {
        table_found(check, offset, times, active);
    }
}

static void active_l1(Check *check)
{
    Qcow2 *qcow2 = check->qcow2;

    check_count(check, qcow2->l1_offset, (uint64_t)qcow2->l1_size * 8, 1);
    for (uint32_t i = 0; i < qcow2->l1_size && !check->failure; i++) {
        l1_entry(check, qcow2->l1[i], 1, true);
    }
}

static void inactive_l1(Check *check, uint64_t offset, uint64_t entries, uint64_t times)
{
    g_autofree uint8_t *chunk = g_try_malloc(CHUNK);

    if (!chunk) {
        check->failure = -ENOMEM;
        return;
    }
    check_count(check, offset, entries * 8, times);
    for (uint64_t at = 0; at < entries * 8 && !check->failure; at += CHUNK) {
        uint64_t bytes = MIN((uint64_t)CHUNK, entries * 8 - at);
        int result = check_read(check, offset + at, chunk, bytes);

        if (result < 0) {
            check_unread(check, "ERROR: I/O error in check_refcounts_l1: %s", g_strerror(-result));
            return;
        }
        for (uint64_t i = 0; i < bytes && !check->failure; i += 8) {
            l1_entry(check, load_be64(chunk + i), times, false);
        }
    }
}

static bool snapshot_l1_sound(Check *check, const Qcow2Snapshot *snapshot)
{
    if (snapshot->l1_offset & (check->qcow2->cluster_size - 1)) {
        check_tell(check, "ERROR snapshot %s (%s) l1_offset=0x%" PRIx64 ": L1 table is not cluster aligned; snapshot table entry corrupted",
                   snapshot->id, snapshot->name, snapshot->l1_offset);
    } else if (snapshot->l1_size > Q2_MAX_L1_BYTES / 8) {
        check_tell(check, "ERROR snapshot %s (%s) l1_size=0x%" PRIx32 ": L1 table is too large; snapshot table entry corrupted",
                   snapshot->id, snapshot->name, snapshot->l1_size);
    } else {
        return true;
    }
    check_corrupt(check, 1);
    return false;
}

typedef struct L1Place { uint64_t offset, times; uint32_t entries; } L1Place;

static int compare_l1(const void *a, const void *b)
{
    const L1Place *x = a, *y = b;

    return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1) : x->entries < y->entries ? -1 : x->entries > y->entries;
}

/* Snapshots that share a table, which no sound image has, cost no more than one. */
static void snapshots_l1(Check *check)
{
    Qcow2 *qcow2 = check->qcow2;
    g_autofree L1Place *places = g_try_new(L1Place, qcow2->snapshot_count + 1);
    size_t count = 0, distinct = 0;

    if (!places) {
        check->failure = -ENOMEM;
        return;
    }
    for (uint32_t i = 0; i < qcow2->snapshot_count; i++) {
        if (snapshot_l1_sound(check, &qcow2->snapshots[i])) {
            places[count++] = (L1Place){ qcow2->snapshots[i].l1_offset, 1, qcow2->snapshots[i].l1_size };
        }
    }
    qsort(places, count, sizeof *places, compare_l1);
    for (size_t i = 0; i < count; i++) {
        if (distinct && compare_l1(&places[distinct - 1], &places[i]) == 0) {
            places[distinct - 1].times++;
        } else {
            places[distinct++] = places[i];
        }
    }
    for (size_t i = 0; i < distinct && !check->failure; i++) {
        inactive_l1(check, places[i].offset, places[i].entries, places[i].times);
    }
}

/* ---- L2 tables ---- */

typedef struct L2Walk { Check *check; const CheckTable *table; uint64_t next; bool changed; } L2Walk;

static void statistics(L2Walk *walk, uint64_t offset)
{
    ImageCheck *out = walk->check->out;

    if (!walk->table->active) {
        return;
    }
    out->allocated_clusters++;
    if (walk->next && offset != walk->next) {
        out->fragmented_clusters++;
    }
    walk->next = offset + walk->check->qcow2->cluster_size;
}

static void compressed_entry(L2Walk *walk, unsigned index, uint64_t entry, uint64_t bitmap)
{
    Check *check = walk->check;
    uint64_t offset, bytes, times = walk->table->times;

    qcow2_compressed_range(check->qcow2, entry & ~Q2_COPIED, &offset, &bytes);
    if (entry & Q2_COPIED) {
        check_tell(check, "ERROR: coffset=0x%" PRIx64 ": copied flag must never be set for compressed clusters",
                   entry & check->qcow2->compressed_offset_mask);
        check_corrupt(check, times);
    }
    if (check->qcow2->external) {
        check_tell(check, "ERROR compressed cluster %u with data file, entry=0x%" PRIx64, index, entry);
        check_corrupt(check, times);
        return;
    }
    if (bitmap) {
        check_tell(check, "ERROR compressed cluster %u with non-zero subcluster allocation bitmap, entry=0x%" PRIx64, index, entry);
        check_corrupt(check, times);
        return;
    }
    check_count(check, offset, bytes, times);
    if (walk->table->active) {
        check->out->allocated_clusters++;
        check->out->compressed_clusters++;
        check->out->fragmented_clusters++; /* they are so by nature */
    }
}

bool check_writable(Check *check, uint64_t offset, uint64_t bytes)
{
    unsigned bits = check->qcow2->cluster_bits;

    if (offset % 8 || !range_within(offset, bytes, check->file_bytes)) {
        return false;
    }
    for (uint64_t cluster = offset >> bits; cluster <= (offset + bytes - 1) >> bits; cluster++) {
        if (refmap_get(check->fixed, cluster)) {
            return false;
        }
    }
    return true;
}

static void plain_entry(L2Walk *walk, unsigned index, uint64_t entry, uint64_t bitmap)
{
    Check *check = walk->check;
    bool extended = check->qcow2->l2_entry_bytes == 16, preallocated = !extended && entry & Q2_ZERO;
    uint64_t offset = entry & Q2_L2_OFFSET, times = walk->table->times;

    if (extended && (bitmap & bitmap >> 32 & UINT32_MAX)) {
        check_tell(check, "ERROR offset=%" PRIx64 ": Allocated cluster has corrupted subcluster allocation bitmap", offset);
        check_corrupt(check, times);
    }
    if (offset & (check->qcow2->cluster_size - 1)) {
        bool mend = preallocated && check->repair & REPAIR_ERRORS && check_writable(check, walk->table->offset, check->qcow2->cluster_size);

        check_tell(check, "%s offset=%" PRIx64 ": %s cluster is not properly aligned; L2 entry corrupted.", check_word(mend), offset,
                   preallocated ? "Preallocated" : "Data");
        if (mend) {                        /* the place is lost, that it reads as zeroes is not */
            store_be64(check->table + (size_t)index * check->qcow2->l2_entry_bytes, Q2_ZERO);
            walk->changed = true;
            check->out->corruptions_fixed += times;
            return;
        }
        check_corrupt(check, times);
    }
    statistics(walk, offset);
    if (!check->qcow2->external) {
        check_count(check, offset, check->qcow2->cluster_size, times);
    }
}

static void l2_entry(L2Walk *walk, unsigned index, uint64_t entry, uint64_t bitmap)
{
    Check *check = walk->check;
    bool extended = check->qcow2->l2_entry_bytes == 16;
    uint64_t offset = entry & Q2_L2_OFFSET;

    if (entry & Q2_COMPRESSED) {
        compressed_entry(walk, index, entry, bitmap);
        return;
    }
    if (entry & Q2_L2_RESERVED) {
        check_tell(check, "ERROR found l2 entry with reserved bits set: %" PRIx64, entry);
        check_corrupt(check, walk->table->times);
    }
    if (offset || (check->qcow2->external && entry & Q2_COPIED)) {
        plain_entry(walk, index, entry, bitmap);
    } else if (extended && (bitmap & UINT32_MAX)) {
        check_tell(check, "ERROR: Unallocated cluster has non-zero subcluster allocation map");
        check_corrupt(check, walk->table->times);
    }
}

static void walk_table(Check *check, const CheckTable *table)
{
    Qcow2 *qcow2 = check->qcow2;
    L2Walk walk = { check, table, 0, false };
    int result = check_read(check, table->offset, check->table, qcow2->cluster_size);

    if (result < 0) {
        check_unread(check, "ERROR: I/O error in check_refcounts_l2: %s", g_strerror(-result));
        return;
    }
    for (unsigned i = 0; i < qcow2->cluster_size / qcow2->l2_entry_bytes && !check->failure; i++) {
        const uint8_t *at = check->table + (size_t)i * qcow2->l2_entry_bytes;
        uint64_t entry = load_be64(at), bitmap = qcow2->l2_entry_bytes == 16 ? load_be64(at + 8) : 0;

        if (entry | bitmap) {
            l2_entry(&walk, i, entry, bitmap);
        }
    }
    if (walk.changed) {
        result = node_pwrite(qcow2->node.file, table->offset, check->table, qcow2->cluster_size);
        if (result < 0) {
            check_tell(check, "ERROR: Could not overwrite L2 table entry: %s", g_strerror(-result));
            check->failure = result;
        }
    }
}

/* ---- bitmaps, refcount structure ---- */

static void bitmap_table(void *opaque, const char *name, uint64_t offset, uint32_t entries, bool sound)
{
    Check *check = opaque;
    g_autofree uint8_t *chunk = g_try_malloc(CHUNK);

    if (!sound) {
        check_tell(check, "ERROR Bitmap '%s' doesn't satisfy the constraints", name);
        check_corrupt(check, 1);
    }
    if (!chunk) {
        check->failure = -ENOMEM;
        return;
    }
    check_count(check, offset, (uint64_t)entries * 8, 1);
    for (uint64_t at = 0; at < (uint64_t)entries * 8 && !check->failure; at += CHUNK) {
        uint64_t bytes = MIN((uint64_t)CHUNK, (uint64_t)entries * 8 - at);

        if (offset + at >= check->file_bytes) {
            return;
        }
        if (check_read(check, offset + at, chunk, bytes) < 0) {
            check_unread(check, "ERROR: I/O error in a bitmap table at 0x%" PRIx64, offset);
            return;
        }
        for (uint64_t i = 0; i < bytes && !check->failure; i += 8) {
            uint64_t entry = load_be64(chunk + i);

            if (!qcow2_bitmap_entry_sound(check->qcow2, entry)) {
                check_tell(check, "ERROR found bitmap table entry with reserved bits set: %" PRIx64, entry);
                check_corrupt(check, 1);
            } else if (entry & Q2_BITMAP_OFFSET) {
                check_count(check, entry & Q2_BITMAP_OFFSET, check->qcow2->cluster_size, 1);
            }
        }
    }
}

static void bitmaps(Check *check)
{
    Qcow2 *qcow2 = check->qcow2;

    if (qcow2->bitmap_count == 0) {
        return;
    }
    check_count(check, qcow2->bitmap_directory_offset, qcow2->bitmap_directory_bytes, 1);
    if (qcow2_bitmaps_each_table(qcow2, bitmap_table, check) < 0) {
        check_unread(check, "ERROR: the bitmap directory cannot be read");
    }
}

static void refcount_structure(Check *check)
{
    Qcow2 *qcow2 = check->qcow2;

    check_count(check, qcow2->reftable_offset, (uint64_t)qcow2->reftable_clusters << qcow2->cluster_bits, 1);
    for (uint64_t i = 0; i < qcow2->reftable_entries && !check->failure; i++) {
        uint64_t entry = qcow2->reftable[i], offset = entry & Q2_REFTABLE_OFFSET;

        if (entry & Q2_REFTABLE_RESERVED) {
            check_tell(check, "ERROR refcount table entry %" PRIu64 " has reserved bits set", i);
            check_corrupt(check, 1);
            check->rebuild = true;
        } else if (offset & (qcow2->cluster_size - 1)) {
            check_tell(check, "ERROR refcount block %" PRIu64 " is not cluster aligned; refcount table entry corrupted", i);
            check_corrupt(check, 1);
            check->rebuild = true;
        } else if (offset >> qcow2->cluster_bits >= check->clusters && offset) {
            check_tell(check, "%s refcount block %" PRIu64 " is outside image", check_word(check->repair & REPAIR_ERRORS), i);
            check_corrupt(check, 1);
            check->rebuild |= (check->repair & REPAIR_ERRORS) != 0;
        } else if (offset) {
            check_count(check, offset, qcow2->cluster_size, 1);
        }
    }
}

/* Whoever else uses the cluster of a refcount block will write over it. */
static void refcount_blocks_alone(Check *check)
{
    Qcow2 *qcow2 = check->qcow2;

    for (uint64_t i = 0; i < qcow2->reftable_entries; i++) {
        uint64_t entry = qcow2->reftable[i], cluster = entry >> qcow2->cluster_bits;
        uint64_t count = entry && !(entry & (qcow2->cluster_size - 1)) && cluster < check->clusters ? refmap_get(check->refs, cluster) : 1;

        if (count != 1) {
            check_tell(check, "ERROR refcount block %" PRIu64 " refcount=%" PRIu64, i, count);
            check_corrupt(check, 1);
            check->rebuild = true;
        }
    }
}

/* ---- the check ---- */

static void count_all(Check *check)
{
    Qcow2 *qcow2 = check->qcow2;
    uint64_t before;

    check->counting_fixed = true;
    check_count(check, 0, qcow2->cluster_size, 1);
    active_l1(check);
    snapshots_l1(check);
    check_count(check, qcow2->snapshots_offset, qcow2->snapshots_bytes, 1);
    check_count(check, qcow2->crypto_offset, qcow2->crypto_bytes, 1);
    bitmaps(check);
    before = check->out->corruptions;
    refcount_structure(check);
    check->structure_errors = check->out->corruptions - before;
    check->counting_fixed = false;
    for (guint i = 0; i < check->tables->len && !check->failure; i++) {
        walk_table(check, &g_array_index(check->tables, CheckTable, i));
    }
    if (!check->failure) {
        before = check->out->corruptions;
        refcount_blocks_alone(check);
        check->structure_errors += check->out->corruptions - before;
    }
}

/* Tells once without mending, so that what is mended is first seen whole; then mends. */
static int compare_and_mend(Check *check)
{
    ImageCheck before = *check->out;
    CheckRepair fix = check->repair;
    int result = check_compare(check, 0);

    if (result < 0 || !fix) {
        return result;
    }
    if (check->unread) {
        check_tell(check, "ERROR nothing is repaired: what the unreadable metadata refers to would be lost");
        check->repair = 0;
        return 0;
    }
    if (check->rebuild && fix & REPAIR_ERRORS) {
        uint64_t found = check->out->corruptions, leaks = check->out->leaks;
        uint64_t remain = before.corruptions - check->structure_errors;        /* what the L2 tables hold wrongly */

        check_tell(check, "Rebuilding refcount structure");
        result = check_rebuild(check);
        if (result >= 0) {
            check->out->check_errors = before.check_errors;
            check->out->corruptions = remain;
            check->out->corruptions_fixed += found - remain;
            check->out->leaks = before.leaks;
            check->out->leaks_fixed += leaks - before.leaks;
        }
        return result;
    }
    if (check->rebuild) {
        check_tell(check, "ERROR need to rebuild refcount structures");
        return -EIO;
    }
    if (check->mismatch) {
        check->out->leaks = before.leaks;
        check->out->corruptions = before.corruptions;
        check->out->check_errors = before.check_errors;
        result = check_compare(check, fix);
    }
    return result;
}

static int run(Check *check)
{
    int64_t bytes = node_refresh_length(check->qcow2->node.file);
    int result;

    if (bytes < 0) {
        return (int)bytes;
    }
    check->file_bytes = (uint64_t)bytes;
    check->clusters = qcow2_clusters(check->qcow2, check->file_bytes);
    count_all(check);
    if (check->failure) {
        return check->failure;
    }
    result = compare_and_mend(check);
    return result < 0 ? result : check_copied(check);
}

/* A whole image is neither dirty nor corrupt any more. */
static int mark_sound(Check *check)
{
    Qcow2 *qcow2 = check->qcow2;
    int result;

    if (!(check->repair & REPAIR_ERRORS) || check->out->corruptions || check->out->check_errors || !qcow2->node.writable) {
        return 0;
    }
    result = node_flush(qcow2->node.file);
    if (result >= 0) {
        qcow2->corrupt = false;
        result = qcow2_mark(qcow2, 0, Q2_INCOMPAT_DIRTY | Q2_INCOMPAT_CORRUPT);
    }
    return result;
}

int qcow2_check_inside(Qcow2 *qcow2, ImageCheck *out, CheckRepair repair)
{
    Check check = { .qcow2 = qcow2, .out = out, .repair = qcow2->node.writable ? repair : 0, .block_index = UINT64_MAX };
    int result;

    out->total_clusters = qcow2_clusters(qcow2, qcow2->node.length);
    co_lock(&qcow2->lock);
    result = qcow2->node.writable && !qcow2->corrupt ? qcow2_caches_drop(qcow2) : 0;
    check.refs = refmap_new(MEMORY_LIMIT);
    check.fixed = refmap_new(MEMORY_LIMIT);
    check.tables = g_array_new(false, false, sizeof(CheckTable));
    check.tables_at = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    check.table = g_try_malloc(qcow2->cluster_size);
    check.block = g_try_malloc(qcow2->cluster_size);
    if (result >= 0) {
        result = check.table && check.block ? qcow2_snapshots_check(qcow2, out, check.repair) : -ENOMEM;
    }
    if (result >= 0) {
        result = run(&check);
    }
    if (result >= 0 && !check.unread) {
        result = qcow2_snapshots_mend(qcow2, out, check.repair);
    }
    if (result >= 0 && check.repair) {
        result = qcow2_regions_rebuild(qcow2);
        qcow2->free_hint = 0;
        qcow2->compressed_next = 0;
    }
    if (result >= 0) {
        result = mark_sound(&check);
    }
    refmap_free(check.refs);
    refmap_free(check.fixed);
    g_array_unref(check.tables);
    g_hash_table_destroy(check.tables_at);
    g_free(check.table);
    g_free(check.block);
    co_unlock(&qcow2->lock);
    return result;
}

int qcow2_check(Node *node, ImageCheck *check, CheckRepair repair)
{
    Qcow2 *qcow2 = QCOW2(node);
    int result;

    co_write_lock(&qcow2->gate);
    result = qcow2_check_inside(qcow2, check, repair);
    co_write_unlock(&qcow2->gate);
    return result;
}
