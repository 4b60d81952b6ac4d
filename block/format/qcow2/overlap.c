/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overlap.c - what lies where in a qcow2 file, and the refusal to write over it
 *
 * Before each write of metadata, and of data, the place is held against the regions of the image that a write there would destroy. A hit
 * means that refcounts or mapping are wrong: the corrupt bit is set, and nothing is written any more.
 *
 * Tables that are contiguous are ranges; L2 tables and refcount blocks, a cluster each, are members of a hash set, so that a check
 * costs a look-up for each cluster and not a walk over the L1 table.
 *
 * Hostile  an image may name one cluster twice: the set then holds it under both names
 * Threads  the node's home loop
 * Tests    tests/block/qcow2-headers.py
 */
#include "block/format/qcow2/qcow2.h"
#include "base/trace.h"

enum { TRACE_OVERLAP };
static TracePoint overlap_trace[] = { [TRACE_OVERLAP] = { "qcow2_overlap", "a write would have destroyed a qcow2 image's metadata" } };
TRACE_TABLE(overlap_trace)

const struct Qcow2OverlapName qcow2_overlap_names[] = {
    { "main-header", "qcow2_header", Q2_OL_HEADER },
    { "active-l1", "active L1 table", Q2_OL_ACTIVE_L1 },
    { "active-l2", "active L2 table", Q2_OL_ACTIVE_L2 },
    { "refcount-table", "refcount table", Q2_OL_REFTABLE },
    { "refcount-block", "refcount block", Q2_OL_REFBLOCK },
    { "snapshot-table", "snapshot table", Q2_OL_SNAPSHOTS },
    { "inactive-l1", "inactive L1 table", Q2_OL_INACTIVE_L1 },
    { "inactive-l2", "inactive L2 table", Q2_OL_INACTIVE_L2 },
    { "bitmap-directory", "bitmap directory", Q2_OL_BITMAPS },
    { NULL, NULL, 0 },
};

/* An open hash of offset | kind; offsets are multiples of 512, and the kinds kept here fit below. */
enum { MEMBER_L2 = 1, MEMBER_REFBLOCK = 2 };
struct Qcow2Regions {
    uint64_t *slots;
    uint64_t mask, used;
};

static uint64_t spread(uint64_t offset)
{
    return (offset >> 9) * 0x9e3779b97f4a7c15ULL >> 20;
}

static bool resize(Qcow2Regions *set, uint64_t slots)
{
    uint64_t *larger = g_try_new0(uint64_t, slots), used = 0;

    if (!larger) {
        return false;
    }
    for (uint64_t i = 0; set->slots && i <= set->mask; i++) {
        if (set->slots[i] & 511) {
            uint64_t at = spread(set->slots[i]) & (slots - 1);

            while (larger[at]) {
                at = (at + 1) & (slots - 1);
            }
            larger[at] = set->slots[i];
            used++;
        }
    }
    set->used = used;
    g_free(set->slots);
    set->slots = larger;
    set->mask = slots - 1;
    return true;
}

static bool insert(Qcow2Regions *set, uint64_t offset, unsigned member)
{
    uint64_t at;

    if ((!set->slots || set->used * 2 > set->mask) && !resize(set, set->slots ? (set->mask + 1) * 2 : 64)) {
        return false;
    }
    for (at = spread(offset) & set->mask; set->slots[at]; at = (at + 1) & set->mask) {
        if ((set->slots[at] & ~511ULL) == offset) {
            set->slots[at] |= member;
            return true;
        }
    }
    set->slots[at] = offset | member;
    set->used++;
    return true;
}

static unsigned members(const Qcow2Regions *set, uint64_t offset)
{
    for (uint64_t at = spread(offset) & set->mask; set->slots && set->slots[at]; at = (at + 1) & set->mask) {
        if ((set->slots[at] & ~511ULL) == offset) {
            return set->slots[at] & 511;
        }
    }
    return 0;
}

void qcow2_regions_free(Qcow2 *qcow2)
{
    if (qcow2->regions) {
        g_free(qcow2->regions->slots);
        g_clear_pointer(&qcow2->regions, g_free);
    }
}

int qcow2_regions_add(Qcow2 *qcow2, Qcow2Region kind, uint64_t offset)
{
    return insert(qcow2->regions, offset, kind == Q2_OL_REFBLOCK ? MEMBER_REFBLOCK : MEMBER_L2) ? 0 : -ENOMEM;
}

void qcow2_regions_remove(Qcow2 *qcow2, uint64_t offset, uint64_t bytes)
{
    Qcow2Regions *set = qcow2->regions;

    for (uint64_t cluster = offset; set->slots && cluster < offset + bytes; cluster += qcow2->cluster_size) {
        uint64_t at = spread(cluster) & set->mask;

        while (set->slots[at] && (set->slots[at] & ~511ULL) != cluster) {
            at = (at + 1) & set->mask;
        }
        if (set->slots[at]) {
            set->slots[at] = cluster;      /* a member of nothing, which keeps the chain whole */
        }
    }
}

