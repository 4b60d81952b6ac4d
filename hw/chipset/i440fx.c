/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i440fx.c - host bridge: where RAM, ROM and PCI memory appear
 *
 * Models   Intel 82441FX (order number 290549): configuration mechanism 1, PAM registers 59h to 5Fh, the SMRAM register's
 *          open bit, the memory hole below 4 GiB
 * Omits    DRAM timing and row boundary registers (kept as plain bytes), SMM itself, AGP; a PAM segment with only writes
 *          enabled keeps reading and ignores writes (firmware that copies itself in place needs it, SeaBIOS does not)
 * Wires    two devices: "i440FX-pcihost" owns bus pci.0 and the ports CF8h to CFFh, "i440FX" is function 0.0 on it
 * Threads  any vCPU thread, machine lock held
 * Tests    tests/dev/pc-chipset.c
 *
 *   priority -1   "pci": all of PCI memory, with the board's ROMs in it
 *             0   RAM from 0 to the hole, and from 4 GiB
 *             1   A0000h-BFFFFh and the 13 PAM segments: views of "pci", or of RAM with or without writing
 */
#include "hw/chipset/i440fx.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/models.h"
#include <errno.h>

enum { I440FX_PAM0 = 0x59, I440FX_PAM_REGISTERS = 7, I440FX_SMRAM = 0x72, PAM_SEGMENTS = 13 };
enum { SMRAM_BASE = 0x02, SMRAM_ENABLE = 0x08, SMRAM_LOCKED = 0x10, SMRAM_CLOSED = 0x20, SMRAM_OPEN = 0x40, SMRAM_WRITABLE = 0x78 };
enum { PAM_READ = 1, PAM_WRITE = 2 };
#define FOUR_GIB (UINT64_C(1) << 32)

typedef struct I440fxHost {
    Device device;
    PciHost host;
    Region pci_memory;
    Region nobody;                         /* behind what else is in PCI memory from A0000h to FFFFFh: RAM must not shine through */
    Region below, above;                   /* views of the machine's RAM */
    uint64_t max_below_4g, ram_below, ram_above;
} I440fxHost;

typedef struct I440fx {
    PciDevice pci;
    Region video;                          /* A0000h-BFFFFh */
    Region segments[PAM_SEGMENTS];
} I440fx;

enum { TRACE_I440FX_PAM };
static TracePoint i440fx_trace[] = { [TRACE_I440FX_PAM] = { "i440fx_pam", "a segment below 1 MiB changes between ROM and RAM" } };
TRACE_TABLE(i440fx_trace)

/* Segment 0 is the whole of F0000h-FFFFFh (PAM0 high half); 1 to 12 are 16 KiB each from C0000h (PAM1 low half, ...). */
static uint64_t segment_start(unsigned segment)
{
    return segment == 0 ? 0xf0000 : 0xc0000 + (segment - 1) * 0x4000;
}

static uint64_t segment_size(unsigned segment)
{
    return segment == 0 ? 0x10000 : 0x4000;
}

static unsigned segment_mode(const I440fx *bridge, unsigned segment)
{
    uint8_t pam = bridge->pci.config[I440FX_PAM0 + (segment + 1) / 2];

    return (segment % 2 ? pam : pam >> 4) & (PAM_READ | PAM_WRITE);
}

static I440fxHost *host_of(const I440fx *bridge)
{
    return (I440fxHost *)pci_bus_of(&bridge->pci)->bus.parent;
}

static void i440fx_update(I440fx *bridge)
{
    Machine *machine = bridge->pci.device.machine;
    I440fxHost *host = host_of(bridge);

    region_begin();
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        unsigned mode = segment_mode(bridge, i);
        uint64_t start = segment_start(i);
        bool ram = mode & PAM_READ && host->ram_below >= start + segment_size(i);
        TRACE(&i440fx_trace[TRACE_I440FX_PAM], "0x%05x mode %u", (unsigned)start, mode);
        region_retarget(&bridge->segments[i], ram ? &machine->ram : &host->pci_memory, start);
        region_set_readonly(&bridge->segments[i], ram && !(mode & PAM_WRITE));
    }
    region_set_enabled(&bridge->video, !(bridge->pci.config[I440FX_SMRAM] & SMRAM_OPEN));
    region_commit();
}

