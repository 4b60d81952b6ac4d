/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * provision.c - a disk's commands that work in steps: UNMAP, WRITE SAME, VERIFY
 *
 * Models   SBC-3 5.28 (UNMAP), 5.33 to 5.36 (VERIFY), 5.47 and 5.48 (WRITE SAME 10 and 16, NDOB and UNMAP bits)
 * Omits    anchored blocks; VERIFY that compares with one block for all (BYTCHK 11b)
 * Hostile  a parameter list is copied before it is checked; a long command goes on in pieces of 64 KiB and ends when it is cancelled
 * Tests    tests/dev/scsi.c
 */
#include "base/checked.h"
#include "hw/scsi/commands.h"
#include <string.h>

enum { PIECE = 64 << 10, ANCHOR = 0x10, UNMAP_BIT = 0x08, NO_DATA_OUT = 0x01 };

/* ---- UNMAP ---- */

enum { UNMAP_HEADER = 8, UNMAP_DESCRIPTOR = 16, UNMAP_DESCRIPTORS_MOST = 255,
       UNMAP_LIST = UNMAP_HEADER + UNMAP_DESCRIPTOR * UNMAP_DESCRIPTORS_MOST };

static void unmap_next(ScsiRequest *request)
{
    const ScsiDrive *drive = drive_of(request);

    while (request->at < request->length) {
        const uint8_t *descriptor = request->buffer + request->at;
        uint64_t blocks = load_be32(descriptor + 8);
        request->at += UNMAP_DESCRIPTOR;
        if (blocks) {
            uint64_t size = drive->scsi.block_size;
            drive_io(request, BLK_DISCARD, 0, load_be64(descriptor) * size, blocks * size, NULL, 0, unmap_next);
            return;
        }
    }
    scsi_finish(request);
}

/* Of length bytes that came: the end of the descriptors, or 0 and *sense. */
static size_t check_unmap_list(const ScsiDrive *drive, const uint8_t *list, size_t length, ScsiSense *sense)
{
    *sense = SENSE_PARAMETER_LENGTH;
    if (length < UNMAP_HEADER) {
        return 0;
    }
    size_t descriptors = load_be16(list + 2);
    if (descriptors > UNMAP_LIST - UNMAP_HEADER) {
        *sense = SENSE_BAD_PARAMETER;
        return 0;
    }
    if (descriptors % UNMAP_DESCRIPTOR || descriptors > length - UNMAP_HEADER || load_be16(list) + 2u < descriptors + UNMAP_HEADER) {
        return 0;
    }
    for (size_t at = UNMAP_HEADER; at < UNMAP_HEADER + descriptors; at += UNMAP_DESCRIPTOR) {
        if (!range_within(load_be64(list + at), load_be32(list + at + 8), drive_blocks(drive))) {
            *sense = SENSE_BAD_LBA;
            return 0;
        }
    }
    return UNMAP_HEADER + descriptors;
}

void disk_unmap(ScsiRequest *request)
{
    const ScsiDrive *drive = drive_of(request);
    uint8_t list[UNMAP_LIST];
    ScsiSense sense;

    if ((request->cdb[1] & 1) || !drive->conf.discard_granularity) {
        scsi_fail(request, request->cdb[1] & 1 ? SENSE_BAD_FIELD : SENSE_BAD_COMMAND);
        return;
    }
    if (!drive_writable(request)) {
        return;
    }
    if (request->expected == 0) {          /* nothing to unmap is no error */
        scsi_finish(request);
        return;
    }
    size_t length = check_unmap_list(drive, list, scsi_parameters(request, list, sizeof list), &sense);
    if (length == 0) {
        scsi_fail(request, sense);
        return;
    }
    request->buffer = g_memdup2(list, length);
    request->at = UNMAP_HEADER;
    request->length = length;
    unmap_next(request);
}

/* ---- WRITE SAME ---- */

uint64_t disk_write_same_count(const ScsiRequest *request, ScsiMode *mode)
{
    bool no_data = request->cdb[0] == WRITE_SAME_16 && (request->cdb[1] & NO_DATA_OUT);

    *mode = no_data ? SCSI_NO_DATA : SCSI_TO_DEVICE;
    return no_data ? 0 : request->device->block_size;
}

