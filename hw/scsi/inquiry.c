/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inquiry.c - what a logical unit says of itself: INQUIRY with its pages, REQUEST SENSE, READ CAPACITY
 *
 * Models   SPC-4 6.4, 6.39, 7.8; SBC-3 5.12, 5.13, 6.5 (block limits, device characteristics, provisioning)
 * Tests    tests/dev/scsi.c
 */
#include "hw/scsi/commands.h"
#include <string.h>

enum { TYPE_DISK = 0, TYPE_CD_ROM = 5, SERIAL_MOST = 36, DEVICE_ID_MOST = 32 };
enum { VPD_PAGES = 0x00, VPD_SERIAL = 0x80, VPD_IDENTIFICATION = 0x83, VPD_BLOCK_LIMITS = 0xb0, VPD_CHARACTERISTICS = 0xb1, VPD_PROVISIONING = 0xb2 };

static void put_padded(uint8_t *at, size_t length, const char *text)
{
    memset(at, ' ', length);
    memcpy(at, text, strnlen(text, length));
}

static bool is_disk(const ScsiRequest *request)
{
    return scsi_model(request->device)->type == TYPE_DISK;
}

static size_t put_standard(const ScsiRequest *request, uint8_t *out)
{
    enum { LENGTH = 36, HIERARCHICAL = 0x10, RESPONSE_FORMAT = 2, QUEUED = 0x02, SYNC = 0x10 };
    const ScsiDrive *drive = drive_of(request);

    out[1] = drive->removable ? 0x80 : 0;
    out[2] = (uint8_t)drive->scsi_version;
    out[3] = RESPONSE_FORMAT | HIERARCHICAL;
    out[4] = LENGTH - 5;
    out[7] = SYNC | QUEUED;
    put_padded(out + 8, 8, drive->vendor);
    put_padded(out + 16, 16, drive->product);
    put_padded(out + 32, 4, drive->version);
    return LENGTH;
}

/* ---- vital product data: each writes what follows the four bytes of the page's head, and returns its length; 0: no such page ---- */

static size_t put_serial(const ScsiRequest *request, uint8_t *at)
{
    const char *serial = drive_of(request)->conf.serial;
    size_t length = serial ? strnlen(serial, SERIAL_MOST) : 0;

    memcpy(at, serial ? serial : "", length);
    return length;
}

static uint8_t *put_designator(uint8_t *at, uint8_t code_set, uint8_t type, const void *bytes, size_t length)
{
    at[0] = code_set;
    at[1] = type;
    at[3] = (uint8_t)length;
    memcpy(at + 4, bytes, length);
    return at + 4 + length;
}

/* SPC-4 7.8.5: protocol identifier SAS, since a port's names must have one. */
static size_t put_identification(const ScsiRequest *request, uint8_t *at)
{
    enum { BINARY = 1, ASCII = 2, SAS = 0x60, VENDOR_SPECIFIC = 0, NAA = 3, RELATIVE_PORT = 4, OF_PORT = 0x90 };
    const ScsiDrive *drive = drive_of(request);
    uint8_t number[8], *end = at;

    if (drive->device_id) {
        end = put_designator(end, ASCII, VENDOR_SPECIFIC, drive->device_id, strnlen(drive->device_id, DEVICE_ID_MOST));
    }
    if (drive->wwn) {
        store_be64(number, drive->wwn);
        end = put_designator(end, BINARY, NAA, number, sizeof number);
    }
    if (drive->port_wwn) {
        store_be64(number, drive->port_wwn);
        end = put_designator(end, SAS | BINARY, OF_PORT | NAA, number, sizeof number);
    }
    if (drive->port_index) {
        store_be32(number, drive->port_index);
        end = put_designator(end, SAS | BINARY, OF_PORT | RELATIVE_PORT, number, 4);
    }
    return (size_t)(end - at);
}

static uint32_t in_blocks(const ScsiDrive *drive, uint64_t bytes)
{
    return (uint32_t)MIN(bytes / drive->scsi.block_size, UINT32_MAX);
}

static size_t put_block_limits(const ScsiRequest *request, uint8_t *at)
{
    enum { LENGTH = 0x3c, NON_ZERO_WRITE_SAME = 1, DESCRIPTORS_MOST = 255 };
    const ScsiDrive *drive = drive_of(request);
    uint8_t *page = at - 4;                /* SBC-3 table 165 counts from the head */

    page[4] = NON_ZERO_WRITE_SAME;
    store_be16(page + 6, (uint16_t)MIN(in_blocks(drive, drive->conf.min_io), UINT16_MAX));
    store_be32(page + 8, in_blocks(drive, drive->max_io_size));
    store_be32(page + 12, in_blocks(drive, drive->conf.opt_io));
    if (drive->conf.discard_granularity) {
        store_be32(page + 20, in_blocks(drive, drive->max_unmap_size));
        store_be32(page + 24, DESCRIPTORS_MOST);
        store_be32(page + 28, in_blocks(drive, drive->conf.discard_granularity));
        store_be32(page + 32, 0x80000000);         /* aligned to 0 */
    }
    store_be64(page + 36, in_blocks(drive, drive->max_io_size));
    return LENGTH;
}

