/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci.c - configuration space, BARs, interrupts and messages, on a device made for the purpose
 *
 * The device has: BAR0 256 bytes of I/O, BAR1 64 KiB of memory with an MSI-X table in it, BAR2/3 64-bit 1 MiB, MSI with 4 vectors.
 */
#include "base/error.h"
#include "hw/chipset/i440fx.h"
#include "hw/chipset/piix3.h"
#include "hw/models.h"
#include "tests/rig/rig.h"
#include <string.h>

typedef struct Probe {
    PciDevice pci;
    Region io, memory, wide;
    unsigned writes, changes;
} Probe;

static uint64_t probe_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)size;
    return 0xa0 + offset % 16;
}

static void probe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)value, (void)size;
    ((Probe *)opaque)->writes++;
}

static const RegionOps probe_ops = { .read = probe_read, .write = probe_write, .widths = WIDTH_8 };

static void probe_vector_changed(PciDevice *pci, unsigned vector)
{
    (void)vector;
    ((Probe *)pci)->changes++;
}

static bool probe_realize(Device *device, GError **err)
{
    Probe *probe = (Probe *)device;

    region_init_io(&probe->io, &probe_ops, probe, "probe-io", 256);
    region_init_container(&probe->memory, "probe-memory", 0x10000);
    region_init_io(&probe->wide, &probe_ops, probe, "probe-wide", 0x100000);
    bool ok = pci_add_bar(&probe->pci, 0, PCI_BAR_IO, &probe->io, err) && pci_add_bar(&probe->pci, 1, 0, &probe->memory, err) &&
              pci_add_bar(&probe->pci, 2, PCI_BAR_64 | PCI_BAR_PREFETCH, &probe->wide, err) &&
              pci_msi_init(&probe->pci, 0x50, 4, true, true, err) &&
              pci_msix_init(&probe->pci, 40, &probe->memory, 1, 0x8000, &probe->memory, 1, 0xc000, err);
    probe->pci.msix.changed = probe_vector_changed;
    return ok;
}

static void probe_unrealize(Device *device)
{
    Probe *probe = (Probe *)device;

    pci_unrealize(&probe->pci);
    region_destroy(&probe->io);
    region_destroy(&probe->memory);
    region_destroy(&probe->wide);
}

static const Field probe_saved[] = { SAVE_PCI(Probe, pci), FIELD_END };
static const PciModel probe_pci = { .vendor = 0x1b36, .device = 0x0005, .class_code = 0xff0000, .interrupt_pin = 1 };
static const DeviceModel probe_model = {
    .name = "pci-probe",  .bus = BUS_PCI,  .size = sizeof(Probe),  .help = "for tests",
    .bus_props = pci_props,  .class_data = &probe_pci,  .saved = probe_saved,  .saved_version = 1,
    .realize = probe_realize,  .reset = pci_reset_device,  .unrealize = probe_unrealize,  .after_load = pci_after_load_device,
};

typedef struct Message { uint64_t address; uint32_t data; unsigned count; } Message;

static void deliver(void *opaque, uint64_t address, uint32_t data)
{
    Message *message = opaque;

    *message = (Message){ address, data, message->count + 1 };
}

static PciBus *pci_bus(Rig *rig)
{
    return (PciBus *)machine_find_bus(rig_machine(rig), BUS_PCI, NULL);
}

static bool isa_level(Rig *rig, unsigned irq)
{
    return piix3_isa_bus(rig_device(rig, "PIIX3"))->level[irq];
}

static Probe *plug(Rig *rig, const char *addr)
{
    g_autoptr(Value) place = value_new_string(addr);
    Device *device = device_new(rig_machine(rig), &probe_model, NULL, NULL, NULL);

    check(device_set(device, "addr", place, NULL));
    check(device_realize(device, NULL));
    return (Probe *)device;
}

static void point(Rig *rig, const Probe *probe, unsigned offset)
{
    rig_outl(rig, 0xcf8, 0x80000000 | probe->pci.devfn << 8 | (offset & 0xfc));
}

