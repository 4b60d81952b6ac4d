/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fdc.c - the floppy disk controller: registers, command bytes, seeks and results; fdc-transfer.c moves sectors
 *
 * Models   Intel 82078 (order number 290468) in PC-AT mode, which is a superset of the 765A and the 82077AA
 * Omits    tape drives, precompensation (kept, without effect), FORMAT AND WRITE, media with other sectors than 512 bytes
 * Timing   resets, seeks and READ ID end after a short while of guest time, whatever the distance; data come as fast as the storage is
 * Hostile  a command's bytes are counted against its table entry, which is smaller than the array (CVE-2015-3456); every command
 *          looks whether there is a drive (CVE-2021-20196)
 * Tests    tests/dev/floppy.c
 */
#include "hw/floppy/fdc-internal.h"
#include "base/error.h"
#include <errno.h>
#include <string.h>

enum { DOR_SELECT = 0x03, DOR_NOT_RESET = 0x04, DOR_GATE = 0x08, DSR_RESET = 0x80, TRACKS_MOST = 83, RECALIBRATE_STEPS = 79 };
enum { CONFIG_IMPLIED_SEEK = 0x40, CONFIG_NO_FIFO = 0x20, CONFIG_NO_POLL = 0x10 };
#define RESET_TIME (200 * 1000)
#define SEEK_TIME  (1000 * 1000)

/* ---- results ---- */

void fdc_result(Fdc *fdc, unsigned count, bool interrupt)
{
    fdc->phase = PHASE_RESULT;
    fdc->step = STEP_NONE;
    fdc->want = FDC_NOTHING;
    fdc->deadline = -1;
    fdc->position = 0;
    fdc->length = (uint8_t)count;
    fdc->result_interrupt = interrupt;
}

static void back_to_commands(Fdc *fdc)
{
    fdc->phase = PHASE_COMMAND;
    fdc->step = STEP_NONE;
    fdc->want = FDC_NOTHING;
    fdc->deadline = -1;
    fdc->position = fdc->length = 0;
    fdc->result_interrupt = false;
}

static void one_byte_result(Fdc *fdc, uint8_t byte)
{
    fdc->bytes[0] = byte;
    fdc_result(fdc, 1, false);
}

static void invalid(Fdc *fdc, int64_t now)
{
    (void)now;
    one_byte_result(fdc, ST0_INVALID);
}

/* ---- seeks ---- */

static FdcDrive *addressed(Fdc *fdc)
{
    fdc->drive = fdc->bytes[1] & 3;
    fdc->head = fdc->bytes[1] >> 2 & 1;
    return &fdc->drives[fdc->drive];
}

void fdc_step_to(FdcDrive *drive, unsigned track)
{
    track = MIN(track, (unsigned)TRACKS_MOST - 1);
    if (drive->present && drive->track != track) {
        drive->track = (uint8_t)track;
        drive->changed = drive->changed && !drive->medium.present;         /* a step finds out whether there is a disk */
    }
}

static void begin_seek(Fdc *fdc, FdcDrive *drive, uint8_t target, bool recalibrates, int64_t now)
{
    drive->target = target;
    drive->recalibrates = recalibrates;
    drive->arrives = now + SEEK_TIME;
    drive->told = 0;
    back_to_commands(fdc);
}

static void seek(Fdc *fdc, int64_t now)
{
    FdcDrive *drive = addressed(fdc);

    begin_seek(fdc, drive, fdc->bytes[2], false, now);
}

static void relative_seek(Fdc *fdc, int64_t now)
{
    FdcDrive *drive = addressed(fdc);
    unsigned steps = fdc->bytes[2], from = drive->cylinder;
    bool inwards = fdc->bytes[0] & 0x40;

    begin_seek(fdc, drive, (uint8_t)(inwards ? MIN(from + steps, 255u) : from - MIN(steps, from)), false, now);
}

static void recalibrate(Fdc *fdc, int64_t now)
{
    begin_seek(fdc, addressed(fdc), 0, true, now);
}

