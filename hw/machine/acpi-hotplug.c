/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acpi-hotplug.c - the DSDT's part about what comes and goes: PCI slots, processors, and their two events
 *
 * Follows  ACPI 6.4 sections 5.6.6 (notifications), 6.3 (_EJ0, _OST, _STA), 8.4 (processor devices)
 * Wires    event 1 reads the registers of hw/chipset/pci-hotplug.c, event 2 those of hw/chipset/cpu-hotplug.c
 * Tests    tests/unit/acpi.c, tests/guest
 *
 *   \_SB.PCI0   PHPR       keeps the ports out of other hands
 *               Snn        a slot by its devfn: _SUN, _ADR, _EJ0      PCEJ(bus, slot)  lets a slot's device go
 *               PCNT()     what event 1 runs: SNFY(slots, event) notifies the slots of each register
 *   \_SB.CPUR   keeps the ports
 *   \_SB.CPUS   Cnnn       a processor: _UID, _MAT, _STA, _OST, _EJ0  CSTA, COST, CEJ0: the same by number
 *               CSCN()     what event 2 runs: takes note of events until there are no more; CNFY(uid, event) notifies
 */
#include "hw/machine/acpi-hotplug.h"
#include "base/bytes.h"
#include "hw/chipset/cpu-hotplug.h"
#include "hw/chipset/pci-hotplug.h"
#include "hw/chipset/piix4-pm.h"

enum { SYSTEM_IO = 1, BYTE_ACCESS = 1, DWORD_ACCESS = 3, DEVICE_CHECK = 1, EJECT_REQUEST = 3, STA_HERE = 15, STA_HIDDEN = 11 };
enum { SELECT_NEXT = 0, SEND_OST_EVENT = 1, SEND_OST_STATUS = 2 };

static void name_integer(Aml *aml, const char *name, uint64_t value)
{
    aml_name(aml, name);
    aml_integer(aml, value);
}

/* Name = value, for a register or a local (local: AML_LOCAL0 and on). */
static void store_integer(Aml *aml, uint64_t value, const char *target)
{
    aml_store(aml);
    aml_integer(aml, value);
    aml_path(aml, target);
}

static void store_op(Aml *aml, uint8_t source, const char *target)
{
    aml_store(aml);
    aml_op(aml, source);
    aml_path(aml, target);
}

static void store_in_local(Aml *aml, uint64_t value)
{
    aml_store(aml);
    aml_integer(aml, value);
    aml_op(aml, AML_LOCAL0);
}

/* A device that is nothing but ports which nobody else may have. */
static void write_ports(Aml *aml, const char *name, const char *uid, uint16_t base, uint8_t length)
{
    aml_begin_device(aml, name);
    aml_name(aml, "_HID");
    aml_eisa_id(aml, "PNP0A06");
    aml_name(aml, "_UID");
    aml_string(aml, uid);
    name_integer(aml, "_STA", STA_HIDDEN);
    aml_name(aml, "_CRS");
    aml_begin_resources(aml);
    aml_resource_io(aml, base, base, 1, length);
    aml_end_resources(aml);
    aml_end(aml);
}

static void field32(Aml *aml, const char *name)
{
    aml_field_unit(aml, name, 32);
}

static void slot_name(char name[5], unsigned slot)
{
    g_snprintf(name, 5, "S%02X_", slot << 3);
}

static void write_slot(Aml *aml, unsigned slot)
{
    char name[5];

    slot_name(name, slot);
    aml_begin_device(aml, name);
    name_integer(aml, "_SUN", slot);
    name_integer(aml, "_ADR", slot << 16);
    aml_begin_method(aml, "_EJ0", 1, false);
    aml_path(aml, "PCEJ");
    aml_integer(aml, 0);
    aml_path(aml, "_SUN");
    aml_end(aml);
    aml_end(aml);
}

/* Method SNFY(slots, event): a line per slot. */
static void write_slot_notifications(Aml *aml, uint32_t slots)
{
    char name[5];

    aml_begin_method(aml, "SNFY", 2, false);
    for (unsigned slot = 0; slot < 32; slot++) {
        if (slots >> slot & 1) {
            slot_name(name, slot);
            aml_begin_if(aml);
            aml_op(aml, AML_AND);
            aml_op(aml, AML_ARG0);
            aml_integer(aml, UINT32_C(1) << slot);
            aml_no_target(aml);
            aml_op(aml, AML_NOTIFY);
            aml_path(aml, name);
            aml_op(aml, AML_ARG1);
            aml_end(aml);
        }
    }
    aml_end(aml);
}

