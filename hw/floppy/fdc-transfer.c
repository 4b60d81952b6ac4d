/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fdc-transfer.c - the floppy disk controller's commands that find, read, write, compare and format sectors
 *
 * Models   82078 5.1: READ, WRITE, READ TRACK, READ DELETED, VERIFY, SCAN and FORMAT TRACK, with multi-track, implied seek, DMA and non-DMA
 *          transfers, and the result bytes of table 5-6
 * Differs  without DMA there is no terminal count: the end of the track ends the command well (on the chip it is told as an error, which
 *          drivers have to take for success)
 * Hostile  one sector at a time lies in .data, and indexes into it are checked against .end (CVE-2021-3507)
 * Tests    tests/dev/floppy.c
 */
#include "hw/floppy/fdc-internal.h"
#include <string.h>

enum { C, H, R, N };
#define MOMENT (200 * 1000)

bool fdc_readable(const Fdc *fdc)
{
    const FdcDrive *drive = &fdc->drives[fdc->drive];

    return drive->present && drive->medium.present && (!fdc->check_rate || drive->medium.rate == fdc->rate);
}

bool fdc_to_host(const Fdc *fdc)
{
    return fdc->operation == OP_READ || fdc->operation == OP_READ_DELETED || fdc->operation == OP_READ_TRACK;
}

static bool is_scan(const Fdc *fdc)
{
    return fdc->operation == OP_SCAN_EQUAL || fdc->operation == OP_SCAN_LOW || fdc->operation == OP_SCAN_HIGH;
}

static bool writes(const Fdc *fdc)
{
    return fdc->operation == OP_WRITE || fdc->operation == OP_FORMAT;
}

/* ---- the end ---- */

void fdc_finish(Fdc *fdc, uint8_t st0)
{
    fdc->bytes[0] = (uint8_t)(st0 | (fdc->seeked ? ST0_SEEK_END : 0) | fdc->head << 2 | fdc->drive);
    fdc->bytes[1] = fdc->st1;
    fdc->bytes[2] = fdc->st2;
    memcpy(fdc->bytes + 3, fdc->id, sizeof fdc->id);
    fdc->st1 = fdc->st2 = 0;
    fdc_result(fdc, 7, true);
}

void fdc_fail(Fdc *fdc, uint8_t st1, uint8_t st2)
{
    fdc->st1 |= st1;
    fdc->st2 |= st2;
    fdc_finish(fdc, ST0_ABNORMAL);
}

/* ---- one sector after the other ---- */

static void want(Fdc *fdc, FdcWant what)
{
    fdc->step = STEP_STORAGE;
    fdc->want = (uint8_t)what;
    fdc->wish++;
}

static void move(Fdc *fdc, uint16_t bytes)
{
    fdc->step = STEP_MOVE;
    fdc->at = 0;
    fdc->end = bytes;
}

/* Is there a sector of this name under the heads? Ends the command when there is none. */
static bool find_sector(Fdc *fdc)
{
    const FdcDrive *drive = &fdc->drives[fdc->drive];

    if (!fdc_readable(fdc) || drive->track >= drive->medium.tracks || fdc->head >= drive->medium.heads) {
        fdc_fail(fdc, ST1_NO_ADDRESS, 0);
    } else if (writes(fdc) && drive->medium.readonly) {
        fdc_fail(fdc, ST1_NOT_WRITABLE, 0);
    } else if (fdc->id[C] != drive->track) {
        fdc_fail(fdc, ST1_NO_DATA, ST2_WRONG_CYLINDER);
    } else if (fdc->id[H] != fdc->head || fdc->id[R] == 0 || fdc->id[R] > drive->medium.sectors || fdc->id[N] != 2) {
        fdc_fail(fdc, ST1_NO_DATA, 0);
    } else {
        return true;
    }
    return false;
}

/* The name of the sector after this one (table 5-6); false behind the last one that the command may touch. */
static bool advance(Fdc *fdc)
{
    if (fdc->id[R] != fdc->last) {
        fdc->id[R]++;
        return true;
    }
    fdc->id[R] = 1;
    if (!fdc->multi_track) {
        fdc->id[C]++;
        return false;
    }
    bool first_side = fdc->head == 0;
    fdc->head = 1;
    fdc->id[H] ^= 1;
    fdc->id[C] = (uint8_t)(fdc->id[C] + !first_side);
    return first_side;
}

