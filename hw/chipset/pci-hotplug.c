/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-hotplug.c - which PCI slots got or lose a device: the registers behind the ACPI methods of pci.0's slots
 *
 * Models   "QEMU<->ACPI BIOS PCI hotplug interface" (acpi_pci_hotplug), with the bus selector
 * Omits    buses behind bridges (the selector knows bus 0 only), acpi-index
 * Wires    gpe: a pulse per change, to general purpose event 1 of the PM function
 * Threads  registers: any vCPU thread; comings and goings: main loop; machine lock held
 * Tests    tests/dev/hotplug.c; the methods in tests/unit/acpi.c and tests/guest
 *
 *   AE00  PCIU  slots that got a device; reading takes note of all of them     all are 32 bits, a bit per slot
 *   AE04  PCID  slots whose device shall go, until it is gone
 *   AE08  B0EJ  write: these slots' devices are let go; read: features, none
 *   AE0C  RMV   slots whose device may be taken away
 *   AE10  BNMR  which bus the others are about; what is not 0 reads as 0
 *
 * A device goes when the guest says so, asked or not; a reset is a yes to all that was asked.
 */
#include "hw/chipset/pci-hotplug.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/models.h"
#include <errno.h>

enum { PCIU = 0x00, PCID = 0x04, B0EJ = 0x08, PCI_RMV = 0x0c, BNMR = 0x10 };

typedef struct PciHotplug {
    Device device;
    IrqLine gpe;
    PciBus *bus;
    Region io;
    uint32_t up, down, selected;
} PciHotplug;

enum { TRACE_PLUGGED, TRACE_UNPLUG, TRACE_READ, TRACE_WRITE, TRACE_EJECT };
static TracePoint hotplug_trace[] = {
    [TRACE_PLUGGED] = { "pci_hotplug_plugged", "a device came into a slot" },
    [TRACE_UNPLUG] = { "pci_hotplug_unplug", "the guest is asked to let a slot's device go" },
    [TRACE_READ] = { "pci_hotplug_read", "the guest read a slot register" },
    [TRACE_WRITE] = { "pci_hotplug_write", "the guest wrote a slot register" },
    [TRACE_EJECT] = { "pci_hotplug_eject", "the guest let a device go" },
};
TRACE_TABLE(hotplug_trace)

uint32_t pci_hotplug_removable(const PciBus *bus)
{
    uint32_t slots = UINT32_MAX;

    for (unsigned devfn = 0; devfn < PCI_DEVFNS; devfn++) {
        const PciDevice *pci = pci_bus_function(bus, devfn);
        if (pci && !pci->device.model->hotpluggable) {
            slots &= ~(UINT32_C(1) << PCI_SLOT(devfn));
        }
    }
    return slots;
}

static void tell_guest(PciHotplug *hotplug)
{
    irq_set(hotplug->gpe, true);
    irq_set(hotplug->gpe, false);
}

/* The guest looks at a slot when its function 0 is there, which therefore comes last. */
static void slot_plugged(void *opaque, Device *device)
{
    PciHotplug *hotplug = opaque;
    const PciDevice *pci = PCI_DEVICE(device);

    TRACE(&hotplug_trace[TRACE_PLUGGED], "%s in %02x.%x", device_name(device), PCI_SLOT(pci->devfn), PCI_FUNCTION(pci->devfn));
    if (PCI_FUNCTION(pci->devfn) == 0) {
        hotplug->up |= UINT32_C(1) << PCI_SLOT(pci->devfn);
        tell_guest(hotplug);
    }
}

static void slot_unplug_request(void *opaque, Device *device)
{
    PciHotplug *hotplug = opaque;
    unsigned slot = PCI_SLOT(PCI_DEVICE(device)->devfn);

    TRACE(&hotplug_trace[TRACE_UNPLUG], "%s in slot %02x", device_name(device), slot);
    hotplug->down |= UINT32_C(1) << slot;
    tell_guest(hotplug);
}

static void eject_slot(PciHotplug *hotplug, unsigned slot)
{
    for (unsigned function = 0; function < PCI_FUNCTIONS; function++) {
        PciDevice *pci = pci_bus_function(hotplug->bus, PCI_DEVFN(slot, function));
        if (pci && !pci->device.leaving) {
            TRACE(&hotplug_trace[TRACE_EJECT], "%s from %02x.%x", device_name(&pci->device), slot, function);
            machine_request_eject(hotplug->device.machine, &pci->device);
        }
    }
}

