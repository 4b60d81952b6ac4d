/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commands.h - operation codes, and what the files of hw/scsi call of one another; nobody else includes it
 *
 * SPC-4, SBC-3, MMC-6.
 */
#pragma once
#include "base/bytes.h"
#include "hw/core/block-conf.h"
#include "hw/scsi/bus.h"

enum {
    TEST_UNIT_READY = 0x00, REZERO_UNIT = 0x01, REQUEST_SENSE = 0x03, READ_6 = 0x08, WRITE_6 = 0x0a, INQUIRY = 0x12, MODE_SELECT_6 = 0x15,
    RESERVE_6 = 0x16, RELEASE_6 = 0x17, MODE_SENSE_6 = 0x1a, START_STOP = 0x1b, SEND_DIAGNOSTIC = 0x1d, PREVENT_ALLOW = 0x1e, READ_CAPACITY_10 = 0x25,
    READ_10 = 0x28, WRITE_10 = 0x2a, SEEK_10 = 0x2b, WRITE_VERIFY_10 = 0x2e, VERIFY_10 = 0x2f, SYNCHRONIZE_CACHE_10 = 0x35, WRITE_SAME_10 = 0x41,
    UNMAP = 0x42, READ_TOC = 0x43, GET_CONFIGURATION = 0x46, GET_EVENT_STATUS = 0x4a, READ_DISC_INFORMATION = 0x51, READ_TRACK_INFORMATION = 0x52,
    MODE_SELECT_10 = 0x55, RESERVE_10 = 0x56, RELEASE_10 = 0x57, MODE_SENSE_10 = 0x5a, READ_16 = 0x88, WRITE_16 = 0x8a, WRITE_VERIFY_16 = 0x8e,
    VERIFY_16 = 0x8f, SYNCHRONIZE_CACHE_16 = 0x91, WRITE_SAME_16 = 0x93, SERVICE_ACTION_IN_16 = 0x9e, REPORT_LUNS = 0xa0, READ_12 = 0xa8,
    WRITE_12 = 0xaa, READ_DVD_STRUCTURE = 0xad, WRITE_VERIFY_12 = 0xae, VERIFY_12 = 0xaf, READ_CD_MSF = 0xb9, SET_CD_SPEED = 0xbb,
    MECHANISM_STATUS = 0xbd, READ_CD = 0xbe,
};

/* A logical unit with storage: a disk or a CD-ROM drive. */
typedef struct ScsiDrive {
    ScsiDevice scsi;
    BlockConf conf;
    /* properties */
    char *vendor, *product, *version, *device_id;
    uint64_t wwn, port_wwn, max_unmap_size, max_io_size;
    uint16_t port_index, rotation_rate;
    int32_t scsi_version;
    bool removable, dpofua;
    /* home, except that the main thread looks at them and says what a person does: atomic */
    bool tray_open, locked, media_event, eject_request, read_only;
    uint64_t blocks;                       /* of the medium, 0: none */
    bool tray_told, lock_told;             /* main thread: what the storage knows of the tray */
    bool write_cache_at_first;             /* before a guest changed it */
    bool write_cache;                      /* saved state's copy */
} ScsiDrive;
static inline ScsiDrive *drive_of(const ScsiRequest *request) { return (ScsiDrive *)request->device; }

/* bus.c */
void scsi_report_luns(ScsiRequest *request);
void scsi_end_cancelled(ScsiRequest *request);
void scsi_keep(ScsiRequest *request);      /* until scsi_retry(), which calls scsi_io_again() */

/* io.c: between requests and the image */
void scsi_io_again(ScsiRequest *request);
/* Hands it to the image; request->step goes on when it is done well (or its error is to be ignored). */
void drive_io(ScsiRequest *request, BlkOp op, unsigned flags, uint64_t offset, uint64_t bytes, const struct iovec *iov, unsigned count,
              void (*step)(ScsiRequest *request));
