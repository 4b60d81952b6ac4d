/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pc-firmware.h - ROMs, tables and the fw_cfg items of the board "pc" */
#pragma once
#include "hw/chipset/fw_cfg.h"
#include "hw/machine/boot.h"
#include "hw/pci/pci.h"

typedef struct PcFirmware {
    Region bios, bios_low;                 /* below 4 GiB, and its last 128 KiB below 1 MiB */
    bool has_bios;
    MemoryMap map;
    Boot *boot;                            /* direct kernel boot; NULL: firmware runs */
    GByteArray *rsdp, *acpi, *smbios_anchor, *smbios;     /* placed in memory at each reset when no firmware runs */
    uint64_t acpi_address;
    PciBus *pci_bus;
    uint32_t window_start;
} PcFirmware;

typedef struct PcLayout {
    Region *pci_memory;                    /* where the ROMs go */
    PciBus *pci_bus;
    FwCfg *fw_cfg;
    uint64_t below_4g, above_4g;
    const uint32_t *apic_ids;              /* of max_cpus processors */
    unsigned cpus, max_cpus, serial_ports;
    bool hpet, acpi;
    const Device *pm;
    uint16_t pvpanic_port;                 /* 0: there is none */
    bool cpu_hotplug, pci_hotplug;
    bool vga;                              /* a display adapter: its BIOS must run, so a kernel is not started directly */
} PcLayout;

/* Everything is read and checked here; false and *err on a bad file. */
bool pc_firmware_build(PcFirmware *firmware, Machine *machine, const PcLayout *layout, GError **err);
void pc_firmware_reset(PcFirmware *firmware, Machine *machine);     /* after each machine reset */
void pc_firmware_free(PcFirmware *firmware);
