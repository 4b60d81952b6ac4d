/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * channel.c - one IDE channel: task file ports, data port, device control, and bus-master DMA
 *
 * Models   the ATA host adapter of ATA/ATAPI-6 and the "Programming Interface for Bus Master IDE Controller" 1.0
 * Layout   PRD: le32 address, le16 byte count (0: 64 KiB), le16 with bit 15 at the end of the table
 * Status   "active" falls when the table's last entry has been used up, or on an error: it stays where the table is longer than
 *          the transfer, and falls without an interrupt where it is shorter (section 2.1 of the latter)
 * Busy     a drive that waits for its storage takes no register but DEVICE RESET, and stays selected
 * Hostile  a table is at most 64 KiB, a transfer at most what its command named; memory that is no RAM ends it with an error. Guest
 *          memory is mapped for the moment of the copy only
 * Threads  registers: any vCPU thread; the drives' storage: main loop; machine lock held
 * Tests    tests/dev/ide.c
 */
#include "hw/ide/channel.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/trace.h"
#include <errno.h>

enum { BM_START = 0x01, BM_TO_MEMORY = 0x08, BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_INTERRUPT = 0x04, BM_CAPABLE = 0x60 };
enum { PRD_SIZE = 8, PRDS_MOST = 8192, PRD_END = 0x8000 };

enum { TRACE_COMMAND, TRACE_DMA };
static TracePoint ide_trace[] = {
    [TRACE_COMMAND] = { "ide_command", "the guest gave a drive a command" },
    [TRACE_DMA] = { "ide_dma", "a bus-master transfer ran" },
};
TRACE_TABLE(ide_trace)

static Ata *selected(const IdeChannel *channel)
{
    return channel->drives[channel->selected];
}

static bool empty(const IdeChannel *channel)
{
    return !channel->drives[0] && !channel->drives[1];
}

void ide_channel_update(IdeChannel *channel)
{
    const Ata *drive = selected(channel);
    bool level = drive && drive->irq && !(channel->control & ATA_CONTROL_NIEN);

    if (level && !channel->line_was) {
        channel->bm_status |= BM_INTERRUPT;
    }
    channel->line_was = level;
    irq_set(channel->irq, level);
}

/* The next table entry; false where there is no memory, or no entry any more. */
static bool fetch_entry(IdeChannel *channel, bool *failed)
{
    uint8_t prd[PRD_SIZE];

    if (channel->bm_last || channel->bm_entries >= PRDS_MOST) {
        channel->bm_status &= (uint8_t)~BM_ACTIVE;         /* too short: the drive waits, as on hardware, until it is reset */
        return false;
    }
    if (!pci_dma_read(channel->master, channel->bm_next, prd, sizeof prd)) {
        *failed = true;
        return false;
    }
    uint32_t length = load_le16(prd + 4) & ~1u;
    channel->bm_address = load_le32(prd) & ~1u;
    channel->bm_left = length ? length : 0x10000;
    channel->bm_last = load_le16(prd + 6) & PRD_END;
    channel->bm_next += PRD_SIZE;
    channel->bm_entries++;
    return true;
}

/* Moves what one run of memory and the drive's buffer allow. */
static bool move(IdeChannel *channel, Ata *drive, bool to_memory)
{
    DmaMap map;

    if (!pci_dma_map(channel->master, channel->bm_address, channel->bm_left, to_memory, &map)) {
        return false;
    }
    size_t moved = to_memory ? ata_dma_take(drive, map.host, map.length) : ata_dma_give(drive, map.host, map.length);
    dma_unmap(&map, moved);
    channel->bm_address += (uint32_t)moved;
    channel->bm_left -= (uint32_t)moved;
    if (channel->bm_left == 0 && channel->bm_last) {
        channel->bm_status &= (uint8_t)~BM_ACTIVE;
    }
    return true;
}

/* Runs while both sides are ready: the engine is started, and the selected drive has data or wants some. The storage's pauses are the
 * drive's: it calls again. */
static void run_dma(IdeChannel *channel)
{
    bool to_memory = channel->bm_command & BM_TO_MEMORY, failed = false;
    Ata *drive = selected(channel);
    AtaPhase fits = to_memory ? ATA_DMA_IN : ATA_DMA_OUT, other = to_memory ? ATA_DMA_OUT : ATA_DMA_IN;

    while (!failed && drive && (channel->bm_command & BM_START) && (drive->phase == fits || drive->phase == other)) {
        if (channel->bm_left == 0 && !fetch_entry(channel, &failed)) {
            break;
        }
        failed = drive->phase == other || !move(channel, drive, to_memory);
        TRACE(&ide_trace[TRACE_DMA], "%s address 0x%08x left %u%s", to_memory ? "read" : "write", channel->bm_address, channel->bm_left,
              failed ? ": failed" : "");
    }
    if (failed) {
        channel->bm_status = (uint8_t)((channel->bm_status & ~BM_ACTIVE) | BM_ERROR);
        ata_dma_failed(drive);
    }
}

