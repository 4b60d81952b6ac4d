/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mode.c - a disk's mode pages: MODE SENSE and MODE SELECT, 6 and 10
 *
 * Models   SPC-4 6.9 to 6.12 and 7.5; SBC-3 6.4: error recovery (01h), rigid geometry (04h), caching (08h), control (0Ah)
 * Changes  the write cache (WCE); nothing else can be changed, and a list that tries to has no effect at all
 * Hostile  parameter lists: lengths and pages are checked before anything takes effect
 * Tests    tests/dev/scsi.c
 */
#include "hw/scsi/commands.h"
#include <string.h>

enum { ERROR_RECOVERY = 0x01, RIGID_GEOMETRY = 0x04, CACHING = 0x08, CONTROL = 0x0a, EVERY_PAGE = 0x3f };
enum { PAGE_MOST = 24, WRITE_CACHE_ENABLE = 0x04, MODE_MOST = 256 };
static const uint8_t page_codes[] = { ERROR_RECOVERY, RIGID_GEOMETRY, CACHING, CONTROL };

static void put_geometry(const ScsiDrive *drive, uint8_t *page)
{
    uint32_t cylinders = MIN(drive->conf.cylinders, 0xffffff);

    store_be32(page + 1, cylinders);       /* 24 bits at 2 */
    page[1] = PAGE_MOST - 2;
    page[5] = (uint8_t)MIN(drive->conf.heads, 255);
    page[6] = page[9] = (uint8_t)(cylinders >> 16);        /* where precompensation and reduced current begin: at the end */
    page[7] = page[10] = (uint8_t)(cylinders >> 8);
    page[8] = page[11] = (uint8_t)cylinders;
    page[13] = 200;                        /* step rate; landing zone ffffffh */
    page[14] = page[15] = page[16] = 0xff;
    store_be16(page + 20, drive->rotation_rate > 1 ? drive->rotation_rate : 5400);
}

/* A page, changeable: its mask of bits that MODE SELECT may change. Its whole length; 0: there is no such page. */
static size_t put_page(const ScsiDrive *drive, uint8_t code, bool changeable, uint8_t page[PAGE_MOST])
{
    static const struct { uint8_t code, length; } lengths[] = {
        { ERROR_RECOVERY, 10 }, { RIGID_GEOMETRY, PAGE_MOST - 2 }, { CACHING, 18 }, { CONTROL, 10 },
    };
    size_t length = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        length = lengths[i].code == code ? lengths[i].length : length;
    }
    if (length == 0) {
        return 0;
    }
    memset(page, 0, PAGE_MOST);
    page[0] = code;
    if (changeable) {
        page[2] = code == CACHING ? WRITE_CACHE_ENABLE : 0;
    } else if (code == ERROR_RECOVERY) {
        page[2] = 0x80;                    /* AWRE */
    } else if (code == RIGID_GEOMETRY) {
        put_geometry(drive, page);
    } else if (code == CACHING) {
        page[2] = blk_write_cache(drive->conf.blk) ? WRITE_CACHE_ENABLE : 0;
    } else {
        page[3] = 0x10;                    /* commands may be reordered: their initiator sees to what depends */
    }
    page[1] = (uint8_t)length;
    return 2 + length;
}

static bool is_ten(const ScsiRequest *request)
{
    return request->cdb[0] >= 0x40;
}

/* SBC-3 6.4.2: short for disks of less than 2^32 blocks; the block size is what matters. */
static size_t put_descriptor(const ScsiDrive *drive, uint8_t *at)
{
    uint64_t blocks = drive_blocks(drive);

    store_be32(at, (uint32_t)MIN(blocks, 0xffffff));
    store_be32(at + 4, drive->scsi.block_size);            /* 24 bits: a block is at most 2 MiB */
    return 8;
}

