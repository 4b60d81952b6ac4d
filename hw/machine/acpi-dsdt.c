/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi-dsdt.c - the differentiated system description: root bus, interrupt links, ISA devices, sleep states, events
 *
 * Models   what a 440FX PC with PIIX3/PIIX4 has: four PCI interrupt links behind configuration bytes 60h-63h of device
 *          1.0, slot interrupts rotating over them, the SCI on link LNKS
 * Follows  ACPI 6.4 chapters 5, 6, 19, 20; PCI firmware specification 3.0 for _PRT
 */
#include "hw/machine/acpi-dsdt.h"
#include "hw/machine/acpi-hotplug.h"
#include <string.h>

enum { SLOTS = 32, LINKS = 4, LINK_DISABLED = 0x80, STA_DISABLED = 9, STA_ENABLED = 11, POWER_MANAGEMENT_SLOT = 1, PCI_CONFIG = 2, SYSTEM_IO = 1 };
static const char *const link_names[LINKS] = { "LNKA", "LNKB", "LNKC", "LNKD" };
static const char *const link_bytes[LINKS] = { "PRQ0", "PRQ1", "PRQ2", "PRQ3" };
static const uint32_t link_choices[] = { 5, 10, 11 };

static void name_integer(Aml *aml, const char *name, uint64_t value)
{
    aml_name(aml, name);
    aml_integer(aml, value);
}

static void name_eisa(Aml *aml, const char *name, const char *id)
{
    aml_name(aml, name);
    aml_eisa_id(aml, id);
}

/* _PRT: every pin of every slot; pin A of slot 1 (power management) is the SCI's own link. */
static void write_routing(Aml *aml)
{
    aml_name(aml, "_PRT");
    aml_begin_package(aml, SLOTS * LINKS);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        for (unsigned pin = 0; pin < LINKS; pin++) {
            bool sci = slot == POWER_MANAGEMENT_SLOT && pin == 0;
            aml_begin_package(aml, 4);
            aml_integer(aml, slot << 16 | 0xffff);
            aml_integer(aml, pin);
            aml_path(aml, sci ? "LNKS" : link_names[(slot + pin + LINKS - 1) % LINKS]);
            aml_integer(aml, 0);
            aml_end(aml);
        }
    }
    aml_end(aml);
}

/* What the root bus passes on: bus numbers, ports around its own configuration window, the VGA window, the PCI hole. */
static void write_windows(Aml *aml, const AcpiConfig *config)
{
    aml_name(aml, "_CRS");
    aml_begin_resources(aml);
    aml_resource_bus_window(aml, 0, 0xff);
    aml_resource_io(aml, 0xcf8, 0xcf8, 1, 8);
    aml_resource_io_window(aml, 0, 0xcf7);
    aml_resource_io_window(aml, 0xd00, 0xffff);
    aml_resource_memory_window(aml, 0xa0000, 0xbffff, true);
    aml_resource_memory_window(aml, config->pci_window_start, 0xfebfffff, false);
    aml_end_resources(aml);
}

/* Method IQST: is the link byte's enable bit clear? Method IQCR: a template with the byte's IRQ in it. */
static void write_link_helpers(Aml *aml)
{
    static const uint32_t none[] = { 0 };

    aml_begin_method(aml, "IQST", 1, false);
    aml_begin_if(aml);
    aml_op(aml, AML_AND);
    aml_op(aml, AML_ARG0);
    aml_integer(aml, LINK_DISABLED);
    aml_no_target(aml);
    aml_return(aml);
    aml_integer(aml, STA_DISABLED);
    aml_end(aml);
    aml_return(aml);
    aml_integer(aml, STA_ENABLED);
    aml_end(aml);

    aml_begin_method(aml, "IQCR", 1, true);
    aml_name(aml, "PRR0");
    aml_begin_resources(aml);
    aml_resource_interrupts(aml, none, 1);
    aml_end_resources(aml);
    aml_op(aml, AML_DWORD_FIELD);          /* CreateDWordField(PRR0, 5, PRRI): the descriptor's number */
    aml_path(aml, "PRR0");
    aml_integer(aml, 5);
    aml_path(aml, "PRRI");
    aml_begin_if(aml);
    aml_op(aml, AML_LNOT);
    aml_op(aml, AML_AND);
    aml_op(aml, AML_ARG0);
    aml_integer(aml, LINK_DISABLED);
    aml_no_target(aml);
    aml_store(aml);
    aml_op(aml, AML_ARG0);
    aml_path(aml, "PRRI");
    aml_end(aml);
    aml_return(aml);
    aml_path(aml, "PRR0");
    aml_end(aml);
}

