/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io.c - reads, writes and flushes of logical units; what becomes of those that fail
 *
 * Models   SBC-3: READ, WRITE, WRITE AND VERIFY 6 to 16, SYNCHRONIZE CACHE; FUA by the image's own means, DPO is a hint that is not taken
 * Omits    protection information
 * Data     the guest's own pieces go to the image; nothing is copied
 * Threads  home (bus.h); the image's requests end there too
 * Tests    tests/dev/scsi.c
 */
#include "base/checked.h"
#include "base/trace.h"
#include "hw/scsi/commands.h"
#include <errno.h>
#include <inttypes.h>

enum { TRACE_IO, TRACE_IO_FAILED };
static TracePoint scsi_io_trace[] = {
    [TRACE_IO] = { "scsi_io", "a command hands a request to the image" },
    [TRACE_IO_FAILED] = { "scsi_io_failed", "the image failed a request" },
};
TRACE_TABLE(scsi_io_trace)

uint64_t drive_blocks(const ScsiDrive *drive)
{
    return __atomic_load_n(&drive->blocks, __ATOMIC_ACQUIRE);
}

bool drive_read_only(const ScsiDrive *drive)
{
    return __atomic_load_n(&drive->read_only, __ATOMIC_ACQUIRE);
}

static ScsiRequest *request_of(BlkRequest *io)
{
    return (ScsiRequest *)((char *)io - offsetof(ScsiRequest, io));
}

/* true: the request goes on as if nothing had happened. */
static bool failed(ScsiRequest *request, int error)
{
    bool write = request->io.op != BLK_READ;
    BlkAction action = blk_error_action(drive_of(request)->conf.blk, write, error);

    TRACE(&scsi_io_trace[TRACE_IO_FAILED], "tag 0x%" PRIx64 " errno %d action %d", request->tag, error, (int)action);
    if (action == BLK_IGNORE) {
        return true;
    }
    if (action == BLK_STOP) {
        scsi_keep(request);
    } else {
        scsi_fail(request, sense_of_errno(error, write));
    }
    return false;
}

static void io_done(BlkRequest *io, int result)
{
    ScsiRequest *request = request_of(io);

    if (request->cancelled) {
        scsi_end_cancelled(request);
    } else if (result == 0 || failed(request, -result)) {
        request->step(request);
    }
}

void scsi_io_again(ScsiRequest *request)
{
    blk_submit(drive_of(request)->conf.blk, &request->io);
}

void drive_io(ScsiRequest *request, BlkOp op, unsigned flags, uint64_t offset, uint64_t bytes, const struct iovec *iov, unsigned count,
              void (*step)(ScsiRequest *request))
{
    TRACE(&scsi_io_trace[TRACE_IO], "tag 0x%" PRIx64 " operation %d offset %" PRIu64 " bytes %" PRIu64, request->tag, (int)op, offset, bytes);
    request->io = (BlkRequest){ .op = op, .flags = flags, .offset = offset, .bytes = bytes, .iov = iov, .iov_count = count, .done = io_done };
    request->step = step;
    blk_submit(drive_of(request)->conf.blk, &request->io);
}

void drive_io_buffer(ScsiRequest *request, BlkOp op, uint64_t offset, uint64_t bytes, void (*step)(ScsiRequest *request))
{
    request->piece = (struct iovec){ request->buffer, bytes };
    drive_io(request, op, 0, offset, bytes, &request->piece, 1, step);
}

/* ---- ranges ---- */

uint64_t scsi_lba(const uint8_t *cdb)
{
    switch (cdb[0] >> 5) {                 /* the group of the operation code says how long the CDB is */
    case 0: return load_be32(cdb) & 0x1fffff;
    case 4: return load_be64(cdb + 2);
    default: return load_be32(cdb + 2);
    }
}

bool drive_range(ScsiRequest *request)
{
    ScsiDrive *drive = drive_of(request);

    request->lba = scsi_lba(request->cdb);
    if (!range_within(request->lba, request->blocks, drive_blocks(drive))) {
        scsi_fail(request, SENSE_BAD_LBA);
        return false;
    }
    return true;
}

bool drive_writable(ScsiRequest *request)
{
    if (drive_read_only(drive_of(request))) {
        scsi_fail(request, SENSE_WRITE_PROTECTED);
        return false;
    }
    return true;
}

/* From SPC-3 on, bits 5 to 7 ask for protection information, which is not there; before, they were the LUN. */
static bool wants_protection(const ScsiRequest *request)
{
    return request->cdb[0] >= 0x20 && (request->cdb[1] & 0xe0) && drive_of(request)->scsi_version > 2;
}

static void cut(struct iovec *iov, unsigned *count, size_t *bytes, size_t wanted)
{
    while (*bytes > wanted) {
        struct iovec *last = &iov[*count - 1];
        size_t less = MIN(last->iov_len, *bytes - wanted);
        last->iov_len -= less;
        *bytes -= less;
        *count -= last->iov_len == 0;
    }
}

/* ---- commands ---- */

void drive_succeed(ScsiRequest *request)
{
    scsi_finish(request);
}

static void transferred(ScsiRequest *request)
{
    request->moved = request->expected;
    scsi_finish(request);
}

static void read_now(ScsiRequest *request)
{
    drive_io(request, BLK_READ, 0, request->lba * request->device->block_size, request->expected, request->in, request->in_count, transferred);
}

static bool force_unit_access(const ScsiRequest *request)
{
    return request->cdb[0] >= 0x20 && (request->cdb[1] & 8);
}

/* FUA of a read: what comes is what would be there after a power cut. */
void drive_read_range(ScsiRequest *request)
{
    if (request->expected == 0) {
        scsi_finish(request);
        return;
    }
    cut(request->in, &request->in_count, &request->in_bytes, (size_t)request->expected);
    if (force_unit_access(request) && !drive_read_only(drive_of(request))) {
        drive_io(request, BLK_FLUSH, 0, 0, 0, NULL, 0, read_now);
    } else {
        read_now(request);
    }
}

void drive_read(ScsiRequest *request)
{
    request->blocks = request->expected / request->device->block_size;
    if (wants_protection(request)) {
        scsi_fail(request, SENSE_BAD_FIELD);
    } else if (drive_range(request)) {
        drive_read_range(request);
    }
}

static bool is_write_and_verify(const ScsiRequest *request)
{
    return (request->cdb[0] & 0x1f) == 0x0e;       /* 2Eh, 8Eh, AEh */
}

void drive_write(ScsiRequest *request)
{
    request->blocks = request->expected / request->device->block_size;
    if (wants_protection(request)) {
        scsi_fail(request, SENSE_BAD_FIELD);
        return;
    }
    if (!drive_writable(request) || !drive_range(request)) {
        return;
    }
    if (request->expected == 0) {
        scsi_finish(request);
        return;
    }
    cut(request->out, &request->out_count, &request->out_bytes, (size_t)request->expected);
    bool durable = is_write_and_verify(request) || force_unit_access(request);
    drive_io(request, BLK_WRITE, durable ? BLK_FUA : 0, request->lba * request->device->block_size, request->expected, request->out,
             request->out_count, transferred);
}

void drive_flush(ScsiRequest *request)
{
    if (drive_read_only(drive_of(request))) {
        scsi_finish(request);
    } else {
        drive_io(request, BLK_FLUSH, 0, 0, 0, NULL, 0, scsi_finish);
    }
}

void drive_seek(ScsiRequest *request)
{
    request->blocks = 1;
    if (drive_range(request)) {
        scsi_finish(request);
    }
}
