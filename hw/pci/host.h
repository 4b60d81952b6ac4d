/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci/host.h - configuration mechanism 1: the address at CF8h, the data at CFCh
 *
 * A host bridge embeds PciHost, saves .address, and maps the ports. Byte 1 of the address port is also where PIIX chips have
 * their reset control register (CF9h): whoever has it gives byte_ops.
 */
#pragma once
#include "hw/pci/pci.h"

typedef struct PciHost {
    PciBus bus;
    uint32_t address;                      /* CONFADD */
    Region address_io, data_io;
    const RegionOps *byte_ops;             /* single bytes of CF8h to CFBh, may be NULL */
    void *byte_opaque;
} PciHost;

void pci_host_init(PciHost *host, const char *bus_name, Machine *machine, Device *parent, Region *memory, Region *io);
void pci_host_destroy(PciHost *host);
void pci_host_set_byte_port(PciBus *pci_bus, const RegionOps *ops, void *opaque);    /* of the host whose bus this is */
