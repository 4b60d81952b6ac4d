/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * direct.c - what firmware would have set, where none runs
 *
 * The ACPI tables promise a power management block at its port and interrupt links with routes; kernels place BARs that
 * they find empty, but the simpler ones do not. So this gives addresses as SeaBIOS would: I/O from C000h up, memory from
 * the start of the PCI window up, each at a multiple of its size.
 *
 * Threads  main loop, CPUs paused, machine lock held
 * Tests    tests/guest: kernels booted by -kernel power off and find their devices
 */
#include "hw/machine/direct.h"

enum { PIIX_DEVFN = PCI_DEVFN(1, 0), PM_DEVFN = PCI_DEVFN(1, 3), PIRQ_ROUTES = 0x60, PM_BASE = 0x40, PM_ENABLE = 0x80, SCI_LINE = 9 };
enum { FIRST_PORT = 0xc000, LAST_PORT = 0xffff, LAST_ADDRESS = 0xfebfffff };
static const uint8_t routes[PCI_PINS] = { 10, 10, 11, 11 };

typedef struct Allocator {
    uint32_t port, address;                /* next free */
} Allocator;

/* The next multiple of size; false when the window is full. */
static bool take(uint32_t *next, uint32_t last, uint64_t size, uint32_t *place)
{
    uint64_t at = (*next + size - 1) & ~(size - 1);

    if (at + size - 1 > last) {
        return false;
    }
    *place = (uint32_t)at;
    *next = (uint32_t)(at + size);
    return true;
}

static void place_bars(PciDevice *pci, Allocator *allocator)
{
    uint16_t command = pci_config_get16(pci, PCI_COMMAND);

    for (unsigned i = 0; i < PCI_BARS; i++) {
        const PciBar *bar = &pci->bars[i];
        bool io = bar->flags & PCI_BAR_IO;
        uint32_t place;
        if (!bar->region || !take(io ? &allocator->port : &allocator->address, io ? LAST_PORT : LAST_ADDRESS, bar->size, &place)) {
            continue;
        }
        pci_config_write(pci, PCI_BASE_ADDRESS_0 + 4 * i, place, 4);
        command |= io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
    }
    pci_config_write(pci, PCI_COMMAND, command, 2);
}

static void set_interrupt_line(PciDevice *pci)
{
    unsigned pin = pci->config[PCI_INTERRUPT_PIN];

    if (pin) {
        uint8_t line = pci->devfn == PM_DEVFN ? SCI_LINE : routes[pci_pirq_of(pci->devfn, pin - 1)];
        pci_config_write(pci, PCI_INTERRUPT_LINE, line, 1);
    }
}

void direct_set_up(PciBus *pci_bus, uint16_t pm_base, uint32_t window_start)
{
    Allocator allocator = { .port = FIRST_PORT, .address = window_start };
    PciDevice *piix = pci_bus_function(pci_bus, PIIX_DEVFN), *pm = pci_bus_function(pci_bus, PM_DEVFN);

    for (unsigned pin = 0; piix && pin < PCI_PINS; pin++) {
        pci_config_write(piix, PIRQ_ROUTES + pin, routes[pin], 1);
    }
    if (pm) {
        pci_config_write(pm, PM_BASE, pm_base | 1u, 4);
        pci_config_write(pm, PM_ENABLE, 1, 1);
    }
    for (unsigned devfn = 0; devfn < PCI_DEVFNS; devfn++) {
        PciDevice *pci = pci_bus_function(pci_bus, devfn);
        if (pci) {
            place_bars(pci, &allocator);
            set_interrupt_line(pci);
        }
    }
}