/* SMRAM, 72h: once locked, everything but "closed" stays as it is until reset. */
static void smram_written(I440fx *bridge)
{
    uint8_t *smram = &bridge->pci.config[I440FX_SMRAM];

    *smram = (*smram & 0x78) | SMRAM_BASE;
    if (*smram & SMRAM_LOCKED) {
        *smram &= ~SMRAM_OPEN;
        pci_config_writable(&bridge->pci, I440FX_SMRAM, 1, SMRAM_CLOSED);
    }
}

static void i440fx_config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    I440fx *bridge = (I440fx *)pci;
    bool smram = offset <= I440FX_SMRAM && I440FX_SMRAM < offset + size;

    if (smram) {
        smram_written(bridge);
    }
    if (smram || (offset < I440FX_PAM0 + I440FX_PAM_REGISTERS && I440FX_PAM0 < offset + size)) {
        i440fx_update(bridge);
    }
}

static bool i440fx_realize(Device *device, GError **err)
{
    I440fx *bridge = (I440fx *)device;
    Machine *machine = device->machine;

    if (bridge->pci.devfn != 0) {
        return fail(err, EINVAL, "%s: the host bridge must be at addr 00.0", device_name(device));
    }
    I440fxHost *host = host_of(bridge);
    pci_config_writable(&bridge->pci, 0x50, 2, 0xffff);              /* PMCCFG */
    for (unsigned i = 0x52; i <= I440FX_PAM0 + 6 + 8 + 1; i++) {     /* DRAM timing, PAM, row boundaries, hole */
        bridge->pci.writable[i] = 0xff;
    }
    for (unsigned i = I440FX_PAM0 + 1; i < I440FX_PAM0 + I440FX_PAM_REGISTERS; i++) {
        bridge->pci.writable[i] = 0x33;                              /* caching bits read as zero */
    }
    bridge->pci.writable[I440FX_PAM0] = 0x30;
    region_init_alias(&bridge->video, "video-memory", &host->pci_memory, 0xa0000, 0x20000);
    region_add(&machine->memory_root, 0xa0000, &bridge->video, 1);
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        region_init_alias(&bridge->segments[i], "pam-segment", &host->pci_memory, segment_start(i), segment_size(i));
        region_add(&machine->memory_root, segment_start(i), &bridge->segments[i], 1);
    }
    return true;
}

static void i440fx_reset(Device *device)
{
    I440fx *bridge = (I440fx *)device;

    pci_reset(&bridge->pci);
    memset(bridge->pci.config + 0x50, 0, 0x20);
    bridge->pci.config[0x57] = 0x10;                                 /* DRAM type: as it comes up */
    bridge->pci.config[I440FX_SMRAM] = SMRAM_BASE;
    pci_config_writable(&bridge->pci, I440FX_SMRAM, 1, SMRAM_WRITABLE);
    i440fx_update(bridge);
}

static void i440fx_unrealize(Device *device)
{
    I440fx *bridge = (I440fx *)device;

    pci_unrealize(&bridge->pci);
    region_begin();
    region_remove(&bridge->video);
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        region_remove(&bridge->segments[i]);
    }
    region_commit();
    region_destroy(&bridge->video);
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        region_destroy(&bridge->segments[i]);
    }
}

static bool i440fx_after_load(Device *device, GError **err)
{
    I440fx *bridge = (I440fx *)device;

    if (!pci_after_load(&bridge->pci, err)) {
        return false;
    }
    pci_config_writable(&bridge->pci, I440FX_SMRAM, 1, SMRAM_WRITABLE);
    smram_written(bridge);
    i440fx_update(bridge);
    return true;
}

static const Field i440fx_saved[] = { SAVE_PCI(I440fx, pci), FIELD_END };

static const PciModel i440fx_pci = {
    .vendor = 0x8086, .device = 0x1237, .revision = 2, .class_code = 0x060000, .config_written = i440fx_config_written,
};

const DeviceModel i440fx_model = {
    .name = "i440FX",  .bus = BUS_PCI,  .size = sizeof(I440fx),  .board_only = true,
    .help = "host bridge (82441FX)",
    .bus_props = pci_props,  .class_data = &i440fx_pci,
    .saved = i440fx_saved,  .saved_version = 1,
    .realize = i440fx_realize,  .reset = i440fx_reset,  .unrealize = i440fx_unrealize,  .after_load = i440fx_after_load,
};

/* The bus and the ports. */

PciBus *i440fx_bus(Device *pcihost)
{
    return &((I440fxHost *)pcihost)->host.bus;
}