static void seek_ended(Fdc *fdc, unsigned index)
{
    FdcDrive *drive = &fdc->drives[index];
    uint8_t status = (uint8_t)(ST0_SEEK_END | index);

    drive->arrives = -1;
    if (drive->recalibrates) {
        fdc_step_to(drive, drive->track - MIN(drive->track, (unsigned)RECALIBRATE_STEPS));
        if (!drive->present || drive->track) {
            status |= ST0_ABNORMAL | ST0_CHECK;            /* no track 0 after all those pulses */
        }
    } else {
        fdc_step_to(drive, drive->target);
    }
    drive->cylinder = drive->target;
    drive->told = status;
    fdc->attention = true;
}

static void sense_interrupt(Fdc *fdc, int64_t now)
{
    (void)now;
    fdc->attention = false;
    if (fdc->polled) {
        unsigned index = FDC_DRIVES - fdc->polled--;
        fdc->bytes[0] = (uint8_t)(ST0_POLLED | index);
        fdc->bytes[1] = fdc->drives[index].cylinder;
        fdc_result(fdc, 2, false);
        return;
    }
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        FdcDrive *drive = &fdc->drives[i];
        if (!drive->told) {
            continue;
        }
        fdc->bytes[0] = drive->told;
        fdc->bytes[1] = drive->cylinder;
        drive->told = 0;
        for (unsigned j = i + 1; j < FDC_DRIVES; j++) {
            fdc->attention = fdc->attention || fdc->drives[j].told;
        }
        fdc_result(fdc, 2, false);
        return;
    }
    one_byte_result(fdc, ST0_INVALID);
}

/* ---- settings ---- */

static void specify(Fdc *fdc, int64_t now)
{
    (void)now;
    memcpy(fdc->specify, fdc->bytes + 1, 2);
    back_to_commands(fdc);
}

static void configure(Fdc *fdc, int64_t now)
{
    (void)now;
    memcpy(fdc->configure, fdc->bytes + 2, 2);
    back_to_commands(fdc);
}

static void perpendicular(Fdc *fdc, int64_t now)
{
    enum { OVERWRITE = 0x80, DRIVES = 0x3c };

    (void)now;
    uint8_t drives = fdc->bytes[1] & OVERWRITE ? fdc->bytes[1] & DRIVES : fdc->perpendicular & DRIVES;
    fdc->perpendicular = drives | (fdc->bytes[1] & 3);
    back_to_commands(fdc);
}

static void lock(Fdc *fdc, int64_t now)
{
    (void)now;
    fdc->locked = fdc->bytes[0] & 0x80;
    one_byte_result(fdc, fdc->locked ? 0x10 : 0);
}

static void sense_drive(Fdc *fdc, int64_t now)
{
    enum { WRITE_PROTECT = 0x40, READY = 0x20, TRACK_0 = 0x10, TWO_SIDES = 0x08 };
    const FdcDrive *drive = addressed(fdc);

    (void)now;
    one_byte_result(fdc, (uint8_t)(READY | TWO_SIDES | (drive->present && drive->medium.present && drive->medium.readonly ? WRITE_PROTECT : 0) |
                                   (drive->present && drive->track == 0 ? TRACK_0 : 0) | fdc->head << 2 | fdc->drive));
}

static void version(Fdc *fdc, int64_t now)
{
    (void)now;
    one_byte_result(fdc, 0x90);            /* 82077AA and later */
}

static void part_id(Fdc *fdc, int64_t now)
{
    (void)now;
    one_byte_result(fdc, 0x41);
}

static void put_registers(const Fdc *fdc, uint8_t *out)
{
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        out[i] = fdc->drives[i].cylinder;
    }
    memcpy(out + 4, fdc->specify, 2);
    out[6] = fdc->last;
    out[7] = (uint8_t)(fdc->locked << 7 | fdc->perpendicular);
    memcpy(out + 8, fdc->configure, 2);
}

static void dump_registers(Fdc *fdc, int64_t now)
{
    (void)now;
    put_registers(fdc, fdc->bytes);
    fdc_result(fdc, 10, false);
}

static void save(Fdc *fdc, int64_t now)
{
    (void)now;
    memset(fdc->bytes, 0, 16);
    fdc->bytes[1] = (uint8_t)(fdc->precompensation << 2 | fdc->rate);
    put_registers(fdc, fdc->bytes + 5);
    fdc_result(fdc, 16, false);
}