static size_t put_characteristics(const ScsiRequest *request, uint8_t *at)
{
    store_be16(at, drive_of(request)->rotation_rate);
    return 0x3c;
}

static size_t put_provisioning(const ScsiRequest *request, uint8_t *at)
{
    enum { UNMAP_AND_WRITE_SAME = 0xe0, FULL = 1, THIN = 2 };
    bool thin = drive_of(request)->conf.discard_granularity != 0;

    at[1] = thin ? UNMAP_AND_WRITE_SAME : 0;
    at[2] = thin ? THIN : FULL;
    return 4;
}

static const struct { uint8_t code; bool disk_only; size_t (*put)(const ScsiRequest *request, uint8_t *at); } vpd_pages[] = {
    { VPD_SERIAL, false, put_serial }, { VPD_IDENTIFICATION, false, put_identification }, { VPD_BLOCK_LIMITS, true, put_block_limits },
    { VPD_CHARACTERISTICS, true, put_characteristics }, { VPD_PROVISIONING, true, put_provisioning },
};

static bool page_is_there(const ScsiRequest *request, size_t i)
{
    return (is_disk(request) || !vpd_pages[i].disk_only) && (vpd_pages[i].code != VPD_SERIAL || drive_of(request)->conf.serial);
}

static size_t put_vpd(const ScsiRequest *request, uint8_t wanted, uint8_t *out)
{
    size_t length = 0;

    out[1] = wanted;
    for (size_t i = 0; i < G_N_ELEMENTS(vpd_pages); i++) {
        if (!page_is_there(request, i)) {
            continue;
        }
        if (wanted == VPD_PAGES) {
            out[4 + ++length] = vpd_pages[i].code;         /* behind 00h itself */
        } else if (wanted == vpd_pages[i].code) {
            length = vpd_pages[i].put(request, out + 4);
            store_be16(out + 2, (uint16_t)length);
            return 4 + length;
        }
    }
    if (wanted == VPD_PAGES) {
        out[3] = (uint8_t)(length + 1);
        return 4 + length + 1;
    }
    return 0;
}

void drive_inquiry(ScsiRequest *request)
{
    uint8_t out[256] = { scsi_model(request->device)->type };
    const uint8_t *cdb = request->cdb;
    size_t length;

    if (cdb[1] & 1) {
        length = put_vpd(request, cdb[2], out);
    } else {
        length = cdb[2] ? 0 : put_standard(request, out);
    }
    if (length == 0) {
        scsi_fail(request, SENSE_BAD_FIELD);
    } else {
        scsi_reply(request, out, length);
    }
}

/* Sense data went out with each status: what is left to ask for is news. */
void drive_request_sense(ScsiRequest *request)
{
    uint8_t out[SENSE_FIXED];
    ScsiSense sense = SENSE_NONE;

    scsi_take_attention(request->device, &sense);
    scsi_reply(request, out, sense_put(out, sense, request->cdb[1] & 1));
}

uint64_t drive_capacity_count(const ScsiRequest *request, ScsiMode *mode)
{
    (void)request;
    (void)mode;
    return 8;
}

void drive_read_capacity_10(ScsiRequest *request)
{
    uint8_t out[8];
    uint64_t blocks = drive_blocks(drive_of(request));

    if (!(request->cdb[8] & 1) && scsi_lba(request->cdb)) {            /* an address without PMI */
        scsi_fail(request, SENSE_BAD_FIELD);
        return;
    }
    store_be32(out, (uint32_t)MIN(blocks - 1, UINT32_MAX));            /* all ones: ask READ CAPACITY 16 */
    store_be32(out + 4, request->device->block_size);
    scsi_reply(request, out, sizeof out);
}

/* LBPRZ stays 0: an UNMAP that is finer than the image's clusters leaves old data in parts of them. Who wants zeroes writes them, and
 * WRITE SAME with the UNMAP bit gives back what it can. */
static void read_capacity_16(ScsiRequest *request)
{
    enum { PROVISIONING = 0x80 };
    const ScsiDrive *drive = drive_of(request);
    uint8_t out[32] = { 0 };

    store_be64(out, drive_blocks(drive) - 1);
    store_be32(out + 8, drive->scsi.block_size);
    for (uint64_t size = drive->scsi.block_size; size < drive->conf.physical_block; size *= 2) {
        out[13]++;
    }
    if (is_disk(request) && drive->conf.discard_granularity) {
        out[14] = PROVISIONING;
    }
    scsi_reply(request, out, sizeof out);
}

void drive_service_action_in(ScsiRequest *request)
{
    enum { READ_CAPACITY_16 = 0x10 };

    if ((request->cdb[1] & 31) != READ_CAPACITY_16) {
        scsi_fail(request, SENSE_BAD_FIELD);
    } else if (scsi_model(request->device)->ready(request)) {
        read_capacity_16(request);
    }
}
