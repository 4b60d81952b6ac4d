/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * atapi.c - packet commands of a CD-ROM drive
 *
 * Models   MMC-3 and SFF-8020i as far as firmware, boot loaders and systems go to read a data disc: INQUIRY, TEST UNIT READY,
 *          REQUEST SENSE, READ CAPACITY, READ 10/12/CD, READ TOC, GET CONFIGURATION, GET EVENT STATUS, MODE SENSE,
 *          START/STOP, PREVENT/ALLOW, SEEK, mechanism status, disc information
 * Omits    audio, writing; any other command is refused with sense 5/20/00
 * Replies  built in the drive's buffer, cut to the command's allocation length, handed over in pieces of the host's byte
 *          limit (PIO) or taken by the bus master
 * Tests    tests/dev/ide.c
 */
#include "base/bytes.h"
#include "hw/ide/ata.h"
#include <string.h>

enum { REASON_COMMAND = 1, REASON_TO_HOST = 2, CD_PIECE = ATA_BUFFER / CD_SECTOR };
enum { SENSE_NONE = 0, SENSE_NOT_READY = 2, SENSE_MEDIUM = 3, SENSE_ILLEGAL = 5, SENSE_ATTENTION = 6 };
enum { CODE_UNREADABLE = 0x11, CODE_BAD_COMMAND = 0x20, CODE_BAD_ADDRESS = 0x21, CODE_BAD_FIELD = 0x24, CODE_MEDIUM_CHANGED = 0x28, CODE_NO_MEDIUM = 0x3a,
       CODE_REMOVAL_PREVENTED = 0x53 };
enum {
    TEST_UNIT_READY = 0x00, REQUEST_SENSE = 0x03, INQUIRY = 0x12, MODE_SELECT_6 = 0x15, MODE_SENSE_6 = 0x1a, START_STOP = 0x1b,
    PREVENT_ALLOW = 0x1e, READ_CAPACITY = 0x25, READ_10 = 0x28, SEEK_10 = 0x2b, READ_TOC = 0x43, GET_CONFIGURATION = 0x46,
    GET_EVENT_STATUS = 0x4a, READ_DISC_INFORMATION = 0x51, MODE_SELECT_10 = 0x55, MODE_SENSE_10 = 0x5a, READ_12 = 0xa8,
    SET_SPEED = 0xbb, MECHANISM_STATUS = 0xbd, READ_CD = 0xbe,
};

static void check_condition(Ata *ata, uint8_t key, uint8_t code, uint8_t qualifier)
{
    ata->sense_key = key;
    ata->sense_code = code;
    ata->sense_qualifier = qualifier;
    ata_abort(ata, (uint8_t)(key << 4 | ATA_ABRT));
    ata->count = REASON_TO_HOST | REASON_COMMAND;
}

void atapi_finish(Ata *ata)
{
    ata->count = REASON_TO_HOST | REASON_COMMAND;
    ata->sense_key = ata->sense_code = ata->sense_qualifier = 0;
    ata_complete(ata);
}

/* The next piece for PIO, at most byte_limit bytes; an odd limit is only for the last piece (SFF-8020i 5.2). */
static void offer_piece(Ata *ata)
{
    uint32_t limit = ata->byte_limit == 0 || ata->byte_limit == 0xffff ? 0xfffe : ata->byte_limit;
    uint32_t left = ata->filled - ata->end;
    uint32_t piece = left > limit ? MAX(limit & ~1u, 2u) : left;

    ata->position = ata->end;
    ata->end += piece;
    ata->lba[1] = (uint8_t)piece;
    ata->lba[2] = (uint8_t)(piece >> 8);
    ata->count = REASON_TO_HOST;
    ata->phase = ATA_PIO_IN;
    ata->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    ata->irq = true;
}

bool atapi_refill(Ata *ata)
{
    uint32_t sectors = MIN(ata->sectors_left, (uint32_t)CD_PIECE);

    if (sectors == 0) {
        return false;
    }
    if (!ata->blk || blk_pread(ata->blk, ata->next_sector * CD_SECTOR, ata->buffer, (size_t)sectors * CD_SECTOR) < 0) {
        check_condition(ata, SENSE_MEDIUM, CODE_UNREADABLE, 0);
        return false;
    }
    ata->next_sector += sectors;
    ata->sectors_left -= sectors;
    ata->filled = sectors * CD_SECTOR;
    ata->position = 0;
    ata->end = ata->phase == ATA_DMA_IN ? ata->filled : 0;
    return true;
}

void atapi_reply_done(Ata *ata)
{
    if (ata->end < ata->filled || atapi_refill(ata)) {
        offer_piece(ata);
    } else if (ata->in_packet) {
        atapi_finish(ata);
    }
}

