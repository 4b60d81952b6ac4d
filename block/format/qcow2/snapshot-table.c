/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot-table.c - the table of internal snapshots: read, checked, written
 *
 * An entry, aligned to 8 bytes; big-endian:
 *
 *     0  u64 l1_table_offset      16  u32 date_sec              36  u32 extra_data_size
 *     8  u32 l1_size (entries)    20  u32 date_nsec             40  extra data: u64 vm_state_size, u64 disk_size, u64 icount, others
 *    12  u16 id_str_size          24  u64 vm_clock_nsec         ..  id, name, padding
 *    14  u16 name_size            32  u32 vm_state_size
 *
 * Extra data that is not known is kept. Version 3 wants at least 16 bytes of it.
 *
 * Hostile: the count is at most 65536, an entry's extra data 1024 bytes, the table 64 MiB; the table is read through a window. check -r
 * all drops what is beyond these limits, other users refuse the image.
 *
 * Threads  coroutines; gate exclusive for writing
 * Tests    tests/block/qcow2-snapshot.py, qcow2-check.py
 */
#include "block/format/qcow2/snapshot.h"
#include <inttypes.h>
#include <string.h>

enum { ENTRY_BYTES = 40, EXTRA_KNOWN = 24, EXTRA_V3 = 16, WINDOW = 64 * 1024 };

typedef struct Overlong { uint32_t index, bytes; } Overlong;
struct Qcow2SnapshotFaults {               /* what a lenient reading met */
    uint32_t overhanging;                  /* entries beyond the limit of their number, or of the table's size */
    GArray *overlong;                      /* of Overlong */
    GArray *incomplete;                    /* of uint32_t */
};

void qcow2_snapshot_clear(Qcow2Snapshot *snapshot)
{
    g_free(snapshot->id);
    g_free(snapshot->name);
    g_free(snapshot->unknown_extra);
    memset(snapshot, 0, sizeof *snapshot);
}

static void faults_free(Qcow2SnapshotFaults *faults)
{
    if (faults) {
        g_array_unref(faults->overlong);
        g_array_unref(faults->incomplete);
        g_free(faults);
    }
}

void qcow2_snapshots_free(Qcow2 *qcow2)
{
    for (uint32_t i = 0; qcow2->snapshots && i < qcow2->snapshot_count; i++) {
        qcow2_snapshot_clear(&qcow2->snapshots[i]);
    }
    g_clear_pointer(&qcow2->snapshots, g_free);
    g_clear_pointer(&qcow2->snapshot_faults, faults_free);
}

/* ---- reading ---- */

typedef struct Reader {
    Qcow2 *qcow2;
    uint64_t file_bytes, at;               /* at: of the window in the file */
    uint64_t length;                       /* bytes in the window */
    uint8_t window[WINDOW];
} Reader;

/* What lies beyond the end of the file reads as zeroes, as from a file that was cut. */
static int reader_copy(Reader *reader, uint64_t offset, void *out, size_t bytes)
{
    while (bytes > 0) {
        size_t piece;

        if (offset < reader->at || offset >= reader->at + reader->length) {
            uint64_t there = offset < reader->file_bytes ? MIN((uint64_t)WINDOW, reader->file_bytes - offset) : 0;
            int result = there ? node_pread(reader->qcow2->node.file, offset, reader->window, there) : 0;

            if (result < 0) {
                return result;
            }
            memset(reader->window + there, 0, WINDOW - there);
            reader->at = offset;
            reader->length = WINDOW;
        }
        piece = (size_t)MIN((uint64_t)bytes, reader->at + reader->length - offset);
        memcpy(out, reader->window + (offset - reader->at), piece);
        out = (uint8_t *)out + piece;
        offset += piece;
        bytes -= piece;
    }
    return 0;
}

static int read_text(Reader *reader, uint64_t offset, size_t bytes, char **out)
{
    *out = g_try_malloc(bytes + 1);
    if (!*out) {
        return -ENOMEM;
    }
    (*out)[bytes] = 0;
    return reader_copy(reader, offset, *out, bytes);
}

static int read_extra(Reader *reader, Qcow2Snapshot *snapshot, uint64_t offset, uint32_t kept)
{
    uint8_t extra[Q2_MAX_SNAPSHOT_EXTRA];
    int result = reader_copy(reader, offset, extra, kept);

    snapshot->disk_size = reader->qcow2->node.length;
    snapshot->icount = -1;
    if (kept >= 8) {
        snapshot->vm_state_size = load_be64(extra);
    }
    if (kept >= 16) {
        snapshot->disk_size = load_be64(extra + 8);
    }
    if (kept >= 24) {
        snapshot->icount = (int64_t)load_be64(extra + 16);
    }
    if (kept > EXTRA_KNOWN) {
        snapshot->unknown_extra_size = kept - EXTRA_KNOWN;
        snapshot->unknown_extra = g_memdup2(extra + EXTRA_KNOWN, kept - EXTRA_KNOWN);
    }
    return result;
}

