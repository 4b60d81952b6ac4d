/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ata.c - one drive's command block: task file, commands, resets
 *
 * Models   ATA/ATAPI-7 (T13/1532D): PIO, multiple and DMA reads and writes by CHS, LBA28 and LBA48, with FUA; VERIFY, SEEK,
 *          FLUSH CACHE, SET FEATURES, SMART of a drive that is well, power modes, EXECUTE DEVICE DIAGNOSTIC; DATA SET MANAGEMENT of
 *          ATA8-ACS
 * Omits    queued and streaming commands, security, host protected area (READ NATIVE MAX tells the size), CFA: these abort
 * Power    a drive is always active; STANDBY and SLEEP write the cache back
 * Tests    tests/dev/ide.c
 */
#include "hw/ide/ata.h"
#include "base/error.h"
#include <errno.h>
#include <string.h>

enum { DEVICE_LBA = 0x40, DEVICE_FIXED = 0xa0, DEVICE_SLAVE = 0x10, LBA28_MOST = 0x0fffffff };
enum { FEATURE_DMA = 0x01, FEATURE_OVERLAP = 0x02, MODE_WANTED = 0x45 };

/* The signature by which software tells ATA from ATAPI (9.12). */
static void set_signature(Ata *ata)
{
    ata->count = 1;
    ata->lba[0] = 1;
    ata->lba[1] = ata->cd ? 0x14 : 0;
    ata->lba[2] = ata->cd ? 0xeb : 0;
    ata->device &= DEVICE_SLAVE;
}

void ata_reset(Ata *ata)
{
    ata_forget(ata);
    ata->features = ata->previous_features = ata->previous_count = 0;
    memset(ata->previous_lba, 0, sizeof ata->previous_lba);
    ata->device = 0;
    set_signature(ata);
    ata->status = ata->cd ? 0 : ATA_DRDY | ATA_DSC;
    ata->error = 1;                        /* diagnostic code: passed */
    ata->irq = false;
    ata->multiple = ATA_MULTIPLE_MOST;
}

void ata_power_on(Ata *ata)
{
    ata_reset(ata);
    ata->heads = ata->default_heads;
    ata->track_sectors = ata->default_sectors;
    ata->mode_pio = 0;
    ata->mode_dma = MODE_WANTED;
    ata->smart = true;
    ata->smart_autosave = true;
    ata->sense_key = ata->sense_code = ata->sense_qualifier = 0;
    if (ata->tray_locked) {
        ata->tray_locked = false;
        blk_guest_lock(ata->blk, false);
    }
    ata->eject_asked = false;
    if (ata->cd && ata->tray_open) {       /* drawn in, as scsi-cd does it: firmware may want to boot from it */
        ata->tray_open = false;
        blk_guest_tray(ata->blk, false);
    }
    ata->write_cache = ata->wakes_with_cache;
    if (!ata->cd && blk_write_cache(ata->blk) != ata->write_cache) {
        blk_set_write_cache(ata->blk, ata->write_cache);
    }
}

/* ---- commands ---- */

static bool is_extended(uint8_t command)
{
    static const uint8_t list[] = { 0x24, 0x25, 0x27, 0x29, 0x34, 0x35, 0x39, 0x3d, 0x42, 0xce, 0xea };

    return memchr(list, command, sizeof list) != NULL;
}

/* Where the task file points; false for what no sector has as its place. */
static bool task_address(const Ata *ata, uint64_t *sector)
{
    *sector = ata->lba[0] | (uint64_t)ata->lba[1] << 8 | (uint64_t)ata->lba[2] << 16;
    if (ata->extended) {
        *sector |= (uint64_t)ata->previous_lba[0] << 24 | (uint64_t)ata->previous_lba[1] << 32 | (uint64_t)ata->previous_lba[2] << 40;
    } else if (ata->device & DEVICE_LBA) {
        *sector |= (uint64_t)(ata->device & 15) << 24;
    } else {
        unsigned cylinder = ata->lba[1] | (unsigned)ata->lba[2] << 8, head = ata->device & 15;
        if (ata->lba[0] == 0 || ata->lba[0] > ata->track_sectors || head >= ata->heads) {
            return false;
        }
        *sector = ((uint64_t)cylinder * ata->heads + head) * ata->track_sectors + ata->lba[0] - 1;
    }
    return true;
}