/* Hands over what stands in the buffer (and then what sectors_left promises). */
static void reply(Ata *ata, uint32_t length, uint32_t allocation)
{
    ata->filled = MIN(length, allocation);
    if (ata->filled == 0 && ata->sectors_left == 0) {
        atapi_finish(ata);
        return;
    }
    ata->in_packet = true;
    ata->position = 0;
    ata->end = 0;
    if (ata->packet_dma) {
        ata->phase = ATA_DMA_IN;
        ata->end = ata->filled;
        ata->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
        ata->count = REASON_TO_HOST;
    } else {
        atapi_reply_done(ata);
    }
}

static uint8_t *clear_reply(Ata *ata, size_t length)
{
    memset(ata->buffer, 0, length);
    ata->sectors_left = 0;
    return ata->buffer;
}

static void put_padded(uint8_t *at, size_t length, const char *text)
{
    memset(at, ' ', length);
    memcpy(at, text, MIN(strlen(text), length));
}

static void inquiry(Ata *ata, const uint8_t *packet)
{
    uint8_t *out = clear_reply(ata, 36);

    if (packet[1] & 1) {                   /* no vital product data */
        check_condition(ata, SENSE_ILLEGAL, CODE_BAD_FIELD, 0);
        return;
    }
    out[0] = 5;                            /* CD-ROM */
    out[1] = 0x80;                         /* removable */
    out[3] = 0x21;                         /* ATAPI */
    out[4] = 31;
    put_padded(out + 8, 8, "QEMU");
    put_padded(out + 16, 16, "QEMU DVD-ROM");
    put_padded(out + 32, 4, ata->version);
    reply(ata, 36, packet[4]);
}

static void request_sense(Ata *ata, const uint8_t *packet)
{
    uint8_t *out = clear_reply(ata, 18);

    if (ata->unit_attention) {
        ata->unit_attention = false;
        ata->sense_key = SENSE_ATTENTION;
        ata->sense_code = CODE_MEDIUM_CHANGED;
    }
    out[0] = 0x70;
    out[2] = ata->sense_key;
    out[7] = 10;
    out[12] = ata->sense_code;
    out[13] = ata->sense_qualifier;
    reply(ata, 18, packet[4]);
}

static void read_capacity(Ata *ata)
{
    uint8_t *out = clear_reply(ata, 8);

    store_be32(out, (uint32_t)(ata->sectors - 1));
    store_be32(out + 4, CD_SECTOR);
    reply(ata, 8, 8);
}

static void read_sectors(Ata *ata, uint32_t sector, uint32_t count)
{
    clear_reply(ata, 0);
    if (count == 0) {
        atapi_finish(ata);
        return;
    }
    if (sector >= ata->sectors || count > ata->sectors - sector) {
        check_condition(ata, SENSE_ILLEGAL, CODE_BAD_ADDRESS, 0);
        return;
    }
    ata->next_sector = sector;
    ata->sectors_left = count;
    reply(ata, 0, 0);
}

/* READ CD: only the 2048 user bytes of data sectors can be had. */
static void read_cd(Ata *ata, const uint8_t *packet)
{
    uint32_t count = (uint32_t)packet[6] << 16 | (uint32_t)packet[7] << 8 | packet[8];

    switch (packet[9] & 0xf8) {
    case 0x00:
        atapi_finish(ata);
        break;
    case 0x10:
        read_sectors(ata, load_be32(packet + 2), count);
        break;
    default:
        check_condition(ata, SENSE_ILLEGAL, CODE_BAD_FIELD, 0);
        break;
    }
}

static void put_place(uint8_t *at, bool msf, uint64_t sector)
{
    if (msf) {
        sector += 150;                     /* two seconds before sector 0 */
        at[1] = (uint8_t)(sector / 75 / 60);
        at[2] = (uint8_t)(sector / 75 % 60);
        at[3] = (uint8_t)(sector % 75);
    } else {
        store_be32(at, (uint32_t)sector);
    }
}

/* One data track and the lead-out. */
static void read_toc(Ata *ata, const uint8_t *packet)
{
    bool msf = packet[1] & 2;
    unsigned format = packet[2] & 15 ? packet[2] & 15u : packet[9] >> 6;
    uint8_t *out = clear_reply(ata, 64);
    uint32_t length = 12;

    out[2] = 1;
    out[3] = 1;
    if (format == 0) {
        if (packet[6] > 1 && packet[6] != 0xaa) {
            check_condition(ata, SENSE_ILLEGAL, CODE_BAD_FIELD, 0);
            return;
        }
        uint8_t *track = out + 4;
        if (packet[6] <= 1) {
            track[1] = 0x14;
            track[2] = 1;
            put_place(track + 4, msf, 0);
            track += 8;
        }
        track[1] = 0x14;
        track[2] = 0xaa;
        put_place(track + 4, msf, ata->sectors);
        length = (uint32_t)(track + 8 - out);
    } else if (format == 1) {
        out[5] = 0x14;
        out[6] = 1;
        put_place(out + 8, msf, 0);
    } else {
        check_condition(ata, SENSE_ILLEGAL, CODE_BAD_FIELD, 0);
        return;
    }
    store_be16(out, (uint16_t)(length - 2));
    reply(ata, length, load_be16(packet + 7));
}

