/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dma.c - "i8257": the two DMA controllers of an ISA board and their page registers
 *
 * Models   8237As at 00h-0Fh (channels 0-3, bytes) and C0h-DFh (4-7, words, even ports; 4 is the cascade), page registers 81h-8Fh as an AT has
 *          them; the ones that no channel uses keep what is written
 * Omits    the high page registers at 481h (nothing reaches beyond 16 MiB), DMA into device registers
 * Hostile  a channel moves at most 64 KiB or what its device has before it comes back; a device that is asked again by its own transfer
 *          is not entered twice
 * Threads  registers: any vCPU thread; devices: main loop; machine lock held
 * Tests    tests/dev/i8237.c, tests/dev/floppy.c
 */
#include "hw/isa/dma.h"
#include "accel/memory/dma.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/isa/bus.h"
#include "hw/isa/i8237.h"
#include "hw/models.h"
#include <errno.h>
#include <string.h>

enum { CHIPS = 2, PAGES = 15, PAGES_PORT = 0x81, CHUNK = 512 };

typedef struct IsaDma {
    Device device;
    I8237 chips[CHIPS];
    uint8_t pages[PAGES];
    IsaDmaClient clients[ISA_DMA_CHANNELS];
    const Device *owners[ISA_DMA_CHANNELS];
    bool running;
    Region io[CHIPS], pages_io;
} IsaDma;

/* Which of the ports from 81h on is a channel's page. */
static const uint8_t page_of[ISA_DMA_CHANNELS] = { 0x87 - PAGES_PORT, 0x83 - PAGES_PORT, 0x81 - PAGES_PORT, 0x82 - PAGES_PORT,
                                                   0x8f - PAGES_PORT, 0x8b - PAGES_PORT, 0x89 - PAGES_PORT, 0x8a - PAGES_PORT };

enum { TRACE_DMA_RUN };
static TracePoint isa_dma_trace[] = { [TRACE_DMA_RUN] = { "isa_dma_run", "an ISA DMA channel moved data" } };
TRACE_TABLE(isa_dma_trace)

static IsaDma *ISA_DMA(void *opaque)
{
    return opaque;
}

/* ---- moving ---- */

static uint32_t memory_address(const IsaDma *dma, unsigned channel, uint16_t address)
{
    uint8_t page = dma->pages[page_of[channel]];

    return channel < ISA_DMA_CASCADE ? (uint32_t)page << 16 | address : (uint32_t)(page & 0xfe) << 16 | (uint32_t)address << 1;
}

static void reverse(uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length / 2; i++) {
        uint8_t byte = data[i];
        data[i] = data[length - 1 - i];
        data[length - 1 - i] = byte;
    }
}

/* One chunk; false when the device has no more for now, or the channel stands. Counting down moves the bytes of a chunk backwards. */
static bool run_chunk(IsaDma *dma, unsigned channel)
{
    I8237 *chip = &dma->chips[channel / I8237_CHANNELS];
    const IsaDmaClient *client = &dma->clients[channel];
    AddressSpace *memory = dma->device.machine->memory;
    unsigned width = channel < ISA_DMA_CASCADE ? 1 : 2;
    uint8_t data[CHUNK] = { 0 };
    I8237Run run;

    if (!client->move || !i8237_run(chip, channel % I8237_CHANNELS, &run)) {
        return false;
    }
    uint32_t transfers = MIN(run.transfers, run.down && width > 1 ? 1u : CHUNK / width);
    size_t length = (size_t)transfers * width;
    bool terminal = transfers > chip->channels[channel % I8237_CHANNELS].count;
    uint32_t lowest = memory_address(dma, channel, (uint16_t)(run.down ? run.address - (transfers - 1) : run.address));
    if (run.transfer == I8237_FROM_MEMORY) {
        dma_read(memory, lowest, data, length);
        if (run.down && width == 1) {
            reverse(data, length);
        }
    }
    size_t moved = client->move(client->opaque, data, length, run.transfer != I8237_FROM_MEMORY, terminal);
    moved = MIN(moved, length) / width * width;
    if (run.transfer == I8237_TO_MEMORY && moved) {
        if (run.down && width == 1) {
            reverse(data, moved);
            lowest += (uint32_t)(length - moved);
        }
        dma_write(memory, lowest, data, moved);
    }
    TRACE(&isa_dma_trace[TRACE_DMA_RUN], "channel %u address 0x%06x bytes %zu%s", channel, lowest, moved, terminal && moved == length ? " TC" : "");
    if (moved) {
        i8237_moved(chip, channel % I8237_CHANNELS, (uint32_t)(moved / width));
    }
    return moved == length;
}

/* Everything that may move, moves. A device that raises its request while it is asked is heard in the same loop. */
static void run(IsaDma *dma)
{
    enum { CHUNKS_MOST = 0x20000 / CHUNK };

    if (dma->running) {
        return;
    }
    dma->running = true;
    for (unsigned channel = 0; channel < ISA_DMA_CHANNELS; channel++) {
        for (unsigned i = 0; i < CHUNKS_MOST && channel != ISA_DMA_CASCADE && run_chunk(dma, channel); i++) {
        }
    }
    dma->running = false;
}