int qcow2_regions_rebuild(Qcow2 *qcow2)
{
    bool good = true;

    qcow2_regions_free(qcow2);
    qcow2->regions = g_new0(Qcow2Regions, 1);
    for (uint32_t i = 0; good && i < qcow2->l1_size; i++) {
        uint64_t offset = qcow2->l1[i] & Q2_L1_OFFSET;

        good = !offset || insert(qcow2->regions, offset, MEMBER_L2);
    }
    for (uint64_t i = 0; good && i < qcow2->reftable_entries; i++) {
        uint64_t offset = qcow2->reftable[i] & Q2_REFTABLE_OFFSET;

        good = !offset || insert(qcow2->regions, offset, MEMBER_REFBLOCK);
    }
    return good ? 0 : -ENOMEM;
}

static bool overlaps(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a_bytes && b_bytes && a < b + b_bytes && b < a + a_bytes;
}

static unsigned hit_ranges(const Qcow2 *qcow2, uint64_t offset, uint64_t bytes)
{
    unsigned hit = 0;

    if (offset < qcow2->cluster_size) {
        hit |= Q2_OL_HEADER;
    }
    if (overlaps(offset, bytes, qcow2->l1_offset, (uint64_t)qcow2->l1_size * 8)) {
        hit |= Q2_OL_ACTIVE_L1;
    }
    if (overlaps(offset, bytes, qcow2->reftable_offset, (uint64_t)qcow2->reftable_clusters << qcow2->cluster_bits)) {
        hit |= Q2_OL_REFTABLE;
    }
    if (qcow2->snapshot_count && overlaps(offset, bytes, qcow2->snapshots_offset, qcow2->snapshots_bytes)) {
        hit |= Q2_OL_SNAPSHOTS;
    }
    if (qcow2->bitmap_count && overlaps(offset, bytes, qcow2->bitmap_directory_offset, qcow2->bitmap_directory_bytes)) {
        hit |= Q2_OL_BITMAPS;
    }
    for (uint32_t i = 0; qcow2->snapshots && i < qcow2->snapshot_count; i++) {
        if (overlaps(offset, bytes, qcow2->snapshots[i].l1_offset, (uint64_t)qcow2->snapshots[i].l1_size * 8)) {
            hit |= Q2_OL_INACTIVE_L1;
        }
    }
    return hit;
}

/* Reads the snapshots' L1 tables each time: this check is off unless asked for. co. */
static int hit_inactive_l2(Qcow2 *qcow2, uint64_t offset, uint64_t bytes, unsigned *hit)
{
    for (uint32_t i = 0; qcow2->snapshots && i < qcow2->snapshot_count; i++) {
        uint64_t table_bytes = (uint64_t)qcow2->snapshots[i].l1_size * 8;
        g_autofree uint8_t *table = table_bytes <= Q2_MAX_L1_BYTES ? g_try_malloc(table_bytes + 1) : NULL;
        int ret = table ? node_pread(qcow2->node.file, qcow2->snapshots[i].l1_offset, table, table_bytes) : -ENOMEM;

        if (ret < 0) {
            return ret;
        }
        for (uint64_t at = 0; at < table_bytes; at += 8) {
            uint64_t l2 = load_be64(table + at) & Q2_L1_OFFSET;

            if (l2 && overlaps(offset, bytes, l2, qcow2->cluster_size)) {
                *hit |= Q2_OL_INACTIVE_L2;
            }
        }
    }
    return 0;
}

int qcow2_overlap_check(Qcow2 *qcow2, unsigned ignore, uint64_t offset, uint64_t bytes)
{
    unsigned checked = qcow2->overlap & ~ignore, hit = 0;

    if (checked == 0 || bytes == 0) {
        return 0;
    }
    hit = hit_ranges(qcow2, offset, bytes) & checked;
    for (uint64_t at = offset & ~(qcow2->cluster_size - 1); at < offset + bytes && !hit; at += qcow2->cluster_size) {
        unsigned member = members(qcow2->regions, at);

        hit |= ((member & MEMBER_L2 ? Q2_OL_ACTIVE_L2 : 0) | (member & MEMBER_REFBLOCK ? Q2_OL_REFBLOCK : 0)) & checked;
    }
    if (!hit && (checked & Q2_OL_INACTIVE_L2) && qcow2->snapshot_count) {
        int ret = hit_inactive_l2(qcow2, offset, bytes, &hit);

        if (ret < 0) {
            return ret;
        }
    }
    if (hit) {
        const struct Qcow2OverlapName *name = qcow2_overlap_names;

        while (!(name->bit & hit)) {
            name++;
        }
        TRACE(&overlap_trace[TRACE_OVERLAP], "0x%" PRIx64 " + 0x%" PRIx64 ": %s", offset, bytes, name->what);
        qcow2_corrupt(qcow2, true, offset, bytes, "Preventing invalid write on metadata (overlaps with %s)", name->what);
        return -EIO;
    }
    return 0;
}

void qcow2_corrupt(Qcow2 *qcow2, bool fatal, uint64_t offset, uint64_t bytes, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (fatal && !qcow2->corrupt && qcow2->node.writable) {
        qcow2->corrupt = true;             /* first of all: marking yields */
        qcow2_mark(qcow2, Q2_INCOMPAT_CORRUPT, 0);
    }
    node_corrupt(&qcow2->node, fatal, offset, bytes, "%s", text);
}
