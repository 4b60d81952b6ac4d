/* SPDX-License-Identifier: GPL-2.0-or-later */
/* direct.h - the few settings that firmware leaves in a PC's chips, for a kernel that is started without any */
#pragma once
#include "hw/pci/pci.h"

/* After each reset: interrupt routes, the power management block, BARs and interrupt lines of every function on the bus. */
void direct_set_up(PciBus *pci_bus, uint16_t pm_base, uint32_t window_start);