/* *offset moves to the entry's end. */
static int read_entry(Reader *reader, Qcow2Snapshot *snapshot, uint64_t *offset)
{
    uint8_t head[ENTRY_BYTES];
    uint16_t id_bytes, name_bytes;
    int result = reader_copy(reader, *offset, head, sizeof head);

    if (result < 0) {
        return result;
    }
    snapshot->l1_offset = load_be64(head);
    snapshot->l1_size = load_be32(head + 8);
    id_bytes = load_be16(head + 12);
    name_bytes = load_be16(head + 14);
    snapshot->date_sec = load_be32(head + 16);
    snapshot->date_nsec = load_be32(head + 20);
    snapshot->vm_clock_ns = load_be64(head + 24);
    snapshot->vm_state_size = load_be32(head + 32);
    snapshot->extra_size = load_be32(head + 36);
    *offset += sizeof head;
    result = read_extra(reader, snapshot, *offset, MIN(snapshot->extra_size, (uint32_t)Q2_MAX_SNAPSHOT_EXTRA));
    *offset += snapshot->extra_size;
    if (result >= 0) {
        result = read_text(reader, *offset, id_bytes, &snapshot->id);
    }
    if (result >= 0) {
        result = read_text(reader, *offset + id_bytes, name_bytes, &snapshot->name);
    }
    *offset = (*offset + id_bytes + name_bytes + 7) & ~7ULL;
    return result;
}

static bool entry_within_limits(Qcow2 *qcow2, uint32_t index, const Qcow2Snapshot *snapshot, bool lenient, GError **err)
{
    if (snapshot->extra_size > Q2_MAX_SNAPSHOT_EXTRA) {
        if (!lenient) {
            return fail(err, EFBIG, "%s: Too much extra metadata in snapshot table entry %u: %u bytes, the limit is %d; "
                        "'check -r all' removes it", node_filename(qcow2->node.file), index, snapshot->extra_size, Q2_MAX_SNAPSHOT_EXTRA);
        }
        g_array_append_val(qcow2->snapshot_faults->overlong, ((Overlong){ index, snapshot->extra_size }));
    }
    if (qcow2->version >= 3 && snapshot->extra_size < EXTRA_V3) {
        if (lenient) {
            g_array_append_val(qcow2->snapshot_faults->incomplete, index);
        }
    }
    return true;
}

static bool l1_place_sound(Qcow2 *qcow2, const Qcow2Snapshot *snapshot, GError **err)
{
    return qcow2_table_check(qcow2, snapshot->l1_offset, snapshot->l1_size, 8, Q2_MAX_L1_BYTES, "Snapshot L1 table", err);
}

static bool read_all(Qcow2 *qcow2, Reader *reader, uint32_t count, bool lenient, GError **err)
{
    uint64_t offset = qcow2->snapshots_offset;

    for (uint32_t i = 0; i < count; i++) {
        Qcow2Snapshot *snapshot = &qcow2->snapshots[i];
        uint64_t begin = offset;
        int result = read_entry(reader, snapshot, &offset);

        qcow2->snapshot_count = i + 1;
        if (result < 0) {
            return fail(err, -result, "%s: Failed to read snapshot table: %s", node_filename(qcow2->node.file), g_strerror(-result));
        }
        if (offset - qcow2->snapshots_offset > Q2_MAX_SNAPSHOT_BYTES) {
            if (!lenient) {
                return fail(err, EFBIG, "%s: Snapshot table is too large: its limit is %d bytes; 'check -r all' removes what is beyond",
                            node_filename(qcow2->node.file), Q2_MAX_SNAPSHOT_BYTES);
            }
            qcow2_snapshot_clear(snapshot);
            qcow2->snapshot_count = i;
            qcow2->snapshot_faults->overhanging += count - i;
            offset = begin;
            break;
        }
        if (!entry_within_limits(qcow2, i, snapshot, lenient, err) || (!lenient && !l1_place_sound(qcow2, snapshot, err))) {
            return false;
        }
    }
    qcow2->snapshots_bytes = offset - qcow2->snapshots_offset;
    return true;
}

