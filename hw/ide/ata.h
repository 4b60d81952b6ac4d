/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ata.h - one ATA or ATAPI drive: registers and data phase, without ports or interrupts of its own
 *
 * A channel (channel.c) holds two and passes register accesses on; after every call it looks at .irq and derives its line.
 * Follows ATA/ATAPI-6 (T13/1410D) for registers and commands, MMC-3 and SFF-8020i for packets (atapi.c).
 * Machine lock held.
 */
#pragma once
#include "base/field.h"
#include "block/blk.h"

enum {                                     /* offsets from the command block's base */
    ATA_DATA, ATA_ERROR, ATA_COUNT, ATA_LBA_LOW, ATA_LBA_MID, ATA_LBA_HIGH, ATA_DEVICE, ATA_STATUS,
    ATA_FEATURES = ATA_ERROR, ATA_COMMAND = ATA_STATUS,
};
enum { ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_DSC = 0x10, ATA_DF = 0x20, ATA_DRDY = 0x40, ATA_BSY = 0x80 };
enum { ATA_ABRT = 0x04, ATA_IDNF = 0x10, ATA_UNC = 0x40 };
enum { ATA_CONTROL_NIEN = 0x02, ATA_CONTROL_SRST = 0x04, ATA_CONTROL_HOB = 0x80 };
enum { ATA_SECTOR = 512, CD_SECTOR = 2048, ATAPI_PACKET = 12, ATA_BUFFER = 16 * 4096 };

typedef enum { ATA_IDLE, ATA_PIO_IN, ATA_PACKET_OUT, ATA_PARAMETERS_OUT, ATA_DMA_IN } AtaPhase;

typedef struct Ata {
    /* set by the mounting */
    bool cd;
    Blk *blk;                              /* NULL: no medium (cd only) */
    uint64_t sectors;                      /* of 512 or 2048 bytes */
    uint16_t cylinders, heads, track_sectors;
    char serial[21], model[41], version[9];
    /* registers: current and previous ("high order byte") contents */
    uint8_t features, count, lba[3], device, status, error;
    uint8_t previous_features, previous_count, previous_lba[3];
    uint8_t multiple;                      /* sectors per DRQ of READ MULTIPLE, 0: off */
    uint8_t mode_pio, mode_dma;            /* as SET FEATURES 03h chose them */
    bool irq;                              /* INTRQ */
    /* the data phase */
    uint8_t phase;                         /* AtaPhase */
    uint8_t buffer[ATA_BUFFER];
    uint32_t position, end;                /* in buffer */
    uint32_t block_size;                   /* bytes per DRQ in the current transfer */
    uint64_t next_sector;                  /* what is read after the buffer is drained */
    uint32_t sectors_left;
    /* packets */
    bool in_packet, packet_dma;            /* a packet command's reply is under way, by DMA */
    uint32_t filled;                       /* bytes of the reply in buffer; handed over in pieces of byte_limit */
    uint32_t byte_limit;
    uint8_t sense_key, sense_code, sense_qualifier;
    bool tray_locked, tray_open, media_changed, unit_attention;
} Ata;

extern const Field ata_saved[];

void ata_set_geometry(Ata *ata);           /* from sectors: the CHS that BIOSes expect */
void ata_reset(Ata *ata);                  /* power-on, SRST, DEVICE RESET: signature and diagnostic code */
uint8_t ata_read(Ata *ata, unsigned reg, bool high_order);               /* not ATA_DATA; reading status clears irq */
void ata_write(Ata *ata, unsigned reg, uint8_t value);                   /* not ATA_DATA or ATA_COMMAND */
void ata_command(Ata *ata, uint8_t command);
uint16_t ata_read_data(Ata *ata);
void ata_write_data(Ata *ata, uint16_t value);
/* DMA: in phase ATA_DMA_IN the bus master takes bytes until the transfer ends. Returns how many were given, 0 at the end or on error. */
size_t ata_dma_take(Ata *ata, uint8_t *out, size_t most);
bool ata_dma_at_end(const Ata *ata);       /* nothing more would be given */
void ata_dma_end(Ata *ata, bool failed);
bool ata_after_load(Ata *ata, const char *who, GError **err);

/* atapi.c */
void atapi_packet(Ata *ata, const uint8_t packet[12]);
void atapi_reply_done(Ata *ata);           /* a piece has been drained: the next one, or the end */
bool atapi_refill(Ata *ata);               /* DMA: more of the reply into the buffer; false at its end */
void atapi_finish(Ata *ata);
void atapi_media_changed(Ata *ata);

/* ata.c for atapi.c */
void ata_complete(Ata *ata);               /* command done, no error, interrupt */
void ata_abort(Ata *ata, uint8_t error);