/* ---- devices ---- */

Device *isa_dma_find(Machine *machine)
{
    return machine_find_model(machine, &i8257_model);
}

bool isa_dma_take(Device *controller, unsigned channel, const IsaDmaClient *client, const Device *who, GError **err)
{
    IsaDma *dma = ISA_DMA(controller);

    if (channel >= ISA_DMA_CHANNELS || channel == ISA_DMA_CASCADE) {
        return fail(err, EINVAL, "device '%s': dma=%u: there are channels 0 to 7, of which 4 is the cascade", device_name(who), channel);
    }
    if (dma->owners[channel]) {
        return fail(err, EBUSY, "device '%s': dma=%u belongs to device '%s'", device_name(who), channel, device_name(dma->owners[channel]));
    }
    dma->clients[channel] = *client;
    dma->owners[channel] = who;
    return true;
}

void isa_dma_release(Device *controller, unsigned channel)
{
    IsaDma *dma = ISA_DMA(controller);

    if (channel < ISA_DMA_CHANNELS) {
        i8237_set_request(&dma->chips[channel / I8237_CHANNELS], channel % I8237_CHANNELS, false);
        dma->clients[channel] = (IsaDmaClient){ 0 };
        dma->owners[channel] = NULL;
    }
}

void isa_dma_request(Device *controller, unsigned channel, bool high)
{
    IsaDma *dma = ISA_DMA(controller);

    i8237_set_request(&dma->chips[channel / I8237_CHANNELS], channel % I8237_CHANNELS, high);
    if (high) {
        run(dma);
    }
}

/* ---- registers ---- */

static uint64_t low_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return i8237_read(&ISA_DMA(opaque)->chips[0], (unsigned)offset);
}

static void low_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    i8237_write(&ISA_DMA(opaque)->chips[0], (unsigned)offset, (uint8_t)value);
    run(opaque);
}

static uint64_t high_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return offset & 1 ? 0xff : i8237_read(&ISA_DMA(opaque)->chips[1], (unsigned)offset / 2);
}

static void high_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    if (!(offset & 1)) {
        i8237_write(&ISA_DMA(opaque)->chips[1], (unsigned)offset / 2, (uint8_t)value);
        run(opaque);
    }
}

static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return ISA_DMA(opaque)->pages[offset];
}

static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    ISA_DMA(opaque)->pages[offset] = (uint8_t)value;
}

static const RegionOps low_ops = { .read = low_read, .write = low_write, .widths = WIDTH_8 };
static const RegionOps high_ops = { .read = high_read, .write = high_write, .widths = WIDTH_8 };
static const RegionOps page_ops = { .read = page_read, .write = page_write, .widths = WIDTH_8 };

/* ---- life ---- */

static void isa_dma_unrealize(Device *device)
{
    IsaDma *dma = ISA_DMA(device);

    Region *const regions[] = { &dma->io[0], &dma->io[1], &dma->pages_io };

    for (unsigned i = 0; i < G_N_ELEMENTS(regions); i++) {
        isa_unmap(regions[i]);
        region_destroy(regions[i]);
    }
}

static bool isa_dma_realize(Device *device, GError **err)
{
    IsaDma *dma = ISA_DMA(device);

    region_init_io(&dma->io[0], &low_ops, dma, "dma1", 16);
    region_init_io(&dma->io[1], &high_ops, dma, "dma2", 32);
    region_init_io(&dma->pages_io, &page_ops, dma, "dma-pages", PAGES);
    if (isa_map(device, &dma->io[0], 0x00, err) && isa_map(device, &dma->io[1], 0xc0, err) && isa_map(device, &dma->pages_io, PAGES_PORT, err)) {
        return true;
    }
    isa_dma_unrealize(device);
    return false;
}

static void isa_dma_reset(Device *device)
{
    IsaDma *dma = ISA_DMA(device);

    for (unsigned i = 0; i < CHIPS; i++) {
        i8237_reset(&dma->chips[i]);
    }
    memset(dma->pages, 0, sizeof dma->pages);
}

static bool isa_dma_after_load(Device *device, GError **err)
{
    return i8237_after_load(&ISA_DMA(device)->chips[0], err) && i8237_after_load(&ISA_DMA(device)->chips[1], err);
}

static const Field isa_dma_saved[] = { SAVE_STRUCTS(IsaDma, chips, i8237_saved), SAVE_BYTES(IsaDma, pages), FIELD_END };

const DeviceModel i8257_model = {
    .name = "i8257",  .bus = BUS_ISA,  .size = sizeof(IsaDma),  .board_only = true,
    .help = "the two ISA DMA controllers and their page registers",
    .saved = isa_dma_saved,  .saved_version = 1,
    .realize = isa_dma_realize,  .reset = isa_dma_reset,  .unrealize = isa_dma_unrealize,  .after_load = isa_dma_after_load,
};
