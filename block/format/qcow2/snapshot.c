/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot.c - internal snapshots: taken, gone back to, deleted, listed, read from
 *
 * A snapshot is a copy of the L1 table; all that it reaches is shared by refcount. What is shared has no COPIED flag, so that the next
 * write to it makes a copy.
 *
 * Order on disk. In every step what is about to be referred to is counted, and on stable storage, before the reference is; what is no
 * longer referred to is uncounted after:
 *   take    counts up, flags off, the L1 copy, flush; then the table with the new entry (snapshot-table.c), by one sector of the header
 *   go back counts up, flags off in what is shared, a new L1 table, flush; then the header names it and the disk's size, in one sector;
 *           then the old tree is uncounted
 *   delete  the table without the entry, by one sector of the header; then its tree is uncounted, and flags go on where one reference
 *           remains
 * A cut of power between the steps leaves clusters that are counted too often (leaks), or flags that do not say what the refcounts say. No data
 * suffers by that, but checks call it an error; so in version 3 the dirty bit is set meanwhile, and whoever opens the image next mends it.
 * Going back is whole or not at all: the active L1 table is never written over.
 *
 * Threads  coroutines; gate exclusive, lock held
 * Tests    tests/block/qcow2-snapshot.py
 */
#include "block/format/qcow2/snapshot.h"
#include "base/bitmap.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *image_name(const Qcow2 *qcow2)
{
    return node_filename(qcow2->node.file);
}

static int fail_to_mark(const Qcow2 *qcow2, int result, GError **err)
{
    fail(err, -result, "%s: its header cannot be written: %s", image_name(qcow2), g_strerror(-result));
    return result;
}