static uint32_t task_count(const Ata *ata)
{
    uint32_t count = ata->extended ? ata->count | (uint32_t)ata->previous_count << 8 : ata->count;

    return count ? count : ata->extended ? 65536 : 256;
}

/* Checks the whole range before the first sector moves; the command is aborted where the disk has no such place. */
static bool begin_transfer(Ata *ata, AtaPurpose purpose, AtaTransfer transfer, uint32_t sectors_per_block)
{
    if (sectors_per_block == 0) {
        ata_abort(ata, ATA_ABRT);
        return false;
    }
    uint32_t count = task_count(ata);
    if (!task_address(ata, &ata->next_sector) || ata->next_sector >= ata->sectors || ata->sectors - ata->next_sector < count) {
        ata_abort(ata, ATA_IDNF);
        return false;
    }
    if (purpose == ATA_FOR_WRITE && blk_readonly(ata->blk)) {
        ata_abort(ata, ATA_ABRT);
        return false;
    }
    ata->sectors_left = count;
    ata->block_size = sectors_per_block * ATA_SECTOR;
    ata->purpose = (uint8_t)purpose;
    ata->transfer = (uint8_t)transfer;
    ata->one_block = ata->fua = false;
    return true;
}

static void read_pio(Ata *ata, uint8_t command)
{
    (void)command;
    if (begin_transfer(ata, ATA_FOR_READ, ATA_BY_PIO, 1)) {
        ata_read_sectors(ata);
    }
}

static void read_multiple(Ata *ata, uint8_t command)
{
    (void)command;
    if (begin_transfer(ata, ATA_FOR_READ, ATA_BY_PIO, ata->multiple)) {
        ata_read_sectors(ata);
    }
}

static void read_dma(Ata *ata, uint8_t command)
{
    (void)command;
    if (begin_transfer(ata, ATA_FOR_READ, ATA_BY_DMA, 1)) {
        ata_read_sectors(ata);
    }
}

static void verify(Ata *ata, uint8_t command)
{
    (void)command;
    if (begin_transfer(ata, ATA_FOR_VERIFY, ATA_BY_PIO, 1)) {
        ata_read_sectors(ata);
    }
}

static void write_pio(Ata *ata, uint8_t command)
{
    (void)command;
    if (begin_transfer(ata, ATA_FOR_WRITE, ATA_BY_PIO, 1)) {
        ata_write_sectors(ata);
    }
}

static void write_multiple(Ata *ata, uint8_t command)
{
    enum { WRITE_MULTIPLE_FUA_EXT = 0xce };

    if (begin_transfer(ata, ATA_FOR_WRITE, ATA_BY_PIO, ata->multiple)) {
        ata->fua = command == WRITE_MULTIPLE_FUA_EXT;
        ata_write_sectors(ata);
    }
}

static void write_dma(Ata *ata, uint8_t command)
{
    enum { WRITE_DMA_FUA_EXT = 0x3d };

    if (begin_transfer(ata, ATA_FOR_WRITE, ATA_BY_DMA, 1)) {
        ata->fua = command == WRITE_DMA_FUA_EXT;
        ata_write_sectors(ata);
    }
}

static void data_set_management(Ata *ata, uint8_t command)
{
    enum { TRIM = 0x01 };

    (void)command;
    uint32_t blocks = ata->count | (uint32_t)ata->previous_count << 8;
    if (!(ata->features & TRIM) || blocks == 0 || blk_readonly(ata->blk)) {
        ata_abort(ata, ATA_ABRT);
        return;
    }
    ata->sectors_left = blocks;
    ata->purpose = ATA_FOR_TRIM;
    ata->transfer = ATA_BY_DMA;
    ata_write_sectors(ata);
}

