/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmc.c - replies of a CD/DVD-ROM drive that do not depend on the disc's contents
 *
 * Models   MMC-6 (T10/1836-D): TOC, features, events, disc and track information, DVD structures, mode pages; one session with
 *          one data track
 * Omits    audio, writing, CD-Text, multi-session
 * Hostile  each CDB is 12 bytes at least (the caller pads it) and any of them may be nonsense
 * Tests    tests/dev/scsi.c, tests/dev/ide.c
 */
#include "hw/scsi/mmc.h"
#include "base/bytes.h"
#include <string.h>

enum { PROFILE_CD_ROM = 0x0008, PROFILE_DVD_ROM = 0x0010 };
enum { LEAD_OUT = 0xaa, DATA_TRACK = 0x14, MSF_OFFSET = 150 };     /* ADR 1, control 4; two seconds before sector 0 */

static size_t refuse(ScsiSense *sense, ScsiSense why)
{
    *sense = why;
    return 0;
}

static bool is_dvd(const MmcDrive *drive)
{
    return drive->sectors > MMC_CD_SECTORS;
}

void mmc_put_msf(uint8_t out[3], uint64_t lba)
{
    uint64_t frames = lba + MSF_OFFSET;

    out[0] = (uint8_t)(frames / 75 / 60);
    out[1] = (uint8_t)(frames / 75 % 60);
    out[2] = (uint8_t)(frames % 75);
}

/* ---- READ TOC/PMA/ATIP, MMC-6 6.25 ---- */

static void put_address(uint8_t out[4], bool msf, uint64_t lba)
{
    if (msf) {
        out[0] = 0;
        mmc_put_msf(out + 1, lba);
    } else {
        store_be32(out, (uint32_t)lba);
    }
}

static size_t toc_tracks(const MmcDrive *drive, bool msf, uint8_t first, uint8_t *out, ScsiSense *sense)
{
    uint8_t *track = out + 4;

    if (first > 1 && first != LEAD_OUT) {
        return refuse(sense, SENSE_BAD_FIELD);
    }
    if (first <= 1) {
        track[1] = DATA_TRACK;
        track[2] = 1;
        put_address(track + 4, msf, 0);
        track += 8;
    }
    track[1] = DATA_TRACK;
    track[2] = LEAD_OUT;
    put_address(track + 4, msf, drive->sectors);
    return (size_t)(track + 8 - out);
}

static size_t toc_session(bool msf, uint8_t *out)
{
    out[5] = DATA_TRACK;
    out[6] = 1;                            /* first track of the last session */
    put_address(out + 8, msf, 0);
    return 12;
}

/* The lead-in's Q channel: always minutes, seconds, frames. */
static size_t toc_raw(const MmcDrive *drive, uint8_t *out)
{
    static const uint8_t points[] = { 0xa0, 0xa1, 0xa2, 0x01 };
    uint8_t *entry = out + 4;

    for (size_t i = 0; i < sizeof points; i++, entry += 11) {
        entry[0] = 1;                      /* session */
        entry[1] = DATA_TRACK;
        entry[3] = points[i];
        switch (points[i]) {
        case 0xa0: case 0xa1: entry[8] = 1; break;         /* the first and the last track's number */
        case 0xa2: mmc_put_msf(entry + 8, drive->sectors); break;
        default: mmc_put_msf(entry + 8, 0); break;
        }
    }
    return (size_t)(entry - out);
}

size_t mmc_read_toc(MmcDrive *drive, const uint8_t *cdb, uint8_t *out, ScsiSense *sense)
{
    bool msf = cdb[1] & 2;
    unsigned format = cdb[2] & 15 ? cdb[2] & 15u : cdb[9] >> 6;        /* where SFF-8020i had it */
    size_t length;

    memset(out, 0, MMC_REPLY);
    switch (format) {
    case 0: length = toc_tracks(drive, msf, cdb[6], out, sense); break;
    case 1: length = toc_session(msf, out); break;
    case 2: length = cdb[6] > 1 ? refuse(sense, SENSE_BAD_FIELD) : toc_raw(drive, out); break;
    default: return refuse(sense, SENSE_BAD_FIELD);
    }
    if (length) {
        store_be16(out, (uint16_t)(length - 2));
        out[2] = out[3] = 1;               /* first and last track or session */
    }
    return length;
}

