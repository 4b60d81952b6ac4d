/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stdvga.c - "VGA": the standard display adapter of a PC as QEMU has it, a VGA with Bochs' VBE on the PCI bus
 *
 * Models   PCI 1234:1111 with the numbers of QEMU 7.2: BAR 0 video memory, BAR 2 EDID and registers, ROM; the VGA's ports and its window at a0000h
 * Wires    ports 1ceh to 1d1h, 3b0h to 3dfh; memory a0000h to bffffh; a screen (ui/console.h)
 * Threads  machine lock held
 * Tests    tests/dev/vga.c, tests/fuzz/vga.c, tests/guest/screen.py
 *
 * BAR 2    000h EDID | 400h ports 3c0h to 3dfh | 500h VBE registers, 16 bits each | 600h size of these four | 604h byte order
 */
#include "base/bytes.h"
#include "base/error.h"
#include "hw/core/machine.h"
#include "hw/display/vga.h"
#include "hw/models.h"
#include "hw/pci/pci.h"
#include <errno.h>
#include <string.h>

enum { BAR_MEMORY = 0, BAR_REGISTERS = 2, REGISTERS_BYTES = 0x1000, EDID_BYTES = 0x180, AT_VGA = 0x400, AT_DISPI = 0x500, AT_EXTENSION = 0x600,
       FIRST_PORT = 0x3b0, PORTS = 0x30, DISPI_PORT = 0x1ce, MIB = 1 << 20, MEMORY_MOST = 256 };
#define LITTLE 0x1e1e1e1eu
#define LEGACY_PRIORITY 1

typedef struct StdVga {
    PciDevice pci;
    Vga vga;
    Region memory, registers, ports, dispi_ports, window;
    uint32_t vgamem_mb, xres, yres, refresh_rate;
    bool mmio, qemu_extended, edid_on, global_vmstate;
    uint8_t edid[EDID_BYTES];
} StdVga;

/* ---- the old places ---- */

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return vga_port_read(&((StdVga *)opaque)->vga, (uint16_t)(FIRST_PORT + offset));
}

static void ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    vga_port_write(&((StdVga *)opaque)->vga, (uint16_t)(FIRST_PORT + offset), (uint8_t)value);
}

static const RegionOps ports_io = { .read = ports_read, .write = ports_write, .widths = WIDTH_8 };

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return vga_memory_read(&((StdVga *)opaque)->vga, (uint32_t)offset);
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    vga_memory_write(&((StdVga *)opaque)->vga, (uint32_t)offset, (uint8_t)value);
}

static const RegionOps window_io = { .read = window_read, .write = window_write, .widths = WIDTH_8 };

/* The index at 1ceh, the data at 1cfh, where ISA's Bochs has it, and at 1d0h. */
static uint64_t dispi_read(void *opaque, uint64_t offset, unsigned size)
{
    const Vga *vga = &((StdVga *)opaque)->vga;

    (void)size;
    return offset == 0 ? vga->dispi_index : vga_dispi_read(vga, vga->dispi_index);
}

static void dispi_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Vga *vga = &((StdVga *)opaque)->vga;

    (void)size;
    if (offset == 0) {
        vga->dispi_index = (uint16_t)value;
    } else {
        vga_dispi_write(vga, vga->dispi_index, (uint16_t)value);
    }
}

static const RegionOps dispi_io = { .read = dispi_read, .write = dispi_write, .widths = WIDTH_16, .unaligned = true };

/* ---- BAR 2 ---- */

static uint64_t register_byte(StdVga *card, uint64_t offset)
{
    uint64_t dispi = (offset - AT_DISPI) / 2;

    if (offset < EDID_BYTES) {
        return card->edid_on ? card->edid[offset] : 0xff;
    }
    if (offset >= AT_VGA && offset < AT_VGA + 0x20) {
        return vga_port_read(&card->vga, (uint16_t)(0x3c0 + offset - AT_VGA));
    }
    if (offset >= AT_DISPI && dispi < DISPI_REGISTERS) {
        return vga_dispi_read(&card->vga, (uint16_t)dispi) >> (offset & 1) * 8 & 0xff;
    }
    if (card->qemu_extended && offset >= AT_EXTENSION && offset < AT_EXTENSION + 8) {
        return offset < AT_EXTENSION + 4 ? (offset == AT_EXTENSION ? 8 : 0) : (LITTLE >> (offset & 3) * 8 & 0xff);
    }
    return 0xff;
}

static uint64_t registers_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= register_byte(opaque, offset + i) << i * 8;
    }
    return value;
}

static void registers_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    StdVga *card = opaque;

    if (offset >= AT_DISPI && (offset - AT_DISPI) / 2 < DISPI_REGISTERS && size >= 2 && offset % 2 == 0) {
        vga_dispi_write(&card->vga, (uint16_t)((offset - AT_DISPI) / 2), (uint16_t)value);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        if (offset + i >= AT_VGA && offset + i < AT_VGA + 0x20) {
            vga_port_write(&card->vga, (uint16_t)(0x3c0 + offset + i - AT_VGA), (uint8_t)(value >> i * 8));
        }
    }
}

static const RegionOps registers_io = { .read = registers_read, .write = registers_write, .widths = WIDTH_8_16_32 };

/* ---- life ---- */

static void wants_size(void *opaque, unsigned width, unsigned height)
{
    StdVga *card = (StdVga *)(void *)((uint8_t *)opaque - offsetof(StdVga, vga));

    edid_make(card->edid, sizeof card->edid, width, height);
}

