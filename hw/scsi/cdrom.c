/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cdrom.c - "scsi-cd": a CD/DVD-ROM drive
 *
 * Models   SPC-3 and MMC-6 as far as systems go to read a data disc; replies that do not depend on the disc's contents are mmc.c's
 * Omits    audio, writing
 * Data     sectors go from the image to the guest's own pieces; raw sectors (READ CD) through a buffer of 16
 * Tests    tests/dev/scsi.c, tests/fuzz/scsi.c
 */
#include "base/checked.h"
#include "hw/models.h"
#include "hw/scsi/commands.h"
#include "hw/scsi/mmc.h"
#include <string.h>

enum { RAW_SECTORS = 16 };

/* ---- replies of mmc.c ---- */

static MmcDrive mmc_of(ScsiDrive *drive)
{
    return (MmcDrive){
        .interface = MMC_OVER_SCSI,  .sectors = drive_has_medium(drive) ? drive_blocks(drive) : 0,
        .tray_open = __atomic_load_n(&drive->tray_open, __ATOMIC_ACQUIRE),  .locked = __atomic_load_n(&drive->locked, __ATOMIC_ACQUIRE),
    };
}

static void reply(ScsiRequest *request, MmcReply *command)
{
    MmcDrive mmc = mmc_of(drive_of(request));
    uint8_t out[MMC_REPLY];
    ScsiSense sense;
    size_t length = command(&mmc, request->cdb, out, &sense);

    if (length == 0) {
        scsi_fail(request, sense);
    } else {
        scsi_reply(request, out, length);
    }
}

static void read_toc(ScsiRequest *request)
{
    reply(request, mmc_read_toc);
}

static void get_configuration(ScsiRequest *request)
{
    reply(request, mmc_get_configuration);
}

static void disc_information(ScsiRequest *request)
{
    reply(request, mmc_disc_information);
}

static void track_information(ScsiRequest *request)
{
    reply(request, mmc_track_information);
}

static void dvd_structure(ScsiRequest *request)
{
    reply(request, mmc_dvd_structure);
}

static void mechanism_status(ScsiRequest *request)
{
    reply(request, mmc_mechanism_status);
}

static void mode_sense(ScsiRequest *request)
{
    reply(request, mmc_mode_sense);
}

/* News are taken by who asks for them; those that a person makes meanwhile stay. */
static void event_status(ScsiRequest *request)
{
    ScsiDrive *drive = drive_of(request);
    MmcDrive mmc = mmc_of(drive);
    uint8_t out[MMC_REPLY];
    ScsiSense sense;

    mmc.media_event = __atomic_exchange_n(&drive->media_event, false, __ATOMIC_ACQ_REL);
    mmc.eject_request = __atomic_exchange_n(&drive->eject_request, false, __ATOMIC_ACQ_REL);
    size_t length = mmc_event_status(&mmc, request->cdb, out, &sense);
    if (mmc.media_event) {
        __atomic_store_n(&drive->media_event, true, __ATOMIC_RELEASE);
    }
    if (mmc.eject_request) {
        __atomic_store_n(&drive->eject_request, true, __ATOMIC_RELEASE);
    }
    if (length == 0) {
        scsi_fail(request, sense);
    } else {
        scsi_reply(request, out, length);
    }
}

static void mode_select(ScsiRequest *request)
{
    uint8_t list[256];
    ScsiSense sense = SENSE_PARAMETER_LENGTH;
    size_t length = scsi_parameters(request, list, sizeof list);

    if (length < request->expected || !mmc_mode_select(request->cdb, list, length, &sense)) {
        scsi_fail(request, sense);
    } else {
        scsi_finish(request);
    }
}

/* ---- READ CD ---- */

static uint64_t read_cd_count(const ScsiRequest *request, ScsiMode *mode)
{
    uint32_t lba, count = 0;

    switch (mmc_read_cd(request->cdb, &lba, &count)) {
    case MMC_CD_USER_DATA: *mode = SCSI_TO_HOST; return (uint64_t)count * MMC_SECTOR;
    case MMC_CD_RAW: *mode = SCSI_TO_HOST; return (uint64_t)count * MMC_RAW_SECTOR;
    default: *mode = SCSI_NO_DATA; return 0;
    }
}

static void raw_next(ScsiRequest *request);