/* Features: profile list (DVD-ROM or CD-ROM current by size), core, removable medium. */
static void get_configuration(Ata *ata, const uint8_t *packet)
{
    enum { PROFILE_CD = 0x08, PROFILE_DVD = 0x10, CD_SECTORS_MOST = 80 * 60 * 75 };
    uint8_t *out = clear_reply(ata, 40);
    uint16_t current = !ata->blk ? 0 : ata->sectors > CD_SECTORS_MOST ? PROFILE_DVD : PROFILE_CD;

    store_be16(out + 6, current);
    out[10] = 3;                           /* profile list: persistent, current */
    out[11] = 8;
    store_be16(out + 12, PROFILE_DVD);
    out[14] = current == PROFILE_DVD;
    store_be16(out + 16, PROFILE_CD);
    out[18] = current == PROFILE_CD;
    out[21] = 1;                           /* core, over ATAPI */
    out[22] = 0x0b;
    out[23] = 8;
    store_be32(out + 24, 2);
    out[28] = 1;
    out[33] = 3;                           /* removable medium: tray, eject, lock */
    out[34] = 0x03;
    out[35] = 4;
    out[36] = 0x39;
    store_be32(out, 36);
    reply(ata, 40, load_be16(packet + 7));
}

static void get_event_status(Ata *ata, const uint8_t *packet)
{
    uint8_t *out = clear_reply(ata, 8);

    if (!(packet[1] & 1)) {                /* only polled */
        check_condition(ata, SENSE_ILLEGAL, CODE_BAD_FIELD, 0);
        return;
    }
    out[3] = 0x10;                         /* classes: media */
    if (!(packet[4] & 0x10)) {
        out[1] = 2;
        out[2] = 0x80;                     /* no event of the class asked for */
        reply(ata, 4, load_be16(packet + 7));
        return;
    }
    out[1] = 6;
    out[2] = 4;
    out[4] = ata->media_changed ? 2 : 0;   /* new medium */
    out[5] = (uint8_t)((ata->blk && !ata->tray_open ? 2 : 0) | (ata->tray_open ? 1 : 0));
    ata->media_changed = false;
    reply(ata, 8, load_be16(packet + 7));
}

/* Mode pages 01h (error recovery), 0Dh, 0Eh (audio) and 2Ah (capabilities). */
static uint32_t put_page(uint8_t *out, unsigned page, bool locked)
{
    static const uint8_t recovery[] = { 0x01, 0x06, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00 };
    static const uint8_t audio[] = { 0x0e, 0x0e, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xff, 0x02, 0xff, 0x00, 0x00, 0x00, 0x00 };
    uint8_t capabilities[] = { 0x2a, 0x12, 0x3b, 0x00, 0x70, 0x60, (uint8_t)(0x29 | (locked ? 2 : 0)), 0x00, 0x02, 0xc2, 0x00, 0x02, 0x02, 0x00,
                               0x02, 0xc2, 0x00, 0x00, 0x00, 0x00 };

    switch (page) {
    case 0x01: memcpy(out, recovery, sizeof recovery); return sizeof recovery;
    case 0x0e: memcpy(out, audio, sizeof audio); return sizeof audio;
    case 0x2a: memcpy(out, capabilities, sizeof capabilities); return sizeof capabilities;
    default: return 0;
    }
}

static void mode_sense(Ata *ata, unsigned control, unsigned page, uint32_t allocation, bool ten)
{
    static const uint8_t all[] = { 0x01, 0x0e, 0x2a };
    uint8_t *out = clear_reply(ata, 96);
    uint32_t header = ten ? 8 : 4, length = header;

    if (control == 3) {                    /* nothing can be saved */
        check_condition(ata, SENSE_ILLEGAL, 0x39, 0);
        return;
    }
    for (size_t i = 0; i < sizeof all; i++) {
        if (page == all[i] || page == 0x3f) {
            length += put_page(out + length, all[i], ata->tray_locked);
        }
    }
    if (length == header) {
        check_condition(ata, SENSE_ILLEGAL, CODE_BAD_FIELD, 0);
        return;
    }
    if (ten) {
        store_be16(out, (uint16_t)(length - 2));
        out[2] = ata->blk ? 0x01 : 0x70;
    } else {
        out[0] = (uint8_t)(length - 1);
        out[1] = ata->blk ? 0x01 : 0x70;
    }
    reply(ata, length, allocation);
}

