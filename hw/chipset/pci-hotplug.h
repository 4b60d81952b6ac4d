/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci-hotplug.h - where the board and its ACPI tables find the PCI slot registers
 *
 * The board realizes "acpi-pci-hotplug" once bus pci.0 is there, after setting line "gpe" (general purpose event 1).
 */
#pragma once
#include "hw/pci/pci.h"

enum { PCI_HOTPLUG_BASE = 0xae00, PCI_HOTPLUG_LENGTH = 20, PCI_HOTPLUG_GPE = 1 };

/* A bit per slot: nothing sits there that has to stay. */
uint32_t pci_hotplug_removable(const PciBus *bus);
