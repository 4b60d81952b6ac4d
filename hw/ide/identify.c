/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * identify.c - what a drive says about itself: IDENTIFY (PACKET) DEVICE, and the pages of SMART
 *
 * Words    numbered as in ATA/ATAPI-7 6.17 and 6.18; 69, 105, 169 (trim) and 217 as in ATA8-ACS. The values that systems look at are those
 *          of QEMU's drives, so that an installed system does not find another disk
 * Omits    security and host protected area: never offered, so no system locks a disk for ever
 * Tests    tests/dev/ide.c
 */
#include "base/bytes.h"
#include "hw/ide/ata.h"
#include <string.h>

enum { CYLINDERS_MOST = 16383, LBA28_MOST = 0x0fffffff };

/* Strings: two characters a word, the first in the high byte, padded with blanks. */
static void put_text(uint8_t *identify, unsigned word, unsigned words, const char *text)
{
    size_t length = strlen(text);

    for (unsigned i = 0; i < words * 2; i++) {
        identify[2 * word + (i ^ 1)] = i < length ? (uint8_t)text[i] : ' ';
    }
}

static void put_word(uint8_t *identify, unsigned word, unsigned value)
{
    store_le16(identify + 2 * word, (uint16_t)value);
}

/* The bit of the mode that SET FEATURES chose, where it is of this kind. */
static unsigned chosen(const Ata *ata, unsigned kind)
{
    return (ata->mode_dma & 0xf8u) == kind ? 0x100u << (ata->mode_dma & 7) : 0;
}

static void put_common(const Ata *ata, uint8_t *identify)
{
    memset(identify, 0, ATA_SECTOR);
    put_text(identify, 10, 10, ata->serial);
    put_word(identify, 20, 3);             /* dual-ported buffer with look-ahead; its sectors; ECC bytes: what old BIOSes like to see */
    put_word(identify, 21, 512);
    put_word(identify, 22, 4);
    put_text(identify, 23, 4, ata->version);
    put_text(identify, 27, 20, ata->model);
    put_word(identify, 48, 1);             /* doubleword I/O */
    put_word(identify, 53, 7);             /* words 54-58, 64-70 and 88 are valid */
    put_word(identify, 62, 7);
    put_word(identify, 63, 7 | chosen(ata, 0x20));
    put_word(identify, 64, 3);             /* PIO modes 3 and 4 */
    put_word(identify, 88, 0x3f | chosen(ata, 0x40));
}

static void put_geometry(const Ata *ata, uint8_t *identify)
{
    /* Words 54-58: the translation that INITIALIZE DEVICE PARAMETERS chose; words 1-6: the default one. */
    uint32_t cylinders = MIN(ata->cylinders, (uint32_t)CYLINDERS_MOST);
    uint64_t whole = (uint64_t)cylinders * ata->default_heads * ata->default_sectors;
    uint64_t cylinder = (uint64_t)ata->heads * ata->track_sectors;
    uint64_t current = MIN(MAX(whole / cylinder, 1u), (uint64_t)UINT16_MAX), reached = current * cylinder;

    put_word(identify, 1, cylinders);
    put_word(identify, 3, ata->default_heads);
    put_word(identify, 4, 512u * ata->default_sectors);
    put_word(identify, 5, 512);
    put_word(identify, 6, ata->default_sectors);
    put_word(identify, 54, (unsigned)current);
    put_word(identify, 55, ata->heads);
    put_word(identify, 56, ata->track_sectors);
    put_word(identify, 57, (unsigned)reached & 0xffff);
    put_word(identify, 58, (unsigned)(reached >> 16));
}

void ata_identify_disk(const Ata *ata, uint8_t *identify)
{
    enum { SMART = 0x0001, WRITE_CACHE = 0x0020, NOP = 0x4000, FUA = 0x0040, HAS_WWN = 0x0100, VALID = 0x4000 };
    unsigned wwn = ata->wwn ? HAS_WWN : 0;

    put_common(ata, identify);
    put_geometry(ata, identify);
    put_word(identify, 0, 0x0040);         /* fixed drive */
    put_word(identify, 47, 0x8000 | ATA_MULTIPLE_MOST);
    put_word(identify, 49, 0x0b00);        /* DMA, LBA, IORDY */
    put_word(identify, 51, 0x0200);
    put_word(identify, 52, 0x0200);
    put_word(identify, 59, ata->multiple ? 0x100u | ata->multiple : 0);
    store_le32(identify + 120, (uint32_t)MIN(ata->sectors, (uint64_t)LBA28_MOST));
    for (unsigned word = 65; word <= 68; word++) {
        put_word(identify, word, 120);     /* ns a cycle */
    }
    put_word(identify, 69, 0x4000);        /* trimmed sectors read the same every time */
    put_word(identify, 80, 0x00f0);        /* ATA/ATAPI-4 to 7 */
    put_word(identify, 81, 0x0016);
    put_word(identify, 82, NOP | WRITE_CACHE | SMART);
    put_word(identify, 83, VALID | 0x3400);                /* FLUSH CACHE, FLUSH CACHE EXT, LBA48 */
    put_word(identify, 84, VALID | FUA | wwn);
    put_word(identify, 85, NOP | (ata->write_cache ? WRITE_CACHE : 0) | (ata->smart ? SMART : 0));
    put_word(identify, 86, 0x3400);
    put_word(identify, 87, VALID | FUA | wwn);
    put_word(identify, 93, 0x6001);        /* a cable with 80 wires */
    store_le64(identify + 200, ata->sectors);
    put_word(identify, 106, 0x6000 | ata->physical_exponent);
    for (unsigned i = 0; i < 4; i++) {
        put_word(identify, 108 + i, (unsigned)(ata->wwn >> 16 * (3 - i)) & 0xffff);
    }
    put_word(identify, 169, 1);            /* DATA SET MANAGEMENT with TRIM */
    put_word(identify, 217, ata->rotation_rate);
}