static void next_sector(Fdc *fdc)
{
    if (!find_sector(fdc)) {
        return;
    }
    if (fdc->operation == OP_WRITE) {
        move(fdc, FDC_SECTOR);
    } else {
        fdc->exact = fdc->hit = true;
        want(fdc, FDC_READ);
    }
}

/* This sector is done with. */
static void sector_done(Fdc *fdc)
{
    bool counted = fdc->operation == OP_READ_TRACK || (fdc->operation == OP_VERIFY && fdc->left);
    bool more;

    if (fdc->operation == OP_READ_DELETED) {               /* it had no deleted mark: told, and the end */
        advance(fdc);
        fdc->st2 |= ST2_CONTROL_MARK;
        fdc_finish(fdc, 0);
        return;
    }
    more = advance(fdc);
    for (unsigned i = 1; more && is_scan(fdc) && i < fdc->stride; i++) {
        more = advance(fdc);
    }
    if (counted) {
        fdc->left--;
        more = more && fdc->left;
    }
    if (more && !fdc->terminal) {
        next_sector(fdc);
    } else if (fdc->terminal || !fdc->dma || counted || fdc->operation == OP_VERIFY || is_scan(fdc)) {
        fdc_finish(fdc, 0);
    } else {
        fdc_fail(fdc, ST1_END, 0);         /* the host wanted more than the track has */
    }
}

static void scan_done(Fdc *fdc)
{
    if (fdc->hit) {
        fdc->st2 = (uint8_t)((fdc->st2 & ~ST2_NOT_SATISFIED) | (fdc->exact ? ST2_SCAN_HIT : 0));
        advance(fdc);
        fdc_finish(fdc, 0);
    } else {
        fdc->st2 |= ST2_NOT_SATISFIED;
        sector_done(fdc);
    }
}

/* A byte of the host beside one of the disk; ffh on either side is equal to anything. */
static void compare(Fdc *fdc, uint8_t disk, uint8_t host)
{
    if (disk == host || disk == 0xff || host == 0xff) {
        return;
    }
    fdc->exact = false;
    fdc->hit = fdc->hit && fdc->operation != OP_SCAN_EQUAL && (fdc->operation == OP_SCAN_LOW ? disk < host : disk > host);
}

/* ---- formatting: the host gives each sector's name ---- */

static void format_next(Fdc *fdc)
{
    if (fdc->left == 0 || fdc->terminal) {
        fdc_finish(fdc, 0);
    } else {
        fdc->left--;
        move(fdc, 4);
    }
}

/* A name that the medium has becomes an empty sector; another one goes where this image has no place. */
static void format_sector(Fdc *fdc)
{
    const FdcDrive *drive = &fdc->drives[fdc->drive];

    memcpy(fdc->id, fdc->data, sizeof fdc->id);
    if (fdc->id[C] == drive->track && fdc->id[H] == fdc->head && fdc->id[N] == 2 && fdc->id[R] && fdc->id[R] <= drive->medium.sectors) {
        memset(fdc->data, fdc->filler, FDC_SECTOR);
        want(fdc, FDC_WRITE);
    } else {
        format_next(fdc);
    }
}

/* ---- between chip and host ---- */

/* All bytes of this piece have moved, or the terminal count cut it. */
static void piece_moved(Fdc *fdc)
{
    switch (fdc->operation) {
    case OP_WRITE:
        memset(fdc->data + fdc->at, 0, FDC_SECTOR - fdc->at);
        want(fdc, FDC_WRITE);
        break;
    case OP_FORMAT:
        if (fdc->at == fdc->end) {
            format_sector(fdc);
        } else {
            fdc_finish(fdc, 0);
        }
        break;
    case OP_SCAN_EQUAL: case OP_SCAN_LOW: case OP_SCAN_HIGH:
        scan_done(fdc);
        break;
    default:
        sector_done(fdc);
        break;
    }
}

size_t fdc_move_bytes(Fdc *fdc, uint8_t *data, size_t length, bool to_host, bool terminal, int64_t now)
{
    size_t moved = MIN(length, (size_t)(fdc->end - fdc->at));

    (void)now;
    for (size_t i = 0; i < moved; i++) {
        uint8_t *here = &fdc->data[fdc->at + i];
        if (fdc_to_host(fdc)) {
            data[i] = to_host ? *here : data[i];
        } else if (is_scan(fdc)) {
            compare(fdc, *here, to_host ? 0 : data[i]);
        } else {
            *here = to_host ? 0 : data[i];
        }
    }
    fdc->at = (uint16_t)(fdc->at + moved);
    fdc->terminal = fdc->terminal || (terminal && moved == length);
    if (fdc->at == fdc->end || fdc->terminal) {
        piece_moved(fdc);
    }
    return moved;
}

