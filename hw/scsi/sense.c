/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sense.c - the table of sense codes
 *
 * Models   SPC-4 4.5 (sense data) and annex F (codes)
 * Tests    tests/dev/scsi.c
 */
#include "hw/scsi/sense.h"
#include <errno.h>
#include <string.h>

#define DEFINE_(name, key_, code_, qualifier_) const ScsiSense name = { SENSE_KEY_##key_, code_, qualifier_ };
SCSI_SENSES(DEFINE_)

static const struct { ScsiSense sense; const char *name; } names[] = {
#define NAME_(name_, key_, code_, qualifier_) { { SENSE_KEY_##key_, code_, qualifier_ }, #name_ },
    SCSI_SENSES(NAME_)
};

size_t sense_put(uint8_t out[SENSE_FIXED], ScsiSense sense, bool descriptor)
{
    memset(out, 0, SENSE_FIXED);
    if (descriptor) {
        out[0] = 0x72;
        out[1] = sense.key;
        out[2] = sense.code;
        out[3] = sense.qualifier;
        return SENSE_DESCRIPTOR;
    }
    out[0] = 0x70;
    out[2] = sense.key;
    out[7] = SENSE_FIXED - 8;
    out[12] = sense.code;
    out[13] = sense.qualifier;
    return SENSE_FIXED;
}

ScsiSense sense_of_errno(int error, bool write)
{
    switch (error) {
    case 0: return SENSE_NONE;
    case ENOMEDIUM: return SENSE_NO_MEDIUM;
    case ENOMEM: return SENSE_TARGET_FAILURE;
    case EINVAL: return SENSE_BAD_FIELD;
    case ENOSPC: case EDQUOT: return SENSE_SPACE;
    case EROFS: case EACCES: case EPERM: return SENSE_WRITE_PROTECTED;
    case ENODATA: case EILSEQ: return write ? SENSE_WRITE_ERROR : SENSE_UNREADABLE;
    default: return SENSE_IO_ERROR;
    }
}

const char *sense_name(ScsiSense sense)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (sense_equal(names[i].sense, sense)) {
            return names[i].name + sizeof "SENSE_" - 1;
        }
    }
    return "?";
}
