/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ata.c - one drive's command block: task file, PIO and DMA reads, identify
 *
 * Models   ATA/ATAPI-6 (T13/1410D): LBA28, LBA48 and CHS reads by PIO, multiple and DMA; the commands that firmware and
 *          systems send on their way to a first read
 * Omits    writing (the storage behind is read-only so far: write commands abort), queued commands, security, SMART
 * Hostile  a transfer's length is at most 65536 sectors, handed over in pieces of at most the buffer
 * Tests    tests/dev/ide.c
 */
#include "hw/ide/ata.h"
#include "base/bytes.h"
#include "base/error.h"
#include <errno.h>
#include <string.h>

enum { DEFAULT_HEADS = 16, DEFAULT_TRACK = 63, CYLINDERS_MOST = 16383 };
enum { DEVICE_LBA = 0x40, DEVICE_FIXED = 0xa0, MULTIPLE_MOST = 16, LBA28_MOST = 0x0fffffff };
enum {
    CMD_NOP = 0x00, CMD_DEVICE_RESET = 0x08, CMD_RECALIBRATE = 0x10, CMD_READ = 0x20, CMD_READ_NO_RETRY = 0x21, CMD_READ_EXT = 0x24,
    CMD_READ_DMA_EXT = 0x25, CMD_READ_NATIVE_MAX_EXT = 0x27, CMD_READ_MULTIPLE_EXT = 0x29, CMD_VERIFY = 0x40, CMD_VERIFY_NO_RETRY = 0x41,
    CMD_VERIFY_EXT = 0x42, CMD_SEEK = 0x70, CMD_DIAGNOSTIC = 0x90, CMD_INITIALIZE = 0x91, CMD_PACKET = 0xa0, CMD_IDENTIFY_PACKET = 0xa1,
    CMD_READ_MULTIPLE = 0xc4, CMD_SET_MULTIPLE = 0xc6, CMD_READ_DMA = 0xc8, CMD_READ_DMA_NO_RETRY = 0xc9, CMD_STANDBY_NOW = 0xe0,
    CMD_IDLE_NOW = 0xe1, CMD_STANDBY = 0xe2, CMD_IDLE = 0xe3, CMD_CHECK_POWER = 0xe5, CMD_SLEEP = 0xe6, CMD_FLUSH = 0xe7,
    CMD_FLUSH_EXT = 0xea, CMD_IDENTIFY = 0xec, CMD_SET_FEATURES = 0xef, CMD_READ_NATIVE_MAX = 0xf8,
};

void ata_complete(Ata *ata)
{
    ata->in_packet = false;
    ata->phase = ATA_IDLE;
    ata->status = ATA_DRDY | ATA_DSC;
    ata->error = 0;
    ata->irq = true;
}

void ata_abort(Ata *ata, uint8_t error)
{
    ata->in_packet = false;
    ata->phase = ATA_IDLE;
    ata->status = ATA_DRDY | ATA_DSC | ATA_ERR;
    ata->error = error;
    ata->irq = true;
}

/* The signature by which software tells ATA from ATAPI (9.12). */
static void set_signature(Ata *ata)
{
    ata->count = 1;
    ata->lba[0] = 1;
    ata->lba[1] = ata->cd ? 0x14 : 0;
    ata->lba[2] = ata->cd ? 0xeb : 0;
    ata->device &= 0x10;
}

void ata_reset(Ata *ata)
{
    ata->phase = ATA_IDLE;
    ata->features = ata->previous_features = ata->previous_count = 0;
    memset(ata->previous_lba, 0, sizeof ata->previous_lba);
    ata->device = 0;
    set_signature(ata);
    ata->status = ata->cd ? 0 : ATA_DRDY | ATA_DSC;
    ata->error = 1;                        /* diagnostic code: passed */
    ata->irq = false;
    ata->multiple = 0;
    ata->mode_pio = 0;
    ata->mode_dma = 0x22;                  /* multiword mode 2 */
    ata->in_packet = false;
    ata->sectors_left = ata->filled = ata->position = ata->end = 0;
}