/* ---- GET CONFIGURATION, MMC-6 6.5 and 5.3 ---- */

typedef struct Feature {
    uint16_t code;
    uint8_t flags;                         /* version << 2 | persistent << 1 | current */
    uint8_t length;                        /* additional; a multiple of four */
    uint8_t data[12];
    enum { ALWAYS, WITH_CD, WITH_DVD, WITH_MEDIUM } when;              /* it is current */
} Feature;

static const Feature features[] = {
    { 0x0000, 0x03, 8, { 0, PROFILE_DVD_ROM, 0, 0, 0, PROFILE_CD_ROM, 0, 0 }, ALWAYS },        /* profile list */
    { 0x0001, 0x0b, 8, { 0, 0, 0, 0, 0x01 }, ALWAYS },         /* core: the interface is filled in; DBE */
    { 0x0002, 0x07, 4, { 0x02 }, ALWAYS },                     /* morphing: operational change events */
    { 0x0003, 0x03, 4, { 0x29 }, ALWAYS },                     /* removable medium: tray, eject, lock */
    { 0x0010, 0x00, 8, { 0, 0, 8, 0, 0, 16, 0, 0 }, WITH_MEDIUM },     /* random readable: 2048 bytes, 16 to a block */
    { 0x001d, 0x00, 0, { 0 }, WITH_CD },                       /* multi-read */
    { 0x001e, 0x08, 4, { 0 }, WITH_CD },                       /* CD read */
    { 0x001f, 0x08, 4, { 0 }, WITH_DVD },                      /* DVD read */
    { 0x0100, 0x03, 0, { 0 }, ALWAYS },                        /* power management */
    { 0x0105, 0x07, 4, { 0 }, ALWAYS },                        /* timeout */
};

static bool feature_is_current(const Feature *feature, const MmcDrive *drive)
{
    switch (feature->when) {
    case WITH_CD: return drive->sectors && !is_dvd(drive);
    case WITH_DVD: return is_dvd(drive);
    case WITH_MEDIUM: return drive->sectors != 0;
    default: return true;
    }
}

static size_t put_feature(const Feature *feature, const MmcDrive *drive, uint8_t *out)
{
    store_be16(out, feature->code);
    out[2] = (uint8_t)(feature->flags | feature_is_current(feature, drive));
    out[3] = feature->length;
    memcpy(out + 4, feature->data, feature->length);
    if (feature->code == 0x0000) {         /* which of its profiles is current */
        out[6] = is_dvd(drive);
        out[10] = drive->sectors && !is_dvd(drive);
    } else if (feature->code == 0x0001) {
        store_be32(out + 4, drive->interface);
    }
    return 4u + feature->length;
}

size_t mmc_get_configuration(MmcDrive *drive, const uint8_t *cdb, uint8_t *out, ScsiSense *sense)
{
    enum { ALL = 0, CURRENT = 1, ONE = 2 };
    unsigned which = cdb[1] & 3, first = load_be16(cdb + 2);
    size_t length = 8;

    if (which > ONE) {
        return refuse(sense, SENSE_BAD_FIELD);
    }
    memset(out, 0, MMC_REPLY);
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        const Feature *feature = &features[i];
        bool wanted = which == ONE ? feature->code == first : feature->code >= first;
        if (wanted && (which != CURRENT || feature_is_current(feature, drive))) {
            length += put_feature(feature, drive, out + length);
        }
    }
    store_be32(out, (uint32_t)(length - 4));
    store_be16(out + 6, !drive->sectors ? 0 : is_dvd(drive) ? PROFILE_DVD_ROM : PROFILE_CD_ROM);
    return length;
}

/* ---- GET EVENT STATUS NOTIFICATION, MMC-6 6.6 ---- */

