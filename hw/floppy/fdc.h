/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fdc.h - a floppy disk controller chip: registers, commands, up to four drives
 *
 * Pure: time is passed in, levels are asked for. Data move a sector at a time between the chip and storage: fdc_wants() says which one,
 * and fdc_storage_done() brings it, whenever that is; to and from the host they move through the FIFO register or fdc_move().
 */
#pragma once
#include "base/field.h"

enum { FDC_SRA, FDC_SRB, FDC_DOR, FDC_TDR, FDC_MSR, FDC_DSR = FDC_MSR, FDC_FIFO, FDC_DIR = 7, FDC_CCR = FDC_DIR };
enum { FDC_DRIVES = 4, FDC_SECTOR = 512, FDC_BYTES = 18 };
typedef enum { FDC_RATE_500, FDC_RATE_300, FDC_RATE_250, FDC_RATE_1000 } FdcRate;

typedef struct FdcMedium {
    bool present, readonly;
    uint8_t tracks, heads, sectors;
    uint8_t rate;                          /* FdcRate */
} FdcMedium;

typedef struct FdcDrive {
    bool present;                          /* set by the mounting, as .medium */
    FdcMedium medium;
    uint8_t track;                         /* where the heads stand */
    uint8_t cylinder;                      /* where the controller thinks they do (PCN) */
    uint8_t target;
    bool recalibrates;
    int64_t arrives;                       /* end of a seek; -1: none */
    uint8_t told;                          /* ST0 of a seek that has ended, for SENSE INTERRUPT; 0: none */
    bool changed;                          /* DSKCHG */
} FdcDrive;

typedef enum { FDC_NOTHING, FDC_READ, FDC_WRITE } FdcWant;
typedef enum { FDC_DONE, FDC_UNREADABLE, FDC_NO_MEDIUM } FdcOutcome;

typedef struct Fdc {
    FdcDrive drives[FDC_DRIVES];
    bool check_rate;                       /* set by the mounting: a medium is read at its own data rate only */
    uint8_t dor, tdr, rate, precompensation;
    uint8_t specify[2], configure[2], perpendicular;
    bool locked;
    int64_t wakes;                         /* end of a reset; -1: none */
    uint8_t polled;                        /* drives that SENSE INTERRUPT has still to tell of after a reset */
    bool attention;                        /* interrupt of a reset's end or a seek's */
    /* the command, or its result */
    uint8_t phase, bytes[FDC_BYTES], position, length;
    bool result_interrupt;
    /* execution */
    uint8_t step, operation;
    int64_t deadline;                      /* of a delay; -1: none */
    bool dma, multi_track, terminal, seeked, exact, hit;
    uint8_t drive, head, id[4];            /* id: C, H, R, N of the current sector */
    uint8_t last;                          /* EOT */
    uint16_t left;                         /* sectors, where they are counted */
    uint8_t st1, st2, filler, stride, rotation;
    uint8_t data[FDC_SECTOR];
    uint16_t at, end;                      /* in data */
    uint8_t want;                          /* FdcWant */
    uint32_t wish;                         /* counts what was wanted, so that an answer finds its question; not saved */
} Fdc;

void fdc_power_on(Fdc *fdc);
uint8_t fdc_read(Fdc *fdc, unsigned reg, int64_t now);
void fdc_write(Fdc *fdc, unsigned reg, uint8_t value, int64_t now);
bool fdc_irq(const Fdc *fdc);
bool fdc_drq(const Fdc *fdc);
/* DMA: how many of the bytes were taken or given; terminal: with the last of them the count ended. */
size_t fdc_move(Fdc *fdc, uint8_t *data, size_t length, bool to_memory, bool terminal, int64_t now);
int64_t fdc_deadline(const Fdc *fdc);      /* -1: nothing to wait for */
void fdc_tick(Fdc *fdc, int64_t now);
/* What the storage is to do, of which drive, at which sector (from the medium's beginning). */
FdcWant fdc_wants(const Fdc *fdc, unsigned *drive, uint32_t *sector);
/* data: FDC_SECTOR bytes that were read. */
void fdc_storage_done(Fdc *fdc, FdcOutcome outcome, const uint8_t *data, int64_t now);
void fdc_set_medium(Fdc *fdc, unsigned drive, const FdcMedium *medium);
bool fdc_after_load(Fdc *fdc, GError **err);
extern const Field fdc_saved[];