/* 16 heads and 63 sectors, at most 16383 cylinders: what every BIOS can add up. */
void ata_set_geometry(Ata *ata)
{
    ata->heads = DEFAULT_HEADS;
    ata->track_sectors = DEFAULT_TRACK;
    ata->cylinders = (uint16_t)MIN(MAX(ata->sectors / (DEFAULT_HEADS * DEFAULT_TRACK), 1u), (unsigned)CYLINDERS_MOST);
}

/* Strings in identify data: two characters a word, the first in the high byte, padded with blanks. */
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

static void identify_common(const Ata *ata, uint8_t *identify)
{
    put_text(identify, 10, 10, ata->serial);
    put_text(identify, 23, 4, ata->version);
    put_text(identify, 27, 20, ata->model);
    put_word(identify, 49, 0x0b00);        /* DMA, LBA, IORDY */
    put_word(identify, 53, 7);             /* words 54-58, 64-70 and 88 are valid */
    put_word(identify, 62, 0);
    put_word(identify, 63, 7 | ((ata->mode_dma & 0xf8) == 0x20 ? 0x100u << (ata->mode_dma & 7) : 0));
    put_word(identify, 64, 3);             /* PIO modes 3 and 4 */
    for (unsigned word = 65; word <= 68; word++) {
        put_word(identify, word, 120);     /* ns a cycle */
    }
    put_word(identify, 80, 0xf0);          /* ATA/ATAPI-4 to 7 */
    put_word(identify, 81, 0x16);
    put_word(identify, 88, 0x3f | ((ata->mode_dma & 0xf8) == 0x40 ? 0x100u << (ata->mode_dma & 7) : 0));
}

static void identify_disk(const Ata *ata, uint8_t *identify)
{
    /* Words 54-58: the translation that INITIALIZE DEVICE PARAMETERS chose; words 1-6: the default one. */
    uint64_t cylinder = (uint64_t)ata->heads * ata->track_sectors;
    uint64_t whole = (uint64_t)ata->cylinders * DEFAULT_HEADS * DEFAULT_TRACK;
    uint64_t cylinders = MIN(MAX(MIN(whole, ata->sectors) / cylinder, 1u), (uint64_t)UINT16_MAX), chs = cylinders * cylinder;

    put_word(identify, 0, 0x0040);         /* fixed drive */
    put_word(identify, 1, ata->cylinders);
    put_word(identify, 3, DEFAULT_HEADS);
    put_word(identify, 6, DEFAULT_TRACK);
    put_word(identify, 47, 0x8000 | MULTIPLE_MOST);
    put_word(identify, 54, (unsigned)cylinders);
    put_word(identify, 55, ata->heads);
    put_word(identify, 56, ata->track_sectors);
    put_word(identify, 57, (unsigned)chs & 0xffff);
    put_word(identify, 58, (unsigned)(chs >> 16));
    put_word(identify, 59, ata->multiple ? 0x100u | ata->multiple : 0);
    store_le32(identify + 120, (uint32_t)MIN(ata->sectors, (uint64_t)LBA28_MOST));
    put_word(identify, 82, 0x4000);        /* NOP */
    put_word(identify, 83, 0x7400);        /* FLUSH CACHE, FLUSH CACHE EXT, LBA48 */
    put_word(identify, 84, 0x4000);
    put_word(identify, 85, 0x4000);
    put_word(identify, 86, 0x3400);
    put_word(identify, 87, 0x4000);
    put_word(identify, 93, 0x6001 | (ata->device & 0x10 ? 0x0e00 : 0x000e));
    store_le64(identify + 200, ata->sectors);
}

static void identify_packet(const Ata *ata, uint8_t *identify)
{
    (void)ata;
    put_word(identify, 0, 0x85c0);         /* ATAPI, CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    put_word(identify, 71, 30);            /* ns release times */
    put_word(identify, 72, 30);
    put_word(identify, 82, 0x4010);        /* NOP, PACKET */
    put_word(identify, 83, 0x4000);
    put_word(identify, 84, 0x4000);
    put_word(identify, 85, 0x4010);
    put_word(identify, 87, 0x4000);
}

/* Offers the buffer to the host; block_size bytes make one DRQ, and each DRQ an interrupt. */
static void offer(Ata *ata, uint32_t length)
{
    ata->phase = ATA_PIO_IN;
    ata->position = 0;
    ata->end = length;
    ata->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    ata->irq = true;
}

