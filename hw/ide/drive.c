/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive.c - "ide-hd" and "ide-cd": a drive with its storage, on one of the controller's two buses
 *
 * Tests    tests/dev/ide.c
 */
#include "base/error.h"
#include "hw/ide/piix-ide.h"
#include "hw/models.h"
#include <errno.h>
#include <string.h>

static void copy_text(char *out, size_t size, const char *text, const char *fallback)
{
    g_strlcpy(out, text ? text : fallback, size);
}

static bool realize(IdeDrive *drive, bool cd, GError **err)
{
    Ata *ata = &drive->ata;
    static unsigned made;
    g_autofree char *serial = g_strdup_printf("QM%05u", ++made);

    ata->cd = cd;
    ata->blk = drive->blk;
    if (!cd && !drive->blk) {
        return fail(err, EINVAL, "device '%s': drive= is missing; a disk needs an image", device_name(&drive->device));
    }
    if (drive->blk) {
        ata->sectors = blk_length(drive->blk) / (cd ? CD_SECTOR : ATA_SECTOR);
        if (ata->sectors == 0) {
            return fail(err, EINVAL, "device '%s': '%s' is smaller than one sector", device_name(&drive->device), blk_name(drive->blk));
        }
        ata->sectors = MIN(ata->sectors, cd ? (uint64_t)UINT32_MAX : UINT64_C(1) << 48);
    }
    ata_set_geometry(ata);
    copy_text(ata->serial, sizeof ata->serial, drive->serial, serial);
    copy_text(ata->model, sizeof ata->model, drive->model, cd ? "QEMU DVD-ROM" : "QEMU HARDDISK");
    copy_text(ata->version, sizeof ata->version, drive->version, "2.5+");
    return true;
}

static bool disk_realize(Device *device, GError **err)
{
    return realize((IdeDrive *)device, false, err);
}

static bool cd_realize(Device *device, GError **err)
{
    return realize((IdeDrive *)device, true, err);
}

static void drive_reset(Device *device)
{
    ata_reset(&((IdeDrive *)device)->ata);
}

static bool drive_after_load(Device *device, GError **err)
{
    return ata_after_load(&((IdeDrive *)device)->ata, device_name(device), err);
}

static const Field drive_props[] = {
    PROP_LINK("drive", IdeDrive, blk, "drive", .help = "id of the drive that holds the image"),
    PROP_U32("unit", IdeDrive, unit, IDE_UNIT_ANY, .help = "0 master, 1 slave; default: the first that is free"),
    PROP_STR("serial", IdeDrive, serial, .help = "serial number, at most 20 characters"),
    PROP_STR("model", IdeDrive, model, .help = "model name, at most 40 characters"),
    PROP_STR("ver", IdeDrive, version, .help = "firmware version, at most 8 characters"),
    FIELD_END };

static const Field drive_saved[] = { SAVE_STRUCT(IdeDrive, ata, ata_saved), FIELD_END };

const DeviceModel ide_hd_model = {
    .name = "ide-hd",  .bus = BUS_IDE,  .size = sizeof(IdeDrive),  .board_only = true,
    .help = "IDE disk (read-only so far)",
    .props = drive_props,  .saved = drive_saved,  .saved_version = 1,
    .realize = disk_realize,  .reset = drive_reset,  .after_load = drive_after_load,
};

const DeviceModel ide_cd_model = {
    .name = "ide-cd",  .bus = BUS_IDE,  .size = sizeof(IdeDrive),  .board_only = true,
    .help = "IDE CD-ROM drive",
    .props = drive_props,  .saved = drive_saved,  .saved_version = 1,
    .realize = cd_realize,  .reset = drive_reset,  .after_load = drive_after_load,
};
