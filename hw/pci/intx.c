/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci/intx.c - the four interrupt wires of a bus, shared by all its functions
 *
 * Models   PCI 3.0, 2.2.6 and the interrupt bits of command and status; the slot swizzle of PIIX boards
 * Omits    bridges' swizzle
 * Wires    bus->pirq[], the router's inputs
 * Threads  machine lock held
 * Tests    tests/dev/pci.c
 */
#include "hw/core/machine.h"
#include "hw/pci/pci.h"

unsigned pci_pirq_of(unsigned devfn, unsigned pin)
{
    return (PCI_SLOT(devfn) + pin - 1) % PCI_PINS;
}

/* A wire is low (asserted) while any function pulls it: counted, so that one function's end does not end another's. */
void pci_update_intx(PciDevice *pci)
{
    PciBus *bus = pci_bus_of(pci);
    unsigned pin = pci->config[PCI_INTERRUPT_PIN];
    bool drive = pci->intx && !(pci_config_get16(pci, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);

    if (pci->intx) {
        pci->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    } else {
        pci->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
    }
    if (pin < 1 || pin > PCI_PINS || drive == pci->intx_driven) {
        return;
    }
    unsigned line = pci_pirq_of(pci->devfn, pin - 1);
    pci->intx_driven = drive;
    bus->asserted[line] += drive ? 1 : -1;
    irq_set(bus->pirq[line], bus->asserted[line] != 0);
}

void pci_set_intx(PciDevice *pci, bool level)
{
    if (pci->intx != level) {
        pci->intx = level;
        pci_update_intx(pci);
    }
}