static void write_slot_methods(Aml *aml)
{
    aml_begin_method(aml, "PCEJ", 2, false);
    aml_acquire(aml, "BLCK");
    store_op(aml, AML_ARG0, "BNUM");
    aml_op(aml, AML_SHIFT_LEFT);           /* B0EJ = 1 << slot */
    aml_integer(aml, 1);
    aml_op(aml, AML_ARG1);
    aml_path(aml, "B0EJ");
    aml_release(aml, "BLCK");
    aml_end(aml);

    aml_begin_method(aml, "PCNT", 0, false);
    aml_acquire(aml, "BLCK");
    store_integer(aml, 0, "BNUM");
    aml_path(aml, "SNFY");
    aml_path(aml, "PCIU");
    aml_integer(aml, DEVICE_CHECK);
    aml_path(aml, "SNFY");
    aml_path(aml, "PCID");
    aml_integer(aml, EJECT_REQUEST);
    aml_release(aml, "BLCK");
    aml_end(aml);
}

void hotplug_write_slots(Aml *aml, const AcpiConfig *config)
{
    write_ports(aml, "PHPR", "PCI hotplug registers", PCI_HOTPLUG_BASE, PCI_HOTPLUG_LENGTH);
    write_ports(aml, "GPER", "general purpose events", PIIX4_GPE0_BASE, PIIX4_GPE0_LENGTH);
    aml_region(aml, "PHPO", SYSTEM_IO, PCI_HOTPLUG_BASE, PCI_HOTPLUG_LENGTH);
    aml_begin_field(aml, "PHPO", DWORD_ACCESS | AML_WRITE_AS_ZEROS);
    field32(aml, "PCIU");
    field32(aml, "PCID");
    field32(aml, "B0EJ");
    field32(aml, "PRMV");
    field32(aml, "BNUM");
    aml_end(aml);
    aml_mutex(aml, "BLCK");
    write_slot_methods(aml);
    for (unsigned slot = 0; slot < 32; slot++) {
        if (config->pci_slots >> slot & 1) {
            write_slot(aml, slot);
        }
    }
    write_slot_notifications(aml, config->pci_slots);
}

static void processor_name(char name[5], unsigned index)
{
    g_snprintf(name, 5, "C%03X", index);
}

/* Calls METHOD(index, first arguments of the method it is in). */
static void call_for(Aml *aml, const char *method, unsigned index, unsigned arguments)
{
    aml_path(aml, method);
    aml_integer(aml, index);
    for (unsigned i = 0; i < arguments; i++) {
        aml_op(aml, (uint8_t)(AML_ARG0 + i));
    }
}

/* _MAT: the processor's entry of the MADT as it is once the processor is there. */
static void write_mat(Aml *aml, unsigned index, uint32_t apic_id)
{
    uint8_t entry[16] = { 0 };

    aml_name(aml, "_MAT");
    if (apic_id < 255) {
        const uint8_t lapic[8] = { 0, sizeof lapic, (uint8_t)index, (uint8_t)apic_id, 1 };
        aml_buffer(aml, lapic, sizeof lapic);
        return;
    }
    entry[0] = 9;                          /* local x2APIC: id, flags, uid */
    entry[1] = sizeof entry;
    store_le32(entry + 4, apic_id);
    store_le32(entry + 8, 1);
    store_le32(entry + 12, index);
    aml_buffer(aml, entry, sizeof entry);
}

static void write_processor(Aml *aml, unsigned index, uint32_t apic_id)
{
    char name[5];

    processor_name(name, index);
    aml_begin_device(aml, name);
    aml_name(aml, "_HID");
    aml_string(aml, "ACPI0007");
    name_integer(aml, "_UID", index);
    write_mat(aml, index, apic_id);
    aml_begin_method(aml, "_STA", 0, false);
    aml_return(aml);
    call_for(aml, "CSTA", index, 0);
    aml_end(aml);
    aml_begin_method(aml, "_OST", 3, false);
    call_for(aml, "COST", index, 2);
    aml_end(aml);
    if (index != 0) {                      /* the boot processor stays */
        aml_begin_method(aml, "_EJ0", 1, false);
        call_for(aml, "CEJ0", index, 0);
        aml_end(aml);
    }
    aml_end(aml);
}

static void write_processor_methods(Aml *aml)
{
    aml_begin_method(aml, "CSTA", 1, true);
    aml_acquire(aml, "CLCK");
    store_op(aml, AML_ARG0, "CSEL");
    store_in_local(aml, 0);
    aml_begin_if(aml);
    aml_path(aml, "CENA");
    store_in_local(aml, STA_HERE);
    aml_end(aml);
    aml_release(aml, "CLCK");
    aml_return(aml);
    aml_op(aml, AML_LOCAL0);
    aml_end(aml);

    aml_begin_method(aml, "COST", 3, true);
    aml_acquire(aml, "CLCK");
    store_op(aml, AML_ARG0, "CSEL");
    store_integer(aml, SEND_OST_EVENT, "CCMD");
    store_op(aml, AML_ARG1, "CDAT");
    store_integer(aml, SEND_OST_STATUS, "CCMD");
    store_op(aml, AML_ARG2, "CDAT");
    aml_release(aml, "CLCK");
    aml_end(aml);

    aml_begin_method(aml, "CEJ0", 1, true);
    aml_acquire(aml, "CLCK");
    store_op(aml, AML_ARG0, "CSEL");
    store_integer(aml, 1, "CEJC");
    aml_release(aml, "CLCK");
    aml_end(aml);
}