static void restore(Fdc *fdc, int64_t now)
{
    const uint8_t *in = fdc->bytes + 1 + 5;

    (void)now;
    memcpy(fdc->specify, in + 4, 2);
    fdc->last = in[6];
    fdc->locked = in[7] & 0x80;
    fdc->perpendicular = in[7] & 0x3f;
    memcpy(fdc->configure, in + 8, 2);
    back_to_commands(fdc);
}

static void power_down(Fdc *fdc, int64_t now)
{
    (void)now;
    one_byte_result(fdc, fdc->bytes[1]);
}

static void no_effect(Fdc *fdc, int64_t now)
{
    (void)now;
    back_to_commands(fdc);
}

/* Bytes until one says that it is the last (bit 7), at most four; without NRP (bit 6) in it the four drives' settings come back. */
static void drive_specification(Fdc *fdc, int64_t now)
{
    (void)now;
    if (fdc->bytes[fdc->position - 1] & 0x40) {
        back_to_commands(fdc);
        return;
    }
    memset(fdc->bytes, 0, 4);
    fdc_result(fdc, 4, false);
}

/* ---- READ ID ---- */

static void read_id(Fdc *fdc, int64_t now)
{
    addressed(fdc);
    fdc->operation = OP_READ_ID;
    fdc->seeked = false;
    fdc_delay(fdc, now);
}

void fdc_id_passed(Fdc *fdc)
{
    const FdcDrive *drive = &fdc->drives[fdc->drive];

    if (!fdc_readable(fdc) || drive->track >= drive->medium.tracks || fdc->head >= drive->medium.heads) {
        fdc_fail(fdc, ST1_NO_ADDRESS, 0);
        return;
    }
    fdc->rotation = (uint8_t)(fdc->rotation % drive->medium.sectors);
    const uint8_t id[4] = { drive->track, fdc->head, (uint8_t)(fdc->rotation + 1), 2 };
    memcpy(fdc->id, id, sizeof id);
    fdc->rotation++;
    fdc_finish(fdc, 0);
}

/* ---- the commands ---- */

enum { LENGTH_OPEN = 0 };
typedef struct FdcCommand {
    uint8_t code, mask;                    /* which bits of the first byte tell the command */
    uint8_t length;                        /* bytes with the first one; LENGTH_OPEN: until its function says so */
    uint8_t operation;                     /* of those that move data */
    void (*run)(Fdc *fdc, int64_t now);
} FdcCommand;

static const FdcCommand commands[] = {
    { 0x06, 0x1f, 9, OP_READ, fdc_begin }, { 0x05, 0x3f, 9, OP_WRITE, fdc_begin }, { 0x0c, 0x1f, 9, OP_READ_DELETED, fdc_begin },
    { 0x09, 0x3f, 9, OP_WRITE, fdc_begin },                /* WRITE DELETED DATA: an image has no place for the mark */
    { 0x02, 0x9f, 9, OP_READ_TRACK, fdc_begin }, { 0x16, 0x1f, 9, OP_VERIFY, fdc_begin }, { 0x0d, 0xbf, 6, OP_FORMAT, fdc_begin_format },
    { 0x11, 0x1f, 9, OP_SCAN_EQUAL, fdc_begin }, { 0x19, 0x1f, 9, OP_SCAN_LOW, fdc_begin }, { 0x1d, 0x1f, 9, OP_SCAN_HIGH, fdc_begin },
    { 0x0a, 0xbf, 2, 0, read_id }, { 0x07, 0xff, 2, 0, recalibrate }, { 0x08, 0xff, 1, 0, sense_interrupt }, { 0x0f, 0xff, 3, 0, seek },
    { 0x8f, 0xbf, 3, 0, relative_seek }, { 0x03, 0xff, 3, 0, specify }, { 0x04, 0xff, 2, 0, sense_drive }, { 0x0e, 0xff, 1, 0, dump_registers },
    { 0x10, 0xff, 1, 0, version }, { 0x12, 0xff, 2, 0, perpendicular }, { 0x13, 0xff, 4, 0, configure }, { 0x14, 0x7f, 1, 0, lock },
    { 0x17, 0xff, 2, 0, power_down }, { 0x18, 0xff, 1, 0, part_id }, { 0x2e, 0xff, 1, 0, save }, { 0x4e, 0xff, 17, 0, restore },
    { 0x33, 0xff, 2, 0, no_effect }, { 0x8e, 0xff, LENGTH_OPEN, 0, drive_specification },
    { 0x00, 0x00, 1, 0, invalid },
};