static uint32_t get(Rig *rig, const Probe *probe, unsigned offset)
{
    point(rig, probe, offset);
    return rig_inl(rig, 0xcfc);
}

static void put(Rig *rig, const Probe *probe, unsigned offset, uint32_t value)
{
    point(rig, probe, offset);
    rig_outl(rig, 0xcfc, value);
}

static void put16(Rig *rig, const Probe *probe, unsigned offset, uint16_t value)
{
    point(rig, probe, offset);
    rig_outw(rig, 0xcfc + offset % 4, value);
}

static void mechanism_1(Rig *rig)
{
    Probe *probe = plug(rig, "10.0");

    check_eq(get(rig, probe, 0), 0x00051b36);
    check_eq(rig_inw(rig, 0xcfe), 0x0005);
    check_eq(rig_inb(rig, 0xcfd), 0x1b);
    check_eq(rig_inl(rig, 0xcf8), 0x80008000);
    check_eq(get(rig, probe, 8), 0xff000000);
    check_eq(get(rig, probe, 0x2c), 0x11001af4);
    put(rig, probe, 0, 0xffffffff);
    check_eq(get(rig, probe, 0), 0x00051b36);
    point(rig, probe, 0x3c);
    rig_outb(rig, 0xcfc, 0x0b);
    check_eq(get(rig, probe, 0x3c), 0x0000010b);
    rig_outl(rig, 0xcf8, 0x80008800);                        /* slot 11h: nobody */
    check_eq(rig_inl(rig, 0xcfc), 0xffffffff);
    rig_outl(rig, 0xcf8, 0x00008000);                        /* not enabled */
    check_eq(rig_inl(rig, 0xcfc), 0xffffffff);
    rig_outl(rig, 0xcf8, 0x80018000);                        /* bus 1 */
    check_eq(rig_inl(rig, 0xcfc), 0xffffffff);
    device_unrealize(&probe->pci.device);
    rig_outl(rig, 0xcf8, 0x80008000);
    check_eq(rig_inl(rig, 0xcfc), 0xffffffff);
}

static void bar_sizing_and_mapping(Rig *rig)
{
    Probe *probe = plug(rig, "10.0");

    put(rig, probe, 0x10, 0xffffffff);
    check_eq(get(rig, probe, 0x10), 0xffffff01);
    put(rig, probe, 0x14, 0xffffffff);
    check_eq(get(rig, probe, 0x14), 0xffff0000);
    put(rig, probe, 0x18, 0xffffffff);
    put(rig, probe, 0x1c, 0xffffffff);
    check_eq(get(rig, probe, 0x18), 0xfff0000c);
    check_eq(get(rig, probe, 0x1c), 0xffffffff);
    put(rig, probe, 0x20, 0xffffffff);
    check_eq(get(rig, probe, 0x20), 0);
    put(rig, probe, 0x10, 0xc100);
    put(rig, probe, 0x18, 0xe0000000);
    put(rig, probe, 0x1c, 0x2);
    check_eq(rig_inb(rig, 0xc103), 0xff);                    /* not decoded yet */
    put16(rig, probe, 4, 3);
    check_eq(rig_inb(rig, 0xc103), 0xa3);
    check_eq(rig_load(rig, 0x2e0000005, 1), 0xa5);
    put(rig, probe, 0x10, 0xc200);
    check_eq(rig_inb(rig, 0xc103), 0xff);
    check_eq(rig_inb(rig, 0xc203), 0xa3);
    rig_outl(rig, 0xc204, 0);
    check_eq(probe->writes, 4);
    put(rig, probe, 0x10, 0xffffff01);                       /* sizing while decoded: nowhere, not on top of everything */
    check_eq(rig_inb(rig, 0xff03), 0xff);
    put(rig, probe, 0x10, 0);
    put16(rig, probe, 4, 0);
    check_eq(rig_load(rig, 0x2e0000005, 1), 0xff);
    put(rig, probe, 0x10, 0xc200);
    put16(rig, probe, 4, 3);
    device_reset(&probe->pci.device);
    check_eq(rig_inb(rig, 0xc203), 0xff);
    check_eq(get(rig, probe, 0x10), 1);
    device_unrealize(&probe->pci.device);
}