static bool find(const Qcow2 *qcow2, const char *id, uint32_t *index)
{
    for (uint32_t i = 0; i < qcow2->snapshot_count; i++) {
        if (strcmp(qcow2->snapshots[i].id, id) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* ---- all that an L1 table reaches ---- */

/* A run of clusters whose refcounts change by the same. */
typedef struct Walk {
    Qcow2 *qcow2;
    int64_t delta;
    uint64_t run, run_bytes;
    uint64_t steps, limit;                 /* changes done; where an undo stops */
    uint8_t *table;
} Walk;

static int flush_run(Walk *walk)
{
    uint64_t bytes = walk->run_bytes;
    int result;

    if (bytes == 0 || walk->steps == walk->limit) {
        return 0;
    }
    walk->run_bytes = 0;
    result = qcow2_refcount_add(walk->qcow2, walk->run, bytes, walk->delta, Q2_FREE_SNAPSHOT);
    walk->steps += result >= 0;
    return result;
}

static int change(Walk *walk, uint64_t offset, uint64_t bytes)
{
    int result = 0;

    /* Only whole clusters make runs: two compressed clusters in one cluster count twice. */
    if (walk->run_bytes && walk->run + walk->run_bytes == offset && (offset | bytes) % walk->qcow2->cluster_size == 0 &&
        walk->run % walk->qcow2->cluster_size == 0) {
        walk->run_bytes += bytes;
        return 0;
    }
    result = flush_run(walk);
    walk->run = offset;
    walk->run_bytes = bytes;
    return result;
}

static int change_entry(Walk *walk, uint64_t entry)
{
    Qcow2 *qcow2 = walk->qcow2;
    uint64_t offset = entry & Q2_L2_OFFSET, bytes = qcow2->cluster_size;

    if (entry & Q2_COMPRESSED) {
        qcow2_compressed_range(qcow2, entry, &offset, &bytes);
    } else if (offset == 0) {
        return 0;
    } else if (offset & (qcow2->cluster_size - 1)) {
        qcow2_corrupt(qcow2, true, offset, bytes, "Cluster allocation offset 0x%" PRIx64 " unaligned", offset);
        return -EIO;
    }
    return change(walk, offset, bytes);
}

/* What the caches hold has been written: tables are read from the file. */
static int change_table(Walk *walk, uint64_t offset)
{
    Qcow2 *qcow2 = walk->qcow2;
    int result;

    if (offset & (qcow2->cluster_size - 1)) {
        qcow2_corrupt(qcow2, true, offset, qcow2->cluster_size, "L2 table offset 0x%" PRIx64 " unaligned", offset);
        return -EIO;
    }
    result = node_pread(qcow2->node.file, offset, walk->table, qcow2->cluster_size);
    for (uint64_t i = 0; result >= 0 && i < qcow2->cluster_size; i += qcow2->l2_entry_bytes) {
        result = change_entry(walk, load_be64(walk->table + i));
    }
    return result < 0 ? result : change(walk, offset, qcow2->cluster_size);
}

static int walk_l1(Walk *walk, const uint64_t *l1, uint32_t entries)
{
    int result = 0;

    for (uint32_t i = 0; result >= 0 && i < entries; i++) {
        if (l1[i] & Q2_L1_OFFSET) {
            result = change_table(walk, l1[i] & Q2_L1_OFFSET);
        }
        if (walk->steps == walk->limit) {
            break;
        }
    }
    return result < 0 ? result : flush_run(walk);
}

/* Adds delta to the refcounts of the tree below an L1 table; a failed increase is taken back, step for step. The file holds what the caches
 * hold: the caller has synced. */
static int change_tree(Qcow2 *qcow2, const uint64_t *l1, uint32_t entries, int64_t delta)
{
    Walk walk = { .qcow2 = qcow2, .delta = delta, .limit = UINT64_MAX };
    int result;

    walk.table = g_try_malloc(qcow2->cluster_size);
    if (!walk.table) {
        return -ENOMEM;
    }
    result = walk_l1(&walk, l1, entries);
    if (result < 0 && delta > 0) {
        Walk back = { .qcow2 = qcow2, .delta = -delta, .limit = walk.steps, .table = walk.table };

        walk_l1(&back, l1, entries);
    }
    g_free(walk.table);
    return result;
}

/* ---- COPIED ---- */

static int entry_flag(Qcow2 *qcow2, uint64_t *entry, bool decide)
{
    uint64_t offset = *entry & Q2_L2_OFFSET, refcount = 0;
    int result = 0;

    if (decide) {
        result = qcow2_refcount_get(qcow2, offset >> qcow2->cluster_bits, &refcount);
    }
    if (result >= 0) {
        *entry = refcount == 1 ? *entry | Q2_COPIED : *entry & ~Q2_COPIED;
    }
    return result;
}

/* The flags of one slice of an L2 table: as the refcounts say, or all off. */
static int slice_flags(Qcow2 *qcow2, uint64_t offset, bool decide)
{
    Qcow2Table *slice;
    int result = qcow2_cache_get(&qcow2->l2_cache, offset, &slice);

    if (result < 0) {
        return result;
    }
    for (uint32_t at = 0; at < qcow2->l2_cache.bytes && result >= 0; at += qcow2->l2_entry_bytes) {
        uint64_t entry = load_be64(slice->data + at), changed = entry;

        if (entry & Q2_COMPRESSED || !(entry & Q2_L2_OFFSET) || (decide && entry & Q2_COPIED)) {
            continue;
        }
        result = entry_flag(qcow2, &changed, decide);
        if (result >= 0 && changed != entry) {
            store_be64(slice->data + at, changed);
            qcow2_cache_dirty(&qcow2->l2_cache, slice, at, 8);
        }
    }
    qcow2_cache_put(&qcow2->l2_cache, slice);
    return result;
}

static int tree_flags(Qcow2 *qcow2, uint64_t *l1, uint32_t entries, bool decide)
{
    int result = 0;

    for (uint32_t i = 0; i < entries && result >= 0; i++) {
        uint64_t offset = l1[i] & Q2_L1_OFFSET, entry = l1[i];

        if (!offset) {
            continue;
        }
        result = entry_flag(qcow2, &entry, decide);
        if (result >= 0 && entry != l1[i]) {
            if (l1 == qcow2->l1) {
                qcow2_l1_set(qcow2, i, entry);
            } else {
                l1[i] = entry;
            }
        }
        for (uint64_t at = 0; at < qcow2->cluster_size && result >= 0; at += qcow2->l2_cache.bytes) {
            result = slice_flags(qcow2, offset + at, decide);
        }
    }
    return result;
}

/* ---- L1 tables ---- */

/* In a new place, on stable storage with all before it. */
static int write_l1(Qcow2 *qcow2, const uint64_t *l1, uint32_t entries, uint64_t *offset)
{
    uint64_t bytes = MAX((uint64_t)entries * 8, 8);
    g_autofree uint8_t *out = g_try_malloc0(bytes);
    int64_t place = out ? qcow2_alloc(qcow2, bytes, NULL) : -ENOMEM;
    int result;

    if (place < 0) {
        return (int)place;
    }
    for (uint32_t i = 0; i < entries; i++) {
        store_be64(out + (size_t)i * 8, l1[i]);
    }
    *offset = (uint64_t)place;
    result = qcow2_overlap_check(qcow2, 0, *offset, bytes);
    if (result >= 0) {
        result = node_pwrite(qcow2->node.file, *offset, out, bytes);
    }
    if (result >= 0) {
        result = qcow2_sync_locked(qcow2);
    }
    if (result < 0) {
        qcow2_refcount_add(qcow2, *offset, bytes, -1, Q2_FREE_OTHER);
    }
    return result;
}

/* A snapshot's L1 table in host order; room for at least `least` entries, zero beyond. */
static uint64_t *read_l1(Qcow2 *qcow2, const Qcow2Snapshot *snapshot, uint32_t least, GError **err)
{
    uint64_t entries = MAX(snapshot->l1_size, MAX(least, 1));
    uint64_t *l1;
    int result;

    if (!qcow2_table_check(qcow2, snapshot->l1_offset, snapshot->l1_size, 8, Q2_MAX_L1_BYTES, "Snapshot L1 table", err)) {
        return NULL;
    }
    l1 = g_try_new0(uint64_t, entries);
    if (!l1) {
        fail(err, ENOMEM, "%s: no memory for an L1 table of %" PRIu64 " entries", image_name(qcow2), entries);
        return NULL;
    }
    result = snapshot->l1_size ? node_pread(qcow2->node.file, snapshot->l1_offset, l1, (uint64_t)snapshot->l1_size * 8) : 0;
    if (result < 0) {
        fail(err, -result, "%s: Failed to read snapshot L1 table: %s", image_name(qcow2), g_strerror(-result));
        g_free(l1);
        return NULL;
    }
    for (uint32_t i = 0; i < snapshot->l1_size; i++) {
        l1[i] = be64toh(l1[i]);
    }
    return l1;
}

/* ---- taking ---- */

static char *next_id(const Qcow2 *qcow2)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < qcow2->snapshot_count; i++) {
        most = MAX(most, g_ascii_strtoull(qcow2->snapshots[i].id, NULL, 10));
    }
    return g_strdup_printf("%" PRIu64, most == UINT64_MAX ? 1 : most + 1);
}

static bool may_change(Qcow2 *qcow2, const char *what, GError **err, int *result)
{
    *result = qcow2->external ? -ENOTSUP : !qcow2->node.writable ? -EACCES : qcow2->corrupt ? -EIO : 0;
    if (qcow2->external) {
        return fail(err, ENOTSUP, "%s: cannot %s: an image with an external data file has no internal snapshots", image_name(qcow2), what);
    }
    if (!qcow2->node.writable) {
        return fail(err, EACCES, "%s: cannot %s: the image is read-only", image_name(qcow2), what);
    }
    return *result == 0 || fail(err, EIO, "%s: cannot %s: the image is corrupt", image_name(qcow2), what);
}

/* Into the list; taken back when the table cannot be written. */
static int append_and_store(Qcow2 *qcow2, Qcow2Snapshot *take)
{
    Qcow2Snapshot *grown = g_try_renew(Qcow2Snapshot, qcow2->snapshots, qcow2->snapshot_count + 1);
    int result;

    if (!grown) {
        return -ENOMEM;
    }
    qcow2->snapshots = grown;
    qcow2->snapshots[qcow2->snapshot_count++] = *take;
    result = qcow2_snapshots_store(qcow2);
    if (result < 0) {
        qcow2->snapshot_count--;
        return result;
    }
    memset(take, 0, sizeof *take);
    return 0;
}

static int take(Qcow2 *qcow2, Qcow2Snapshot *made)
{
    int result = qcow2_sync_locked(qcow2);

    if (result >= 0) {
        result = change_tree(qcow2, qcow2->l1, qcow2->l1_size, 1);
    }
    if (result < 0) {
        return result;
    }
    result = tree_flags(qcow2, qcow2->l1, qcow2->l1_size, false);
    made->l1_size = qcow2->l1_size;
    if (result >= 0) {
        result = write_l1(qcow2, qcow2->l1, qcow2->l1_size, &made->l1_offset);
    }
    if (result >= 0) {
        result = append_and_store(qcow2, made);
        if (result < 0) {
            qcow2_refcount_add(qcow2, made->l1_offset, (uint64_t)made->l1_size * 8, -1, Q2_FREE_OTHER);
        }
    }
    if (result < 0) {                      /* as it was; flags that stay off cost a copy, no data */
        if (qcow2_sync_locked(qcow2) >= 0) {
            change_tree(qcow2, qcow2->l1, qcow2->l1_size, -1);
            tree_flags(qcow2, qcow2->l1, qcow2->l1_size, true);
        }
    }
    return result;
}

static int create_inside(Qcow2 *qcow2, ImageSnapshot *snapshot, GError **err)
{
    Qcow2Snapshot made = { .vm_state_size = snapshot->vm_state_size, .disk_size = qcow2->node.length, .vm_clock_ns = snapshot->vm_clock_ns,
                           .icount = snapshot->icount, .date_sec = snapshot->date_sec, .date_nsec = snapshot->date_nsec };
    bool marked;
    uint32_t unused;
    int result;

    if (!may_change(qcow2, "take a snapshot", err, &result)) {
        return result;
    }
    if (qcow2->snapshot_count >= Q2_MAX_SNAPSHOTS) {
        fail(err, EFBIG, "%s: it has %u snapshots, more are not allowed", image_name(qcow2), qcow2->snapshot_count);
        return -EFBIG;
    }
    if (!snapshot->id || !*snapshot->id) {
        g_free(snapshot->id);
        snapshot->id = next_id(qcow2);
    }
    if (find(qcow2, snapshot->id, &unused)) {
        fail(err, EEXIST, "%s: there is a snapshot with id '%s' already", image_name(qcow2), snapshot->id);
        return -EEXIST;
    }
    made.id = g_strdup(snapshot->id);
    made.name = g_strdup(snapshot->name ? snapshot->name : "");
    co_lock(&qcow2->lock);
    result = qcow2_unfinished_begin(qcow2, &marked);
    if (result >= 0) {
        result = qcow2_unfinished_end(qcow2, marked, take(qcow2, &made));
    }
    co_unlock(&qcow2->lock);
    qcow2_snapshot_clear(&made);
    if (result < 0) {
        fail(err, -result, "%s: cannot take a snapshot: %s", image_name(qcow2),
             result == -ERANGE ? "a refcount is at its limit (roost img amend -o refcount_bits=... widens them)" : g_strerror(-result));
        return result;
    }
    snapshot->disk_size = qcow2->node.length;
    /* The VM state belongs to the snapshot now, and no longer to the disk as it goes on. */
    if (snapshot->vm_state_size) {
        uint64_t bytes = qcow2_clusters(qcow2, snapshot->vm_state_size) << qcow2->cluster_bits;

        qcow2_discard_clusters(qcow2, qcow2_vm_state_offset(qcow2), bytes, Q2_FREE_NEVER, false);
    }
    return 0;
}

static int snapshot_create(Node *node, ImageSnapshot *snapshot, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);
    int result;

    co_write_lock(&qcow2->gate);
    result = create_inside(qcow2, snapshot, err);
    co_write_unlock(&qcow2->gate);
    return result;
}