static void call_with(Aml *aml, const char *method, const char *argument)
{
    aml_path(aml, method);
    aml_path(aml, argument);
}

static void write_link(Aml *aml, unsigned link)
{
    aml_begin_device(aml, link_names[link]);
    name_eisa(aml, "_HID", "PNP0C0F");
    name_integer(aml, "_UID", link);
    aml_name(aml, "_PRS");
    aml_begin_resources(aml);
    aml_resource_interrupts(aml, link_choices, G_N_ELEMENTS(link_choices));
    aml_end_resources(aml);
    aml_begin_method(aml, "_STA", 0, false);
    aml_return(aml);
    call_with(aml, "IQST", link_bytes[link]);
    aml_end(aml);
    aml_begin_method(aml, "_DIS", 0, false);
    aml_op(aml, AML_OR);
    aml_path(aml, link_bytes[link]);
    aml_integer(aml, LINK_DISABLED);
    aml_path(aml, link_bytes[link]);
    aml_end(aml);
    aml_begin_method(aml, "_CRS", 0, false);
    aml_return(aml);
    call_with(aml, "IQCR", link_bytes[link]);
    aml_end(aml);
    aml_begin_method(aml, "_SRS", 1, false);
    aml_op(aml, AML_DWORD_FIELD);
    aml_op(aml, AML_ARG0);
    aml_integer(aml, 5);
    aml_path(aml, "PRRI");
    aml_store(aml);
    aml_path(aml, "PRRI");
    aml_path(aml, link_bytes[link]);
    aml_end(aml);
    aml_end(aml);
}

/* The SCI is wired: one choice, which setting does not change. */
static void write_sci_link(Aml *aml, const AcpiConfig *config)
{
    const uint32_t sci[] = { config->sci_irq };

    aml_begin_device(aml, "LNKS");
    name_eisa(aml, "_HID", "PNP0C0F");
    name_integer(aml, "_UID", LINKS);
    for (unsigned i = 0; i < 2; i++) {
        aml_name(aml, i ? "_CRS" : "_PRS");
        aml_begin_resources(aml);
        aml_resource_interrupts(aml, sci, 1);
        aml_end_resources(aml);
    }
    name_integer(aml, "_STA", STA_ENABLED);
    aml_begin_method(aml, "_DIS", 0, false);
    aml_end(aml);
    aml_begin_method(aml, "_SRS", 1, false);
    aml_end(aml);
    aml_end(aml);
}