void ata_identify_cd(const Ata *ata, uint8_t *identify)
{
    put_common(ata, identify);
    put_word(identify, 0, 0x85c0);         /* ATAPI, CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    put_word(identify, 49, 0x0300);        /* LBA, DMA */
    put_word(identify, 65, 180);
    put_word(identify, 66, 180);
    put_word(identify, 67, 300);
    put_word(identify, 68, 180);
    put_word(identify, 71, 30);            /* ns until the bus is released */
    put_word(identify, 72, 30);
    put_word(identify, 80, 0x001e);        /* ATA-1 to ATA/ATAPI-4 */
    if (ata->wwn) {
        put_word(identify, 84, 0x4100);
        put_word(identify, 87, 0x4100);
        for (unsigned i = 0; i < 4; i++) {
            put_word(identify, 108 + i, (unsigned)(ata->wwn >> 16 * (3 - i)) & 0xffff);
        }
    }
}

/* ---- SMART (ATA/ATAPI-7 6.54): a drive that is well ---- */

typedef struct Attribute { uint8_t id, threshold, now, worst, raw[6]; } Attribute;
static const Attribute attributes[] = {
    { 1, 6, 100, 100, { 0 } },             /* raw read error rate */
    { 3, 0, 100, 100, { 16 } },            /* spin-up time */
    { 4, 20, 100, 100, { 100 } },          /* starts and stops */
    { 5, 36, 100, 100, { 0 } },            /* sectors that were remapped */
    { 9, 0, 100, 100, { 1 } },             /* hours */
    { 12, 0, 100, 100, { 0 } },            /* power cycles */
    { 190, 50, 69, 69, { 31, 0, 31, 31 } },                /* airflow temperature */
};
enum { SMART_REVISION = 1, ATTRIBUTE = 12 };

/* The last byte makes the sum of all of them 0. */
static void put_checksum(uint8_t *page)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < ATA_SECTOR - 1; i++) {
        sum = (uint8_t)(sum + page[i]);
    }
    page[ATA_SECTOR - 1] = (uint8_t)-sum;
}

void ata_smart_values(const Ata *ata, uint8_t *page)
{
    memset(page, 0, ATA_SECTOR);
    page[0] = SMART_REVISION;
    for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++) {
        uint8_t *at = page + 2 + i * ATTRIBUTE;
        at[0] = attributes[i].id;
        at[1] = 3;                         /* pre-failure, measured while running */
        at[3] = attributes[i].now;
        at[4] = attributes[i].worst;
        memcpy(at + 5, attributes[i].raw, sizeof attributes[i].raw);
    }
    page[362] = (uint8_t)(0x02 | (ata->smart_autosave ? 0x80 : 0));        /* off-line collection was completed */
    store_le16(page + 364, 288);           /* seconds that it takes */
    page[367] = 0x19;                      /* off-line immediate, self-test, and reads beside it */
    store_le16(page + 368, 3);
    page[370] = 1;                         /* logs */
    page[372] = 2;                         /* minutes of a short and of a long self-test */
    page[373] = 54;
    put_checksum(page);
}

void ata_smart_thresholds(uint8_t *page)
{
    memset(page, 0, ATA_SECTOR);
    page[0] = SMART_REVISION;
    for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++) {
        page[2 + i * ATTRIBUTE] = attributes[i].id;
        page[3 + i * ATTRIBUTE] = attributes[i].threshold;
    }
    put_checksum(page);
}

bool ata_smart_log(unsigned address, uint8_t *page)
{
    memset(page, 0, ATA_SECTOR);
    switch (address) {
    case 0:                                /* directory: pages of each log */
        page[0] = 1;
        page[2 * 1] = page[2 * 6] = 1;
        return true;
    case 1:                                /* summary of errors: none */
        page[0] = 1;
        put_checksum(page);
        return true;
    case 6:                                /* self-tests: none was made */
        page[0] = 1;
        put_checksum(page);
        return true;
    default:
        return false;
    }
}