bool qcow2_snapshots_load(Qcow2 *qcow2, const NodeOpen *how, GError **err)
{
    uint32_t count = qcow2->snapshot_count, kept = MIN(count, (uint32_t)Q2_MAX_SNAPSHOTS);
    g_autofree Reader *reader = NULL;
    bool done;

    qcow2->snapshots_bytes = 0;
    if (count == 0) {
        qcow2->snapshots_offset = 0;
        return true;
    }
    if (count > kept && !how->checking) {
        return fail(err, EFBIG, "%s: Snapshot table too large: %u snapshots, the limit is %d", node_filename(qcow2->node.file), count,
                    Q2_MAX_SNAPSHOTS);
    }
    if (!qcow2_table_check(qcow2, qcow2->snapshots_offset, kept, ENTRY_BYTES, Q2_MAX_SNAPSHOT_BYTES, "Snapshot table", err)) {
        return false;
    }
    reader = g_try_new0(Reader, 1);
    qcow2->snapshots = g_try_new0(Qcow2Snapshot, kept);
    if (!reader || !qcow2->snapshots) {
        return fail(err, ENOMEM, "%s: no memory for %u snapshots", node_filename(qcow2->node.file), kept);
    }
    reader->qcow2 = qcow2;
    reader->file_bytes = node_length(qcow2->node.file);
    if (how->checking) {
        qcow2->snapshot_faults = g_new(Qcow2SnapshotFaults, 1);
        *qcow2->snapshot_faults = (Qcow2SnapshotFaults){ count - kept, g_array_new(false, false, sizeof(Overlong)),
                                                         g_array_new(false, false, sizeof(uint32_t)) };
    }
    done = read_all(qcow2, reader, kept, how->checking, err);
    if (!done) {
        qcow2_snapshots_free(qcow2);
        qcow2->snapshot_count = count;
    }
    return done;
}

/* ---- check ---- */