/* ---- going back ---- */

/* Takes l1, but for a failure. The header names the new table and the snapshot's size of the disk at once. */
static int switch_l1(Qcow2 *qcow2, uint64_t *l1, uint32_t entries, uint64_t offset, uint64_t length)
{
    uint64_t old_offset = qcow2->l1_offset, old_length = qcow2->node.length, *old_l1 = qcow2->l1;
    uint64_t *dirty = g_try_new0(uint64_t, bitmap_words(entries / (Q2_SECTOR / 8) + 1));
    uint32_t old_size = qcow2->l1_size;
    int result = dirty ? 0 : -ENOMEM;

    if (result >= 0) {
        qcow2->l1_offset = offset;
        qcow2->l1_size = entries;
        qcow2->node.length = length;
        result = qcow2_header_commit(qcow2);
    }
    if (result < 0) {
        qcow2->l1_offset = old_offset;
        qcow2->l1_size = old_size;
        qcow2->node.length = old_length;
        g_free(dirty);
        return result;
    }
    qcow2->l1 = l1;
    qcow2->l1_allocated = entries;
    g_free(qcow2->l1_dirty);
    qcow2->l1_dirty = dirty;
    qcow2->l1_is_dirty = false;
    result = change_tree(qcow2, old_l1, old_size, -1);
    g_free(old_l1);
    qcow2_refcount_add(qcow2, old_offset, (uint64_t)old_size * 8, -1, Q2_FREE_SNAPSHOT);
    return result;
}

