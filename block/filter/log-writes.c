/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log-writes.c - "blklogwrites": what is written to a disk, in order, in a log that can be replayed up to any point
 *
 * Models   QEMU's filter of that name (file, log, log-append, log-sector-size, log-super-update-interval) and the log format of Linux's
 *          dm-log-writes, which replay-log of the xfstests and others read
 * Layout   in sectors of log-sector-size: the super block, then for each request an entry, padded to a sector, and its data
 *            super  0 magic  8 version 1  16 entries  24 sector size (32 bits)
 *            entry  0 sector  8 sectors  16 flags  24 length of data (a mark's)              all little endian
 * Order    a request is logged after it was done, a flush after it was done: what stands before a flush in the log was done before it.
 *          The super block's count follows after every log-super-update-interval entries, at flushes and at the end, entries first
 * Threads  home loop; one CoMutex keeps entries in order
 * Tests    tests/block/fault.c
 */
#include "block/drivers.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const uint64_t LOG_MAGIC = UINT64_C(0x6a736677736872), LOG_VERSION = 1;
enum { LOG_FLUSH = 1, LOG_FUA = 2, LOG_DISCARD = 4, LOG_MARK = 8 };
enum { SECTOR_MOST = 8 << 20, ENTRY_BYTES = 32, ZEROES_AT_ONCE = 1 << 20, WALK_AT_ONCE = 1 << 24 };

typedef struct LogWrites {
    Node node;
    Value *log_options;
    bool append;
    uint64_t sector_size, interval;
    Node *log;
    CoMutex lock;
    uint64_t entries, end;                 /* end: bytes of the log in use */
    uint64_t super_entries;                /* that the super block on the disk counts */
    bool logs;
} LogWrites;

static const Field log_options[] = {
    PROP_VALUE("log", LogWrites, log_options, .help = "where the log is written: a node's name, or its options"),
    PROP_BOOL("log-append", LogWrites, append, false, .help = "go on behind what a log holds, instead of beginning anew"),
    PROP_SIZE("log-sector-size", LogWrites, sector_size, 512, .help = "bytes of a sector of the log; requests are multiples of it; default 512"),
    PROP_U64("log-super-update-interval", LogWrites, interval, 4096, .help = "entries after which their count is written; 0: at flushes only"),
    FIELD_END };

/* ---- the log's beginning ---- */

/* A raw window or a block device has the length it has; a file that has no gate to grow through is enlarged first. */
static int log_write(LogWrites *log, uint64_t offset, Iov from)
{
    uint64_t end;

    if (!checked_add(offset, from.bytes, &end) || end > INT64_MAX) {
        return -EFBIG;
    }
    if (!log->log->growable && end > node_length(log->log)) {
        int result = node_truncate(log->log, end, false, PREALLOC_OFF, 0, NULL);
        if (result < 0) {
            return result == -ENOTSUP ? -ENOSPC : result;
        }
    }
    return node_pwritev(log->log, offset, from, 0);
}

static int write_super(LogWrites *log)
{
    g_autofree uint8_t *sector = g_try_malloc0(log->sector_size);
    struct iovec piece = { sector, log->sector_size };
    int result;

    if (!sector) {
        return -ENOMEM;
    }
    store_le64(sector, LOG_MAGIC);
    store_le64(sector + 8, LOG_VERSION);
    store_le64(sector + 16, log->entries);
    store_le32(sector + 24, (uint32_t)log->sector_size);
    result = node_flush(log->log);         /* the entries that it counts */
    if (result == 0) {
        result = log_write(log, 0, iov_all(&piece, 1));
    }
    if (result == 0) {
        log->super_entries = log->entries;
        result = node_flush(log->log);
    }
    return result;
}

/* Behind the last entry that the super block counts. Each step goes on by a sector at least, and ends with the file. */
static bool find_end(LogWrites *log, GError **err)
{
    uint8_t entry[ENTRY_BYTES];
    uint64_t length = node_length(log->log), at = log->sector_size, step, data;

    if (log->entries > WALK_AT_ONCE) {
        return fail(err, E2BIG, "blklogwrites: the log has %" PRIu64 " entries; at most %d can be appended to", log->entries, WALK_AT_ONCE);
    }
    for (uint64_t i = 0; i < log->entries; i++) {
        if (!range_within(at, ENTRY_BYTES, length) || node_pread(log->log, at, entry, ENTRY_BYTES) < 0) {
            return fail(err, EINVAL, "blklogwrites: the log ends within its entry %" PRIu64 " of %" PRIu64, i, log->entries);
        }
        data = load_le64(entry + 16) & LOG_DISCARD ? 0 : load_le64(entry + 8);
        if (!checked_mul(data, log->sector_size, &step) || !checked_add(step, log->sector_size, &step) || !checked_add(at, step, &at) || at > length) {
            return fail(err, EINVAL, "blklogwrites: entry %" PRIu64 " of the log reaches beyond the end of the log", i);
        }
    }
    log->end = at;
    return true;
}

static bool read_super(LogWrites *log, GError **err)
{
    uint8_t super[ENTRY_BYTES];
    int result = node_length(log->log) < sizeof super ? -EINVAL : node_pread(log->log, 0, super, sizeof super);

    if (result < 0 || load_le64(super) != LOG_MAGIC || load_le64(super + 8) != LOG_VERSION) {
        return fail(err, EINVAL, "blklogwrites: log-append: there is no log of version 1 to append to");
    }
    log->sector_size = load_le32(super + 24);
    log->entries = log->super_entries = load_le64(super + 16);
    return true;
}

static bool check_sector_size(LogWrites *log, GError **err)
{
    uint64_t size = log->sector_size;

    return (size >= 512 && size <= SECTOR_MOST && !(size & (size - 1)))
           || fail(err, EINVAL, "blklogwrites: log-sector-size=%" PRIu64 ": it takes a power of two from 512 bytes to 8 MiB", size);
}

static bool log_open(Node *node, const NodeOpen *how, GError **err)
{
    LogWrites *log = (LogWrites *)node;

    if (!log->log_options) {
        return fail(err, EINVAL, "blklogwrites: log= is missing");
    }
    node->zero_beyond = node->file->zero_beyond;
    log->logs = node->writable;
    if (!log->logs) {
        return true;                       /* nothing is written */
    }
    if (!node_open_child(node, "log", CHILD_STORAGE, log->log_options, how, err)) {
        return false;
    }
    log->log = node_child(node, "log");
    if ((log->append && !read_super(log, err)) || !check_sector_size(log, err)) {
        return false;
    }
    log->end = log->sector_size;
    if (log->append && !find_end(log, err)) {
        return false;
    }
    node->limits.request_alignment = MAX(node->limits.request_alignment, (uint32_t)log->sector_size);
    return true;
}

static void log_close(Node *node)
{
    LogWrites *log = (LogWrites *)node;

    if (log->log && log->logs && (log->entries != log->super_entries || log->entries == 0)) {
        write_super(log);
    }
}

/* ---- entries ---- */

static int put_entry(LogWrites *log, uint64_t offset, uint64_t bytes, uint64_t flags, Iov data)
{
    g_autofree uint8_t *head = g_try_malloc0(log->sector_size);
    struct iovec piece = { head, log->sector_size };
    int result;

    if (!head) {
        return -ENOMEM;
    }
    store_le64(head, offset / log->sector_size);
    store_le64(head + 8, bytes / log->sector_size);
    store_le64(head + 16, flags);
    result = log_write(log, log->end, iov_all(&piece, 1));
    if (result == 0 && data.bytes) {
        result = log_write(log, log->end + log->sector_size, data);
    }
    return result;
}

/* Zeroes are data that is zero: a log knows no other. data.iov NULL: that. */
static int put_zeroes(LogWrites *log, uint64_t offset, uint64_t bytes, uint64_t flags)
{
    uint64_t begin = log->end + log->sector_size;
    int result = put_entry(log, offset, bytes, flags, (Iov){ 0 });

    if (result < 0) {
        return result;
    }
    if (begin + bytes > node_length(log->log)) {
        result = node_truncate(log->log, begin + bytes, false, PREALLOC_OFF, 0, NULL);
    }
    return result < 0 ? result : node_pwrite_zeroes(log->log, begin, bytes, REQ_MAY_UNMAP);
}

static int record(Node *node, uint64_t offset, uint64_t bytes, uint64_t flags, const Iov *data)
{
    LogWrites *log = (LogWrites *)node;
    bool zeroes = !data && bytes && !(flags & LOG_DISCARD);

    if (!log->logs) {
        return 0;
    }
    CO_SCOPE(&log->lock);
    int result = zeroes ? put_zeroes(log, offset, bytes, flags) : put_entry(log, offset, bytes, flags, data ? *data : (Iov){ 0 });
    if (result < 0) {
        return result;
    }
    log->end += log->sector_size + (flags & LOG_DISCARD ? 0 : bytes);
    log->entries++;
    bool due = (flags & LOG_FLUSH) || (log->interval && log->entries % log->interval == 0);
    return due ? write_super(log) : 0;
}

/* ---- requests ---- */

static int log_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    return node_preadv(node->file, offset, to, flags);
}

