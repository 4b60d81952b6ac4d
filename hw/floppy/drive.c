/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive.c - "floppy": a drive with its disk, on a floppy controller's bus
 *
 * Models   3.5" drives for 1.44 and 2.88 MB and the 5.25" one for 1.2 MB; which format a disk has is told by the image's size alone
 * Omits    media with sectors of other sizes, and all that an image cannot hold: deleted marks, gaps, checksums
 * Threads  main loop, machine lock held
 * Tests    tests/dev/floppy.c
 */
#include "hw/floppy/drive.h"
#include "base/error.h"
#include "hw/models.h"
#include <errno.h>
#include <string.h>

const char *const floppy_types[] = { "144", "288", "120", "none", "auto", NULL };

typedef struct Format { uint8_t type, rate, tracks, heads, sectors; } Format;

/* The first of a type is the usual one. Where several fit a size, the first does. */
static const Format formats[] = {
    { FLOPPY_144, FDC_RATE_500, 80, 2, 18 },               /* 1.44 MB */
    { FLOPPY_144, FDC_RATE_500, 80, 2, 20 }, { FLOPPY_144, FDC_RATE_500, 80, 2, 21 }, { FLOPPY_144, FDC_RATE_500, 82, 2, 21 },
    { FLOPPY_144, FDC_RATE_500, 83, 2, 21 }, { FLOPPY_144, FDC_RATE_500, 80, 2, 22 }, { FLOPPY_144, FDC_RATE_500, 80, 2, 23 },
    { FLOPPY_144, FDC_RATE_500, 80, 2, 24 },
    { FLOPPY_288, FDC_RATE_1000, 80, 2, 36 },              /* 2.88 MB */
    { FLOPPY_288, FDC_RATE_1000, 80, 2, 39 }, { FLOPPY_288, FDC_RATE_1000, 80, 2, 40 }, { FLOPPY_288, FDC_RATE_1000, 80, 2, 44 },
    { FLOPPY_288, FDC_RATE_1000, 80, 2, 48 },
    { FLOPPY_144, FDC_RATE_250, 80, 2, 9 },                /* 720 kB, 3.5" */
    { FLOPPY_144, FDC_RATE_250, 80, 2, 10 }, { FLOPPY_144, FDC_RATE_250, 82, 2, 10 }, { FLOPPY_144, FDC_RATE_250, 83, 2, 10 },
    { FLOPPY_144, FDC_RATE_250, 80, 2, 13 }, { FLOPPY_144, FDC_RATE_250, 80, 2, 14 },
    { FLOPPY_120, FDC_RATE_500, 80, 2, 15 },               /* 1.2 MB, 5.25" */
    { FLOPPY_120, FDC_RATE_500, 80, 2, 18 }, { FLOPPY_120, FDC_RATE_500, 82, 2, 18 }, { FLOPPY_120, FDC_RATE_500, 83, 2, 18 },
    { FLOPPY_120, FDC_RATE_500, 80, 2, 20 },
    { FLOPPY_120, FDC_RATE_250, 80, 2, 9 }, { FLOPPY_120, FDC_RATE_250, 80, 2, 11 },
    { FLOPPY_120, FDC_RATE_300, 40, 2, 9 },                /* 360 kB */
    { FLOPPY_120, FDC_RATE_300, 40, 1, 9 }, { FLOPPY_120, FDC_RATE_300, 41, 2, 10 }, { FLOPPY_120, FDC_RATE_300, 42, 2, 10 },
    { FLOPPY_120, FDC_RATE_250, 40, 2, 8 },                /* 320 kB */
    { FLOPPY_120, FDC_RATE_250, 40, 1, 8 },
    { FLOPPY_144, FDC_RATE_250, 80, 1, 9 },                /* 360 kB on one side of a 3.5" disk */
};