/* The same with request->buffer, from its start. */
void drive_io_buffer(ScsiRequest *request, BlkOp op, uint64_t offset, uint64_t bytes, void (*step)(ScsiRequest *request));
uint64_t drive_blocks(const ScsiDrive *drive);             /* how many it has: 0 without medium. Any thread */
bool drive_read_only(const ScsiDrive *drive);              /* any thread */
uint64_t scsi_lba(const uint8_t *cdb);
/* request->lba and blocks from the CDB, held against the capacity; false: answered. */
bool drive_range(ScsiRequest *request);
bool drive_writable(ScsiRequest *request);                 /* false: answered */
void drive_read(ScsiRequest *request);     /* READ 6, 10, 12, 16 */
void drive_read_range(ScsiRequest *request);               /* ... once request->lba and blocks are known to be good */
void drive_write(ScsiRequest *request);    /* WRITE 6, 10, 12, 16, WRITE AND VERIFY */
void drive_flush(ScsiRequest *request);
void drive_seek(ScsiRequest *request);
void drive_succeed(ScsiRequest *request);  /* GOOD, and nothing else */

/* inquiry.c */
void drive_inquiry(ScsiRequest *request);
void drive_request_sense(ScsiRequest *request);
void drive_read_capacity_10(ScsiRequest *request);
uint64_t drive_capacity_count(const ScsiRequest *request, ScsiMode *mode);     /* READ CAPACITY 10 has no allocation length: 8 bytes */
void drive_service_action_in(ScsiRequest *request);        /* READ CAPACITY 16 */

/* mode.c: a disk's */
void disk_mode_sense(ScsiRequest *request);
void disk_mode_select(ScsiRequest *request);

/* provision.c: a disk's */
void disk_unmap(ScsiRequest *request);
void disk_write_same(ScsiRequest *request);
void disk_verify(ScsiRequest *request);
uint64_t disk_verify_count(const ScsiRequest *request, ScsiMode *mode);
uint64_t disk_write_same_count(const ScsiRequest *request, ScsiMode *mode);

/* medium.c: of removable ones */
extern const BlkDeviceOps drive_storage_ops;
void drive_look_at_medium(ScsiDrive *drive);               /* main thread: its size, and whether it can be written */
bool drive_has_medium(const ScsiDrive *drive);             /* and the tray is closed */
bool drive_ready(ScsiRequest *request);    /* ScsiModel.ready */
void drive_start_stop(ScsiRequest *request);
void drive_prevent_allow(ScsiRequest *request);
void drive_reset(ScsiDevice *scsi);        /* ScsiModel.reset */

/* drive.c: life of both models */
bool drive_realize(ScsiDrive *drive, bool removable, bool needs_write, uint32_t block_size, GError **err);
void drive_unrealize(Device *device);
void drive_before_save(Device *device);
bool drive_after_load(Device *device, GError **err);
extern const Field drive_saved[];
#define DRIVE_PROPS \
    PROP_STR("vendor", ScsiDrive, vendor, .help = "as INQUIRY says it, 8 characters; default: QEMU"), \
    PROP_STR("product", ScsiDrive, product, .help = "as INQUIRY says it, 16 characters"), \
    PROP_STR("ver", ScsiDrive, version, .help = "revision as INQUIRY says it, 4 characters; default: 2.5+"), \
    PROP_STR("device_id", ScsiDrive, device_id, .help = "identification as VPD page 83h says it; default: the serial number or the drive's id"), \
    PROP_U64("wwn", ScsiDrive, wwn, 0, .help = "world wide name of the unit (NAA), 0: none"), \
    PROP_U64("port_wwn", ScsiDrive, port_wwn, 0, .help = "world wide name of the target port (NAA), 0: none"), \
    PROP_U16("port_index", ScsiDrive, port_index, 0, .help = "relative target port, 0: none"), \
    PROP_U64("max_io_size", ScsiDrive, max_io_size, INT32_MAX, .help = "most bytes of a read or write, as told to the guest"), \
    PROP_I32("scsi_version", ScsiDrive, scsi_version, 5, .help = "version that INQUIRY tells: 5 is SPC-3")