static void read_native_max(Ata *ata, uint8_t command)
{
    (void)command;
    uint64_t last = ata->sectors - 1;
    ata->device |= DEVICE_LBA;
    ata_set_sector(ata, ata->extended ? last : MIN(last, (uint64_t)LBA28_MOST));
    ata_complete(ata);
}

/* What is to be told stands in the buffer's first sector. */
static void reply_sector(Ata *ata)
{
    ata->purpose = ATA_FOR_REPLY;
    ata->transfer = ATA_BY_PIO;
    ata->block_size = ATA_SECTOR;
    ata->sectors_left = 0;
    ata_reply(ata, ATA_SECTOR);
}

static void identify(Ata *ata, uint8_t command)
{
    (void)command;
    if (ata->cd) {
        ata_identify_cd(ata, ata->buffer);
    } else {
        ata_identify_disk(ata, ata->buffer);
    }
    reply_sector(ata);
}

/* Disk commands that tell a packet drive apart: abort, and the signature is there to be read (9.12). */
static void packet_signature(Ata *ata, uint8_t command)
{
    (void)command;
    set_signature(ata);
    ata_abort(ata, ATA_ABRT);
}

static bool set_transfer_mode(Ata *ata)
{
    unsigned kind = ata->count >> 3, mode = ata->count & 7;

    if (kind == 0 || (kind == 1 && mode <= 4)) {           /* PIO: default, or with flow control */
        ata->mode_pio = ata->count;
        return true;
    }
    if ((kind == 4 && mode <= 2) || (kind == 8 && mode <= 5)) {            /* multiword, ultra */
        ata->mode_dma = ata->count;
        return true;
    }
    return false;
}

static void set_write_cache(Ata *ata, bool on)
{
    ata->write_cache = on;
    blk_set_write_cache(ata->blk, on);
    if (on) {
        ata_complete(ata);
    } else {
        ata_flush(ata);                    /* what the cache held is safe before the host hears of it */
    }
}

static void set_features(Ata *ata, uint8_t command)
{
    enum { CACHE_ON = 0x02, TRANSFER_MODE = 0x03, CACHE_OFF = 0x82 };
    /* Power management, acoustics, look-ahead, ECC bytes, defaults after resets: nothing to switch. */
    static const uint8_t harmless[] = { 0x05, 0x42, 0x55, 0x66, 0x67, 0x69, 0x85, 0x96, 0x9a, 0xaa, 0xc2, 0xcc };

    (void)command;
    if (!ata->cd && (ata->features == CACHE_ON || ata->features == CACHE_OFF)) {
        set_write_cache(ata, ata->features == CACHE_ON);
    } else if (ata->features == TRANSFER_MODE ? set_transfer_mode(ata) : memchr(harmless, ata->features, sizeof harmless) != NULL) {
        ata_complete(ata);
    } else {
        ata_abort(ata, ATA_ABRT);
    }
}

static void set_multiple(Ata *ata, uint8_t command)
{
    (void)command;
    if (ata->count > ATA_MULTIPLE_MOST || (ata->count & (ata->count - 1))) {
        ata_abort(ata, ATA_ABRT);
        return;
    }
    ata->multiple = ata->count;
    ata_complete(ata);
}

static void initialize_parameters(Ata *ata, uint8_t command)
{
    (void)command;
    if (ata->count == 0) {
        ata_abort(ata, ATA_ABRT);
        return;
    }
    ata->heads = (ata->device & 15) + 1u;
    ata->track_sectors = ata->count;
    ata_complete(ata);
}