static void start_engine(IdeChannel *channel)
{
    channel->bm_status |= BM_ACTIVE;
    channel->bm_next = channel->bm_table & ~3u;
    channel->bm_left = channel->bm_entries = 0;
    channel->bm_last = false;
    run_dma(channel);
}

/* A drive goes on after its storage did. Main loop. */
static void drive_changed(void *opaque)
{
    IdeChannel *channel = opaque;

    run_dma(channel);
    ide_channel_update(channel);
}

void ide_channel_set_drive(IdeChannel *channel, unsigned unit, Ata *drive)
{
    if (channel->drives[unit]) {
        channel->drives[unit]->changed = NULL;
    }
    channel->drives[unit] = drive;
    if (drive) {
        drive->changed = drive_changed;
        drive->opaque = channel;
    }
}

static void write_both(IdeChannel *channel, unsigned reg, uint8_t value)
{
    channel->control &= (uint8_t)~ATA_CONTROL_HOB;
    for (unsigned i = 0; i < IDE_DRIVES; i++) {
        if (channel->drives[i]) {
            ata_write(channel->drives[i], reg, value);
        }
    }
}

static void write_command(IdeChannel *channel, uint8_t command)
{
    enum { EXECUTE_DIAGNOSTIC = 0x90 };
    Ata *drive = selected(channel);

    channel->control &= (uint8_t)~ATA_CONTROL_HOB;
    TRACE(&ide_trace[TRACE_COMMAND], "drive %u command 0x%02x", channel->selected, command);
    if (command == EXECUTE_DIAGNOSTIC) {
        if (drive && ata_busy(drive)) {
            return;
        }
        for (unsigned i = 0; i < IDE_DRIVES; i++) {
            if (channel->drives[i]) {
                ata_command(channel->drives[i], command);
                channel->drives[i]->irq = i == 0;
            }
        }
        channel->selected = 0;
    } else if (drive) {
        ata_command(drive, command);
        run_dma(channel);
    }
}

/* Only the data register is wider than a byte: other wide accesses are several. */
static uint64_t command_read(void *opaque, uint64_t offset, unsigned size)
{
    IdeChannel *channel = opaque;
    Ata *drive = selected(channel);
    uint64_t value;

    if (offset != ATA_DATA && size > 1) {
        value = command_read(opaque, offset, size / 2);
        return value | command_read(opaque, offset + size / 2, size / 2) << (4 * size);
    }
    if (empty(channel)) {
        return UINT64_MAX;
    }
    if (offset == ATA_DATA) {
        value = drive ? ata_read_data(drive) : 0;
        if (size == 4) {
            value |= (uint64_t)(drive ? ata_read_data(drive) : 0) << 16;
        }
    } else if (!drive) {
        value = 0;                         /* drive 0 answers for the missing one */
    } else if (offset == ATA_STATUS && (channel->control & ATA_CONTROL_SRST)) {
        value = ATA_BSY;
    } else {
        value = ata_read(drive, (unsigned)offset, channel->control & ATA_CONTROL_HOB);
    }
    ide_channel_update(channel);
    return value;
}

static void command_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    IdeChannel *channel = opaque;
    Ata *drive = selected(channel);

    if (offset != ATA_DATA && size > 1) {
        command_write(opaque, offset, value, size / 2);
        command_write(opaque, offset + size / 2, value >> (4 * size), size / 2);
        return;
    }
    if (channel->control & ATA_CONTROL_SRST) {
        return;
    }
    if (offset == ATA_DATA) {
        if (drive) {
            ata_write_data(drive, (uint16_t)value);
            if (size == 4) {
                ata_write_data(drive, (uint16_t)(value >> 16));
            }
            run_dma(channel);
        }
    } else if (offset == ATA_COMMAND) {
        write_command(channel, (uint8_t)value);
    } else {
        bool busy = drive && ata_busy(drive);
        write_both(channel, (unsigned)offset, (uint8_t)value);
        if (offset == ATA_DEVICE && !busy) {
            channel->selected = value >> 4 & 1;
        }
    }
    ide_channel_update(channel);
}

/* Alternate status: the same bits, and the interrupt stays. */
static uint64_t control_read(void *opaque, uint64_t offset, unsigned size)
{
    IdeChannel *channel = opaque;
    const Ata *drive = selected(channel);

    (void)offset;
    (void)size;
    return empty(channel) ? 0xff : !drive ? 0 : channel->control & ATA_CONTROL_SRST ? ATA_BSY : drive->status;
}