size_t mmc_event_status(MmcDrive *drive, const uint8_t *cdb, uint8_t *out, ScsiSense *sense)
{
    enum { POLLED = 1, MEDIA = 4, NO_EVENT = 0, EJECT_REQUEST = 1, NEW_MEDIA = 2, MEDIA_REMOVAL = 3, NO_CLASS = 0x80 };

    if (!(cdb[1] & POLLED)) {              /* a drive without queued commands has no other kind */
        return refuse(sense, SENSE_BAD_FIELD);
    }
    memset(out, 0, MMC_REPLY);
    out[3] = 1 << MEDIA;                   /* the classes there are */
    if (!(cdb[4] & 1 << MEDIA)) {
        store_be16(out, 2);
        out[2] = NO_CLASS;
        return 4;
    }
    store_be16(out, 6);
    out[2] = MEDIA;
    if (drive->media_event) {
        out[4] = drive->sectors ? NEW_MEDIA : MEDIA_REMOVAL;
        drive->media_event = false;
    } else if (drive->eject_request) {
        out[4] = EJECT_REQUEST;
        drive->eject_request = false;
    }
    out[5] = (uint8_t)((drive->sectors ? 2 : 0) | drive->tray_open);
    return 8;
}

/* ---- disc, track, mechanism ---- */

size_t mmc_disc_information(MmcDrive *drive, const uint8_t *cdb, uint8_t *out, ScsiSense *sense)
{
    (void)drive;
    if (cdb[1] & 7) {                      /* standard disc information only */
        return refuse(sense, SENSE_BAD_FIELD);
    }
    memset(out, 0, MMC_REPLY);
    store_be16(out, 32);
    out[2] = 0x0e;                         /* finalized, its last session complete */
    out[3] = out[4] = out[5] = out[6] = 1; /* first track; sessions; first and last track of the last session */
    out[7] = 0x20;                         /* unrestricted use */
    return 34;
}

/* MMC-6 6.27: the only track, asked for by number, session or an address in it. */
size_t mmc_track_information(MmcDrive *drive, const uint8_t *cdb, uint8_t *out, ScsiSense *sense)
{
    uint32_t which = load_be32(cdb + 2);

    switch (cdb[1] & 3) {
    case 0:
        if (which >= drive->sectors) {
            return refuse(sense, SENSE_BAD_LBA);
        }
        break;
    case 1: case 2:
        if (which != 1) {
            return refuse(sense, SENSE_BAD_FIELD);
        }
        break;
    default:
        return refuse(sense, SENSE_BAD_FIELD);
    }
    memset(out, 0, MMC_REPLY);
    store_be16(out, 34);
    out[2] = out[3] = 1;                   /* track, session */
    out[5] = 4;                            /* data, uninterrupted */
    out[6] = 1;                            /* mode 1 */
    store_be32(out + 24, (uint32_t)drive->sectors);
    return 36;
}

size_t mmc_mechanism_status(MmcDrive *drive, const uint8_t *cdb, uint8_t *out, ScsiSense *sense)
{
    (void)cdb;
    (void)sense;
    memset(out, 0, MMC_REPLY);
    out[1] = drive->tray_open ? 0x10 : 0;
    out[5] = 1;                            /* slots; MMC-6 would have 0 for a drive without changer, systems expect what drives say */
    return 8;
}

/* ---- READ DVD STRUCTURE, MMC-6 6.22 ---- */

static size_t dvd_physical(const MmcDrive *drive, uint8_t *out)
{
    enum { DATA_START = 0x030000, SECTOR_MOST = 0xffffff };
    uint64_t last = DATA_START + drive->sectors - 1;
    uint32_t end = last > SECTOR_MOST ? SECTOR_MOST : (uint32_t)last;

    out[4] = 0x01;                         /* DVD-ROM, part version 1 */
    out[5] = 0x0f;                         /* 120 mm, no rate named */
    out[6] = 0x01;                         /* one layer, embossed data */
    store_be32(out + 8, DATA_START);
    store_be32(out + 12, end);
    return 2048 + 4;
}

static size_t dvd_formats(uint8_t *out)
{
    static const struct { uint8_t format; uint16_t length; } list[] = { { 0x00, 2052 }, { 0x01, 8 }, { 0x04, 2052 }, { 0xff, 20 } };
    uint8_t *entry = out + 4;

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++, entry += 4) {
        entry[0] = list[i].format;
        entry[1] = 0x40;                   /* can be read */
        store_be16(entry + 2, list[i].length);
    }
    return (size_t)(entry - out);
}