static uint32_t l1_entries_for(const Qcow2 *qcow2, uint64_t length)
{
    uint64_t span = 1ULL << (qcow2->l2_bits + qcow2->cluster_bits);

    return (uint32_t)MIN(length / span + (length % span != 0), UINT32_MAX);
}

static int go_back(Qcow2 *qcow2, const Qcow2Snapshot *snapshot, GError **err)
{
    uint32_t entries = MAX(snapshot->l1_size, l1_entries_for(qcow2, snapshot->disk_size));
    uint64_t *l1 = entries <= qcow2->max_l1_entries ? read_l1(qcow2, snapshot, entries, err) : NULL, offset;
    bool switched = false;
    int result;

    entries = MAX(entries, 1);
    if (!l1) {
        if (entries > qcow2->max_l1_entries) {
            fail(err, EFBIG, "%s: the snapshot's disk of %" PRIu64 " bytes is too large", image_name(qcow2), snapshot->disk_size);
        }
        return -EIO;
    }
    result = qcow2_sync_locked(qcow2);
    if (result >= 0) {
        result = change_tree(qcow2, l1, entries, 1);
    }
    if (result < 0) {
        goto failed;
    }
    result = tree_flags(qcow2, l1, entries, false);
    if (result >= 0) {
        result = write_l1(qcow2, l1, entries, &offset);
    }
    if (result >= 0) {
        result = switch_l1(qcow2, l1, entries, offset, snapshot->disk_size);
        switched = qcow2->l1 == l1;        /* it may have failed later */
    }
    /* Taken back only where the header is known to name the old table; else the counts stay, and leak at worst. */
    if (!switched && qcow2_sync_locked(qcow2) >= 0) {
        change_tree(qcow2, l1, entries, -1);
    }
    if (!switched) {
        goto failed;
    }
    l1 = NULL;
    if (result >= 0) {
        result = tree_flags(qcow2, qcow2->l1, qcow2->l1_size, true);
    }
    if (result >= 0) {
        result = qcow2_sync_locked(qcow2);
    }
    if (result >= 0) {
        result = qcow2_regions_rebuild(qcow2);
    }
failed:
    g_free(l1);
    if (result < 0) {
        fail(err, -result, "%s: cannot go back to snapshot '%s': %s", image_name(qcow2), snapshot->id, g_strerror(-result));
    }
    return result;
}

