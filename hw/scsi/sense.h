/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sense.h - why a SCSI command failed, as its initiator reads it
 *
 * SPC-4 4.5: a key, a code and its qualifier, told in fixed (18 bytes) or descriptor format (8 bytes). Pure: no lock, no state.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {                             /* SAM-5 5.3 */
    SCSI_GOOD = 0x00, SCSI_CHECK_CONDITION = 0x02, SCSI_CONDITION_MET = 0x04, SCSI_BUSY = 0x08, SCSI_RESERVATION_CONFLICT = 0x18,
    SCSI_TASK_SET_FULL = 0x28, SCSI_TASK_ABORTED = 0x40,
} ScsiStatus;

enum {
    SENSE_KEY_NONE = 0x0, SENSE_KEY_RECOVERED = 0x1, SENSE_KEY_NOT_READY = 0x2, SENSE_KEY_MEDIUM_ERROR = 0x3, SENSE_KEY_HARDWARE_ERROR = 0x4,
    SENSE_KEY_ILLEGAL_REQUEST = 0x5, SENSE_KEY_UNIT_ATTENTION = 0x6, SENSE_KEY_DATA_PROTECT = 0x7, SENSE_KEY_ABORTED_COMMAND = 0xb,
    SENSE_KEY_MISCOMPARE = 0xe,
};

typedef struct ScsiSense { uint8_t key, code, qualifier; } ScsiSense;

/* name, key, code, qualifier: SPC-4 annex F. */
#define SCSI_SENSES(each) \
    each(SENSE_NONE, NONE, 0x00, 0x00) \
    each(SENSE_NO_MEDIUM, NOT_READY, 0x3a, 0x00) \
    each(SENSE_NO_MEDIUM_TRAY_CLOSED, NOT_READY, 0x3a, 0x01) \
    each(SENSE_NO_MEDIUM_TRAY_OPEN, NOT_READY, 0x3a, 0x02) \
    each(SENSE_NOT_READY_REMOVAL_PREVENTED, NOT_READY, 0x53, 0x02) \
    each(SENSE_UNREADABLE, MEDIUM_ERROR, 0x11, 0x00) \
    each(SENSE_WRITE_ERROR, MEDIUM_ERROR, 0x0c, 0x00) \
    each(SENSE_TARGET_FAILURE, HARDWARE_ERROR, 0x44, 0x00) \
    each(SENSE_IO_ERROR, ABORTED_COMMAND, 0x00, 0x06)          /* I/O process terminated */ \
    each(SENSE_PARAMETER_LENGTH, ILLEGAL_REQUEST, 0x1a, 0x00) \
    each(SENSE_BAD_COMMAND, ILLEGAL_REQUEST, 0x20, 0x00) \
    each(SENSE_BAD_LBA, ILLEGAL_REQUEST, 0x21, 0x00) \
    each(SENSE_BAD_FIELD, ILLEGAL_REQUEST, 0x24, 0x00)         /* in the CDB */ \
    each(SENSE_NO_LUN, ILLEGAL_REQUEST, 0x25, 0x00) \
    each(SENSE_BAD_PARAMETER, ILLEGAL_REQUEST, 0x26, 0x00)     /* in the parameter list */ \
    each(SENSE_INCOMPATIBLE_FORMAT, ILLEGAL_REQUEST, 0x30, 0x02) \
    each(SENSE_NOTHING_SAVED, ILLEGAL_REQUEST, 0x39, 0x00)     /* saving parameters not supported */ \
    each(SENSE_REMOVAL_PREVENTED, ILLEGAL_REQUEST, 0x53, 0x02) \
    each(SENSE_WRITE_PROTECTED, DATA_PROTECT, 0x27, 0x00) \
    each(SENSE_SPACE, DATA_PROTECT, 0x27, 0x07)                /* space allocation failed write protect */ \
    each(SENSE_MISCOMPARED, MISCOMPARE, 0x1d, 0x00) \
    each(SENSE_POWER_ON, UNIT_ATTENTION, 0x29, 0x00)           /* power on, reset or bus device reset */ \
    each(SENSE_NEXUS_LOSS, UNIT_ATTENTION, 0x29, 0x07) \
    each(SENSE_LUNS_CHANGED, UNIT_ATTENTION, 0x3f, 0x0e) \
    each(SENSE_CAPACITY_CHANGED, UNIT_ATTENTION, 0x2a, 0x09) \
    each(SENSE_MODE_CHANGED, UNIT_ATTENTION, 0x2a, 0x01) \
    each(SENSE_MEDIUM_GONE, UNIT_ATTENTION, 0x3a, 0x00) \
    each(SENSE_MEDIUM_CHANGED, UNIT_ATTENTION, 0x28, 0x00)

#define SCSI_SENSE_DECLARE_(name, key_, code_, qualifier_) extern const ScsiSense name;
SCSI_SENSES(SCSI_SENSE_DECLARE_)
#undef SCSI_SENSE_DECLARE_

enum { SENSE_FIXED = 18, SENSE_DESCRIPTOR = 8 };

/* Writes it in the format asked for; the number of bytes. */
size_t sense_put(uint8_t out[SENSE_FIXED], ScsiSense sense, bool descriptor);
static inline bool sense_equal(ScsiSense a, ScsiSense b) { return a.key == b.key && a.code == b.code && a.qualifier == b.qualifier; }
/* What a positive errno of the image means to the guest. */
ScsiSense sense_of_errno(int error, bool write);
const char *sense_name(ScsiSense sense);   /* for traces; "?" */