size_t mmc_dvd_structure(MmcDrive *drive, const uint8_t *cdb, uint8_t *out, ScsiSense *sense)
{
    uint8_t format = cdb[7], layer = cdb[6];
    size_t length;

    if (cdb[1] & 15) {                     /* only DVD structures, no Blu-ray */
        return refuse(sense, SENSE_BAD_FIELD);
    }
    memset(out, 0, MMC_REPLY);
    if (format == 0xff) {
        length = dvd_formats(out);
    } else if (!drive->sectors) {
        return refuse(sense, SENSE_NO_MEDIUM);
    } else if (!is_dvd(drive)) {
        return refuse(sense, SENSE_INCOMPATIBLE_FORMAT);
    } else if (layer) {
        return refuse(sense, SENSE_BAD_FIELD);
    } else if (format == 0x00) {
        length = dvd_physical(drive, out);
    } else if (format == 0x01) {           /* copyright: none */
        length = 8;
    } else if (format == 0x04) {           /* manufacturing: nothing to say */
        length = 2048 + 4;
    } else {
        return refuse(sense, SENSE_BAD_FIELD);
    }
    store_be16(out, (uint16_t)(length - 2));
    return length;
}

/* ---- mode pages, MMC-6 7 ---- */

typedef struct ModePage { uint8_t code, length; uint8_t data[26]; } ModePage;      /* length: of data */

static const ModePage mode_pages[] = {
    { 0x01, 10, { 0x00, 0x05 } },                              /* read error recovery: five retries */
    { 0x0e, 14, { 0x04, 0, 0, 0, 0, 0, 0x01, 0xff, 0x02, 0xff } },     /* CD audio: both channels, full volume */
    { 0x1a, 10, { 0 } },                                       /* power condition: no timers */
    { 0x1d, 8, { 0 } },                                        /* timeout and protect */
    /* Capabilities: reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R; mode 2 and multi-session; tray, eject, lock; 706 kB/s, 512 KiB */
    { 0x2a, 20, { 0x3b, 0x00, 0x70, 0x60, 0x29, 0x00, 0x02, 0xc2, 0x00, 0x02, 0x02, 0x00, 0x02, 0xc2 } },
};

static size_t put_page(const ModePage *page, const MmcDrive *drive, bool changeable, uint8_t *out)
{
    out[0] = page->code;
    out[1] = page->length;
    if (!changeable) {                     /* else all zero: nothing is */
        memcpy(out + 2, page->data, page->length);
        if (page->code == 0x2a && drive->locked) {
            out[6] |= 0x02;
        }
    }
    return 2u + page->length;
}

static bool is_ten(const uint8_t *cdb)
{
    return cdb[0] >= 0x40;                 /* the other operation codes have six bytes */
}

size_t mmc_mode_sense(MmcDrive *drive, const uint8_t *cdb, uint8_t *out, ScsiSense *sense)
{
    enum { CURRENT, CHANGEABLE, DEFAULT, SAVED, EVERY_PAGE = 0x3f, DATA_DISC = 0x01, NO_DISC = 0x70 };
    unsigned control = cdb[2] >> 6, wanted = cdb[2] & 0x3f;
    size_t header = is_ten(cdb) ? 8 : 4, length = header;

    if (control == SAVED) {
        return refuse(sense, SENSE_NOTHING_SAVED);
    }
    if (cdb[3] && !(wanted == EVERY_PAGE && cdb[3] == 0xff)) {         /* there are no subpages */
        return refuse(sense, SENSE_BAD_FIELD);
    }
    memset(out, 0, MMC_REPLY);
    for (size_t i = 0; i < sizeof mode_pages / sizeof mode_pages[0]; i++) {
        if (wanted == mode_pages[i].code || wanted == EVERY_PAGE) {
            length += put_page(&mode_pages[i], drive, control == CHANGEABLE, out + length);
        }
    }
    if (length == header) {
        return refuse(sense, SENSE_BAD_FIELD);
    }
    uint8_t medium = drive->sectors ? DATA_DISC : NO_DISC;     /* MMC-1's medium type */
    if (header == 8) {
        store_be16(out, (uint16_t)(length - 2));
        out[2] = medium;
    } else {
        out[0] = (uint8_t)(length - 1);
        out[1] = medium;
    }
    return length;
}