static void smart(Ata *ata, uint8_t command)
{
    enum { DATA = 0xd0, THRESHOLDS, AUTOSAVE, OFF_LINE = 0xd4, LOG, ENABLE = 0xd8, DISABLE, STATUS };
    bool reply = false, ok = ata->lba[1] == 0x4f && ata->lba[2] == 0xc2 && (ata->smart || ata->features == ENABLE);

    (void)command;
    switch (ok ? ata->features : 0) {
    case DATA: ata_smart_values(ata, ata->buffer); reply = true; break;
    case THRESHOLDS: ata_smart_thresholds(ata->buffer); reply = true; break;
    case LOG: ok = reply = ata->count == 1 && ata_smart_log(ata->lba[0], ata->buffer); break;
    case AUTOSAVE: ata->smart_autosave = ata->count == 0xf1; break;
    case OFF_LINE: break;                  /* each self-test passes at once */
    case ENABLE: ata->smart = true; break;
    case DISABLE: ata->smart = false; break;
    case STATUS: break;                    /* the key left in place says that no threshold was passed */
    default: ok = false; break;
    }
    if (!ok) {
        ata_abort(ata, ATA_ABRT);
    } else if (reply) {
        reply_sector(ata);
    } else {
        ata_complete(ata);
    }
}

static void packet(Ata *ata, uint8_t command)
{
    (void)command;
    if (ata->features & FEATURE_OVERLAP) {
        ata_abort(ata, ATA_ABRT);
        return;
    }
    uint32_t limit = ata->lba[1] | (uint32_t)ata->lba[2] << 8;
    ata->transfer = ata->features & FEATURE_DMA ? ATA_BY_DMA : ATA_BY_PIO;
    ata->block_size = limit == 0 || limit == 0xffff ? 0xfffe : limit;
    ata->phase = ATA_PACKET_OUT;
    ata->position = 0;
    ata->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
    ata->count = 1;                        /* command, from the host; no interrupt for the packet itself */
}

static void diagnostic(Ata *ata, uint8_t command)
{
    (void)command;
    ata->device = 0;
    set_signature(ata);
    ata_complete(ata);
    ata->error = 1;
    if (ata->cd) {
        ata->status = 0;
    }
}

static void check_power(Ata *ata, uint8_t command)
{
    (void)command;
    ata->count = 0xff;                     /* active */
    ata_complete(ata);
}

static void nothing_to_do(Ata *ata, uint8_t command)
{
    (void)command;
    ata_complete(ata);
}

static void flush(Ata *ata, uint8_t command)
{
    (void)command;
    if (ata->cd) {
        ata_complete(ata);
    } else {
        ata_flush(ata);
    }
}

enum { DISK = 1, CD = 2, BOTH = 3 };
typedef struct Command { void (*run)(Ata *ata, uint8_t command); uint8_t drives; } Command;
/* What is not here, or for the other kind of drive, aborts: NOP (00h) too, as it must. */
static const Command commands[256] = {
    [0x06] = { data_set_management, DISK },
    [0x10 ... 0x1f] = { nothing_to_do, DISK },             /* RECALIBRATE; the low digit was a step rate */
    [0x20] = { read_pio, DISK }, [0x21] = { read_pio, DISK }, [0x24] = { read_pio, DISK },
    [0x25] = { read_dma, DISK }, [0x27] = { read_native_max, DISK }, [0x29] = { read_multiple, DISK },
    [0x30] = { write_pio, DISK }, [0x31] = { write_pio, DISK }, [0x34] = { write_pio, DISK },
    [0x35] = { write_dma, DISK }, [0x39] = { write_multiple, DISK }, [0x3c] = { write_pio, DISK }, [0x3d] = { write_dma, DISK },
    [0x40] = { verify, DISK }, [0x41] = { verify, DISK }, [0x42] = { verify, DISK },
    [0x70 ... 0x7f] = { nothing_to_do, DISK },             /* SEEK */
    [0x90] = { diagnostic, BOTH }, [0x91] = { initialize_parameters, DISK },
    [0x94] = { flush, BOTH }, [0x95] = { nothing_to_do, BOTH }, [0x96] = { flush, BOTH }, [0x97] = { nothing_to_do, BOTH },
    [0x98] = { check_power, BOTH }, [0x99] = { flush, BOTH },             /* the power commands' old codes */
    [0xa0] = { packet, CD }, [0xa1] = { identify, CD },
    [0xb0] = { smart, DISK },
    [0xc4] = { read_multiple, DISK }, [0xc5] = { write_multiple, DISK }, [0xc6] = { set_multiple, DISK },
    [0xc8] = { read_dma, DISK }, [0xc9] = { read_dma, DISK }, [0xca] = { write_dma, DISK }, [0xcb] = { write_dma, DISK },
    [0xce] = { write_multiple, DISK },
    [0xe0] = { flush, BOTH }, [0xe1] = { nothing_to_do, BOTH }, [0xe2] = { flush, BOTH }, [0xe3] = { nothing_to_do, BOTH },
    [0xe5] = { check_power, BOTH }, [0xe6] = { flush, BOTH }, [0xe7] = { flush, BOTH }, [0xea] = { flush, BOTH },
    [0xec] = { identify, DISK }, [0xef] = { set_features, BOTH }, [0xf8] = { read_native_max, DISK },
};