size_t fdc_move(Fdc *fdc, uint8_t *data, size_t length, bool to_memory, bool terminal, int64_t now)
{
    return fdc_drq(fdc) ? fdc_move_bytes(fdc, data, length, to_memory, terminal, now) : 0;
}

/* ---- between chip and storage ---- */

FdcWant fdc_wants(const Fdc *fdc, unsigned *drive, uint32_t *sector)
{
    const FdcMedium *medium = &fdc->drives[fdc->drive].medium;

    *drive = fdc->drive;
    *sector = ((uint32_t)fdc->id[C] * medium->heads + fdc->head) * medium->sectors + fdc->id[R] - 1u;
    return (FdcWant)fdc->want;
}

void fdc_storage_done(Fdc *fdc, FdcOutcome outcome, const uint8_t *data, int64_t now)
{
    bool read = fdc->want == FDC_READ;

    (void)now;
    fdc->want = FDC_NOTHING;
    if (outcome != FDC_DONE) {
        if (outcome == FDC_NO_MEDIUM) {
            fdc_fail(fdc, ST1_NO_ADDRESS, 0);
        } else {
            fdc_fail(fdc, ST1_DATA_ERROR, read ? ST2_DATA_ERROR : 0);
        }
        return;
    }
    if (read) {
        memcpy(fdc->data, data, FDC_SECTOR);
    }
    if (read && fdc->operation != OP_VERIFY) {
        move(fdc, FDC_SECTOR);
    } else if (fdc->operation == OP_FORMAT) {
        format_next(fdc);
    } else {
        sector_done(fdc);
    }
}

/* ---- the beginning ---- */

void fdc_delay(Fdc *fdc, int64_t now)
{
    fdc->phase = PHASE_EXECUTE;
    fdc->step = STEP_DELAY;
    fdc->deadline = now + MOMENT;
    fdc->st1 = fdc->st2 = 0;
    fdc->terminal = false;
}

static void address(Fdc *fdc)
{
    enum { NON_DMA = 0x01 };

    fdc->drive = fdc->bytes[1] & 3;
    fdc->head = fdc->bytes[1] >> 2 & 1;
    fdc->multi_track = fdc->bytes[0] & 0x80;
    fdc->dma = !(fdc->specify[1] & NON_DMA);
}

void fdc_begin(Fdc *fdc, int64_t now)
{
    enum { IMPLIED_SEEK = 0x40, ENABLE_COUNT = 0x80 };
    FdcDrive *drive;

    address(fdc);
    drive = &fdc->drives[fdc->drive];
    memcpy(fdc->id, fdc->bytes + 2, sizeof fdc->id);
    fdc->last = fdc->bytes[6];
    fdc->left = fdc->operation == OP_VERIFY && (fdc->bytes[1] & ENABLE_COUNT) ? (fdc->bytes[8] ? fdc->bytes[8] : 256u) : 0;
    fdc->stride = fdc->bytes[8] == 2 ? 2 : 1;
    if (fdc->operation == OP_READ_TRACK) { /* from the index hole, as many as there are, whatever their names */
        fdc->id[R] = 1;
        fdc->left = fdc->last ? fdc->last : 256u;
        fdc->last = 0xff;
        fdc->multi_track = false;
    }
    fdc->seeked = (fdc->configure[0] & IMPLIED_SEEK) && drive->cylinder != fdc->id[C];
    if (fdc->seeked) {
        fdc_step_to(drive, fdc->id[C]);
        drive->cylinder = fdc->id[C];
    }
    fdc_delay(fdc, now);
}

void fdc_begin_format(Fdc *fdc, int64_t now)
{
    address(fdc);
    fdc->multi_track = false;
    memset(fdc->id, 0, sizeof fdc->id);
    fdc->id[C] = fdc->drives[fdc->drive].track;
    fdc->id[H] = fdc->head;
    fdc->id[R] = 1;
    fdc->id[N] = fdc->bytes[2];
    fdc->left = fdc->bytes[3];
    fdc->filler = fdc->bytes[5];
    fdc->seeked = false;
    fdc_delay(fdc, now);
}

void fdc_go_on(Fdc *fdc)
{
    if (fdc->operation != OP_FORMAT) {
        next_sector(fdc);
    } else if (find_sector(fdc)) {
        format_next(fdc);
    }
}