void disk_mode_sense(ScsiRequest *request)
{
    enum { CHANGEABLE = 1, SAVED = 3, NO_DESCRIPTOR = 8, WRITE_PROTECTED = 0x80, DPO_FUA = 0x10 };
    const ScsiDrive *drive = drive_of(request);
    const uint8_t *cdb = request->cdb;
    unsigned control = cdb[2] >> 6;
    uint8_t wanted = cdb[2] & 0x3f, out[MODE_MOST] = { 0 };
    size_t header = is_ten(request) ? 8 : 4, at = header;

    if (control == SAVED) {
        scsi_fail(request, SENSE_NOTHING_SAVED);
        return;
    }
    if (cdb[3] && !(wanted == EVERY_PAGE && cdb[3] == 0xff)) {
        scsi_fail(request, SENSE_BAD_FIELD);
        return;
    }
    uint8_t specific = (uint8_t)((drive_read_only(drive) ? WRITE_PROTECTED : 0) | (drive->dpofua ? DPO_FUA : 0));
    size_t descriptor = cdb[1] & NO_DESCRIPTOR || drive_blocks(drive) == 0 ? 0 : put_descriptor(drive, out + at);
    at += descriptor;
    size_t pages = at;
    for (size_t i = 0; i < sizeof page_codes; i++) {
        if (wanted == page_codes[i] || wanted == EVERY_PAGE) {
            at += put_page(drive, page_codes[i], control == CHANGEABLE, out + at);
        }
    }
    if (at == pages) {
        scsi_fail(request, SENSE_BAD_FIELD);
        return;
    }
    if (header == 8) {
        store_be16(out, (uint16_t)(at - 2));
        out[3] = specific;
        store_be16(out + 6, (uint16_t)descriptor);
    } else {
        out[0] = (uint8_t)(at - 1);
        out[2] = specific;
        out[3] = (uint8_t)descriptor;
    }
    scsi_reply(request, out, at);
}

/* ---- MODE SELECT ---- */

/* A page of the list against what there is: every bit that cannot be changed must be as it is. */
static bool check_page(const ScsiDrive *drive, const uint8_t *given, size_t left, size_t *length, ScsiSense *sense)
{
    uint8_t current[PAGE_MOST], mask[PAGE_MOST];

    *sense = SENSE_PARAMETER_LENGTH;
    if (left < 2 || left < 2u + given[1]) {
        return false;
    }
    *length = 2u + given[1];
    *sense = SENSE_BAD_PARAMETER;
    if ((given[0] & 0x40) || put_page(drive, given[0] & 0x3f, false, current) != *length) {        /* no subpages */
        return false;
    }
    put_page(drive, given[0] & 0x3f, true, mask);
    for (size_t i = 2; i < *length; i++) {
        if ((given[i] ^ current[i]) & ~mask[i]) {
            return false;
        }
    }
    return true;
}

/* want_cache: as it is before, and as the list asks. */
static bool check_list(const ScsiRequest *request, const uint8_t *list, size_t length, bool *want_cache, ScsiSense *sense)
{
    const ScsiDrive *drive = drive_of(request);
    size_t header = is_ten(request) ? 8 : 4, page;
    uint8_t descriptor[8];

    *sense = SENSE_PARAMETER_LENGTH;
    if (length < header) {
        return false;
    }
    size_t descriptors = header == 8 ? load_be16(list + 6) : list[3];
    if (descriptors != 0 && descriptors != sizeof descriptor) {
        *sense = SENSE_BAD_PARAMETER;
        return false;
    }
    if (length - header < descriptors) {
        return false;
    }
    put_descriptor(drive, descriptor);
    if (descriptors && memcmp(list + header + 5, descriptor + 5, 3) != 0) {    /* another block size; the count is a formatting matter */
        *sense = SENSE_BAD_PARAMETER;
        return false;
    }
    for (size_t at = header + descriptors; at < length; at += page) {
        if (!check_page(drive, list + at, length - at, &page, sense)) {
            return false;
        }
        if ((list[at] & 0x3f) == CACHING) {
            *want_cache = list[at + 2] & WRITE_CACHE_ENABLE;
        }
    }
    return true;
}

void disk_mode_select(ScsiRequest *request)
{
    enum { PAGE_FORMAT = 0x10, SAVE = 0x01 };
    Blk *blk = drive_of(request)->conf.blk;
    uint8_t list[MODE_MOST];
    bool want_cache = blk_write_cache(blk);
    ScsiSense sense;

    if ((request->cdb[1] & (PAGE_FORMAT | SAVE)) != PAGE_FORMAT) {
        scsi_fail(request, SENSE_BAD_FIELD);
        return;
    }
    size_t length = scsi_parameters(request, list, sizeof list);
    if (request->expected == 0) {
        scsi_finish(request);
        return;
    }
    if (length < request->expected) {      /* longer than all pages together */
        scsi_fail(request, SENSE_PARAMETER_LENGTH);
        return;
    }
    if (!check_list(request, list, length, &want_cache, &sense)) {
        scsi_fail(request, sense);
        return;
    }
    bool had_cache = blk_write_cache(blk);
    blk_set_write_cache(blk, want_cache);
    if (had_cache && !want_cache) {        /* what is cached goes to the medium with the cache's end */
        drive_flush(request);
    } else {
        scsi_finish(request);
    }
}