/* DEVICE RESET is a packet drive's way out of anything, busy or not. */
static void device_reset_command(Ata *ata)
{
    uint8_t selected = ata->device & DEVICE_SLAVE;

    ata_reset(ata);
    ata->device = selected;
}

void ata_command(Ata *ata, uint8_t code)
{
    enum { DEVICE_RESET = 0x08, READ_SECTORS = 0x20, IDENTIFY_DEVICE = 0xec };
    const Command *command = &commands[code];

    if (code == DEVICE_RESET && ata->cd) {
        device_reset_command(ata);
        return;
    }
    if (ata_busy(ata)) {
        return;
    }
    ata->irq = false;
    ata->in_packet = false;
    ata->purpose = ATA_FOR_REPLY;
    ata->position = ata->end = ata->filled = ata->sectors_left = 0;
    ata->error = 0;
    ata->extended = is_extended(code);
    if (ata->cd && (code == READ_SECTORS || code == IDENTIFY_DEVICE)) {
        packet_signature(ata, code);
    } else if (command->run && (command->drives & (ata->cd ? CD : DISK))) {
        command->run(ata, code);
    } else {
        ata_abort(ata, ATA_ABRT);
    }
}

/* ---- registers ---- */

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
    if (ata_busy(ata)) {
        return;
    }
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

/* ---- saved state ---- */

static const Field job_saved[] = {
    SAVE_BOOL(AtaJob, wanted), SAVE_U8(AtaJob, op), SAVE_U8(AtaJob, flags), SAVE_U64(AtaJob, offset), SAVE_U64(AtaJob, bytes), FIELD_END };

const Field ata_saved[] = {
    SAVE_U16(Ata, heads), SAVE_U16(Ata, track_sectors), SAVE_U8(Ata, features), SAVE_U8(Ata, count), SAVE_U8S(Ata, lba), SAVE_U8(Ata, device),
    SAVE_U8(Ata, status), SAVE_U8(Ata, error), SAVE_U8(Ata, previous_features), SAVE_U8(Ata, previous_count), SAVE_U8S(Ata, previous_lba),
    SAVE_U8(Ata, multiple), SAVE_U8(Ata, mode_pio), SAVE_U8(Ata, mode_dma), SAVE_BOOL(Ata, smart), SAVE_BOOL(Ata, smart_autosave),
    SAVE_BOOL(Ata, write_cache), SAVE_BOOL(Ata, irq), SAVE_U8(Ata, phase), SAVE_U8(Ata, transfer), SAVE_U8(Ata, purpose),
    SAVE_BOOL(Ata, extended), SAVE_BOOL(Ata, fua), SAVE_BOOL(Ata, one_block), SAVE_VARIABLE_BYTES(Ata, saved_data, saved_length, ATA_BUFFER),
    SAVE_U32(Ata, position), SAVE_U32(Ata, end), SAVE_U32(Ata, block_size), SAVE_U64(Ata, next_sector), SAVE_U32(Ata, sectors_left),
    SAVE_STRUCT(Ata, job, job_saved), SAVE_BOOL(Ata, in_packet), SAVE_BYTES(Ata, packet), SAVE_U16(Ata, cd_sector), SAVE_U8(Ata, sense_key),
    SAVE_U8(Ata, sense_code), SAVE_U8(Ata, sense_qualifier), SAVE_BOOL(Ata, tray_locked), SAVE_BOOL(Ata, tray_open), SAVE_BOOL(Ata, new_medium),
    SAVE_BOOL(Ata, eject_asked), SAVE_U8(Ata, change), FIELD_END };