static void write_serial_ports(Aml *aml, const AcpiConfig *config)
{
    static const struct { uint16_t port; uint8_t irq; } ports[] = { { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++) {
        if (!(config->serial_ports & 1u << i)) {
            continue;
        }
        char name[5] = { 'C', 'O', 'M', (char)('1' + i), 0 };
        aml_begin_device(aml, name);
        name_eisa(aml, "_HID", "PNP0501");
        name_integer(aml, "_UID", i + 1);
        aml_name(aml, "_CRS");
        aml_begin_resources(aml);
        aml_resource_io(aml, ports[i].port, ports[i].port, 0, 8);
        aml_resource_irq(aml, (uint16_t)(1u << ports[i].irq));
        aml_end_resources(aml);
        aml_end(aml);
    }
}

static void write_isa_devices(Aml *aml, const AcpiConfig *config)
{
    aml_begin_device(aml, "RTC");
    name_eisa(aml, "_HID", "PNP0B00");
    aml_name(aml, "_CRS");
    aml_begin_resources(aml);
    aml_resource_io(aml, 0x70, 0x70, 1, 8);
    aml_resource_irq(aml, 1 << 8);
    aml_end_resources(aml);
    aml_end(aml);
    if (config->keyboard) {
        aml_begin_device(aml, "KBD");
        name_eisa(aml, "_HID", "PNP0303");
        name_integer(aml, "_STA", 15);
        aml_name(aml, "_CRS");
        aml_begin_resources(aml);
        aml_resource_io(aml, 0x60, 0x60, 1, 1);
        aml_resource_io(aml, 0x64, 0x64, 1, 1);
        aml_resource_irq(aml, 1 << 1);
        aml_end_resources(aml);
        aml_end(aml);
        aml_begin_device(aml, "MOU");
        name_eisa(aml, "_HID", "PNP0F13");
        name_integer(aml, "_STA", 15);
        aml_name(aml, "_CRS");
        aml_begin_resources(aml);
        aml_resource_irq(aml, 1 << 12);
        aml_end_resources(aml);
        aml_end(aml);
    }
    write_serial_ports(aml, config);
}

/* Devices without a bus of their own: the firmware configuration device, and pvpanic with the two methods Linux calls. */
static void write_fw_devices(Aml *aml, const AcpiConfig *config)
{
    aml_begin_device(aml, "FWCF");
    aml_name(aml, "_HID");
    aml_string(aml, "QEMU0002");
    name_integer(aml, "_STA", 11);
    aml_name(aml, "_CRS");
    aml_begin_resources(aml);
    aml_resource_io(aml, 0x510, 0x510, 1, 12);
    aml_end_resources(aml);
    aml_end(aml);
    if (!config->pvpanic) {
        return;
    }
    aml_begin_device(aml, "PEVT");
    aml_name(aml, "_HID");
    aml_string(aml, "QEMU0001");
    name_integer(aml, "_STA", 15);
    aml_name(aml, "_CRS");
    aml_begin_resources(aml);
    aml_resource_io(aml, config->pvpanic_port, config->pvpanic_port, 1, 1);
    aml_end_resources(aml);
    aml_region(aml, "PEOR", SYSTEM_IO, config->pvpanic_port, 1);
    aml_begin_field(aml, "PEOR", 1);
    aml_field_unit(aml, "PEPT", 8);
    aml_end(aml);
    aml_begin_method(aml, "RDPT", 0, false);
    aml_return(aml);
    aml_path(aml, "PEPT");
    aml_end(aml);
    aml_begin_method(aml, "WRPT", 1, false);
    aml_store(aml);
    aml_op(aml, AML_ARG0);
    aml_path(aml, "PEPT");
    aml_end(aml);
    aml_end(aml);
}

static void write_root_bus(Aml *aml, const AcpiConfig *config)
{
    aml_begin_device(aml, "PCI0");
    name_eisa(aml, "_HID", "PNP0A03");
    name_integer(aml, "_UID", 0);
    write_routing(aml);
    write_windows(aml, config);
    aml_begin_device(aml, "ISA");
    name_integer(aml, "_ADR", 0x00010000);
    aml_region(aml, "P40C", PCI_CONFIG, 0x60, 4);
    write_isa_devices(aml, config);
    aml_end(aml);
    if (config->pci_hotplug) {
        hotplug_write_slots(aml, config);
    }
    aml_end(aml);
}

static void write_hpet(Aml *aml)
{
    aml_begin_device(aml, "HPET");
    name_eisa(aml, "_HID", "PNP0103");
    name_integer(aml, "_UID", 0);
    name_integer(aml, "_STA", 15);
    aml_name(aml, "_CRS");
    aml_begin_resources(aml);
    aml_resource_memory(aml, 0xfed00000, 0x400, false);
    aml_end_resources(aml);
    aml_end(aml);
}

static void write_sleep_state(Aml *aml, const char *name, unsigned type)
{
    aml_name(aml, name);
    aml_begin_package(aml, 4);
    aml_integer(aml, type);
    aml_integer(aml, type);
    aml_integer(aml, 0);
    aml_integer(aml, 0);
    aml_end(aml);
}

void dsdt_write(Aml *aml, const AcpiConfig *config)
{
    aml_begin_scope(aml, "\\_SB");
    write_root_bus(aml, config);
    if (config->hpet) {
        write_hpet(aml);
    }
    write_fw_devices(aml, config);
    if (config->cpu_hotplug) {
        hotplug_write_processors(aml, config);
    }
    aml_begin_field(aml, "PCI0.ISA.P40C", 1);
    for (unsigned i = 0; i < LINKS; i++) {
        aml_field_unit(aml, link_bytes[i], 8);
    }
    aml_end(aml);
    write_link_helpers(aml);
    for (unsigned i = 0; i < LINKS; i++) {
        write_link(aml, i);
    }
    write_sci_link(aml, config);
    aml_end(aml);
    if (config->s3) {
        write_sleep_state(aml, "\\_S3", 1);
    }
    if (config->s4) {
        write_sleep_state(aml, "\\_S4", config->s4_type);
    }
    write_sleep_state(aml, "\\_S5", 0);
    aml_begin_scope(aml, "\\_GPE");
    aml_name(aml, "_HID");
    aml_string(aml, "ACPI0006");
    hotplug_write_events(aml, config);
    aml_end(aml);
}