static const ModePage *find_page(uint8_t code)
{
    for (size_t i = 0; i < sizeof mode_pages / sizeof mode_pages[0]; i++) {
        if (mode_pages[i].code == code) {
            return &mode_pages[i];
        }
    }
    return NULL;
}

bool mmc_mode_select(const uint8_t *cdb, const uint8_t *list, size_t length, ScsiSense *sense)
{
    size_t header = is_ten(cdb) ? 8 : 4, at;

    if (cdb[1] & 1) {                      /* save pages */
        *sense = SENSE_BAD_FIELD;
        return false;
    }
    if (length == 0) {
        return true;
    }
    if (length < header) {
        *sense = SENSE_PARAMETER_LENGTH;
        return false;
    }
    for (at = header + (header == 8 ? load_be16(list + 6) : list[3]); at < length; ) {
        size_t left = length - at;
        const ModePage *page = left >= 2 ? find_page(list[at] & 0x3f) : NULL;
        if (left >= 2 && (!page || list[at] & 0x40)) {
            *sense = SENSE_BAD_PARAMETER;
            return false;
        }
        if (left < 2 || left < 2u + list[at + 1]) {
            *sense = SENSE_PARAMETER_LENGTH;
            return false;
        }
        at += 2u + list[at + 1];           /* older systems know shorter capability pages */
    }
    if (at > length) {
        *sense = SENSE_PARAMETER_LENGTH;
        return false;
    }
    return true;
}

uint32_t mmc_allocation(const uint8_t *cdb)
{
    switch (cdb[0]) {
    case 0x1a: return cdb[4];
    case 0xad: case 0xbd: return load_be16(cdb + 8);
    default: return load_be16(cdb + 7);
    }
}

/* ---- READ CD and READ CD MSF, MMC-6 6.19 and 6.20 ---- */

static bool msf_to_lba(const uint8_t msf[3], uint32_t *lba)
{
    uint32_t frames = (msf[0] * 60u + msf[1]) * 75u + msf[2];

    if (msf[1] >= 60 || msf[2] >= 75 || frames < MSF_OFFSET) {
        return false;
    }
    *lba = frames - MSF_OFFSET;
    return true;
}

MmcCdData mmc_read_cd(const uint8_t *cdb, uint32_t *lba, uint32_t *count)
{
    if (cdb[0] == 0xb9) {
        uint32_t end;
        if (!msf_to_lba(cdb + 3, lba) || !msf_to_lba(cdb + 6, &end) || end < *lba) {
            return MMC_CD_REFUSED;
        }
        *count = end - *lba;
    } else {
        *lba = load_be32(cdb + 2);
        *count = (uint32_t)cdb[6] << 16 | (uint32_t)cdb[7] << 8 | cdb[8];
    }
    unsigned type = cdb[1] >> 2 & 7;       /* 0 any, 2 mode 1; the others are not on this disc */
    if ((type != 0 && type != 2) || cdb[10] & 7) {             /* no sub-channel */
        return MMC_CD_REFUSED;
    }
    if (*count == 0) {
        return MMC_CD_NOTHING;
    }
    switch (cdb[9] & 0xf8) {
    case 0x00: return MMC_CD_NOTHING;
    case 0x10: case 0x50: return MMC_CD_USER_DATA;             /* 50h: with a sub-header, which mode 1 has not */
    case 0xf8: case 0xb8: return MMC_CD_RAW;                   /* sync, header, data, and what follows */
    default: return MMC_CD_REFUSED;
    }
}

void mmc_raw_sector(uint8_t out[MMC_RAW_SECTOR], uint32_t lba)
{
    memset(out, 0xff, 12);
    out[0] = out[11] = 0;                  /* sync */
    mmc_put_msf(out + 12, lba);
    for (unsigned i = 12; i < 15; i++) {   /* BCD */
        out[i] = (uint8_t)(out[i] / 10 % 10 << 4 | out[i] % 10);
    }
    out[15] = 1;                           /* mode 1 */
    memset(out + MMC_RAW_DATA + MMC_SECTOR, 0, MMC_RAW_SECTOR - MMC_RAW_DATA - MMC_SECTOR);
}
