/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi.h - the ACPI tables of a PC, as blobs and a script that links them
 *
 * Firmware runs the script (fw_cfg files etc/acpi/rsdp, etc/acpi/tables, etc/table-loader); where no firmware
 * runs, acpi_link() does what the script says.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct AcpiConfig {
    const uint32_t *apic_ids;              /* of all processors there may be */
    unsigned cpu_count, cpus_present;      /* so many there may be; the first of them are there */
    bool cpu_hotplug, pci_hotplug;         /* the board has the registers for it: hw/chipset/cpu-hotplug.h, pci-hotplug.h */
    uint32_t pci_slots;                    /* a bit per slot whose device may come and go */
    uint32_t pci_window_start;             /* 32-bit memory window of the root bus, up to FEBFFFFFh */
    uint16_t sci_irq;                      /* 9 */
    uint16_t pm_base;                      /* 600h */
    uint16_t gpe_base;                     /* AFE0h, 4 bytes */
    bool hpet, s3, s4;
    uint8_t s4_type;                       /* sleep type that PM1_CNT takes for S4 */
    unsigned serial_ports;                 /* bits 0-3: COM1 to COM4 are there */
    bool keyboard, pvpanic;
    uint16_t pvpanic_port;
} AcpiConfig;

typedef struct AcpiTables {
    GByteArray *rsdp, *tables, *loader;
} AcpiTables;

void acpi_build(const AcpiConfig *config, AcpiTables *out);
void acpi_tables_clear(AcpiTables *tables);
/* Patches rsdp and tables for these guest addresses, as the script would. rsdp must go to a paragraph, tables to 64 bytes. */
void acpi_link(AcpiTables *tables, uint64_t rsdp_address, uint64_t tables_address);