Region *i440fx_pci_memory(Device *pcihost)
{
    return &((I440fxHost *)pcihost)->pci_memory;
}

uint64_t i440fx_ram_below_4g(Device *pcihost)
{
    return ((I440fxHost *)pcihost)->ram_below;
}

uint64_t i440fx_ram_above_4g(Device *pcihost)
{
    return ((I440fxHost *)pcihost)->ram_above;
}

/* QEMU's rule, which guests' memory maps and saved states know: up to 3.5 GiB lie below the hole; more than that, and the
 * split is at 3 GiB, so that it stays aligned to a gigabyte. */
static void split_ram(I440fxHost *host)
{
    uint64_t size = host->device.machine->ram_size, most = host->max_below_4g;

    if (!most) {
        most = size >= 0xe0000000 ? 0xc0000000 : 0xe0000000;
    }
    host->ram_below = MIN(size, most);
    host->ram_above = size - host->ram_below;
}

static const RegionOps nobody_ops = { .widths = WIDTH_ANY };

static bool i440fx_host_realize(Device *device, GError **err)
{
    I440fxHost *host = (I440fxHost *)device;
    Machine *machine = device->machine;

    if (host->max_below_4g && (host->max_below_4g > 0xfec00000 || host->max_below_4g < 0x100000 || host->max_below_4g % 0x1000)) {
        return fail(err, EINVAL, "max-ram-below-4g=%" G_GUINT64_FORMAT " must be whole pages between 1 MiB and 4076 MiB, where the I/O APIC is",
                    host->max_below_4g);
    }
    split_ram(host);
    region_init_container(&host->pci_memory, "pci", UINT64_MAX);
    region_init_io(&host->nobody, &nobody_ops, host, "pci-master-abort", 0x60000);
    region_begin();
    region_add(&host->pci_memory, 0xa0000, &host->nobody, -1);
    region_add(&machine->memory_root, 0, &host->pci_memory, -1);
    if (host->ram_below) {
        region_init_alias(&host->below, "ram-below-4g", &machine->ram, 0, host->ram_below);
        region_add(&machine->memory_root, 0, &host->below, 0);
    }
    if (host->ram_above) {
        region_init_alias(&host->above, "ram-above-4g", &machine->ram, host->ram_below, host->ram_above);
        region_add(&machine->memory_root, FOUR_GIB, &host->above, 0);
    }
    pci_host_init(&host->host, "pci.0", machine, device, &host->pci_memory, &machine->port_root);
    region_commit();
    return true;
}

static void i440fx_host_unrealize(Device *device)
{
    I440fxHost *host = (I440fxHost *)device;

    region_begin();
    pci_host_destroy(&host->host);
    region_remove(&host->pci_memory);
    region_remove(&host->nobody);
    if (host->ram_below) {
        region_remove(&host->below);
    }
    if (host->ram_above) {
        region_remove(&host->above);
    }
    region_commit();
    if (host->ram_below) {
        region_destroy(&host->below);
    }
    if (host->ram_above) {
        region_destroy(&host->above);
    }
    region_destroy(&host->nobody);
    region_destroy(&host->pci_memory);
}

static void i440fx_host_reset(Device *device)
{
    ((I440fxHost *)device)->host.address = 0;
}

static bool i440fx_host_after_load(Device *device, GError **err)
{
    I440fxHost *host = (I440fxHost *)device;

    (void)err;
    host->host.address &= 0x80fffffc;      /* as a guest's write would be masked */
    return true;
}

static const Field i440fx_host_props[] = {
    PROP_SIZE("max-ram-below-4g", I440fxHost, max_below_4g, 0, .help = "most RAM below the PCI hole; 0: 3.5 GiB, or 3 GiB when there is more"),
    FIELD_END };

static const Field i440fx_host_saved[] = { SAVE_U32(I440fxHost, host.address), FIELD_END };

const DeviceModel i440fx_pcihost_model = {
    .name = "i440FX-pcihost",  .bus = BUS_SYSTEM,  .size = sizeof(I440fxHost),  .board_only = true,
    .help = "PCI bus of the 82441FX, and the RAM behind it",
    .props = i440fx_host_props,  .saved = i440fx_host_saved,  .saved_version = 1,
    .realize = i440fx_host_realize,  .reset = i440fx_host_reset,  .unrealize = i440fx_host_unrealize,
    .after_load = i440fx_host_after_load,
};
