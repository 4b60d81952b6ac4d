/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive.c - "ide-hd" and "ide-cd": a drive with its storage, on one of the controller's two buses
 *
 * Serial numbers are made of the place on the cables, QM00001 to QM00004, so that a guest finds the same disk again.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/dev/ide.c, tests/dev/atapi.c
 */
#include "base/error.h"
#include "hw/ide/channel.h"
#include "hw/ide/piix-ide.h"
#include "hw/models.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { CYLINDERS_MOST = 65535, HEADS_MOST = 16, TRACK_MOST = 255 };

static IdeDrive *IDE_DRIVE(void *opaque)
{
    return opaque;
}

static void copy_text(char *out, size_t size, const char *text, const char *fallback)
{
    g_strlcpy(out, text ? text : fallback, size);
}

/* ---- what the storage has to say ---- */

static void disk_resized(void *opaque)
{
    IdeDrive *drive = opaque;

    drive->ata.sectors = MIN(blk_length(drive->conf.blk) / ATA_SECTOR, UINT64_C(1) << 48);
}

static void cd_changed(void *opaque, bool loaded)
{
    Ata *ata = &IDE_DRIVE(opaque)->ata;

    atapi_medium_changed(ata, loaded);
    if (ata->changed) {
        ata->changed(ata->opaque);
    }
}

static void cd_eject_asked(void *opaque, bool force)
{
    Ata *ata = &IDE_DRIVE(opaque)->ata;

    atapi_eject_asked(ata);
    if (ata->tray_locked && force) {
        ata->tray_locked = false;
        blk_guest_lock(ata->blk, false);
    }
}

static bool cd_tray_open(void *opaque)
{
    return IDE_DRIVE(opaque)->ata.tray_open;
}

static bool cd_locked(void *opaque)
{
    return IDE_DRIVE(opaque)->ata.tray_locked;
}

static void drive_retry(void *opaque)
{
    ata_retry(&IDE_DRIVE(opaque)->ata);
}

static const BlkDeviceOps disk_ops = { .resized = disk_resized, .retry = drive_retry };
static const BlkDeviceOps cd_ops = {
    .medium_changed = cd_changed, .eject_request = cd_eject_asked, .tray_open = cd_tray_open, .medium_locked = cd_locked, .retry = drive_retry,
};

/* ---- life ---- */

/* As the properties say, or a partition table, or the size; and how a BIOS may fold it. */
static void choose_geometry(IdeDrive *drive)
{
    BlockConf *conf = &drive->conf;
    Ata *ata = &drive->ata;

    block_conf_geometry(conf, CYLINDERS_MOST, HEADS_MOST, TRACK_MOST);
    ata->cylinders = conf->cylinders;
    ata->default_heads = (uint16_t)conf->heads;
    ata->default_sectors = (uint16_t)conf->sectors;
    if (drive->translation == CHS_AUTO) {
        bool fits = conf->cylinders <= 1024 && conf->heads <= 16 && conf->sectors <= 63;
        drive->translation = fits ? CHS_NONE : CHS_LBA;
    }
}

static bool check_disk(IdeDrive *drive, GError **err)
{
    const BlockConf *conf = &drive->conf;
    const char *name = device_name(&drive->device);

    if (conf->logical_block != ATA_SECTOR) {
        return fail(err, EINVAL, "device '%s': logical_block_size=%" PRIu64 ": an IDE disk's sectors have %d bytes", name, conf->logical_block, ATA_SECTOR);
    }
    if (conf->cylinders > CYLINDERS_MOST || conf->heads > HEADS_MOST || conf->sectors > TRACK_MOST) {
        return fail(err, EINVAL, "device '%s': cyls=%u,heads=%u,secs=%u: an IDE disk has at most %d, %d and %d", name, conf->cylinders, conf->heads,
                    conf->sectors, CYLINDERS_MOST, HEADS_MOST, TRACK_MOST);
    }
    if ((conf->cylinders || conf->heads || conf->sectors) && !(conf->cylinders && conf->heads && conf->sectors)) {
        return fail(err, EINVAL, "device '%s': a geometry needs all of cyls=, heads= and secs=", name);
    }
    if (drive->nominal_rotation > UINT16_MAX) {
        return fail(err, EINVAL, "device '%s': rotation_rate=%u: at most %d turns a minute; 1 says that nothing turns", name, drive->nominal_rotation,
                    UINT16_MAX);
    }
    return true;
}

static bool realize_disk(IdeDrive *drive, GError **err)
{
    Ata *ata = &drive->ata;

    if (!check_disk(drive, err)) {
        return false;
    }
    disk_resized(drive);
    if (ata->sectors == 0) {
        return fail(err, EINVAL, "device '%s': '%s' is smaller than one sector", device_name(&drive->device), blk_name(drive->conf.blk));
    }
    choose_geometry(drive);
    for (uint64_t size = drive->conf.physical_block; size > ATA_SECTOR; size /= 2) {
        ata->physical_exponent++;
    }
    ata->rotation_rate = (uint16_t)drive->nominal_rotation;
    return true;
}