static void interrupts_are_shared(Rig *rig)
{
    Probe *one = plug(rig, "4.0"), *two = plug(rig, "8.0");  /* slots 4 and 8 share PIRQD on a PIIX board */

    check_eq(pci_pirq_of(one->pci.devfn, 0), 3);
    rig_outl(rig, 0xcf8, 0x80000860);
    rig_outb(rig, 0xcff, 11);                                /* PIRQD to IRQ 11 */
    pci_set_intx(&one->pci, true);
    check(isa_level(rig, 11));
    pci_set_intx(&two->pci, true);
    pci_set_intx(&one->pci, false);
    check(isa_level(rig, 11));
    check_eq(get(rig, two, 4) >> 16 & 8, 8);
    put16(rig, two, 4, PCI_COMMAND_INTX_DISABLE);
    check(!isa_level(rig, 11));
    put16(rig, two, 4, 0);
    check(isa_level(rig, 11));
    rig_outl(rig, 0xcf8, 0x80000860);
    rig_outb(rig, 0xcff, 10);                                /* routed elsewhere while high */
    check(!isa_level(rig, 11));
    check(isa_level(rig, 10));
    rig_outb(rig, 0xcff, 0x80);
    check(!isa_level(rig, 10));
    rig_outb(rig, 0xcff, 10);
    device_unrealize(&two->pci.device);                      /* a device that leaves takes its level along */
    check(!isa_level(rig, 10));
    device_unrealize(&one->pci.device);
}

static void msi(Rig *rig)
{
    Probe *probe = plug(rig, "10.0");
    Message message = { 0 };

    pci_bus(rig)->msi = (MsiSink){ deliver, &message };
    check_eq(get(rig, probe, 0x34), 0x50);
    check_eq(get(rig, probe, 0x50) >> 16, 0x0184);           /* 64-bit, masks, 4 vectors */
    put(rig, probe, 0x54, 0xfee01000);
    put(rig, probe, 0x58, 0);
    put(rig, probe, 0x5c, 0x4041);
    put16(rig, probe, 0x52, 0x0021);                         /* on, 4 vectors allowed */
    pci_msi_notify(&probe->pci, 2);
    check_eq(message.count, 0);                              /* not a bus master: its writes go nowhere */
    put16(rig, probe, 4, PCI_COMMAND_MASTER);
    pci_msi_notify(&probe->pci, 2);
    check_eq(message.count, 1);
    check_eq(message.address, 0xfee01000);
    check_eq(message.data, 0x4042);
    put(rig, probe, 0x60, 0x4);
    pci_msi_notify(&probe->pci, 2);
    check_eq(message.count, 1);
    check_eq(get(rig, probe, 0x64), 0x4);
    put(rig, probe, 0x60, 0);
    check_eq(message.count, 2);
    check_eq(get(rig, probe, 0x64), 0);
    put16(rig, probe, 0x52, 0);
    pci_msi_notify(&probe->pci, 2);
    check_eq(message.count, 2);
    device_unrealize(&probe->pci.device);
}