FloppyType floppy_format(uint64_t bytes, FloppyType type, FdcMedium *medium)
{
    const Format *usual = NULL, *found = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(formats) && !found; i++) {
        const Format *format = &formats[i];
        uint64_t size = (uint64_t)format->tracks * format->heads * format->sectors * FDC_SECTOR;
        if (type == FLOPPY_AUTO || format->type == type) {
            usual = usual ? usual : format;
            found = size == bytes ? format : NULL;
        }
    }
    const Format *taken = found ? found : usual;
    if (taken) {
        medium->tracks = taken->tracks;
        medium->heads = taken->heads;
        medium->sectors = taken->sectors;
        medium->rate = taken->rate;
    }
    return found ? (FloppyType)found->type : FLOPPY_NONE;
}

static void look_at_medium(FloppyDrive *drive)
{
    Blk *blk = drive->conf.blk;

    drive->medium = (FdcMedium){ .present = blk_has_medium(blk), .readonly = blk_readonly(blk) };
    floppy_format(blk_length(blk), (FloppyType)drive->type, &drive->medium);
}

/* "auto" is what the image needs, else what the controller was told to fall back to. */
static void choose_type(FloppyDrive *drive, const FloppyBus *bus)
{
    FdcMedium medium;
    FloppyType fits = FLOPPY_NONE;

    drive->type = drive->wanted == FLOPPY_AUTO ? bus->default_type : drive->wanted;
    if (drive->type == FLOPPY_AUTO && blk_has_medium(drive->conf.blk)) {
        fits = floppy_format(blk_length(drive->conf.blk), FLOPPY_AUTO, &medium);
    }
    if (drive->type == FLOPPY_AUTO) {
        drive->type = fits != FLOPPY_NONE ? (int)fits : bus->fallback;
    }
    if (drive->type == FLOPPY_AUTO) {
        drive->type = FLOPPY_288;          /* takes all 3.5" disks */
    }
}

static void medium_changed(void *opaque, bool loaded)
{
    FloppyDrive *drive = opaque;

    (void)loaded;
    look_at_medium(drive);
    if (drive->host) {
        drive->host->medium_changed(drive->host->opaque, drive);
    }
}

static void retry(void *opaque)
{
    FloppyDrive *drive = opaque;

    if (drive->host) {
        drive->host->retry(drive->host->opaque);
    }
}

static bool tray_open(void *opaque)
{
    return !((FloppyDrive *)opaque)->medium.present;
}

static const BlkDeviceOps ops = { .medium_changed = medium_changed, .tray_open = tray_open, .retry = retry };

static bool floppy_realize(Device *device, GError **err)
{
    FloppyDrive *drive = (FloppyDrive *)device;

    if (!block_conf_realize(&drive->conf, device, &ops, drive, true, false, err)) {
        return false;
    }
    if (drive->conf.logical_block != FDC_SECTOR || drive->conf.physical_block != FDC_SECTOR) {
        block_conf_unrealize(&drive->conf);
        return fail(err, EINVAL, "device '%s': a floppy disk's sectors have %d bytes; leave logical_block_size and physical_block_size out",
                    device_name(device), FDC_SECTOR);
    }
    choose_type(drive, (FloppyBus *)device->bus);
    medium_changed(drive, true);
    return true;
}

static void floppy_unrealize(Device *device)
{
    FloppyDrive *drive = (FloppyDrive *)device;

    drive->host = NULL;
    block_conf_unrealize(&drive->conf);
}

static const Field floppy_props[] = {
    PROP_U32("unit", FloppyDrive, unit, FLOPPY_UNIT_ANY, .help = "0 for A:, 1 for B:; default: the first that is free"),
    PROP_ENUM("drive-type", FloppyDrive, wanted, floppy_types, FLOPPY_AUTO, .help = "144, 288, 120; default: what the image needs"),
    BLOCK_PROPS_NO_CHS(FloppyDrive, conf), FIELD_END };

const DeviceModel floppy_model = {
    .name = "floppy",  .bus = BUS_FLOPPY,  .size = sizeof(FloppyDrive),
    .help = "virtual floppy drive",
    .props = floppy_props,
    .realize = floppy_realize,  .unrealize = floppy_unrealize,
};
