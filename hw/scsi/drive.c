/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive.c - life of a logical unit with storage: properties completed, its image taken and moved to the bus's loop, saved state
 *
 * Threads  main loop, machine lock held
 * Tests    tests/dev/scsi.c
 */
#include "base/error.h"
#include "hw/scsi/commands.h"
#include <errno.h>
#include <string.h>

static char *or_default(char *text, const char *fallback)
{
    return text ? text : g_strdup(fallback);
}

/* Page 83h names the unit by its serial number, or as the person called the drive. */
static void complete_identity(ScsiDrive *drive)
{
    enum { SERIAL_IN_ID = 20 };
    const char *id = blk_id(drive->conf.blk);

    drive->vendor = or_default(drive->vendor, "QEMU");
    drive->version = or_default(drive->version, "2.5+");
    if (!drive->device_id && drive->conf.serial) {
        drive->device_id = g_strndup(drive->conf.serial, SERIAL_IN_ID);
    } else if (!drive->device_id && *id) {
        drive->device_id = g_strdup(id);
    }
}

static bool check_properties(const ScsiDrive *drive, GError **err)
{
    const char *name = device_name(&drive->scsi.device);

    if (drive->scsi_version < 0 || drive->scsi_version > 7) {
        return fail(err, EINVAL, "device '%s': scsi_version=%d is not from 0 to 7", name, drive->scsi_version);
    }
    return true;
}

/* Requests run on the bus's loop, and so must what carries them out. */
static bool follow_bus(ScsiDrive *drive, GError **err)
{
    ScsiBus *bus = scsi_bus_of(&drive->scsi);

    if (blk_loop(drive->conf.blk) == bus->loop || blk_set_loop(drive->conf.blk, bus->loop, err)) {
        return true;
    }
    g_prefix_error(err, "device '%s': ", device_name(&drive->scsi.device));
    return false;
}

bool drive_realize(ScsiDrive *drive, bool removable, bool needs_write, uint32_t block_size, GError **err)
{
    Device *device = &drive->scsi.device;

    if (!block_conf_realize(&drive->conf, device, &drive_storage_ops, drive, removable, needs_write, err)) {
        return false;
    }
    drive->scsi.block_size = block_size ? block_size : (uint32_t)drive->conf.logical_block;
    if (!check_properties(drive, err) || !follow_bus(drive, err)) {
        block_conf_unrealize(&drive->conf);
        return false;
    }
    drive->write_cache_at_first = blk_write_cache(drive->conf.blk);
    drive_look_at_medium(drive);
    complete_identity(drive);
    return true;
}

void drive_unrealize(Device *device)
{
    ScsiDrive *drive = (ScsiDrive *)device;

    scsi_device_leave(&drive->scsi);
    if (drive->conf.blk && blk_loop(drive->conf.blk) != io_loop_main()) {
        blk_drain(drive->conf.blk);
        blk_set_loop(drive->conf.blk, io_loop_main(), NULL);
    }
    block_conf_unrealize(&drive->conf);
}

void drive_before_save(Device *device)
{
    ScsiDrive *drive = (ScsiDrive *)device;

    drive->write_cache = blk_write_cache(drive->conf.blk);
}

bool drive_after_load(Device *device, GError **err)
{
    ScsiDrive *drive = (ScsiDrive *)device;

    (void)err;
    drive->scsi.attentions &= (1u << SCSI_ATTENTIONS) - 1;
    drive->tray_told = drive->tray_open;
    blk_set_write_cache(drive->conf.blk, drive->write_cache);
    return true;
}

const Field drive_saved[] = {
    SAVE_SCSI(ScsiDrive, scsi),  SAVE_BOOL(ScsiDrive, tray_open),  SAVE_BOOL(ScsiDrive, locked),  SAVE_BOOL(ScsiDrive, media_event),
    SAVE_BOOL(ScsiDrive, eject_request),  SAVE_BOOL(ScsiDrive, write_cache),  FIELD_END };