static int log_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    int result = node_pwritev(node->file, offset, from, flags);

    return result < 0 ? result : record(node, offset, from.bytes, flags & REQ_FUA ? LOG_FUA : 0, &from);
}

static int log_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    int result = node_pwrite_zeroes(node->file, offset, bytes, flags);

    return result < 0 ? result : record(node, offset, bytes, flags & REQ_FUA ? LOG_FUA : 0, NULL);
}

static int log_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    int result = node_pdiscard(node->file, offset, bytes);

    return result < 0 ? result : record(node, offset, bytes, LOG_DISCARD, NULL);
}

static int log_flush(Node *node)
{
    int result = node_flush(node->file);

    return result < 0 ? result : record(node, 0, 0, LOG_FLUSH, NULL);
}

const NodeDriver log_writes_driver = {
    .name = "blklogwrites",  .help = "writes a log of all that is written, as dm-log-writes does",
    .kind = NODE_FILTER,  .size = sizeof(LogWrites),  .options = log_options,  .file_child = true,  .file_role = CHILD_FILTERED,
    .open = log_open,  .close = log_close,  .preadv = log_preadv,  .pwritev = log_pwritev,  .pwrite_zeroes = log_pwrite_zeroes,
    .pdiscard = log_pdiscard,  .flush = log_flush,
    .supported_write_flags = REQ_FUA,  .supported_zero_flags = REQ_FUA | REQ_MAY_UNMAP,
};