static void identify(Ata *ata, bool packet)
{
    if (packet != ata->cd) {
        if (ata->cd) {
            set_signature(ata);            /* IDENTIFY DEVICE to a packet drive: abort, with the signature (9.12) */
        }
        ata_abort(ata, ATA_ABRT);
        return;
    }
    memset(ata->buffer, 0, ATA_SECTOR);
    identify_common(ata, ata->buffer);
    if (packet) {
        identify_packet(ata, ata->buffer);
    } else {
        identify_disk(ata, ata->buffer);
    }
    ata->sectors_left = 0;
    offer(ata, ATA_SECTOR);
}

/* Where the task file points: false for a place that the disk does not have. */
static bool address(const Ata *ata, bool extended, uint64_t *sector)
{
    if (extended) {
        *sector = ata->lba[0] | (uint64_t)ata->lba[1] << 8 | (uint64_t)ata->lba[2] << 16 | (uint64_t)ata->previous_lba[0] << 24 |
                  (uint64_t)ata->previous_lba[1] << 32 | (uint64_t)ata->previous_lba[2] << 40;
    } else if (ata->device & DEVICE_LBA) {
        *sector = ata->lba[0] | (uint64_t)ata->lba[1] << 8 | (uint64_t)ata->lba[2] << 16 | (uint64_t)(ata->device & 15) << 24;
    } else {
        unsigned cylinder = ata->lba[1] | (unsigned)ata->lba[2] << 8, head = ata->device & 15;
        if (ata->lba[0] == 0 || ata->lba[0] > ata->track_sectors || head >= ata->heads) {
            return false;
        }
        *sector = ((uint64_t)cylinder * ata->heads + head) * ata->track_sectors + ata->lba[0] - 1;
    }
    return *sector < ata->sectors;
}

static uint32_t transfer_count(const Ata *ata, bool extended)
{
    uint32_t count = extended ? ata->count | (uint32_t)ata->previous_count << 8 : ata->count;

    return count ? count : extended ? 65536 : 256;
}

/* Reads the next piece into the buffer; false (and the command aborted) on a bad place or a host error. */
static bool read_piece(Ata *ata, uint32_t sectors)
{
    if (ata->next_sector >= ata->sectors || ata->sectors - ata->next_sector < sectors) {
        ata_abort(ata, ATA_IDNF);
        return false;
    }
    if (blk_pread(ata->blk, ata->next_sector * ATA_SECTOR, ata->buffer, (size_t)sectors * ATA_SECTOR) < 0) {
        ata_abort(ata, ATA_UNC);
        return false;
    }
    ata->next_sector += sectors;
    ata->sectors_left -= sectors;
    return true;
}

static void next_pio_block(Ata *ata)
{
    uint32_t sectors = MIN(ata->sectors_left, ata->block_size / ATA_SECTOR);

    if (read_piece(ata, sectors)) {
        offer(ata, sectors * ATA_SECTOR);
    }
}

/* Where a read starts and how much it takes; false, with the command aborted, where the disk has no such place. */
static bool begin_read(Ata *ata, bool extended)
{
    if (!address(ata, extended, &ata->next_sector)) {
        ata_abort(ata, ATA_IDNF);
        return false;
    }
    ata->sectors_left = transfer_count(ata, extended);
    return true;
}

static void read_sectors(Ata *ata, bool extended, uint32_t sectors_per_block)
{
    if (ata->cd || sectors_per_block == 0) {
        if (ata->cd) {
            set_signature(ata);            /* as for IDENTIFY DEVICE */
        }
        ata_abort(ata, ATA_ABRT);
        return;
    }
    if (begin_read(ata, extended)) {
        ata->block_size = sectors_per_block * ATA_SECTOR;
        next_pio_block(ata);
    }
}

static void read_dma(Ata *ata, bool extended)
{
    if (ata->cd) {
        ata_abort(ata, ATA_ABRT);
        return;
    }
    if (begin_read(ata, extended)) {
        ata->position = ata->end = 0;
        ata->phase = ATA_DMA_IN;
        ata->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    }
}