/* The buffer holds the block as often as request->length says. */
static void write_same_next(ScsiRequest *request)
{
    uint64_t size = request->device->block_size, bytes = MIN(request->blocks * size, request->length), at = request->lba * size;

    if (bytes == 0) {
        scsi_finish(request);
        return;
    }
    request->lba += bytes / size;
    request->blocks -= bytes / size;
    drive_io_buffer(request, BLK_WRITE, at, bytes, write_same_next);
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

static void write_zeroes(ScsiRequest *request)
{
    uint64_t size = request->device->block_size;

    drive_io(request, BLK_WRITE_ZEROES, request->cdb[1] & UNMAP_BIT ? BLK_MAY_UNMAP : 0, request->lba * size, request->blocks * size, NULL, 0, scsi_finish);
}

/* Fills the buffer with copies of the block the guest sent; false: answered. */
static bool get_pattern(ScsiRequest *request)
{
    size_t size = request->device->block_size, length = MAX(PIECE / size * size, size);

    length = (size_t)MIN(length, request->blocks * size);
    request->buffer = g_try_malloc(length);
    if (!request->buffer) {
        scsi_fail(request, SENSE_TARGET_FAILURE);
        return false;
    }
    request->length = length;
    scsi_parameters(request, request->buffer, size);
    for (size_t at = size; at < length; at += size) {
        memcpy(request->buffer + at, request->buffer, size);
    }
    return true;
}

void disk_write_same(ScsiRequest *request)
{
    const uint8_t *cdb = request->cdb;
    bool sixteen = cdb[0] == WRITE_SAME_16;
    uint8_t refused = sixteen ? 0xe0 | ANCHOR | 0x06 : 0xe0 | ANCHOR | 0x07;   /* protection; obsolete bits */

    request->blocks = sixteen ? load_be32(cdb + 10) : load_be16(cdb + 7);
    if ((cdb[1] & refused) || request->blocks == 0) {      /* 0 would be "to the end": the block limits say that it is not taken */
        scsi_fail(request, SENSE_BAD_FIELD);
        return;
    }
    if (!drive_writable(request) || !drive_range(request)) {
        return;
    }
    if (request->expected == 0) {
        write_zeroes(request);
    } else if (get_pattern(request)) {
        if (is_zero(request->buffer, request->device->block_size)) {
            write_zeroes(request);
        } else {
            write_same_next(request);
        }
    }
}

/* ---- VERIFY ---- */

enum { COMPARE = 1 };

static unsigned byte_check(const ScsiRequest *request)
{
    return request->cdb[1] >> 1 & 3;
}

static uint64_t verify_blocks(const uint8_t *cdb)
{
    return cdb[0] == VERIFY_10 ? load_be16(cdb + 7) : load_be32(cdb + (cdb[0] == VERIFY_12 ? 6 : 10));
}

uint64_t disk_verify_count(const ScsiRequest *request, ScsiMode *mode)
{
    bool compares = byte_check(request) == COMPARE;

    *mode = compares ? SCSI_TO_DEVICE : SCSI_NO_DATA;
    return compares ? verify_blocks(request->cdb) * request->device->block_size : 0;
}

static void verify_next(ScsiRequest *request);

/* The image's bytes stand in the first half of the buffer, the guest's go to the second. */
static void verify_read(ScsiRequest *request)
{
    size_t length = request->length;
    uint8_t *given = request->buffer + length;

    if (byte_check(request) == COMPARE) {
        size_t bytes = request->piece.iov_len;
        size_t got = iov_gather(request->out, request->out_count, request->at, given, bytes);
        if (got < bytes || memcmp(request->buffer, given, bytes) != 0) {
            scsi_fail(request, SENSE_MISCOMPARED);
            return;
        }
        request->at += bytes;
    }
    verify_next(request);
}

static void verify_next(ScsiRequest *request)
{
    uint64_t size = request->device->block_size, bytes = MIN(request->blocks * size, request->length), at = request->lba * size;

    if (bytes == 0) {
        request->moved = request->expected;
        scsi_finish(request);
        return;
    }
    request->lba += bytes / size;
    request->blocks -= bytes / size;
    drive_io_buffer(request, BLK_READ, at, bytes, verify_read);
}

void disk_verify(ScsiRequest *request)
{
    size_t size = request->device->block_size;

    if ((request->cdb[1] & 0xe0) || byte_check(request) > COMPARE) {
        scsi_fail(request, SENSE_BAD_FIELD);
        return;
    }
    request->blocks = verify_blocks(request->cdb);
    if (!drive_range(request)) {
        return;
    }
    request->at = 0;
    request->length = MAX(PIECE / size * size, size);
    request->buffer = g_try_malloc0(2 * request->length);    /* a read that fails and is ignored tells nothing of ours */
    if (!request->buffer) {
        scsi_fail(request, SENSE_TARGET_FAILURE);
        return;
    }
    verify_next(request);
}