static const ConsoleOps screen_ops = { .update = vga_update, .invalidate = vga_invalidate, .ui_info = wants_size };

static void unmap(StdVga *card)
{
    Region *const places[] = { &card->ports, &card->dispi_ports, &card->window };

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        region_remove(places[i]);
        region_destroy(places[i]);
    }
}

static void stdvga_unrealize(Device *device)
{
    StdVga *card = (StdVga *)device;

    console_free(g_steal_pointer(&card->vga.console));
    pci_unrealize(&card->pci);
    if (card->vga.vram) {
        vga_draw_free(&card->vga);
        unmap(card);
        region_destroy(&card->registers);
        region_destroy(&card->memory);
        card->vga.vram = NULL;
    }
}

static bool check_properties(const StdVga *card, GError **err)
{
    const char *name = device_name(&card->pci.device);

    if (card->vgamem_mb < 1 || card->vgamem_mb > MEMORY_MOST || card->vgamem_mb & (card->vgamem_mb - 1)) {
        return fail(err, EINVAL, "device '%s': vgamem_mb=%u is not a power of two from 1 to %d", name, card->vgamem_mb, MEMORY_MOST);
    }
    return true;
}

static void map(StdVga *card)
{
    PciBus *bus = pci_bus_of(&card->pci);

    region_init_io(&card->registers, &registers_io, card, "vga.registers", REGISTERS_BYTES);
    region_init_io(&card->ports, &ports_io, card, "vga.ports", PORTS);
    region_init_io(&card->dispi_ports, &dispi_io, card, "vga.vbe", 4);
    region_init_io(&card->window, &window_io, card, "vga.window", VGA_WINDOW);
    region_add(bus->io, FIRST_PORT, &card->ports, LEGACY_PRIORITY);
    region_add(bus->io, DISPI_PORT, &card->dispi_ports, LEGACY_PRIORITY);
    region_add(bus->memory, 0xa0000, &card->window, LEGACY_PRIORITY);
}

static bool stdvga_realize(Device *device, GError **err)
{
    StdVga *card = (StdVga *)device;
    uint64_t bytes = (uint64_t)card->vgamem_mb * MIB;

    if (!check_properties(card, err) || !region_init_ram(&card->memory, "vga.memory", bytes, err)) {
        return false;
    }
    card->vga.vram = region_host(&card->memory);
    card->vga.vram_size = (uint32_t)bytes;
    card->vga.ram = card->memory.ram;
    edid_make(card->edid, sizeof card->edid, card->xres ? card->xres : 1280, card->yres ? card->yres : 800);
    map(card);
    if (!card->pci.romfile) {
        card->pci.romfile = g_strdup("vgabios-stdvga.bin");
    }
    if (!pci_add_bar(&card->pci, BAR_MEMORY, PCI_BAR_PREFETCH, &card->memory, err) ||
        (card->mmio && !pci_add_bar(&card->pci, BAR_REGISTERS, 0, &card->registers, err)) || !pci_add_rom(&card->pci, err)) {
        stdvga_unrealize(device);
        return false;
    }
    card->vga.console = console_new(&screen_ops, &card->vga, device, 0);
    return true;
}

static void stdvga_reset(Device *device)
{
    StdVga *card = (StdVga *)device;

    pci_reset(&card->pci);
    vga_reset(&card->vga);
}

static bool stdvga_after_load(Device *device, GError **err)
{
    StdVga *card = (StdVga *)device;

    return pci_after_load(&card->pci, err) && vga_after_load(&card->vga, device_name(device), err);
}

static const PciModel stdvga_pci = { .vendor = 0x1234, .device = 0x1111, .class_code = 0x030000, .revision = 2 };

static const Field stdvga_props[] = {
    PROP_U32("vgamem_mb", StdVga, vgamem_mb, 16, .help = "MiB of video memory, a power of two"),
    PROP_BOOL("mmio", StdVga, mmio, true, .help = "registers in BAR 2"),
    PROP_BOOL("qemu-extended-regs", StdVga, qemu_extended, true, .help = "the byte order's register, which says little"),
    PROP_BOOL("edid", StdVga, edid_on, true, .help = "a monitor that says what it can do"),
    PROP_U32("xres", StdVga, xres, 0, .help = "width that the monitor likes; default 1280"),
    PROP_U32("yres", StdVga, yres, 0, .help = "height that the monitor likes; default 800"),
    PROP_U32("refresh_rate", StdVga, refresh_rate, 0, .help = "accepted: the monitor says 75 Hz"),
    PROP_BOOL("global-vmstate", StdVga, global_vmstate, false, .help = "accepted without effect"),
    FIELD_END };

static const Field stdvga_saved[] = { SAVE_PCI(StdVga, pci), SAVE_VGA(StdVga, vga), FIELD_END };

const DeviceModel stdvga_model = {
    .name = "VGA",  .help = "standard display adapter: a VGA with linear modes",  .bus = BUS_PCI,  .size = sizeof(StdVga),  .bus_props = pci_props,
    .class_data = &stdvga_pci,  .props = stdvga_props,  .saved = stdvga_saved,  .saved_version = 1,
    .realize = stdvga_realize,  .reset = stdvga_reset,  .unrealize = stdvga_unrealize,  .after_load = stdvga_after_load,
};