/* The next piece of a DMA transfer into the buffer; false when the transfer is over, well or badly. */
static bool refill(Ata *ata)
{
    uint32_t sectors = MIN(ata->sectors_left, (uint32_t)(ATA_BUFFER / ATA_SECTOR));

    if (ata->cd) {
        return atapi_refill(ata);
    }
    if (sectors == 0 || !read_piece(ata, sectors)) {
        return false;
    }
    ata->position = 0;
    ata->end = sectors * ATA_SECTOR;
    return true;
}

size_t ata_dma_take(Ata *ata, uint8_t *out, size_t most)
{
    if (ata->phase != ATA_DMA_IN) {
        return 0;
    }
    if (ata->position >= ata->end && !refill(ata)) {
        return 0;
    }
    size_t length = MIN(most, ata->end - ata->position);
    memcpy(out, ata->buffer + ata->position, length);
    ata->position += (uint32_t)length;
    return length;
}

bool ata_dma_at_end(const Ata *ata)
{
    return ata->position == ata->end && ata->sectors_left == 0;
}

void ata_dma_end(Ata *ata, bool failed)
{
    if (ata->phase != ATA_DMA_IN) {
        return;
    }
    if (failed) {
        ata_abort(ata, ATA_ABRT);
    } else if (ata->cd) {
        atapi_finish(ata);
    } else {
        ata_complete(ata);
    }
}

static void verify(Ata *ata, bool extended)
{
    uint64_t sector;

    if (ata->cd) {
        ata_abort(ata, ATA_ABRT);
    } else if (!address(ata, extended, &sector) || ata->sectors - sector < transfer_count(ata, extended)) {
        ata_abort(ata, ATA_IDNF);
    } else {
        ata_complete(ata);
    }
}

static void set_address(Ata *ata, uint64_t sector, bool extended)
{
    for (unsigned i = 0; i < 3; i++) {
        ata->lba[i] = (uint8_t)(sector >> (8 * i));
        ata->previous_lba[i] = extended ? (uint8_t)(sector >> (24 + 8 * i)) : 0;
    }
    if (!extended) {
        ata->device = (uint8_t)((ata->device & 0xf0) | (sector >> 24 & 15));
    }
}

static void read_native_max(Ata *ata, bool extended)
{
    if (ata->cd) {
        ata_abort(ata, ATA_ABRT);
        return;
    }
    uint64_t last = ata->sectors - 1;
    set_address(ata, extended ? last : MIN(last, (uint64_t)LBA28_MOST), extended);
    ata_complete(ata);
}

static void set_features(Ata *ata)
{
    switch (ata->features) {
    case 0x03:                             /* transfer mode in the count register: PIO 0xh, multiword 2xh, ultra 4xh */
        if (ata->count >> 3 == 0 || ata->count >> 3 == 1) {
            ata->mode_pio = ata->count;
        } else if ((ata->count >> 3 == 4 && (ata->count & 7) <= 2) || (ata->count >> 3 == 8 && (ata->count & 7) <= 5)) {
            ata->mode_dma = ata->count;
        } else {
            ata_abort(ata, ATA_ABRT);
            return;
        }
        break;
    case 0x02: case 0x82: case 0xaa: case 0x55: case 0x66: case 0xcc: case 0x05: case 0x85: case 0x67: case 0x96: case 0x9a: case 0x42: case 0xc2:
        break;                             /* caches, look-ahead, power, defaults: nothing to switch */
    default:
        ata_abort(ata, ATA_ABRT);
        return;
    }
    ata_complete(ata);
}

static void set_multiple(Ata *ata)
{
    if (ata->cd || ata->count > MULTIPLE_MOST || (ata->count & (ata->count - 1))) {
        ata_abort(ata, ATA_ABRT);
        return;
    }
    ata->multiple = ata->count;
    ata_complete(ata);
}

static void initialize_parameters(Ata *ata)
{
    if (ata->cd || ata->count == 0) {
        ata_abort(ata, ATA_ABRT);
        return;
    }
    ata->heads = (ata->device & 15) + 1u;
    ata->track_sectors = ata->count;
    ata_complete(ata);
}

static void packet(Ata *ata)
{
    if (!ata->cd || (ata->features & 0x02)) {                       /* no overlap */
        ata_abort(ata, ATA_ABRT);
        return;
    }
    ata->packet_dma = ata->features & 1;
    ata->byte_limit = ata->lba[1] | (uint32_t)ata->lba[2] << 8;
    ata->phase = ATA_PACKET_OUT;
    ata->position = 0;
    ata->end = ATAPI_PACKET;
    ata->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    ata->count = 1;                        /* command, from the host; no interrupt for the packet itself */
}