static void undo(IdeDrive *drive)
{
    if (drive->chip_made) {
        ata_forget(&drive->ata);
    }
    block_conf_unrealize(&drive->conf);    /* drains: nothing comes back any more */
    ata_destroy(&drive->ata);
    drive->chip_made = false;
}

static bool realize(IdeDrive *drive, bool cd, GError **err)
{
    Ata *ata = &drive->ata;
    unsigned channel = drive->device.bus && strcmp(drive->device.bus->name, "ide.1") == 0;
    char serial[21];

    if (!block_conf_realize(&drive->conf, &drive->device, cd ? &cd_ops : &disk_ops, drive, cd, false, err)) {
        return false;
    }
    g_snprintf(serial, sizeof serial, "QM%05u", channel * 2 + (drive->unit & 1) + 1);
    ata->cd = cd;
    ata->blk = drive->conf.blk;
    ata->wwn = drive->wwn;
    ata->default_heads = 16;
    ata->default_sectors = 63;
    ata->wakes_with_cache = blk_write_cache(ata->blk);
    copy_text(ata->serial, sizeof ata->serial, drive->conf.serial, serial);
    copy_text(ata->model, sizeof ata->model, drive->model, cd ? "QEMU DVD-ROM" : "QEMU HARDDISK");
    copy_text(ata->version, sizeof ata->version, drive->version, "2.5+");
    drive->chip_made = ata_init(ata);
    if (!drive->chip_made) {
        undo(drive);
        return fail(err, ENOMEM, "device '%s': no memory for its buffers", device_name(&drive->device));
    }
    if (cd) {
        ata->sectors = blk_has_medium(ata->blk) ? MIN(blk_length(ata->blk) / CD_SECTOR, (uint64_t)UINT32_MAX) : 0;
    } else if (!realize_disk(drive, err)) {
        undo(drive);
        return false;
    }
    ata_power_on(ata);
    return true;
}

static bool disk_realize(Device *device, GError **err)
{
    return realize(IDE_DRIVE(device), false, err);
}

static bool cd_realize(Device *device, GError **err)
{
    return realize(IDE_DRIVE(device), true, err);
}

static void drive_unrealize(Device *device)
{
    undo(IDE_DRIVE(device));
}

static void drive_reset(Device *device)
{
    ata_power_on(&IDE_DRIVE(device)->ata);
}

static void drive_before_save(Device *device)
{
    ata_before_save(&IDE_DRIVE(device)->ata);
}

static bool drive_after_load(Device *device, GError **err)
{
    return ata_after_load(&IDE_DRIVE(device)->ata, device_name(device), err);
}

static const char *const translations[] = { "auto", "none", "lba", "large", "rechs", NULL };

#define DRIVE_PROPS \
    PROP_U32("unit", IdeDrive, unit, IDE_UNIT_ANY, .help = "0 master, 1 slave; default: the first that is free"), \
    PROP_STR("model", IdeDrive, model, .help = "model name, at most 40 characters"), \
    PROP_STR("ver", IdeDrive, version, .help = "firmware version, at most 8 characters"), \
    PROP_U64("wwn", IdeDrive, wwn, 0, .help = "world wide name; 0: none")

static const Field disk_props[] = {
    DRIVE_PROPS, BLOCK_PROPS(IdeDrive, conf),
    PROP_ENUM("bios-chs-trans", IdeDrive, translation, translations, CHS_AUTO, .help = "how the BIOS folds the geometry for INT 13h"),
    PROP_U32("rotation_rate", IdeDrive, nominal_rotation, 0, .help = "turns a minute; 1: a disk without turning parts; 0: not told"),
    FIELD_END };

static const Field cd_props[] = { DRIVE_PROPS, BLOCK_PROPS_NO_CHS(IdeDrive, conf), FIELD_END };

static const Field drive_saved[] = { SAVE_STRUCT(IdeDrive, ata, ata_saved), FIELD_END };

const DeviceModel ide_hd_model = {
    .name = "ide-hd",  .bus = BUS_IDE,  .size = sizeof(IdeDrive),
    .help = "virtual IDE disk",
    .props = disk_props,  .saved = drive_saved,  .saved_version = 2,  .saved_minimum_version = 2,
    .realize = disk_realize,  .reset = drive_reset,  .unrealize = drive_unrealize,
    .before_save = drive_before_save,  .after_load = drive_after_load,
};

const DeviceModel ide_cd_model = {
    .name = "ide-cd",  .bus = BUS_IDE,  .size = sizeof(IdeDrive),
    .help = "virtual IDE CD-ROM",
    .props = cd_props,  .saved = drive_saved,  .saved_version = 2,  .saved_minimum_version = 2,
    .realize = cd_realize,  .reset = drive_reset,  .unrealize = drive_unrealize,
    .before_save = drive_before_save,  .after_load = drive_after_load,
};
