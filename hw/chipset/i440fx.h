/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i440fx.h - what the board asks of the host bridge
 *
 * The board realizes "i440FX-pcihost" (it makes bus "pci.0" and puts the RAM in its place), then "i440FX" on that bus at addr 0.
 */
#pragma once
#include "hw/pci/host.h"

PciBus *i440fx_bus(Device *pcihost);
/* Where PCI memory lives: addresses are the machine's; RAM covers it. ROMs of the board go here, where PAM finds them. */
Region *i440fx_pci_memory(Device *pcihost);
uint64_t i440fx_ram_below_4g(Device *pcihost);
uint64_t i440fx_ram_above_4g(Device *pcihost);
