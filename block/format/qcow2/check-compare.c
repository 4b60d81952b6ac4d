/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-compare.c - refcounts held against what was counted, COPIED flags held against refcounts
 *
 * Compared is what somebody refers to, and what a sound refcount block covers; the rest is free on both sides. In-place repair changes
 * only the blocks that are there. Nothing else runs and nothing is allocated meanwhile, so that its order does not matter: a cut of power
 * leaves fewer faults than there were.
 *
 * Threads  as check.c
 */
#include "block/format/qcow2/check.h"
#include <inttypes.h>
#include <string.h>

/* ---- refcounts in the file ---- */

int check_refcounts_flush(Check *check)
{
    Qcow2 *qcow2 = check->qcow2;

    if (!check->block_dirty) {
        return 0;
    }
    check->block_dirty = false;
    return node_pwrite(qcow2->node.file, qcow2->reftable[check->block_index] & Q2_REFTABLE_OFFSET, check->block, qcow2->cluster_size);
}

/* Where block `index` is in the file; 0: there is none. */
static int block_offset(const Qcow2 *qcow2, uint64_t index, uint64_t *offset)
{
    *offset = index < qcow2->reftable_entries ? qcow2->reftable[index] & Q2_REFTABLE_OFFSET : 0;
    return *offset & (qcow2->cluster_size - 1) ? -EIO : 0;
}

static int block_load(Check *check, uint64_t index)
{
    uint64_t offset;
    int result;

    if (check->block_index == index) {
        return check->block_error;
    }
    result = check_refcounts_flush(check);
    if (result < 0) {
        check->failure = result;
        return result;
    }
    check->block_index = index;
    check->block_error = block_offset(check->qcow2, index, &offset);
    if (check->block_error == 0) {
        if (offset) {
            check->block_error = check_read(check, offset, check->block, check->qcow2->cluster_size);
        } else {
            memset(check->block, 0, check->qcow2->cluster_size);
        }
    }
    return check->block_error;
}

int check_refcount(Check *check, uint64_t cluster, uint64_t *refcount)
{
    unsigned bits = check->qcow2->refblock_bits;
    int result = block_load(check, cluster >> bits);

    *refcount = result < 0 ? 0 : qcow2_refcount_load(check->block, check->qcow2->refcount_order, cluster & ((1ULL << bits) - 1));
    return result;
}

/* There is a block of its own to hold the refcount. */
static bool has_block(Check *check, uint64_t cluster)
{
    uint64_t offset;

    return block_offset(check->qcow2, cluster >> check->qcow2->refblock_bits, &offset) == 0 && offset &&
           range_within(offset, check->qcow2->cluster_size, check->clusters << check->qcow2->cluster_bits);
}

int check_refcount_store(Check *check, uint64_t cluster, uint64_t refcount)
{
    unsigned bits = check->qcow2->refblock_bits;
    int result = block_load(check, cluster >> bits);

    if (result == 0 && has_block(check, cluster)) {
        qcow2_refcount_store(check->block, check->qcow2->refcount_order, cluster & ((1ULL << bits) - 1), refcount);
        check->block_dirty = true;
    }
    return result;
}

/* ---- comparing ---- */

static void compare_one(Check *check, uint64_t cluster, CheckRepair fix)
{
    uint64_t references = refmap_get(check->refs, cluster), refcount;
    int result = check_refcount(check, cluster, &refcount);
    bool leak, mend;

    if (result < 0) {
        check_tell(check, "Can't get refcount for cluster %" PRIu64 ": %s", cluster, g_strerror(-result));
        check->out->check_errors++;
        check->mismatch = true;
        return;
    }
    if (refcount || references) {
        check->out->image_end_offset = MAX(check->out->image_end_offset, (cluster + 1) << check->qcow2->cluster_bits);
    }
    if (refcount == references) {
        return;
    }
    leak = refcount > references;
    mend = fix & (leak ? REPAIR_LEAKS : REPAIR_ERRORS) && has_block(check, cluster);
    check_tell(check, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, mend ? "Repairing" : leak ? "Leaked" : "ERROR", cluster,
               refcount, references);
    if (!leak && !has_block(check, cluster)) {
        check->rebuild = true;
    }
    if (mend) {
        check_refcount_store(check, cluster, references);
        *(leak ? &check->out->leaks_fixed : &check->out->corruptions_fixed) += 1;
    } else {
        check->mismatch = true;
        *(leak ? &check->out->leaks : &check->out->corruptions) += 1;
    }
}

/* The first page at or after `page` of clusters in the file that a block covers. A block that is used for something else too is not
 * looked into: its contents mean nothing. */
static uint64_t next_covered(Check *check, uint64_t page)
{
    Qcow2 *qcow2 = check->qcow2;
    unsigned bits = qcow2->refblock_bits;

    for (uint64_t block = page << REFMAP_PAGE_BITS >> bits; block < qcow2->reftable_entries && block << bits < check->clusters; block++) {
        uint64_t entry = qcow2->reftable[block];

        if (entry && refmap_get(check->refs, entry >> qcow2->cluster_bits) <= 1) {
            return MAX(page, block << bits >> REFMAP_PAGE_BITS);
        }
    }
    return UINT64_MAX;
}