/* If (FLAG) { CNFY(CDAT, event); FLAG = 1, which takes note; Local0 = 1: look again } */
static void write_scan_case(Aml *aml, const char *flag, unsigned event)
{
    aml_begin_if(aml);
    aml_path(aml, flag);
    aml_path(aml, "CNFY");
    aml_path(aml, "CDAT");
    aml_integer(aml, event);
    store_integer(aml, 1, flag);
    store_in_local(aml, 1);
    aml_end(aml);
}

static void write_scan(Aml *aml)
{
    aml_begin_method(aml, "CSCN", 0, true);
    aml_acquire(aml, "CLCK");
    store_integer(aml, 0, "CSEL");         /* a valid one, or the others would not listen */
    store_in_local(aml, 1);
    aml_begin_while(aml);
    aml_op(aml, AML_LOCAL0);
    store_in_local(aml, 0);
    store_integer(aml, SELECT_NEXT, "CCMD");
    write_scan_case(aml, "CINS", DEVICE_CHECK);
    aml_begin_else(aml);
    write_scan_case(aml, "CRMV", EJECT_REQUEST);
    aml_end(aml);
    aml_end(aml);
    aml_release(aml, "CLCK");
    aml_end(aml);
}

static void write_processor_notifications(Aml *aml, unsigned count)
{
    char name[5];

    aml_begin_method(aml, "CNFY", 2, false);
    for (unsigned i = 0; i < count; i++) {
        processor_name(name, i);
        aml_begin_if(aml);
        aml_op(aml, AML_LEQUAL);
        aml_op(aml, AML_ARG0);
        aml_integer(aml, i);
        aml_op(aml, AML_NOTIFY);
        aml_path(aml, name);
        aml_op(aml, AML_ARG1);
        aml_end(aml);
    }
    aml_end(aml);
}

static void write_processor_registers(Aml *aml)
{
    aml_region(aml, "CPHO", SYSTEM_IO, CPU_HOTPLUG_BASE, CPU_HOTPLUG_LENGTH);
    aml_begin_field(aml, "CPHO", BYTE_ACCESS | AML_WRITE_AS_ZEROS);
    aml_field_unit(aml, NULL, 32);
    aml_field_unit(aml, "CENA", 1);        /* AF04h: there, arrived, shall go, eject */
    aml_field_unit(aml, "CINS", 1);
    aml_field_unit(aml, "CRMV", 1);
    aml_field_unit(aml, "CEJC", 1);
    aml_field_unit(aml, NULL, 4);
    aml_field_unit(aml, "CCMD", 8);
    aml_end(aml);
    aml_begin_field(aml, "CPHO", DWORD_ACCESS);
    field32(aml, "CSEL");
    aml_field_unit(aml, NULL, 32);
    field32(aml, "CDAT");
    aml_end(aml);
}

void hotplug_write_processors(Aml *aml, const AcpiConfig *config)
{
    write_ports(aml, "CPUR", "processor hotplug registers", CPU_HOTPLUG_BASE, CPU_HOTPLUG_LENGTH);
    aml_begin_device(aml, "CPUS");
    aml_name(aml, "_HID");
    aml_string(aml, "ACPI0010");
    aml_name(aml, "_CID");
    aml_eisa_id(aml, "PNP0A05");
    write_processor_registers(aml);
    aml_mutex(aml, "CLCK");
    write_processor_methods(aml);
    for (unsigned i = 0; i < config->cpu_count; i++) {
        write_processor(aml, i, config->apic_ids[i]);
    }
    write_processor_notifications(aml, config->cpu_count);
    write_scan(aml);
    aml_end(aml);
}

void hotplug_write_events(Aml *aml, const AcpiConfig *config)
{
    if (config->pci_hotplug) {
        aml_begin_method(aml, "_E01", 0, false);
        aml_path(aml, "\\_SB.PCI0.PCNT");
        aml_end(aml);
    }
    if (config->cpu_hotplug) {
        aml_begin_method(aml, "_E02", 0, false);
        aml_path(aml, "\\_SB.CPUS.CSCN");
        aml_end(aml);
    }
}