void ata_command(Ata *ata, uint8_t command)
{
    if (command == CMD_DEVICE_RESET) {
        if (ata->cd) {
            uint8_t selected = ata->device & 0x10;
            ata_reset(ata);
            ata->device = selected;
        } else {
            ata_abort(ata, ATA_ABRT);
        }
        return;
    }
    ata->irq = false;
    ata->in_packet = false;
    switch (command) {
    case CMD_READ: case CMD_READ_NO_RETRY: read_sectors(ata, false, 1); break;
    case CMD_READ_EXT: read_sectors(ata, true, 1); break;
    case CMD_READ_MULTIPLE: read_sectors(ata, false, ata->multiple); break;
    case CMD_READ_MULTIPLE_EXT: read_sectors(ata, true, ata->multiple); break;
    case CMD_READ_DMA: case CMD_READ_DMA_NO_RETRY: read_dma(ata, false); break;
    case CMD_READ_DMA_EXT: read_dma(ata, true); break;
    case CMD_VERIFY: case CMD_VERIFY_NO_RETRY: verify(ata, false); break;
    case CMD_VERIFY_EXT: verify(ata, true); break;
    case CMD_READ_NATIVE_MAX: read_native_max(ata, false); break;
    case CMD_READ_NATIVE_MAX_EXT: read_native_max(ata, true); break;
    case CMD_IDENTIFY: identify(ata, false); break;
    case CMD_IDENTIFY_PACKET: identify(ata, true); break;
    case CMD_PACKET: packet(ata); break;
    case CMD_SET_FEATURES: set_features(ata); break;
    case CMD_SET_MULTIPLE: set_multiple(ata); break;
    case CMD_INITIALIZE: initialize_parameters(ata); break;
    case CMD_DIAGNOSTIC:
        ata->device = 0;
        set_signature(ata);
        ata_complete(ata);
        ata->error = 1;
        if (ata->cd) {
            ata->status = 0;
        }
        break;
    case CMD_CHECK_POWER:
        ata->count = 0xff;                 /* active */
        ata_complete(ata);
        break;
    case CMD_RECALIBRATE: case CMD_SEEK:
        if (ata->cd) {
            ata_abort(ata, ATA_ABRT);
            break;
        }
        ata_complete(ata);
        break;
    case CMD_FLUSH: case CMD_FLUSH_EXT: case CMD_STANDBY_NOW: case CMD_IDLE_NOW: case CMD_STANDBY: case CMD_IDLE: case CMD_SLEEP:
        ata_complete(ata);
        break;
    case CMD_NOP:
    default:
        ata_abort(ata, ATA_ABRT);
        break;
    }
}

uint8_t ata_read(Ata *ata, unsigned reg, bool high_order)
{
    switch (reg) {
    case ATA_ERROR: return ata->error;
    case ATA_COUNT: return high_order ? ata->previous_count : ata->count;
    case ATA_LBA_LOW: case ATA_LBA_MID: case ATA_LBA_HIGH:
        return high_order ? ata->previous_lba[reg - ATA_LBA_LOW] : ata->lba[reg - ATA_LBA_LOW];
    case ATA_DEVICE: return ata->device | DEVICE_FIXED;
    case ATA_STATUS:
        ata->irq = false;
        return ata->status;
    default: return 0xff;
    }
}

void ata_write(Ata *ata, unsigned reg, uint8_t value)
{
    switch (reg) {
    case ATA_FEATURES:
        ata->previous_features = ata->features;
        ata->features = value;
        break;
    case ATA_COUNT:
        ata->previous_count = ata->count;
        ata->count = value;
        break;
    case ATA_LBA_LOW: case ATA_LBA_MID: case ATA_LBA_HIGH:
        ata->previous_lba[reg - ATA_LBA_LOW] = ata->lba[reg - ATA_LBA_LOW];
        ata->lba[reg - ATA_LBA_LOW] = value;
        break;
    case ATA_DEVICE:
        ata->device = value;
        break;
    default:
        break;
    }
}