static void mode_select(Ata *ata, uint32_t length)
{
    clear_reply(ata, 0);
    length = (length + 1) & ~1u;
    if (length == 0 || ata->packet_dma) {
        atapi_finish(ata);
        return;
    }
    ata->phase = ATA_PARAMETERS_OUT;
    ata->position = 0;
    ata->end = MIN(length, (uint32_t)ATA_BUFFER);
    ata->count = 0;
    ata->lba[1] = (uint8_t)ata->end;
    ata->lba[2] = (uint8_t)(ata->end >> 8);
    ata->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    ata->irq = true;
}

/* Bit 1 ejects or loads, bit 0 stops or starts. */
static void start_stop(Ata *ata, uint8_t action)
{
    if ((action & 2) && !(action & 1) && ata->tray_locked) {
        check_condition(ata, SENSE_ILLEGAL, CODE_REMOVAL_PREVENTED, 2);
        return;
    }
    if (action & 2) {
        ata->tray_open = !(action & 1);
    }
    atapi_finish(ata);
}

static void mechanism_status(Ata *ata, const uint8_t *packet)
{
    uint8_t *out = clear_reply(ata, 8);

    out[5] = 1;
    reply(ata, 8, load_be16(packet + 8));
}

static void disc_information(Ata *ata, const uint8_t *packet)
{
    uint8_t *out = clear_reply(ata, 34);

    store_be16(out, 32);
    out[2] = 0x0e;                         /* complete disc, last session complete */
    out[3] = out[4] = out[5] = out[6] = 1;
    out[7] = 0x20;
    reply(ata, 34, load_be16(packet + 7));
}

/* What needs a disc: a change since the last command is told first, then its absence. */
static bool medium_ready(Ata *ata)
{
    if (ata->unit_attention) {
        ata->unit_attention = false;
        check_condition(ata, SENSE_ATTENTION, CODE_MEDIUM_CHANGED, 0);
        return false;
    }
    if (!ata->blk || ata->tray_open) {
        check_condition(ata, SENSE_NOT_READY, CODE_NO_MEDIUM, ata->tray_open ? 2 : 1);
        return false;
    }
    return true;
}

static bool needs_medium(uint8_t command)
{
    static const uint8_t list[] = { TEST_UNIT_READY, READ_CAPACITY, READ_10, READ_12, READ_CD, SEEK_10, READ_TOC, READ_DISC_INFORMATION };

    return memchr(list, command, sizeof list) != NULL;
}

void atapi_packet(Ata *ata, const uint8_t packet[12])
{
    if (needs_medium(packet[0]) && !medium_ready(ata)) {
        return;
    }
    switch (packet[0]) {
    case TEST_UNIT_READY: case SEEK_10: case SET_SPEED: atapi_finish(ata); break;
    case REQUEST_SENSE: request_sense(ata, packet); break;
    case INQUIRY: inquiry(ata, packet); break;
    case MODE_SELECT_6: mode_select(ata, packet[4]); break;
    case MODE_SELECT_10: mode_select(ata, load_be16(packet + 7)); break;
    case MODE_SENSE_6: mode_sense(ata, packet[2] >> 6, packet[2] & 0x3f, packet[4], false); break;
    case MODE_SENSE_10: mode_sense(ata, packet[2] >> 6, packet[2] & 0x3f, load_be16(packet + 7), true); break;
    case START_STOP: start_stop(ata, packet[4] & 3); break;
    case PREVENT_ALLOW:
        ata->tray_locked = packet[4] & 1;
        atapi_finish(ata);
        break;
    case READ_CAPACITY: read_capacity(ata); break;
    case READ_10: read_sectors(ata, load_be32(packet + 2), load_be16(packet + 7)); break;
    case READ_12: read_sectors(ata, load_be32(packet + 2), load_be32(packet + 6)); break;
    case READ_CD: read_cd(ata, packet); break;
    case READ_TOC: read_toc(ata, packet); break;
    case GET_CONFIGURATION: get_configuration(ata, packet); break;
    case GET_EVENT_STATUS: get_event_status(ata, packet); break;
    case MECHANISM_STATUS: mechanism_status(ata, packet); break;
    case READ_DISC_INFORMATION: disc_information(ata, packet); break;
    default: check_condition(ata, SENSE_ILLEGAL, CODE_BAD_COMMAND, 0); break;
    }
}

void atapi_media_changed(Ata *ata)
{
    ata->unit_attention = ata->media_changed = true;
}