static void msix(Rig *rig)
{
    Probe *probe = plug(rig, "10.0");
    Message message = { 0 };
    const uint64_t base = 0xe0000000;

    pci_bus(rig)->msi = (MsiSink){ deliver, &message };
    put(rig, probe, 0x14, base);
    put16(rig, probe, 4, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    check_eq(get(rig, probe, 0x50) >> 8 & 0xff, 0x68);       /* the next capability */
    check_eq(get(rig, probe, 0x68), 0x00270011);             /* 40 vectors */
    check_eq(get(rig, probe, 0x6c), 0x8001);
    check_eq(get(rig, probe, 0x70), 0xc001);
    check_eq(rig_load(rig, base + 0x8000 + 16 * 39 + 12, 4), 1);
    rig_store(rig, base + 0x8000 + 16 * 39, 8, 0x00000001fee02000);
    check_eq(rig_load(rig, base + 0x8000 + 16 * 39 + 4, 4), 1);
    rig_store(rig, base + 0x8000 + 16 * 39, 8, 0x00000000fee02000);
    rig_store(rig, base + 0x8000 + 16 * 39 + 8, 4, 0x55);
    rig_store(rig, base + 0x8000 + 16 * 40, 4, 0x55);        /* beyond the table */
    pci_msix_notify(&probe->pci, 39);
    check_eq(rig_load(rig, base + 0xc000, 8), 0);            /* off: not even pending */
    put16(rig, probe, 0x6a, MSIX_CONTROL_ENABLE);
    pci_msix_notify(&probe->pci, 39);
    pci_msix_notify(&probe->pci, 40);
    check_eq(message.count, 0);
    check_eq(rig_load(rig, base + 0xc000, 8), UINT64_C(1) << 39);
    rig_store(rig, base + 0x8000 + 16 * 39 + 12, 4, 0xfffffffe);
    check_eq(message.count, 1);
    check_eq(message.address, 0xfee02000);
    check_eq(message.data, 0x55);
    check_eq(rig_load(rig, base + 0xc000, 8), 0);
    check_eq(rig_load(rig, base + 0x8000 + 16 * 39 + 12, 4), 0);
    put16(rig, probe, 0x6a, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK_ALL);
    pci_msix_notify(&probe->pci, 39);
    check_eq(message.count, 1);
    put16(rig, probe, 0x6a, MSIX_CONTROL_ENABLE);
    check_eq(message.count, 2);
    check(probe->changes > 40);
    device_unrealize(&probe->pci.device);
}

/* A message to memory is a memory write; a message to a device's registers goes nowhere. */
static void messages_elsewhere(Rig *rig)
{
    Probe *probe = plug(rig, "10.0");

    put(rig, probe, 0x18, 0xe0000000);
    put16(rig, probe, 4, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_send_message(&probe->pci, 0x1000, 0x12345678);
    check_eq(rig_load(rig, 0x1000, 4), 0x12345678);
    pci_send_message(&probe->pci, 0xe0000000, 1);
    check_eq(probe->writes, 0);
    uint32_t word = 7;
    check(!pci_dma_write(&probe->pci, 0xe0000000, &word, 4));
    check_eq(probe->writes, 0);
    put16(rig, probe, 4, PCI_COMMAND_MEMORY);
    check(!pci_dma_write(&probe->pci, 0x1000, &word, 4));
    check(!pci_dma_read(&probe->pci, 0x1000, &word, 4));
    check_eq(word, 0xffffffff);
    check_eq(rig_load(rig, 0x1000, 4), 0x12345678);
    device_unrealize(&probe->pci.device);
}

static bool refused(Rig *rig, const char *addr, const char *because)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) place = value_new_string(addr);
    Device *device = device_new(rig_machine(rig), &probe_model, NULL, "late", NULL);
    bool fails = !device_set(device, "addr", place, &err) || !device_realize(device, &err);

    if (fails) {
        object_unref(&device->object);
    }
    return fails && err && strstr(err->message, because);
}

static void addresses(Rig *rig)
{
    Probe *probe = plug(rig, "10.0");

    check(refused(rig, "10.0", "is taken by pci-probe"));
    check(refused(rig, "10.1", "multifunction=on"));
    check(refused(rig, "20.0", "no PCI address"));
    check(refused(rig, "4.8", "no PCI address"));
    check(refused(rig, "", "no PCI address"));
    check(refused(rig, "4.", "no PCI address"));
    check(refused(rig, "-4", "no PCI address"));
    check(refused(rig, "4.1x", "no PCI address"));
    device_unrealize(&probe->pci.device);
    Probe *all[PCI_SLOTS];
    unsigned count = 0;
    g_autoptr(GError) err = NULL;
    for (;;) {
        Device *device = device_new(rig_machine(rig), &probe_model, NULL, NULL, NULL);
        if (!device_realize(device, &err)) {
            object_unref(&device->object);
            break;
        }
        all[count++] = (Probe *)device;
    }
    check(count >= 20 && count < PCI_SLOTS);
    check(strstr(err->message, "all 32 slots") != NULL);
    while (count) {
        device_unrealize(&all[--count]->pci.device);
    }
}