static void buffer_drained(Ata *ata)
{
    if (ata->in_packet) {
        atapi_reply_done(ata);
    } else if (ata->sectors_left) {
        next_pio_block(ata);
    } else {
        ata->phase = ATA_IDLE;             /* the last block's interrupt was its offer */
        ata->status = ATA_DRDY | ATA_DSC;
    }
}

uint16_t ata_read_data(Ata *ata)
{
    if (ata->phase != ATA_PIO_IN || ata->position >= ata->end) {
        return 0xffff;
    }
    uint16_t value = ata->buffer[ata->position];
    if (ata->position + 1 < ata->end) {    /* a reply may have an odd length */
        value |= (uint16_t)(ata->buffer[ata->position + 1] << 8);
    }
    ata->position += 2;
    if (ata->position >= ata->end) {
        buffer_drained(ata);
    }
    return value;
}

void ata_write_data(Ata *ata, uint16_t value)
{
    if ((ata->phase != ATA_PACKET_OUT && ata->phase != ATA_PARAMETERS_OUT) || ata->position + 2 > ata->end) {
        return;
    }
    store_le16(ata->buffer + ata->position, value);
    ata->position += 2;
    if (ata->position < ata->end) {
        return;
    }
    if (ata->phase == ATA_PARAMETERS_OUT) {
        ata->count = 3;
        ata_complete(ata);                 /* MODE SELECT: there is nothing to set */
        return;
    }
    uint8_t bytes[ATAPI_PACKET];
    memcpy(bytes, ata->buffer, sizeof bytes);
    atapi_packet(ata, bytes);
}

const Field ata_saved[] = {
    SAVE_U16(Ata, heads), SAVE_U16(Ata, track_sectors), SAVE_U8(Ata, features), SAVE_U8(Ata, count), SAVE_U8S(Ata, lba), SAVE_U8(Ata, device),
    SAVE_U8(Ata, status), SAVE_U8(Ata, error), SAVE_U8(Ata, previous_features), SAVE_U8(Ata, previous_count), SAVE_U8S(Ata, previous_lba),
    SAVE_U8(Ata, multiple), SAVE_U8(Ata, mode_pio), SAVE_U8(Ata, mode_dma), SAVE_BOOL(Ata, irq), SAVE_U8(Ata, phase), SAVE_BYTES(Ata, buffer),
    SAVE_U32(Ata, position), SAVE_U32(Ata, end), SAVE_U32(Ata, block_size), SAVE_U64(Ata, next_sector), SAVE_U32(Ata, sectors_left),
    SAVE_BOOL(Ata, in_packet), SAVE_BOOL(Ata, packet_dma), SAVE_U32(Ata, filled), SAVE_U32(Ata, byte_limit), SAVE_U8(Ata, sense_key), SAVE_U8(Ata, sense_code),
    SAVE_U8(Ata, sense_qualifier), SAVE_BOOL(Ata, tray_locked), SAVE_BOOL(Ata, tray_open), SAVE_BOOL(Ata, media_changed),
    SAVE_BOOL(Ata, unit_attention), FIELD_END };

/* A transfer as a drive can have it. Of an odd reply's last word, one byte lies behind the end. */
static bool transfer_is_sane(const Ata *ata)
{
    uint64_t most = ata->cd ? ata->sectors : 65536;
    bool packet = ata->in_packet || ata->phase == ATA_PACKET_OUT || ata->phase == ATA_PARAMETERS_OUT;

    return ata->phase <= ATA_DMA_IN && ata->end <= ATA_BUFFER && ata->filled <= ATA_BUFFER && ata->block_size <= ATA_BUFFER &&
           ata->position <= ata->end + (ata->phase == ATA_IDLE) && ata->sectors_left <= most && ata->byte_limit <= UINT16_MAX && (ata->cd || !packet) &&
           (ata->phase != ATA_PACKET_OUT || ata->end == ATAPI_PACKET);
}

bool ata_after_load(Ata *ata, const char *who, GError **err)
{
    if (!transfer_is_sane(ata) || ata->heads == 0 || ata->track_sectors == 0 || ata->multiple > MULTIPLE_MOST) {
        return fail(err, EINVAL, "saved state: drive '%s' has a transfer that no drive could have; the state is damaged or of another drive", who);
    }
    return true;
}