static const FdcCommand *command_of(uint8_t byte)
{
    const FdcCommand *command = commands;

    while ((byte & command->mask) != command->code) {
        command++;                         /* the last one takes all */
    }
    return command;
}

static void command_byte(Fdc *fdc, uint8_t byte, int64_t now)
{
    enum { OPEN_MOST = 5 };

    fdc->bytes[fdc->position++] = byte;
    const FdcCommand *command = command_of(fdc->bytes[0]);
    bool complete = command->length ? fdc->position >= command->length
                                    : fdc->position > 1 && ((byte & 0x80) || fdc->position >= OPEN_MOST);
    if (complete) {
        fdc->operation = command->operation;
        command->run(fdc, now);
    }
}

/* ---- resets ---- */

/* What a reset by DOR or DSR leaves is what 82078's 4.3 says; LOCK guards the FIFO's settings. */
static void reset(Fdc *fdc)
{
    back_to_commands(fdc);
    fdc->attention = false;
    fdc->polled = 0;
    fdc->wakes = -1;
    if (!fdc->locked) {
        fdc->configure[0] = CONFIG_NO_FIFO;
        fdc->configure[1] = 0;
    } else {
        fdc->configure[0] &= (uint8_t)~(CONFIG_IMPLIED_SEEK | CONFIG_NO_POLL);
    }
    fdc->perpendicular &= 0x3c;
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        fdc->drives[i].arrives = -1;
        fdc->drives[i].told = fdc->drives[i].cylinder = 0;
    }
}

void fdc_power_on(Fdc *fdc)
{
    fdc->locked = false;
    reset(fdc);
    fdc->drive = fdc->head = fdc->operation = 0;
    fdc->at = fdc->end = 0;
    fdc->st1 = fdc->st2 = 0;
    fdc->dor = DOR_NOT_RESET | DOR_GATE;
    fdc->tdr = 0;
    fdc->rate = FDC_RATE_250;
    fdc->precompensation = 0;
    fdc->perpendicular = 0;
    fdc->specify[0] = fdc->specify[1] = 0;
    fdc->last = 0;
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        fdc->drives[i].changed = fdc->drives[i].present;
        fdc->drives[i].track = MIN(fdc->drives[i].track, (uint8_t)(TRACKS_MOST - 1));
    }
}

static void write_dor(Fdc *fdc, uint8_t value, int64_t now)
{
    uint8_t before = fdc->dor;

    fdc->dor = value;
    if (!(value & DOR_NOT_RESET)) {
        reset(fdc);
    } else if (!(before & DOR_NOT_RESET)) {
        fdc->wakes = now + RESET_TIME;
    }
}

static void awake(Fdc *fdc)
{
    fdc->wakes = -1;
    fdc->polled = FDC_DRIVES;
    fdc->attention = true;
}

/* ---- registers ---- */

static uint8_t main_status(const Fdc *fdc)
{
    enum { READY = 0x80, TO_HOST = 0x40, NON_DMA = 0x20, BUSY = 0x10 };
    uint8_t status = 0;

    if (!(fdc->dor & DOR_NOT_RESET)) {
        return 0;
    }
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        status = (uint8_t)(status | (fdc->drives[i].arrives >= 0 ? 1u << i : 0));
    }
    switch (fdc->phase) {
    case PHASE_COMMAND:
        return (uint8_t)(status | READY | (fdc->position ? BUSY : 0));
    case PHASE_RESULT:
        return status | READY | TO_HOST | BUSY;
    default:
        if (fdc->dma || fdc->operation == OP_READ_ID) {
            return status | BUSY;
        }
        return (uint8_t)(status | BUSY | NON_DMA | (fdc->step != STEP_MOVE ? 0 : fdc_to_host(fdc) ? READY | TO_HOST : READY));
    }
}

