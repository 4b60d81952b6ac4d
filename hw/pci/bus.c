/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci/bus.c - which function sits where; DMA through the bus master bit
 *
 * Models   a conventional bus of 32 slots with 8 functions each
 * Omits    buses behind bridges
 * Wires    pirq[] to the interrupt router, msi to the interrupt controllers, both set by the board's bridge
 * Threads  machine lock held; DMA on any thread
 * Tests    tests/dev/pci.c
 */
#include "base/error.h"
#include "hw/core/machine.h"
#include "hw/pci/pci.h"
#include <errno.h>

static bool pci_attach(Bus *bus, Device *device, GError **err);
static void pci_detach(Bus *bus, Device *device);

void pci_bus_init(PciBus *pci_bus, const char *name, Machine *machine, Device *parent, Region *memory, Region *io)
{
    bus_init(&pci_bus->bus, BUS_PCI, name, machine, parent);
    pci_bus->bus.attach = pci_attach;
    pci_bus->bus.detach = pci_detach;
    pci_bus->memory = memory;
    pci_bus->io = io;
}

void pci_bus_destroy(PciBus *pci_bus)
{
    bus_destroy(&pci_bus->bus);
}

PciDevice *pci_bus_function(const PciBus *pci_bus, unsigned devfn)
{
    return devfn < PCI_DEVFNS ? pci_bus->functions[devfn] : NULL;
}

static bool slot_is_empty(const PciBus *pci_bus, unsigned slot)
{
    for (unsigned function = 0; function < PCI_FUNCTIONS; function++) {
        if (pci_bus->functions[PCI_DEVFN(slot, function)]) {
            return false;
        }
    }
    return true;
}

static bool choose_slot(PciBus *pci_bus, PciDevice *pci, GError **err)
{
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        if (slot_is_empty(pci_bus, slot)) {
            pci->devfn = PCI_DEVFN(slot, 0);
            return true;
        }
    }
    return fail(err, ENOSPC, "%s: all %d slots of bus '%s' are taken", device_name(&pci->device), PCI_SLOTS, pci_bus->bus.name);
}

/* A guest looks at functions 1 to 7 only when function 0 says that it has company. */
static bool check_company(const PciBus *pci_bus, const PciDevice *pci, GError **err)
{
    unsigned slot = PCI_SLOT(pci->devfn);
    const PciDevice *first = pci_bus->functions[PCI_DEVFN(slot, 0)];

    if (PCI_FUNCTION(pci->devfn) != 0) {
        if (first && pci->device.hotplugged) {
            return fail(err, EBUSY, "%s: slot %02x has %s in function 0 already, so the running guest would not look for function %x; add function 0 last",
                        device_name(&pci->device), slot, device_name(&first->device), PCI_FUNCTION(pci->devfn));
        }
        if (first && !first->multifunction) {
            return fail(err, EINVAL, "%s: addr %02x.%x is of no use, since %s in function 0 is single; give that one multifunction=on",
                        device_name(&pci->device), slot, PCI_FUNCTION(pci->devfn), device_name(&first->device));
        }
        return true;
    }
    if (!pci->multifunction && !slot_is_empty(pci_bus, slot)) {
        return fail(err, EINVAL, "%s: slot %02x has other functions already, so function 0 needs multifunction=on",
                    device_name(&pci->device), slot);
    }
    return true;
}

static bool pci_attach(Bus *bus, Device *device, GError **err)
{
    PciBus *pci_bus = (PciBus *)bus;
    PciDevice *pci = PCI_DEVICE(device);

    if (!pci->wanted) {
        if (!choose_slot(pci_bus, pci, err)) {
            return false;
        }
    } else {
        pci->devfn = pci->wanted - 1;
        const PciDevice *other = pci_bus->functions[pci->devfn];
        if (other) {
            return fail(err, EBUSY, "%s: addr %02x.%x on bus '%s' is taken by %s; choose another or leave addr out",
                        device_name(device), PCI_SLOT(pci->devfn), PCI_FUNCTION(pci->devfn), bus->name, device_name(&other->device));
        }
        if (!check_company(pci_bus, pci, err)) {
            return false;
        }
    }
    pci_config_init(pci);
    if (!pci_add_rom(pci, err)) {
        return false;
    }
    pci_bus->functions[pci->devfn] = pci;
    pci->attached = true;
    return true;
}

void pci_unrealize(PciDevice *pci)
{
    pci_set_intx(pci, false);
    pci_remove_bars(pci);
    pci_msix_destroy(pci);
}

static void pci_detach(Bus *bus, Device *device)
{
    PciBus *pci_bus = (PciBus *)bus;
    PciDevice *pci = PCI_DEVICE(device);

    pci_unrealize(pci);
    pci_bus->functions[pci->devfn] = NULL;
    pci->attached = false;
}

bool pci_is_master(const PciDevice *pci)
{
    return __atomic_load_n(&pci->config[PCI_COMMAND], __ATOMIC_RELAXED) & PCI_COMMAND_MASTER;
}

AddressSpace *pci_dma_space(const PciDevice *pci)
{
    return pci_is_master(pci) ? pci->device.machine->memory : NULL;
}

bool pci_dma_read(PciDevice *pci, uint64_t address, void *data, size_t length)
{
    AddressSpace *space = pci_dma_space(pci);

    if (!space) {
        memset(data, 0xff, length);        /* master abort */
        return false;
    }
    return dma_read(space, address, data, length);
}

bool pci_dma_write(PciDevice *pci, uint64_t address, const void *data, size_t length)
{
    AddressSpace *space = pci_dma_space(pci);

    return space && dma_write(space, address, data, length);
}

bool pci_dma_map(PciDevice *pci, uint64_t address, size_t length, bool write, DmaMap *map)
{
    AddressSpace *space = pci_dma_space(pci);

    return space && dma_map(space, address, length, write, map);
}