static int snapshot_apply(Node *node, const char *id, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);
    bool marked;
    uint32_t index;
    int result;

    co_write_lock(&qcow2->gate);
    if (!may_change(qcow2, "go back to a snapshot", err, &result)) {
        /* told */
    } else if (!find(qcow2, id, &index)) {
        fail(err, ENOENT, "%s: there is no snapshot with id '%s'", image_name(qcow2), id);
        result = -ENOENT;
    } else if (qcow2->bitmap_count && qcow2->snapshots[index].disk_size != node->length) {
        fail(err, ENOTSUP, "%s: snapshot '%s' is of a disk of another size, and bitmaps cannot be resized: remove them first",
             image_name(qcow2), id);
        result = -ENOTSUP;
    } else {
        co_lock(&qcow2->lock);
        result = qcow2_unfinished_begin(qcow2, &marked);
        result = result < 0 ? fail_to_mark(qcow2, result, err) : qcow2_unfinished_end(qcow2, marked, go_back(qcow2, &qcow2->snapshots[index], err));
        co_unlock(&qcow2->lock);
        if (result >= 0) {
            qcow2_bitmaps_dirty(qcow2, 0, node->length);
        }
    }
    co_write_unlock(&qcow2->gate);
    return result;
}

/* ---- deleting ---- */

