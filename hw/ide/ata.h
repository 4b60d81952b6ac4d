/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ata.h - one ATA or ATAPI drive: registers, data phase and storage, without ports or interrupts of its own
 *
 * A channel (channel.c) holds two and passes register accesses on; after every call it looks at .irq and derives its line.
 * What takes the storage's time ends later: the drive is busy (BSY) meanwhile and calls .changed when it goes on.
 *
 * There is one request to the storage at most. A reset while it is under way forgets its result: the request keeps the buffer
 * that it was given, the drive takes the other one, and the next request waits until the forgotten one has come back.
 *
 * Follows ATA/ATAPI-7 (T13/1532D) for registers and commands, MMC-3 and SFF-8020i for packets (atapi.c).
 * Machine lock held; .changed is called on the main loop.
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
enum { ATA_SECTOR = 512, CD_SECTOR = 2048, ATAPI_PACKET = 12, ATA_BUFFER = 128 << 10, ATA_MULTIPLE_MOST = 16 };

typedef enum { ATA_IDLE, ATA_PIO_IN, ATA_PIO_OUT, ATA_PACKET_OUT, ATA_DMA_IN, ATA_DMA_OUT, ATA_STORAGE, ATA_PHASES } AtaPhase;
typedef enum { ATA_BY_PIO, ATA_BY_DMA, ATA_TRANSFERS } AtaTransfer;
/* What the data under way are for. */
typedef enum { ATA_FOR_READ, ATA_FOR_WRITE, ATA_FOR_VERIFY, ATA_FOR_TRIM, ATA_FOR_FLUSH, ATA_FOR_REPLY, ATA_FOR_PARAMETERS, ATA_PURPOSES } AtaPurpose;

/* What the storage was asked to do. */
typedef struct AtaJob {
    bool wanted;                           /* asked for, and not done yet */
    uint8_t op, flags;                     /* BlkOp and its flags */
    uint64_t offset, bytes;
} AtaJob;

typedef struct Ata {
    /* set by the mounting */
    bool cd;
    Blk *blk;                              /* a disk's; a CD-ROM drive's, which may be empty */
    uint64_t sectors;                      /* of 512 or 2048 bytes; 0 without a medium */
    uint32_t cylinders;                    /* the geometry that the drive wakes up with */
    uint16_t default_heads, default_sectors;
    uint32_t physical_exponent;            /* 2 to its power logical sectors make a physical one */
    uint16_t rotation_rate;
    bool wakes_with_cache;
    uint64_t wwn;
    char serial[21], model[41], version[9];
    void (*changed)(void *opaque);
    void *opaque;
    /* registers: current and previous ("high order byte") contents */
    uint16_t heads, track_sectors;         /* as INITIALIZE DEVICE PARAMETERS chose */
    uint8_t features, count, lba[3], device, status, error;
    uint8_t previous_features, previous_count, previous_lba[3];
    uint8_t multiple;                      /* sectors per DRQ of READ MULTIPLE, 0: off */
    uint8_t mode_pio, mode_dma;            /* as SET FEATURES 03h chose them */
    bool smart, smart_autosave, write_cache;
    bool irq;                              /* INTRQ */
    /* the data phase: the buffer holds (or is to take) `filled` bytes; the host moves [position, end) of them now */
    uint8_t phase, transfer, purpose;      /* AtaPhase, AtaTransfer, AtaPurpose */
    bool extended, fua, one_block;         /* one_block: read again, a DRQ block at a time, to find the bad sector */
    uint8_t *buffer, *spare;               /* ATA_BUFFER bytes each */
    uint32_t position, end, filled;
    uint32_t block_size;                   /* bytes per DRQ; of a packet: the host's byte limit */
    uint64_t next_sector;                  /* what is read or written next */
    uint32_t sectors_left;
    AtaJob job;
    /* packets */
    bool in_packet;                        /* a packet command is under way */
    uint8_t packet[ATAPI_PACKET];
    uint16_t cd_sector;                    /* bytes that READ CD wants of each sector */
    uint8_t sense_key, sense_code, sense_qualifier;
    bool tray_locked, tray_open;
    bool new_medium, eject_asked;          /* events not told yet */
    uint8_t change;                        /* of the medium: CHANGE_NONE and on */
    /* towards the storage; not saved */
    BlkRequest request;
    struct iovec iov;
    bool in_flight, forgotten;
    bool kept;                             /* the job waits for the machine to run (again) */
    uint8_t *saved_data;                   /* what the buffer holds, while a state is saved or loaded */
    uint32_t saved_length;
} Ata;

