/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.c - "scsi-hd": a disk
 *
 * Models   SPC-3 and SBC-3: what installed systems send; removable=on makes it a disk that can be ejected
 * Omits    protection information, persistent reservations (RESERVE and RELEASE succeed: there is one initiator), logs, diagnostics
 * Tests    tests/dev/scsi.c, tests/dev/virtio-scsi.c, tests/fuzz/scsi.c
 */
#include "base/error.h"
#include "hw/models.h"
#include "hw/scsi/commands.h"
#include <errno.h>

static void reserve(ScsiRequest *request)
{
    if (request->cdb[1] & 1) {             /* of an extent: obsolete since SPC-2 */
        scsi_fail(request, SENSE_BAD_FIELD);
    } else {
        scsi_finish(request);
    }
}

enum { DISCARD_GRANULARITY = 4096 };
enum { BLOCKS = SCSI_BLOCKS | SCSI_NEEDS_MEDIUM, CHANGES = SCSI_BLOCKS | SCSI_CHANGES_MEDIUM };
static const ScsiCommand commands[256] = {
    [TEST_UNIT_READY] = { "TEST UNIT READY", drive_succeed, SCSI_NO_DATA, SCSI_COUNT_NONE, SCSI_NEEDS_MEDIUM, NULL },
    [REZERO_UNIT] = { "REZERO UNIT", drive_succeed, SCSI_NO_DATA, SCSI_COUNT_NONE, SCSI_NEEDS_MEDIUM, NULL },
    [REQUEST_SENSE] = { "REQUEST SENSE", drive_request_sense, SCSI_TO_HOST, SCSI_COUNT_BYTE_4, SCSI_NO_ATTENTION, NULL },
    [READ_6] = { "READ(6)", drive_read, SCSI_TO_HOST, SCSI_COUNT_BYTE_4_OF_256, BLOCKS, NULL },
    [WRITE_6] = { "WRITE(6)", drive_write, SCSI_TO_DEVICE, SCSI_COUNT_BYTE_4_OF_256, CHANGES, NULL },
    [INQUIRY] = { "INQUIRY", drive_inquiry, SCSI_TO_HOST, SCSI_COUNT_16_AT_3, SCSI_NO_ATTENTION, NULL },
    [MODE_SELECT_6] = { "MODE SELECT(6)", disk_mode_select, SCSI_TO_DEVICE, SCSI_COUNT_BYTE_4, 0, NULL },
    [RESERVE_6] = { "RESERVE(6)", reserve, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [RELEASE_6] = { "RELEASE(6)", reserve, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [MODE_SENSE_6] = { "MODE SENSE(6)", disk_mode_sense, SCSI_TO_HOST, SCSI_COUNT_BYTE_4, 0, NULL },
    [START_STOP] = { "START STOP UNIT", drive_start_stop, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [PREVENT_ALLOW] = { "PREVENT ALLOW MEDIUM REMOVAL", drive_prevent_allow, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [READ_CAPACITY_10] = { "READ CAPACITY(10)", drive_read_capacity_10, SCSI_TO_HOST, SCSI_COUNT_OWN, SCSI_NEEDS_MEDIUM, drive_capacity_count },
    [READ_10] = { "READ(10)", drive_read, SCSI_TO_HOST, SCSI_COUNT_16_AT_7, BLOCKS, NULL },
    [WRITE_10] = { "WRITE(10)", drive_write, SCSI_TO_DEVICE, SCSI_COUNT_16_AT_7, CHANGES, NULL },
    [SEEK_10] = { "SEEK(10)", drive_seek, SCSI_NO_DATA, SCSI_COUNT_NONE, SCSI_NEEDS_MEDIUM, NULL },
    [WRITE_VERIFY_10] = { "WRITE AND VERIFY(10)", drive_write, SCSI_TO_DEVICE, SCSI_COUNT_16_AT_7, CHANGES, NULL },
    [VERIFY_10] = { "VERIFY(10)", disk_verify, SCSI_TO_DEVICE, SCSI_COUNT_OWN, SCSI_NEEDS_MEDIUM, disk_verify_count },
    [SYNCHRONIZE_CACHE_10] = { "SYNCHRONIZE CACHE(10)", drive_flush, SCSI_NO_DATA, SCSI_COUNT_NONE, SCSI_NEEDS_MEDIUM, NULL },
    [WRITE_SAME_10] = { "WRITE SAME(10)", disk_write_same, SCSI_TO_DEVICE, SCSI_COUNT_OWN, SCSI_CHANGES_MEDIUM, disk_write_same_count },
    [UNMAP] = { "UNMAP", disk_unmap, SCSI_TO_DEVICE, SCSI_COUNT_16_AT_7, SCSI_CHANGES_MEDIUM, NULL },
    [MODE_SELECT_10] = { "MODE SELECT(10)", disk_mode_select, SCSI_TO_DEVICE, SCSI_COUNT_16_AT_7, 0, NULL },
    [RESERVE_10] = { "RESERVE(10)", reserve, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [RELEASE_10] = { "RELEASE(10)", reserve, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [MODE_SENSE_10] = { "MODE SENSE(10)", disk_mode_sense, SCSI_TO_HOST, SCSI_COUNT_16_AT_7, 0, NULL },
    [READ_16] = { "READ(16)", drive_read, SCSI_TO_HOST, SCSI_COUNT_32_AT_10, BLOCKS, NULL },
    [WRITE_16] = { "WRITE(16)", drive_write, SCSI_TO_DEVICE, SCSI_COUNT_32_AT_10, CHANGES, NULL },
    [WRITE_VERIFY_16] = { "WRITE AND VERIFY(16)", drive_write, SCSI_TO_DEVICE, SCSI_COUNT_32_AT_10, CHANGES, NULL },
    [VERIFY_16] = { "VERIFY(16)", disk_verify, SCSI_TO_DEVICE, SCSI_COUNT_OWN, SCSI_NEEDS_MEDIUM, disk_verify_count },
    [SYNCHRONIZE_CACHE_16] = { "SYNCHRONIZE CACHE(16)", drive_flush, SCSI_NO_DATA, SCSI_COUNT_NONE, SCSI_NEEDS_MEDIUM, NULL },
    [WRITE_SAME_16] = { "WRITE SAME(16)", disk_write_same, SCSI_TO_DEVICE, SCSI_COUNT_OWN, SCSI_CHANGES_MEDIUM, disk_write_same_count },
    [SERVICE_ACTION_IN_16] = { "SERVICE ACTION IN(16)", drive_service_action_in, SCSI_TO_HOST, SCSI_COUNT_32_AT_10, 0, NULL },
    [REPORT_LUNS] = { "REPORT LUNS", scsi_report_luns, SCSI_TO_HOST, SCSI_COUNT_32_AT_6, SCSI_NO_ATTENTION, NULL },
    [READ_12] = { "READ(12)", drive_read, SCSI_TO_HOST, SCSI_COUNT_32_AT_6, BLOCKS, NULL },
    [WRITE_12] = { "WRITE(12)", drive_write, SCSI_TO_DEVICE, SCSI_COUNT_32_AT_6, CHANGES, NULL },
    [WRITE_VERIFY_12] = { "WRITE AND VERIFY(12)", drive_write, SCSI_TO_DEVICE, SCSI_COUNT_32_AT_6, CHANGES, NULL },
    [VERIFY_12] = { "VERIFY(12)", disk_verify, SCSI_TO_DEVICE, SCSI_COUNT_OWN, SCSI_NEEDS_MEDIUM, disk_verify_count },
};

static const ScsiModel disk = { .type = 0,  .commands = commands,  .ready = drive_ready,  .reset = drive_reset };

static bool disk_realize(Device *device, GError **err)
{
    ScsiDrive *drive = (ScsiDrive *)device;
    bool any_granularity = drive->conf.discard_granularity == UINT64_MAX;

    if (!drive_realize(drive, drive->removable, false, 0, err)) {
        return false;
    }
    if (any_granularity) {                 /* finer ones cost more than they give back */
        drive->conf.discard_granularity = MAX(drive->conf.discard_granularity, DISCARD_GRANULARITY);
    }
    if (drive->conf.discard_granularity && drive->max_unmap_size < drive->scsi.block_size) {
        drive_unrealize(device);
        return fail(err, EINVAL, "device '%s': max_unmap_size=%" G_GUINT64_FORMAT " is less than a block of %u bytes", device_name(device),
                    drive->max_unmap_size, drive->scsi.block_size);
    }
    if (!drive->product) {
        drive->product = g_strdup("QEMU HARDDISK");
    }
    block_conf_geometry(&drive->conf, 65535, 16, 255);     /* more heads are a BIOS's translation, not the disk's */
    scsi_device_enter(&drive->scsi);
    return true;
}

static const Field disk_props[] = {
    BLOCK_PROPS(ScsiDrive, conf),
    DRIVE_PROPS,
    PROP_BOOL("removable", ScsiDrive, removable, false, .help = "the medium can be taken out"),
    PROP_BOOL("dpofua", ScsiDrive, dpofua, false, .help = "say that writes may name FUA, as they may in any case"),
    PROP_U16("rotation_rate", ScsiDrive, rotation_rate, 0, .help = "turns per minute, 1: it does not turn, 0: not said"),
    PROP_U64("max_unmap_size", ScsiDrive, max_unmap_size, 1 << 30, .help = "most bytes of an UNMAP, as told to the guest"),
    FIELD_END };

const DeviceModel scsi_hd_model = {
    .name = "scsi-hd",  .bus = BUS_SCSI,  .size = sizeof(ScsiDrive),  .hotpluggable = true,  .class_data = &disk,
    .help = "SCSI disk",
    .props = disk_props,  .bus_props = scsi_device_props,  .saved = drive_saved,  .saved_version = 1,
    .realize = disk_realize,  .reset = scsi_device_reset,  .unrealize = drive_unrealize,
    .before_save = drive_before_save,  .after_load = drive_after_load,
};