static void control_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    IdeChannel *channel = opaque;
    bool reset = (value & ATA_CONTROL_SRST) && !(channel->control & ATA_CONTROL_SRST);

    (void)offset;
    (void)size;
    channel->control = (uint8_t)value;
    for (unsigned i = 0; i < IDE_DRIVES && reset; i++) {
        if (channel->drives[i]) {
            ata_reset(channel->drives[i]);
        }
    }
    if (reset) {
        channel->selected = 0;
        channel->bm_command &= (uint8_t)~BM_START;
        channel->bm_status &= (uint8_t)~BM_ACTIVE;
    }
    ide_channel_update(channel);
}

/* Bus master: command at 0, status at 2, table address at 4. */
static uint64_t bm_read(void *opaque, uint64_t offset, unsigned size)
{
    const IdeChannel *channel = opaque;

    (void)size;
    switch (offset) {
    case 0: return channel->bm_command;
    case 2: return channel->bm_status;
    case 4: case 5: case 6: case 7: return channel->bm_table >> (8 * (offset - 4)) & 0xff;
    default: return 0xff;
    }
}

static void bm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    IdeChannel *channel = opaque;

    (void)size;
    if (offset == 0) {
        bool started = value & ~channel->bm_command & BM_START;
        channel->bm_command = value & (BM_START | BM_TO_MEMORY);
        if (started) {
            start_engine(channel);
        } else if (!(channel->bm_command & BM_START)) {
            channel->bm_status &= (uint8_t)~BM_ACTIVE;
        }
    } else if (offset == 2) {
        channel->bm_status = (uint8_t)((value & BM_CAPABLE) | (channel->bm_status & BM_ACTIVE) |
                                       (channel->bm_status & ~value & (BM_ERROR | BM_INTERRUPT)));
    } else if (offset >= 4) {
        unsigned shift = 8 * (unsigned)(offset - 4);
        channel->bm_table = (channel->bm_table & ~(0xffu << shift)) | (uint32_t)(value & 0xff) << shift;
    }
    ide_channel_update(channel);
}

static const RegionOps command_ops = { .read = command_read, .write = command_write, .widths = WIDTH_8_16_32 };
static const RegionOps control_ops = { .read = control_read, .write = control_write, .widths = WIDTH_8 };
static const RegionOps bm_ops = { .read = bm_read, .write = bm_write, .widths = WIDTH_8 };

void ide_channel_init(IdeChannel *channel, PciDevice *master)
{
    channel->master = master;
    region_init_io(&channel->command_io, &command_ops, channel, "ide", 8);
    region_init_io(&channel->control_io, &control_ops, channel, "ide-control", 1);
    region_init_io(&channel->bm_io, &bm_ops, channel, "ide-bus-master", 8);
}

void ide_channel_reset(IdeChannel *channel)
{
    channel->selected = 0;
    channel->control = 0;
    channel->bm_command = channel->bm_status = 0;
    channel->bm_table = channel->bm_next = channel->bm_address = channel->bm_left = channel->bm_entries = 0;
    channel->bm_last = false;
    channel->line_was = false;
    for (unsigned i = 0; i < IDE_DRIVES; i++) {
        if (channel->drives[i]) {
            ata_power_on(channel->drives[i]);
        }
    }
    ide_channel_update(channel);
}

bool ide_channel_after_load(IdeChannel *channel, GError **err)
{
    unsigned drive = channel->selected;

    channel->selected &= 1;
    if (drive >= IDE_DRIVES) {
        return fail(err, EINVAL, "saved state: an IDE channel with drive %u selected", drive);
    }
    if (channel->bm_left > 0x10000 || channel->bm_entries > PRDS_MOST) {
        return fail(err, EINVAL, "saved state: an IDE channel with %u bytes left of an entry, after %u entries", channel->bm_left, channel->bm_entries);
    }
    ide_channel_update(channel);
    return true;
}

const Field ide_channel_saved[] = {
    SAVE_U8(IdeChannel, selected), SAVE_U8(IdeChannel, control), SAVE_U8(IdeChannel, bm_command), SAVE_U8(IdeChannel, bm_status),
    SAVE_U32(IdeChannel, bm_table), SAVE_U32(IdeChannel, bm_next), SAVE_U32(IdeChannel, bm_address), SAVE_U32(IdeChannel, bm_left),
    SAVE_U32(IdeChannel, bm_entries), SAVE_BOOL(IdeChannel, bm_last), SAVE_BOOL(IdeChannel, line_was), FIELD_END };