static int forget(Qcow2 *qcow2, uint32_t index, GError **err)
{
    Qcow2Snapshot gone = qcow2->snapshots[index];
    g_autofree uint64_t *l1 = read_l1(qcow2, &gone, 1, err);
    int result;

    if (!l1) {
        return -EIO;
    }
    memmove(&qcow2->snapshots[index], &qcow2->snapshots[index + 1], (qcow2->snapshot_count - index - 1) * sizeof gone);
    qcow2->snapshot_count--;
    result = qcow2_snapshots_store(qcow2);
    if (result < 0) {
        memmove(&qcow2->snapshots[index + 1], &qcow2->snapshots[index], (qcow2->snapshot_count - index) * sizeof gone);
        qcow2->snapshots[index] = gone;
        qcow2->snapshot_count++;
        fail(err, -result, "%s: cannot remove snapshot '%s' from the snapshot table: %s", image_name(qcow2), gone.id, g_strerror(-result));
        return result;
    }
    result = qcow2_sync_locked(qcow2);
    if (result >= 0) {
        result = change_tree(qcow2, l1, gone.l1_size, -1);
    }
    if (result >= 0 && gone.l1_size) {
        result = qcow2_refcount_add(qcow2, gone.l1_offset, (uint64_t)gone.l1_size * 8, -1, Q2_FREE_SNAPSHOT);
    }
    if (result >= 0) {
        result = tree_flags(qcow2, qcow2->l1, qcow2->l1_size, true);
    }
    if (result >= 0) {
        result = qcow2_sync_locked(qcow2);
    }
    if (result < 0) {
        fail(err, -result, "%s: snapshot '%s' is removed, but its space could not be given back: %s", image_name(qcow2), gone.id,
             g_strerror(-result));
    }
    qcow2_snapshot_clear(&gone);
    return result;
}

static int snapshot_remove(Node *node, const char *id, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);
    bool marked;
    uint32_t index;
    int result;

    co_write_lock(&qcow2->gate);
    if (!may_change(qcow2, "remove a snapshot", err, &result)) {
        /* told */
    } else if (!find(qcow2, id, &index)) {
        fail(err, ENOENT, "%s: Can't find the snapshot '%s'", image_name(qcow2), id);
        result = -ENOENT;
    } else {
        co_lock(&qcow2->lock);
        result = qcow2_unfinished_begin(qcow2, &marked);
        result = result < 0 ? fail_to_mark(qcow2, result, err) : qcow2_unfinished_end(qcow2, marked, forget(qcow2, index, err));
        co_unlock(&qcow2->lock);
    }
    co_write_unlock(&qcow2->gate);
    return result;
}

/* ---- listing, reading ---- */

static void clear_listed(void *opaque)
{
    image_snapshot_clear(opaque);
}

static int snapshot_list(Node *node, GArray *out)
{
    Qcow2 *qcow2 = QCOW2(node);

    g_array_set_clear_func(out, clear_listed);
    for (uint32_t i = 0; i < qcow2->snapshot_count; i++) {
        const Qcow2Snapshot *from = &qcow2->snapshots[i];
        ImageSnapshot snapshot = { g_strdup(from->id), g_strdup(from->name), from->vm_state_size, from->disk_size, from->vm_clock_ns,
                                   from->icount, from->date_sec, from->date_nsec };

        g_array_append_val(out, snapshot);
    }
    return 0;
}

/* Reads come from the snapshot from now on, and the disk has its size. */
static bool snapshot_load_temporary(Node *node, const char *id, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);
    uint64_t *l1 = NULL;
    uint32_t index;

    if (node->writable) {
        return fail(err, EINVAL, "%s: a snapshot can be read only while the image is opened read-only", image_name(qcow2));
    }
    co_write_lock(&qcow2->gate);
    if (!find(qcow2, id, &index)) {
        fail(err, ENOENT, "%s: Can't find snapshot '%s'", image_name(qcow2), id);
    } else if (qcow2->snapshots[index].disk_size > INT64_MAX - qcow2->cluster_size) {
        fail(err, EFBIG, "%s: snapshot '%s' has a disk of %" PRIu64 " bytes, which cannot be", image_name(qcow2), id,
             qcow2->snapshots[index].disk_size);
    } else {
        l1 = read_l1(qcow2, &qcow2->snapshots[index], 1, err);
    }
    if (l1) {
        g_free(qcow2->l1);
        qcow2->l1 = l1;
        qcow2->l1_size = qcow2->snapshots[index].l1_size;
        qcow2->l1_allocated = MAX(qcow2->l1_size, 1);
        qcow2->l1_offset = qcow2->snapshots[index].l1_offset;
        node->length = qcow2->snapshots[index].disk_size;
    }
    co_write_unlock(&qcow2->gate);
    return l1 != NULL;
}

const ImageSnapshotOps qcow2_snapshot_ops = {
    .create = snapshot_create, .apply = snapshot_apply, .remove = snapshot_remove, .list = snapshot_list,
    .load_temporary = snapshot_load_temporary,
};