void ata_before_save(Ata *ata)
{
    g_free(ata->saved_data);
    ata->saved_data = g_memdup2(ata->buffer, ata->filled);
    ata->saved_length = ata->filled;
}

/* Is what the storage is to do what this drive would ask it? */
static bool job_is_sane(const Ata *ata)
{
    const AtaJob *job = &ata->job;
    bool data = job->op == BLK_READ || job->op == BLK_WRITE;
    uint64_t most = ata->sectors * (ata->cd ? CD_SECTOR : ATA_SECTOR);

    if (job->wanted != (ata->phase == ATA_STORAGE) || job->wanted != !!(ata->status & ATA_BSY)) {
        return false;
    }
    return !job->wanted || ((data || job->op == BLK_DISCARD || job->op == BLK_FLUSH) && (!data || job->bytes <= ATA_BUFFER) &&
                            job->bytes <= most && job->offset <= most - job->bytes && (job->op != BLK_WRITE || job->bytes == ata->filled) &&
                            (!ata->cd || job->op == BLK_READ) && (!(ata->cd && ata->in_packet) || job->bytes / CD_SECTOR * ata->cd_sector <= ATA_BUFFER));
}

/* A transfer as a drive can have it. */
static bool transfer_is_sane(const Ata *ata)
{
    uint32_t most = ata->cd ? (uint32_t)MIN(ata->sectors, (uint64_t)UINT32_MAX) : 65536;
    bool moving = ata->phase == ATA_PIO_IN || ata->phase == ATA_PIO_OUT || ata->phase == ATA_DMA_IN || ata->phase == ATA_DMA_OUT;

    return ata->phase < ATA_PHASES && ata->transfer < ATA_TRANSFERS && ata->purpose < ATA_PURPOSES && ata->end <= ata->filled &&
           ata->position <= MAX(ata->end, (uint32_t)ATAPI_PACKET) && (!moving || ata->position < ata->end) && ata->sectors_left <= most &&
           (ata->phase != ATA_PACKET_OUT || (ata->cd && ata->position < ATAPI_PACKET)) && (!ata->in_packet || ata->cd) &&
           ata->next_sector <= UINT64_C(1) << 48 && ata->block_size <= ATA_BUFFER && ata->cd_sector <= 2 * CD_SECTOR &&
           (ata->phase != ATA_PIO_OUT || ata->block_size) && ata->filled % 2 <= (ata->purpose == ATA_FOR_REPLY) &&
           (ata->purpose != ATA_FOR_TRIM || (ata->filled % ATA_SECTOR == 0 && (ata->phase != ATA_STORAGE || ata->position % 8 == 0))) &&
           (ata->purpose != ATA_FOR_PARAMETERS || ata->phase == ATA_IDLE || ata->in_packet) && (!ata->in_packet || ata->phase != ATA_IDLE);
}

bool ata_is_sane(const Ata *ata)
{
    return transfer_is_sane(ata) && job_is_sane(ata) && ata->heads && ata->track_sectors && ata->multiple <= ATA_MULTIPLE_MOST;
}

bool ata_after_load(Ata *ata, const char *who, GError **err)
{
    ata_release_buffer(ata);
    ata->filled = ata->saved_length;
    if (ata->filled) {
        memcpy(ata->buffer, ata->saved_data, ata->filled);
    }
    g_clear_pointer(&ata->saved_data, g_free);
    ata->saved_length = 0;
    ata->kept = ata->job.wanted;           /* until the machine runs */
    if (!ata_is_sane(ata)) {
        ata_forget(ata);
        return fail(err, EINVAL, "saved state: drive '%s' has a transfer that no drive could have; the state is damaged or of another drive", who);
    }
    if (!ata->cd) {
        blk_set_write_cache(ata->blk, ata->write_cache);
    }
    return true;
}
