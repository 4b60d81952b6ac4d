/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pc-testdev.c - a device for processor test suites (kvm-unit-tests): registers of every width, interrupt lines, page flushes
 *
 * Models   QEMU's pc-testdev, as its ports show it: E0h-E3h a 32-bit register taken at any width, E4h-E7h flush the page
 *          whose address is written, E8h-EBh the same register byte by byte, 2000h-2017h interrupt lines 0 to 23, and
 *          64 KiB of register bytes at FF000000h
 * Omits    lines 16 to 23, which the ISA bus does not have (counted as faults)
 * Wires    ISA IRQ lines 0 to 15
 * Threads  any vCPU thread, machine lock held
 * Tests    tests/dev/isa-ports.c
 */
#include "accel/memory/dma.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/isa/bus.h"
#include "hw/models.h"
#include <string.h>
#include <sys/mman.h>

enum { TESTDEV_LINES = 24, TESTDEV_WINDOW = 0x10000 };

typedef struct PcTestdev {
    Device device;
    uint8_t value[4];
    uint8_t window[TESTDEV_WINDOW];
    bool line[ISA_IRQS];
    IrqLine irq[ISA_IRQS];
    Region io, flush, io_bytes, lines, memory;
} PcTestdev;

enum { TRACE_TESTDEV_IRQ, TRACE_TESTDEV_FLUSH };
static TracePoint testdev_trace[] = {
    [TRACE_TESTDEV_IRQ] = { "pc_testdev_irq", "the guest set an interrupt line" },
    [TRACE_TESTDEV_FLUSH] = { "pc_testdev_flush", "the guest asked that a page be mapped anew" },
};
TRACE_TABLE(testdev_trace)

static uint64_t register_read(void *opaque, uint64_t offset, unsigned size)
{
    const PcTestdev *testdev = opaque;
    uint64_t value = 0;

    memcpy(&value, testdev->value + offset, size);
    return value;
}

static void register_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PcTestdev *testdev = opaque;

    memcpy(testdev->value + offset, &value, size);
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    const PcTestdev *testdev = opaque;
    uint64_t value = 0;

    memcpy(&value, testdev->window + offset, size);
    return value;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PcTestdev *testdev = opaque;

    memcpy(testdev->window + offset, &value, size);
}

/* A change of protection makes the host forget its translations of the page, as the tests want; widening it for a moment
 * never takes the page from another thread. */
static void flush_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PcTestdev *testdev = opaque;
    DmaMap map;

    (void)offset, (void)size;
    TRACE(&testdev_trace[TRACE_TESTDEV_FLUSH], "address 0x%x", (unsigned)value);
    if (!dma_map(testdev->device.machine->memory, value & ~UINT64_C(0xfff), 4096, false, &map)) {
        return;
    }
    if (map.length == 4096 && (uintptr_t)map.host % 4096 == 0 &&
        mprotect(map.host, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0) {
        mprotect(map.host, 4096, PROT_READ | PROT_WRITE);
    }
    dma_unmap(&map, 0);
}

static void testdev_update_irqs(PcTestdev *testdev)
{
    for (unsigned i = 0; i < ISA_IRQS; i++) {
        irq_set(testdev->irq[i], testdev->line[i]);
    }
}

static void lines_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PcTestdev *testdev = opaque;

    (void)size;
    TRACE(&testdev_trace[TRACE_TESTDEV_IRQ], "line %u level %d", (unsigned)offset, value != 0);
    if (offset >= ISA_IRQS) {
        guest_fault(&testdev->device, "line %u is not on the ISA bus", (unsigned)offset);
        return;
    }
    testdev->line[offset] = value != 0;
    testdev_update_irqs(testdev);
}

static const RegionOps register_ops = { .read = register_read, .write = register_write, .widths = WIDTH_8_16_32 };
static const RegionOps byte_ops = { .read = register_read, .write = register_write, .widths = WIDTH_8 };
static const RegionOps flush_ops = { .write = flush_write, .widths = WIDTH_32 };
static const RegionOps lines_ops = { .write = lines_write, .widths = WIDTH_8 };
static const RegionOps window_ops = { .read = window_read, .write = window_write, .widths = WIDTH_ANY };

static void testdev_unrealize(Device *device)
{
    PcTestdev *testdev = (PcTestdev *)device;
    Region *regions[] = { &testdev->io, &testdev->flush, &testdev->io_bytes, &testdev->lines, &testdev->memory };

    for (size_t i = 0; i < G_N_ELEMENTS(regions); i++) {
        isa_unmap(regions[i]);
        region_destroy(regions[i]);
    }
}

static bool testdev_realize(Device *device, GError **err)
{
    PcTestdev *testdev = (PcTestdev *)device;

    region_init_io(&testdev->io, &register_ops, testdev, "pc-testdev-ioport", 4);
    region_init_io(&testdev->flush, &flush_ops, testdev, "pc-testdev-flush-page", 4);
    region_init_io(&testdev->io_bytes, &byte_ops, testdev, "pc-testdev-ioport-byte", 4);
    region_init_io(&testdev->lines, &lines_ops, testdev, "pc-testdev-irq-line", TESTDEV_LINES);
    region_init_io(&testdev->memory, &window_ops, testdev, "pc-testdev-iomem", TESTDEV_WINDOW);
    if (!isa_map(device, &testdev->io, 0xe0, err) || !isa_map(device, &testdev->flush, 0xe4, err) ||
        !isa_map(device, &testdev->io_bytes, 0xe8, err) || !isa_map(device, &testdev->lines, 0x2000, err) ||
        !isa_map_memory(device, &testdev->memory, 0xff000000, err)) {
        testdev_unrealize(device);
        return false;
    }
    for (unsigned i = 0; i < ISA_IRQS; i++) {
        testdev->irq[i] = isa_irq(device, i);
    }
    return true;
}

static void testdev_reset(Device *device)
{
    PcTestdev *testdev = (PcTestdev *)device;

    memset(testdev->line, 0, sizeof testdev->line);
    testdev_update_irqs(testdev);
}

static bool testdev_after_load(Device *device, GError **err)
{
    (void)err;
    testdev_update_irqs((PcTestdev *)device);
    return true;
}

static const Field testdev_saved[] = {
    SAVE_BYTES(PcTestdev, value), SAVE_BYTES(PcTestdev, window), SAVE_BOOLS(PcTestdev, line), FIELD_END };

const DeviceModel pc_testdev_model = {
    .name = "pc-testdev",  .bus = BUS_ISA,  .size = sizeof(PcTestdev),
    .help = "registers and interrupt lines for processor test suites",
    .saved = testdev_saved,  .saved_version = 1,
    .realize = testdev_realize,  .reset = testdev_reset,  .unrealize = testdev_unrealize,  .after_load = testdev_after_load,
};