/* The state of a function goes into a stream and back; a stream of another shape is refused and leaves no short table. */
static void saved_state(Rig *rig)
{
    Probe *probe = plug(rig, "10.0");
    g_autoptr(GByteArray) stream = g_byte_array_new();
    g_autoptr(GError) err = NULL;

    put(rig, probe, 0x10, 0xc100);
    put(rig, probe, 0x14, 0xe0000000);
    put16(rig, probe, 4, 3);
    rig_store(rig, 0xe0008000, 4, 0xfee03000);
    pci_set_intx(&probe->pci, true);
    fields_save(probe_saved, probe, stream);
    device_reset(&probe->pci.device);
    check_eq(rig_inb(rig, 0xc103), 0xff);
    const uint8_t *at = stream->data;
    size_t left = stream->len;
    check(fields_load(probe_saved, probe, "probe", &at, &left, NULL) && pci_after_load_device(&probe->pci.device, NULL));
    check_eq(rig_inb(rig, 0xc103), 0xa3);
    check_eq(rig_load(rig, 0xe0008000, 4), 0xfee03000);
    check_eq(pci_bus(rig)->asserted[pci_pirq_of(probe->pci.devfn, 0)], 1);

    probe->pci.msix.table_size = 16;                         /* as a stream of a smaller table would leave it */
    check(!pci_after_load_device(&probe->pci.device, &err));
    check_eq(probe->pci.msix.table_size, 640);
    g_clear_error(&err);
    probe->pci.config[0] ^= 1;
    check(!pci_after_load_device(&probe->pci.device, &err));
    check(strstr(err->message, "PCI device") != NULL);
    probe->pci.config[0] ^= 1;
    device_unrealize(&probe->pci.device);
}

static void random_pokes(Rig *rig)
{
    Probe *probe = plug(rig, "10.0");
    Message message = { 0 };
    g_autoptr(GRand) random = g_rand_new_with_seed(8);

    pci_bus(rig)->msi = (MsiSink){ deliver, &message };
    for (int i = 0; i < 30000; i++) {
        uint32_t r = g_rand_int(random), value = g_rand_int(random);
        switch (r >> 29) {
        case 0: case 1: case 2:
            point(rig, probe, r);
            rig_outl(rig, 0xcfc, value);
            break;
        case 3:
            point(rig, probe, r % 2 ? 4 : 0x10 + r % 0x18);
            rig_outw(rig, 0xcfc + r % 4, value);
            break;
        case 4:
            rig_inl(rig, 0xcfc);
            break;
        case 5:
            pci_msix_notify(&probe->pci, r % 64);
            pci_msi_notify(&probe->pci, r % 64);
            break;
        case 6:
            pci_set_intx(&probe->pci, r & 1);
            break;
        default:
            rig_store(rig, value, 1 << r % 4, value);
            rig_load(rig, probe->pci.bars[1].address + value % 0x10000, 1 << r % 4);
            break;
        }
    }
    device_unrealize(&probe->pci.device);
}

const Test pci_tests[] = {
    { "configuration mechanism 1", mechanism_1, "chipset", NULL, FRESH },
    { "BARs are sized and mapped", bar_sizing_and_mapping, "chipset", NULL, FRESH },
    { "interrupt wires are shared and routed", interrupts_are_shared, "chipset", NULL, FRESH },
    { "MSI", msi, "chipset", NULL, FRESH },
    { "MSI-X", msix, "chipset", NULL, FRESH },
    { "messages and DMA outside the interrupt window", messages_elsewhere, "chipset", NULL, FRESH },
    { "addresses that cannot be", addresses, "chipset", NULL, FRESH },
    { "saved state", saved_state, "chipset", NULL, FRESH },
    { "random accesses", random_pokes, "chipset", NULL, FRESH },
    { NULL } };