static void raw_read(ScsiRequest *request)
{
    uint8_t sector[MMC_RAW_SECTOR];
    uint64_t first = request->lba - request->piece.iov_len / MMC_SECTOR;

    for (size_t at = 0; at < request->piece.iov_len; at += MMC_SECTOR) {
        mmc_raw_sector(sector, (uint32_t)(first + at / MMC_SECTOR));
        memcpy(sector + MMC_RAW_DATA, request->buffer + at, MMC_SECTOR);
        request->moved += iov_scatter(request->in, request->in_count, (size_t)request->moved, sector, sizeof sector);
    }
    raw_next(request);
}

static void raw_next(ScsiRequest *request)
{
    uint64_t sectors = MIN(request->blocks, RAW_SECTORS), at = request->lba * MMC_SECTOR;

    if (sectors == 0) {
        scsi_finish(request);
        return;
    }
    request->lba += sectors;
    request->blocks -= sectors;
    drive_io_buffer(request, BLK_READ, at, sectors * MMC_SECTOR, raw_read);
}

static void read_cd(ScsiRequest *request)
{
    uint32_t lba = 0, count = 0;
    MmcCdData data = mmc_read_cd(request->cdb, &lba, &count);

    if (data == MMC_CD_REFUSED) {
        scsi_fail(request, SENSE_BAD_FIELD);
        return;
    }
    if (data == MMC_CD_NOTHING) {
        scsi_finish(request);
        return;
    }
    request->lba = lba;
    request->blocks = count;
    if (!range_within(lba, count, drive_blocks(drive_of(request)))) {
        scsi_fail(request, SENSE_BAD_LBA);
    } else if (data == MMC_CD_USER_DATA) {
        request->cdb[1] = 0;               /* the bits there are not those of a READ */
        drive_read_range(request);
    } else {
        request->buffer = g_try_malloc(RAW_SECTORS * MMC_SECTOR);
        if (request->buffer) {
            raw_next(request);
        } else {
            scsi_fail(request, SENSE_TARGET_FAILURE);
        }
    }
}