static uint8_t read_fifo(Fdc *fdc, int64_t now)
{
    if (fdc->phase == PHASE_EXECUTE) {
        uint8_t byte = 0;
        if (fdc->step == STEP_MOVE && !fdc->dma && fdc_to_host(fdc)) {
            fdc_move_bytes(fdc, &byte, 1, true, false, now);
        }
        return byte;
    }
    if (fdc->phase != PHASE_RESULT) {
        return 0;
    }
    uint8_t byte = fdc->bytes[fdc->position++];
    fdc->result_interrupt = false;
    if (fdc->position >= fdc->length) {
        back_to_commands(fdc);
    }
    return byte;
}

static void write_fifo(Fdc *fdc, uint8_t value, int64_t now)
{
    if (!(fdc->dor & DOR_NOT_RESET)) {
        return;
    }
    if (fdc->phase == PHASE_COMMAND) {
        command_byte(fdc, value, now);
    } else if (fdc->phase == PHASE_EXECUTE && fdc->step == STEP_MOVE && !fdc->dma && !fdc_to_host(fdc)) {
        fdc_move_bytes(fdc, &value, 1, false, false, now);
    }
}

uint8_t fdc_read(Fdc *fdc, unsigned reg, int64_t now)
{
    const FdcDrive *selected = &fdc->drives[fdc->dor & DOR_SELECT];

    switch (reg) {
    case FDC_SRA:
        return (uint8_t)((fdc_irq(fdc) ? 0x80 : 0) | (selected->present && selected->track == 0 ? 0 : 0x10));
    case FDC_SRB:
        return (uint8_t)(0xc0 | (fdc->dor & 1) << 5 | (fdc->dor >> 4 & 3));
    case FDC_DOR: return fdc->dor;
    case FDC_TDR: return fdc->tdr;
    case FDC_MSR: return main_status(fdc);
    case FDC_FIFO: return read_fifo(fdc, now);
    case FDC_DIR: return selected->changed ? 0x80 : 0;
    default: return 0xff;
    }
}

void fdc_write(Fdc *fdc, unsigned reg, uint8_t value, int64_t now)
{
    switch (reg) {
    case FDC_DOR: write_dor(fdc, value, now); break;
    case FDC_TDR: fdc->tdr = value & 3; break;
    case FDC_DSR:
        fdc->rate = value & 3;
        fdc->precompensation = value >> 2 & 7;
        if (value & DSR_RESET) {           /* clears itself */
            reset(fdc);
            fdc->wakes = now + RESET_TIME;
        }
        break;
    case FDC_FIFO: write_fifo(fdc, value, now); break;
    case FDC_CCR: fdc->rate = value & 3; break;
    default: break;
    }
}

bool fdc_irq(const Fdc *fdc)
{
    bool wants = fdc->attention || fdc->result_interrupt || (fdc->phase == PHASE_EXECUTE && fdc->step == STEP_MOVE && !fdc->dma);

    return wants && (fdc->dor & DOR_GATE) && (fdc->dor & DOR_NOT_RESET);
}

bool fdc_drq(const Fdc *fdc)
{
    return fdc->phase == PHASE_EXECUTE && fdc->step == STEP_MOVE && fdc->dma && (fdc->dor & DOR_GATE);
}

/* ---- time ---- */

static void earlier(int64_t *deadline, int64_t other)
{
    if (other >= 0 && (*deadline < 0 || other < *deadline)) {
        *deadline = other;
    }
}

int64_t fdc_deadline(const Fdc *fdc)
{
    int64_t deadline = fdc->deadline;

    earlier(&deadline, fdc->wakes);
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        earlier(&deadline, fdc->drives[i].arrives);
    }
    return deadline;
}

void fdc_tick(Fdc *fdc, int64_t now)
{
    if (fdc->wakes >= 0 && fdc->wakes <= now) {
        awake(fdc);
    }
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        if (fdc->drives[i].arrives >= 0 && fdc->drives[i].arrives <= now) {
            seek_ended(fdc, i);
        }
    }
    if (fdc->deadline >= 0 && fdc->deadline <= now) {
        fdc->deadline = -1;
        if (fdc->operation == OP_READ_ID) {
            fdc_id_passed(fdc);
        } else {
            fdc_go_on(fdc);
        }
    }
}