static void eject(PciHotplug *hotplug, uint32_t slots)
{
    uint32_t fixed = slots & ~pci_hotplug_removable(hotplug->bus);

    if (fixed) {
        guest_fault(&hotplug->device, "slots 0x%08x hold devices that cannot be taken away", fixed);
    }
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        if ((slots & ~fixed) >> slot & 1) {
            eject_slot(hotplug, slot);
        }
    }
    hotplug->up &= ~slots;
    hotplug->down &= ~slots;
}

static uint64_t hotplug_read(void *opaque, uint64_t offset, unsigned size)
{
    PciHotplug *hotplug = opaque;
    uint32_t value = 0;

    (void)size;
    if (offset == BNMR) {
        value = hotplug->selected;
    } else if (hotplug->selected == 0) {
        switch (offset) {
        case PCIU:
            value = hotplug->up;
            hotplug->up = 0;
            break;
        case PCID:
            value = hotplug->down;
            break;
        case PCI_RMV:
            value = pci_hotplug_removable(hotplug->bus);
            break;
        }
    }
    TRACE(&hotplug_trace[TRACE_READ], "reg 0x%02x value 0x%08x", (unsigned)offset, value);
    return value;
}

static void hotplug_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PciHotplug *hotplug = opaque;

    (void)size;
    TRACE(&hotplug_trace[TRACE_WRITE], "reg 0x%02x value 0x%08x", (unsigned)offset, (unsigned)value);
    if (offset == BNMR) {
        hotplug->selected = (uint32_t)value;
    } else if (offset == B0EJ && hotplug->selected == 0) {
        eject(hotplug, (uint32_t)value);
    }
}

static const RegionOps hotplug_ops = { .read = hotplug_read, .write = hotplug_write, .widths = WIDTH_32 };
static const HotplugOps slot_ops = { .plugged = slot_plugged, .unplug_request = slot_unplug_request };

static bool hotplug_realize(Device *device, GError **err)
{
    PciHotplug *hotplug = (PciHotplug *)device;

    hotplug->bus = (PciBus *)machine_find_bus(device->machine, BUS_PCI, NULL);
    if (!hotplug->bus) {
        return fail(err, ENODEV, "%s: this machine has no PCI bus", device_name(device));
    }
    if (hotplug->bus->bus.hotplug) {
        return fail(err, EEXIST, "%s: bus '%s' has a hotplug controller already", device_name(device), hotplug->bus->bus.name);
    }
    hotplug->bus->bus.hotplug = &slot_ops;
    hotplug->bus->bus.hotplug_opaque = hotplug;
    hotplug->bus->bus.accepts_hotplug = true;
    region_init_io(&hotplug->io, &hotplug_ops, hotplug, "acpi-pci-hotplug", PCI_HOTPLUG_LENGTH);
    region_add(hotplug->bus->io, PCI_HOTPLUG_BASE, &hotplug->io, 0);
    return true;
}

static void hotplug_unrealize(Device *device)
{
    PciHotplug *hotplug = (PciHotplug *)device;

    hotplug->bus->bus.hotplug = NULL;
    hotplug->bus->bus.hotplug_opaque = NULL;
    hotplug->bus->bus.accepts_hotplug = false;
    region_remove(&hotplug->io);
    region_destroy(&hotplug->io);
}

static void hotplug_reset(Device *device)
{
    PciHotplug *hotplug = (PciHotplug *)device;

    eject(hotplug, hotplug->down);
    hotplug->up = hotplug->down = hotplug->selected = 0;
}

static const Field hotplug_props[] = {
    PROP_IRQ("gpe", PciHotplug, gpe, .help = "a pulse per change, to general purpose event 1"), FIELD_END };

static const Field hotplug_saved[] = {
    SAVE_U32(PciHotplug, up), SAVE_U32(PciHotplug, down), SAVE_U32(PciHotplug, selected), FIELD_END };

const DeviceModel pci_hotplug_model = {
    .name = "acpi-pci-hotplug",  .bus = BUS_SYSTEM,  .size = sizeof(PciHotplug),  .board_only = true,
    .help = "ACPI hotplug registers of the slots of pci.0",
    .props = hotplug_props,  .saved = hotplug_saved,  .saved_version = 1,
    .realize = hotplug_realize,  .reset = hotplug_reset,  .unrealize = hotplug_unrealize,
};
