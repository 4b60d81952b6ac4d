/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci/host.c - configuration mechanism 1
 *
 * Models   PCI 3.0, 3.2.2.3.2: a 32-bit address register at CF8h, and the register it names at CFCh to CFFh
 * Omits    mechanism 2; buses other than 0 (their configuration reads as ones)
 * Wires    the ports; byte accesses of CF8h to CFBh go to whoever asked for them (PIIX reset control)
 * Threads  any vCPU thread, machine lock held
 * Tests    tests/dev/pci.c
 */
#include "hw/pci/host.h"
#include "hw/core/machine.h"

#define ADDRESS_ENABLE UINT32_C(0x80000000)

static uint64_t address_read(void *opaque, uint64_t offset, unsigned size)
{
    PciHost *host = opaque;

    if (size == 4) {
        return host->address;
    }
    if (size == 1 && host->byte_ops) {
        return host->byte_ops->read(host->byte_opaque, offset, size);
    }
    return UINT64_MAX;                     /* narrow accesses go on to the bus, where nobody answers */
}

static void address_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PciHost *host = opaque;

    if (size == 4) {
        host->address = value & 0x80fffffc;
    } else if (size == 1 && host->byte_ops) {
        host->byte_ops->write(host->byte_opaque, offset, value, size);
    }
}

static PciDevice *addressed(const PciHost *host)
{
    bool root = ((host->address >> 16) & 0xff) == 0;

    return host->address & ADDRESS_ENABLE && root ? pci_bus_function(&host->bus, (host->address >> 8) & 0xff) : NULL;
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    PciHost *host = opaque;
    PciDevice *pci = addressed(host);

    return pci ? pci_config_read(pci, (host->address & 0xfc) + offset, size) : UINT64_MAX;
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PciHost *host = opaque;
    PciDevice *pci = addressed(host);

    if (pci) {
        pci_config_write(pci, (host->address & 0xfc) + offset, value, size);
    }
}

static const RegionOps address_ops = { .read = address_read, .write = address_write, .widths = WIDTH_8_16_32 };
static const RegionOps data_ops = { .read = data_read, .write = data_write, .widths = WIDTH_8_16_32 };

void pci_host_init(PciHost *host, const char *bus_name, Machine *machine, Device *parent, Region *memory, Region *io)
{
    pci_bus_init(&host->bus, bus_name, machine, parent, memory, io);
    region_init_io(&host->address_io, &address_ops, host, "pci-conf-idx", 4);
    region_init_io(&host->data_io, &data_ops, host, "pci-conf-data", 4);
    region_add(io, 0xcf8, &host->address_io, 0);
    region_add(io, 0xcfc, &host->data_io, 0);
}

void pci_host_destroy(PciHost *host)
{
    region_remove(&host->address_io);
    region_remove(&host->data_io);
    region_destroy(&host->address_io);
    region_destroy(&host->data_io);
    pci_bus_destroy(&host->bus);
}

void pci_host_set_byte_port(PciBus *pci_bus, const RegionOps *ops, void *opaque)
{
    PciHost *host = (PciHost *)pci_bus;    /* .bus is its first member */

    host->byte_ops = ops;
    host->byte_opaque = opaque;
}