static void say(ImageCheck *check, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void say(ImageCheck *check, const char *format, ...)
{
    if (check->tell) {
        g_autofree char *line = NULL;
        va_list args;

        va_start(args, format);
        line = g_strdup_vprintf(format, args);
        va_end(args);
        check->tell(check->opaque, line);
    }
}

/* What would be lost by writing the table anew is lost only when asked for. */
static int refuse_beyond(const Qcow2SnapshotFaults *faults, ImageCheck *check)
{
    if (faults->overhanging) {
        say(check, "ERROR snapshot table too large");
        say(check, "You can force-remove all %u overhanging snapshots with qemu-img check -r all", faults->overhanging);
        return -EFBIG;
    }
    if (faults->overlong->len) {
        say(check, "ERROR failed to read the snapshot table: Too much extra metadata in snapshot table entry %u",
            g_array_index(faults->overlong, Overlong, 0).index);
        say(check, "You can force-remove this extra metadata with qemu-img check -r all");
        return -EFBIG;
    }
    return 0;
}

int qcow2_snapshots_check(Qcow2 *qcow2, ImageCheck *check, CheckRepair repair)
{
    const Qcow2SnapshotFaults *faults = qcow2->snapshot_faults;
    bool mends = repair & REPAIR_ERRORS;

    if (!faults) {
        return 0;
    }
    if (!mends) {
        int result = refuse_beyond(faults, check);

        if (result < 0) {
            check->check_errors++;
            return result;
        }
    } else {
        if (faults->overhanging) {
            say(check, "Discarding %u overhanging snapshots", faults->overhanging);
        }
        for (guint i = 0; i < faults->overlong->len; i++) {
            Overlong *overlong = &g_array_index(faults->overlong, Overlong, i);

            say(check, "Discarding too much extra metadata in snapshot table entry %u (%u > %d)", overlong->index, overlong->bytes,
                Q2_MAX_SNAPSHOT_EXTRA);
        }
        check->corruptions += faults->overhanging + faults->overlong->len;
    }
    for (guint i = 0; i < faults->incomplete->len; i++) {
        say(check, "%s snapshot table entry %u is incomplete", mends ? "Repairing" : "ERROR", g_array_index(faults->incomplete, uint32_t, i));
    }
    check->corruptions += faults->incomplete->len;
    return 0;
}

int qcow2_snapshots_mend(Qcow2 *qcow2, ImageCheck *check, CheckRepair repair)
{
    const Qcow2SnapshotFaults *faults = qcow2->snapshot_faults;
    uint64_t found = faults ? faults->overhanging + faults->overlong->len + faults->incomplete->len : 0;
    int result;

    if (found == 0 || !(repair & REPAIR_ERRORS)) {
        return 0;
    }
    result = qcow2_snapshots_store(qcow2);
    if (result < 0) {
        say(check, "ERROR failed to update snapshot table: %s", g_strerror(-result));
        check->check_errors++;
        return result;
    }
    check->corruptions -= MIN(found, check->corruptions);
    check->corruptions_fixed += found;
    g_clear_pointer(&qcow2->snapshot_faults, faults_free);
    return 0;
}

/* ---- writing ---- */

static void append_entry(GByteArray *out, const Qcow2Snapshot *snapshot)
{
    uint8_t head[ENTRY_BYTES + EXTRA_KNOWN] = { 0 };
    static const uint8_t zeroes[8];
    size_t id_bytes = MIN(strlen(snapshot->id), (size_t)UINT16_MAX), name_bytes = MIN(strlen(snapshot->name), (size_t)UINT16_MAX);

    store_be64(head, snapshot->l1_offset);
    store_be32(head + 8, snapshot->l1_size);
    store_be16(head + 12, (uint16_t)id_bytes);
    store_be16(head + 14, (uint16_t)name_bytes);
    store_be32(head + 16, snapshot->date_sec);
    store_be32(head + 20, snapshot->date_nsec);
    store_be64(head + 24, snapshot->vm_clock_ns);
    store_be32(head + 32, snapshot->vm_state_size > UINT32_MAX ? 0 : (uint32_t)snapshot->vm_state_size);
    store_be32(head + 36, EXTRA_KNOWN + snapshot->unknown_extra_size);
    store_be64(head + 40, snapshot->vm_state_size);
    store_be64(head + 48, snapshot->disk_size);
    store_be64(head + 56, (uint64_t)snapshot->icount);
    g_byte_array_append(out, head, sizeof head);
    if (snapshot->unknown_extra_size) {
        g_byte_array_append(out, snapshot->unknown_extra, snapshot->unknown_extra_size);
    }
    g_byte_array_append(out, (const uint8_t *)snapshot->id, (guint)id_bytes);
    g_byte_array_append(out, (const uint8_t *)snapshot->name, (guint)name_bytes);
    if (out->len % 8) {
        g_byte_array_append(out, zeroes, 8 - out->len % 8);
    }
}

/* The new table, and the refcounts of its clusters, are on stable storage before the header names it: count and place change in one
 * sector. Only then is the old table's space free. */
static int write_table(Qcow2 *qcow2, const GByteArray *table, uint64_t *offset)
{
    int64_t place = qcow2_alloc(qcow2, table->len, NULL);
    int result;

    if (place < 0) {
        return (int)place;
    }
    *offset = (uint64_t)place;
    result = qcow2_overlap_check(qcow2, 0, *offset, table->len);
    if (result >= 0) {
        result = node_pwrite(qcow2->node.file, *offset, table->data, table->len);
    }
    if (result >= 0) {
        result = qcow2_sync_locked(qcow2);
    }
    if (result < 0) {
        qcow2_refcount_add(qcow2, *offset, table->len, -1, Q2_FREE_OTHER);
    }
    return result;
}

int qcow2_snapshots_store(Qcow2 *qcow2)
{
    g_autoptr(GByteArray) table = g_byte_array_new();
    uint64_t old_offset = qcow2->snapshots_offset, old_bytes = qcow2->snapshots_bytes, offset = 0;
    int result = 0;

    for (uint32_t i = 0; i < qcow2->snapshot_count; i++) {
        append_entry(table, &qcow2->snapshots[i]);
        if (table->len > Q2_MAX_SNAPSHOT_BYTES) {
            return -EFBIG;
        }
    }
    if (table->len) {
        result = write_table(qcow2, table, &offset);
    } else {
        result = qcow2_sync_locked(qcow2);
    }
    if (result < 0) {
        return result;
    }
    qcow2->snapshots_offset = offset;
    qcow2->snapshots_bytes = table->len;
    result = qcow2_header_commit(qcow2);
    if (result < 0) {                      /* which table the header names is not known: the new one leaks at worst */
        qcow2->snapshots_offset = old_offset;
        qcow2->snapshots_bytes = old_bytes;
        return result;
    }
    /* The file may end within the table's last cluster; a table that begins beyond its end was never counted. */
    if (old_bytes && range_within(old_offset, old_bytes, qcow2_clusters(qcow2, node_length(qcow2->node.file)) << qcow2->cluster_bits)) {
        qcow2_refcount_add(qcow2, old_offset, old_bytes, -1, Q2_FREE_SNAPSHOT);
    }
    return qcow2_regions_rebuild(qcow2);
}