int check_compare(Check *check, CheckRepair fix)
{
    uint64_t covered = 0;
    int result;

    check->mismatch = false;
    for (uint64_t page = 0; check->failure == 0; page++) {
        uint64_t counted = refmap_next_page(check->refs, page), first, end;

        covered = covered == UINT64_MAX ? covered : next_covered(check, page);
        page = MIN(counted, covered);
        if (page == UINT64_MAX) {
            break;
        }
        first = page << REFMAP_PAGE_BITS;
        end = MIN(first + REFMAP_PAGE, check->clusters + 1);
        for (uint64_t cluster = first; cluster < end && check->failure == 0; cluster++) {
            if (cluster < check->clusters || refmap_get(check->refs, cluster)) {
                compare_one(check, cluster, fix);
            }
        }
        if (page % 64 == 63) {
            co_yield_turn();
        }
    }
    result = check_refcounts_flush(check);
    return check->failure ? check->failure : result;
}

/* ---- COPIED ---- */

/* The refcount of an offset's cluster; from the counts where they agree. false: it cannot be had. */
static bool refcount_at(Check *check, uint64_t offset, uint64_t *refcount)
{
    uint64_t cluster = offset >> check->qcow2->cluster_bits;

    if (!check->mismatch && cluster < check->clusters) {
        *refcount = refmap_get(check->refs, cluster);
        return true;
    }
    return check_refcount(check, cluster, refcount) == 0;
}

static void copied_found(Check *check, bool mended)
{
    *(mended ? &check->out->corruptions_fixed : &check->out->corruptions) += 1;
}

static void copied_entry(Check *check, uint8_t *at, bool repair, bool *changed)
{
    uint64_t entry = load_be64(at), refcount = 1;

    if (!entry || entry & Q2_COMPRESSED || !(entry & Q2_L2_OFFSET)) {
        return;
    }
    if (!check->qcow2->external && !refcount_at(check, entry & Q2_L2_OFFSET, &refcount)) {
        return;
    }
    if ((refcount == 1) != ((entry & Q2_COPIED) != 0)) {
        check_tell(check, "%s OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64, check_word(repair), entry, refcount);
        copied_found(check, repair);
        if (repair) {
            store_be64(at, entry ^ Q2_COPIED);
            *changed = true;
        }
    }
}

static int copied_table(Check *check, uint64_t offset, bool repair)
{
    Qcow2 *qcow2 = check->qcow2;
    bool changed = false;
    int result;

    if (offset >= check->file_bytes) {
        return 0;
    }
    result = check_read(check, offset, check->table, qcow2->cluster_size);
    if (result < 0) {
        check_tell(check, "ERROR: I/O error in check_oflag_copied");
        check->out->check_errors++;
        return 0;
    }
    repair &= check_writable(check, offset, qcow2->cluster_size);
    for (uint64_t i = 0; i < qcow2->cluster_size; i += qcow2->l2_entry_bytes) {
        copied_entry(check, check->table + i, repair, &changed);
    }
    return changed ? node_pwrite(qcow2->node.file, offset, check->table, qcow2->cluster_size) : 0;
}

static int copied_l1(Check *check, uint32_t index, bool repair)
{
    Qcow2 *qcow2 = check->qcow2;
    uint64_t entry = qcow2->l1[index], refcount;
    uint8_t bytes[8];

    if (!refcount_at(check, entry & Q2_L1_OFFSET, &refcount) || (refcount == 1) == ((entry & Q2_COPIED) != 0)) {
        return 0;
    }
    check_tell(check, "%s OFLAG_COPIED L2 cluster: l1_index=%" PRIu32 " l1_entry=%" PRIx64 " refcount=%" PRIu64, check_word(repair), index,
               entry, refcount);
    copied_found(check, repair);
    if (!repair) {
        return 0;
    }
    qcow2->l1[index] = entry ^ Q2_COPIED;
    store_be64(bytes, qcow2->l1[index]);
    return node_pwrite(qcow2->node.file, qcow2->l1_offset + (uint64_t)index * 8, bytes, sizeof bytes);
}

/* The flag of an entry says that its refcount is one. Wrong flags are mended with the leaks already, when nothing else is wrong: then
 * the refcounts they follow are certain. */
int check_copied(Check *check)
{
    Qcow2 *qcow2 = check->qcow2;
    ImageCheck *out = check->out;
    bool repair = check->repair & REPAIR_ERRORS ||
                  (check->repair & REPAIR_LEAKS && !out->check_errors && !out->corruptions && !out->leaks);
    bool l1_there = range_within(qcow2->l1_offset, (uint64_t)qcow2->l1_size * 8, check->file_bytes);

    for (uint32_t i = 0; i < qcow2->l1_size; i++) {
        uint64_t offset = qcow2->l1[i] & Q2_L1_OFFSET;
        int result = offset ? copied_l1(check, i, repair && l1_there) : 0;

        if (result == 0 && offset) {
            result = copied_table(check, offset, repair);
        }
        if (result < 0) {
            return result;
        }
    }
    return check->failure;
}