enum { BLOCKS = SCSI_BLOCKS | SCSI_NEEDS_MEDIUM };
static const ScsiCommand commands[256] = {
    [TEST_UNIT_READY] = { "TEST UNIT READY", drive_succeed, SCSI_NO_DATA, SCSI_COUNT_NONE, SCSI_NEEDS_MEDIUM, NULL },
    [REZERO_UNIT] = { "REZERO UNIT", drive_succeed, SCSI_NO_DATA, SCSI_COUNT_NONE, SCSI_NEEDS_MEDIUM, NULL },
    [REQUEST_SENSE] = { "REQUEST SENSE", drive_request_sense, SCSI_TO_HOST, SCSI_COUNT_BYTE_4, SCSI_NO_ATTENTION, NULL },
    [READ_6] = { "READ(6)", drive_read, SCSI_TO_HOST, SCSI_COUNT_BYTE_4_OF_256, BLOCKS, NULL },
    [INQUIRY] = { "INQUIRY", drive_inquiry, SCSI_TO_HOST, SCSI_COUNT_16_AT_3, SCSI_NO_ATTENTION, NULL },
    [MODE_SELECT_6] = { "MODE SELECT(6)", mode_select, SCSI_TO_DEVICE, SCSI_COUNT_BYTE_4, 0, NULL },
    [RESERVE_6] = { "RESERVE(6)", drive_succeed, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [RELEASE_6] = { "RELEASE(6)", drive_succeed, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [MODE_SENSE_6] = { "MODE SENSE(6)", mode_sense, SCSI_TO_HOST, SCSI_COUNT_BYTE_4, 0, NULL },
    [START_STOP] = { "START STOP UNIT", drive_start_stop, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [PREVENT_ALLOW] = { "PREVENT ALLOW MEDIUM REMOVAL", drive_prevent_allow, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [READ_CAPACITY_10] = { "READ CAPACITY(10)", drive_read_capacity_10, SCSI_TO_HOST, SCSI_COUNT_OWN, SCSI_NEEDS_MEDIUM, drive_capacity_count },
    [READ_10] = { "READ(10)", drive_read, SCSI_TO_HOST, SCSI_COUNT_16_AT_7, BLOCKS, NULL },
    [SEEK_10] = { "SEEK(10)", drive_seek, SCSI_NO_DATA, SCSI_COUNT_NONE, SCSI_NEEDS_MEDIUM, NULL },
    [VERIFY_10] = { "VERIFY(10)", disk_verify, SCSI_TO_DEVICE, SCSI_COUNT_OWN, SCSI_NEEDS_MEDIUM, disk_verify_count },
    [SYNCHRONIZE_CACHE_10] = { "SYNCHRONIZE CACHE(10)", drive_flush, SCSI_NO_DATA, SCSI_COUNT_NONE, SCSI_NEEDS_MEDIUM, NULL },
    [READ_TOC] = { "READ TOC", read_toc, SCSI_TO_HOST, SCSI_COUNT_16_AT_7, SCSI_NEEDS_MEDIUM, NULL },
    [GET_CONFIGURATION] = { "GET CONFIGURATION", get_configuration, SCSI_TO_HOST, SCSI_COUNT_16_AT_7, SCSI_NO_ATTENTION, NULL },
    [GET_EVENT_STATUS] = { "GET EVENT STATUS NOTIFICATION", event_status, SCSI_TO_HOST, SCSI_COUNT_16_AT_7, SCSI_NO_ATTENTION, NULL },
    [READ_DISC_INFORMATION] = { "READ DISC INFORMATION", disc_information, SCSI_TO_HOST, SCSI_COUNT_16_AT_7, SCSI_NEEDS_MEDIUM, NULL },
    [READ_TRACK_INFORMATION] = { "READ TRACK INFORMATION", track_information, SCSI_TO_HOST, SCSI_COUNT_16_AT_7, SCSI_NEEDS_MEDIUM, NULL },
    [MODE_SELECT_10] = { "MODE SELECT(10)", mode_select, SCSI_TO_DEVICE, SCSI_COUNT_16_AT_7, 0, NULL },
    [RESERVE_10] = { "RESERVE(10)", drive_succeed, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [RELEASE_10] = { "RELEASE(10)", drive_succeed, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [MODE_SENSE_10] = { "MODE SENSE(10)", mode_sense, SCSI_TO_HOST, SCSI_COUNT_16_AT_7, 0, NULL },
    [READ_16] = { "READ(16)", drive_read, SCSI_TO_HOST, SCSI_COUNT_32_AT_10, BLOCKS, NULL },
    [SERVICE_ACTION_IN_16] = { "SERVICE ACTION IN(16)", drive_service_action_in, SCSI_TO_HOST, SCSI_COUNT_32_AT_10, 0, NULL },
    [REPORT_LUNS] = { "REPORT LUNS", scsi_report_luns, SCSI_TO_HOST, SCSI_COUNT_32_AT_6, SCSI_NO_ATTENTION, NULL },
    [READ_12] = { "READ(12)", drive_read, SCSI_TO_HOST, SCSI_COUNT_32_AT_6, BLOCKS, NULL },
    [READ_DVD_STRUCTURE] = { "READ DVD STRUCTURE", dvd_structure, SCSI_TO_HOST, SCSI_COUNT_16_AT_8, 0, NULL },
    [READ_CD_MSF] = { "READ CD MSF", read_cd, SCSI_TO_HOST, SCSI_COUNT_OWN, SCSI_NEEDS_MEDIUM, read_cd_count },
    [SET_CD_SPEED] = { "SET CD SPEED", drive_succeed, SCSI_NO_DATA, SCSI_COUNT_NONE, 0, NULL },
    [MECHANISM_STATUS] = { "MECHANISM STATUS", mechanism_status, SCSI_TO_HOST, SCSI_COUNT_16_AT_8, 0, NULL },
    [READ_CD] = { "READ CD", read_cd, SCSI_TO_HOST, SCSI_COUNT_OWN, SCSI_NEEDS_MEDIUM, read_cd_count },
};

static const ScsiModel cd = { .type = 5,  .commands = commands,  .ready = drive_ready,  .reset = drive_reset };

static bool cd_realize(Device *device, GError **err)
{
    ScsiDrive *drive = (ScsiDrive *)device;

    drive->removable = drive->conf.read_only = true;
    if (!drive_realize(drive, true, false, MMC_SECTOR, err)) {
        return false;
    }
    if (!drive->product) {
        drive->product = g_strdup("QEMU CD-ROM");
    }
    scsi_device_enter(&drive->scsi);
    return true;
}

static const Field cd_props[] = {
    BLOCK_PROPS_NO_CHS(ScsiDrive, conf),
    DRIVE_PROPS,
    FIELD_END };

const DeviceModel scsi_cd_model = {
    .name = "scsi-cd",  .bus = BUS_SCSI,  .size = sizeof(ScsiDrive),  .hotpluggable = true,  .class_data = &cd,
    .help = "SCSI CD-ROM drive",
    .props = cd_props,  .bus_props = scsi_device_props,  .saved = drive_saved,  .saved_version = 1,
    .realize = cd_realize,  .reset = scsi_device_reset,  .unrealize = drive_unrealize,
    .before_save = drive_before_save,  .after_load = drive_after_load,
};