extern const Field ata_saved[];

bool ata_init(Ata *ata);                   /* false: no memory for the buffers */
void ata_destroy(Ata *ata);                /* after the storage was drained */
void ata_power_on(Ata *ata);               /* reset of the machine */
void ata_reset(Ata *ata);                  /* SRST, DEVICE RESET: signature and diagnostic code; what is under way is forgotten */
void ata_forget(Ata *ata);                 /* only that */
void ata_release_buffer(Ata *ata);         /* a request under way keeps its buffer; .buffer is another one afterwards */
uint8_t ata_read(Ata *ata, unsigned reg, bool high_order);               /* not ATA_DATA; reading status clears irq */
void ata_write(Ata *ata, unsigned reg, uint8_t value);                   /* not ATA_DATA or ATA_COMMAND */
void ata_command(Ata *ata, uint8_t command);
uint16_t ata_read_data(Ata *ata);
void ata_write_data(Ata *ata, uint16_t value);
static inline bool ata_busy(const Ata *ata) { return ata->status & ATA_BSY; }
/* DMA: in ATA_DMA_IN the bus master takes bytes, in ATA_DMA_OUT it gives some. How many; never 0 in those phases. */
size_t ata_dma_take(Ata *ata, uint8_t *out, size_t most);
size_t ata_dma_give(Ata *ata, const uint8_t *in, size_t most);
void ata_dma_failed(Ata *ata);             /* the bus master found no memory */
void ata_retry(Ata *ata);                  /* the machine runs (again): what was kept back goes to the storage */
void ata_before_save(Ata *ata);
bool ata_is_sane(const Ata *ata);          /* as a drive can be */
bool ata_after_load(Ata *ata, const char *who, GError **err);

/* identify.c: 512 bytes each */
void ata_identify_disk(const Ata *ata, uint8_t *identify);
void ata_identify_cd(const Ata *ata, uint8_t *identify);
void ata_smart_values(const Ata *ata, uint8_t *page);
void ata_smart_thresholds(uint8_t *page);
bool ata_smart_log(unsigned address, uint8_t *page);       /* false: there is no such log */

/* data.c: the data phase and the storage, for ata.c and atapi.c */
void ata_complete(Ata *ata);               /* command done, no error, interrupt */
void ata_abort(Ata *ata, uint8_t error);
void ata_set_sector(Ata *ata, uint64_t sector);            /* into the task file, in the command's own form */
void ata_reply(Ata *ata, uint32_t length);                 /* the buffer's first bytes to the host */
void ata_take_parameters(Ata *ata, uint32_t length);       /* from the host into the buffer; then atapi_parameters() */
void ata_read_sectors(Ata *ata);           /* sectors_left from next_sector on, for .purpose, by .transfer */
void ata_write_sectors(Ata *ata);
void ata_ask_storage(Ata *ata, BlkOp op, unsigned flags, uint64_t offset, uint64_t bytes);
void ata_flush(Ata *ata);                  /* FLUSH CACHE: everything to the platters, then the command's end */

/* atapi.c */
void atapi_packet(Ata *ata);               /* .packet has come */
void atapi_parameters(Ata *ata);           /* what MODE SELECT sent stands in the buffer */
void atapi_reply_done(Ata *ata);           /* the buffer was taken: more of it, or the end */
void atapi_sectors_read(Ata *ata, int result);
void atapi_finish(Ata *ata);
void atapi_medium_changed(Ata *ata, bool loaded);
void atapi_eject_asked(Ata *ata);