void fdc_set_medium(Fdc *fdc, unsigned drive, const FdcMedium *medium)
{
    fdc->drives[drive].medium = *medium;
    fdc->drives[drive].changed = true;
}

/* ---- saved state ---- */

static const Field drive_saved[] = {
    SAVE_U8(FdcDrive, track), SAVE_U8(FdcDrive, cylinder), SAVE_U8(FdcDrive, target), SAVE_BOOL(FdcDrive, recalibrates), SAVE_I64(FdcDrive, arrives),
    SAVE_U8(FdcDrive, told), SAVE_BOOL(FdcDrive, changed), FIELD_END };

const Field fdc_saved[] = {
    SAVE_STRUCTS(Fdc, drives, drive_saved), SAVE_U8(Fdc, dor), SAVE_U8(Fdc, tdr), SAVE_U8(Fdc, rate), SAVE_U8(Fdc, precompensation),
    SAVE_U8S(Fdc, specify), SAVE_U8S(Fdc, configure), SAVE_U8(Fdc, perpendicular), SAVE_BOOL(Fdc, locked), SAVE_I64(Fdc, wakes), SAVE_U8(Fdc, polled),
    SAVE_BOOL(Fdc, attention), SAVE_U8(Fdc, phase), SAVE_BYTES(Fdc, bytes), SAVE_U8(Fdc, position), SAVE_U8(Fdc, length),
    SAVE_BOOL(Fdc, result_interrupt), SAVE_U8(Fdc, step), SAVE_U8(Fdc, operation), SAVE_I64(Fdc, deadline), SAVE_BOOL(Fdc, dma),
    SAVE_BOOL(Fdc, multi_track), SAVE_BOOL(Fdc, terminal), SAVE_BOOL(Fdc, seeked), SAVE_BOOL(Fdc, exact), SAVE_BOOL(Fdc, hit), SAVE_U8(Fdc, drive),
    SAVE_U8(Fdc, head), SAVE_BYTES(Fdc, id), SAVE_U8(Fdc, last), SAVE_U16(Fdc, left), SAVE_U8(Fdc, st1), SAVE_U8(Fdc, st2), SAVE_U8(Fdc, filler),
    SAVE_U8(Fdc, stride), SAVE_U8(Fdc, rotation), SAVE_BYTES(Fdc, data), SAVE_U16(Fdc, at), SAVE_U16(Fdc, end), SAVE_U8(Fdc, want), FIELD_END };

bool fdc_after_load(Fdc *fdc, GError **err)
{
    bool sane = fdc->phase < PHASES && fdc->step < STEPS && fdc->operation < OPERATIONS && fdc->want <= FDC_WRITE && fdc->drive < FDC_DRIVES &&
                fdc->head < 2 && fdc->polled <= FDC_DRIVES && fdc->at <= fdc->end && fdc->end <= FDC_SECTOR && fdc->rate <= FDC_RATE_1000 &&
                fdc->length <= FDC_BYTES;

    sane = sane && (fdc->phase != PHASE_RESULT || fdc->position < fdc->length) && (fdc->phase != PHASE_EXECUTE || fdc->step != STEP_MOVE || fdc->at < fdc->end) &&
           (fdc->phase != PHASE_EXECUTE || fdc->step != STEP_DELAY || fdc->deadline >= 0) && ((fdc->step == STEP_STORAGE) == (fdc->want != FDC_NOTHING)) &&
           (fdc->phase == PHASE_EXECUTE) == (fdc->step != STEP_NONE);
    if (sane && fdc->phase == PHASE_COMMAND) {
        const FdcCommand *command = command_of(fdc->bytes[0]);
        sane = fdc->position < (command->length ? command->length : 5) || fdc->position == 0;
    }
    for (unsigned i = 0; i < FDC_DRIVES; i++) {
        sane = sane && fdc->drives[i].track < TRACKS_MOST;
    }
    if (!sane) {
        fdc_power_on(fdc);
        return fail(err, EINVAL, "saved state: a floppy controller as it cannot be; the state is damaged");
    }
    return true;
}
