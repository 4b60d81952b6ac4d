/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-pci.c - what sits on the PCI buses, as the guest has configured it
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/machine.py
 */
#include "hw/pci/pci.h"
#include "monitor/commands.h"

/* The classes that have a name in everyday use. */
static const struct { uint16_t class; const char *name; } class_names[] = {
    { 0x0100, "SCSI controller" }, { 0x0101, "IDE controller" }, { 0x0102, "Floppy controller" }, { 0x0106, "SATA controller" },
    { 0x0200, "Ethernet controller" }, { 0x0300, "VGA controller" }, { 0x0401, "Audio controller" }, { 0x0403, "Audio controller" },
    { 0x0500, "RAM controller" }, { 0x0600, "Host bridge" }, { 0x0601, "ISA bridge" }, { 0x0604, "PCI bridge" }, { 0x0680, "Bridge" },
    { 0x0700, "Serial port" }, { 0x0780, "Communication controller" }, { 0x0c03, "USB controller" },
};

static Value *describe_class(uint16_t class)
{
    Value *info = value_new_object();

    value_set(info, "class", value_new_int(class));
    for (size_t i = 0; i < G_N_ELEMENTS(class_names); i++) {
        if (class_names[i].class == class) {
            value_set(info, "desc", value_new_string(class_names[i].name));
        }
    }
    return info;
}

static Value *describe_id(const PciDevice *pci)
{
    Value *info = value_new_object();

    value_set(info, "device", value_new_int(pci_config_get16(pci, PCI_DEVICE_ID)));
    value_set(info, "vendor", value_new_int(pci_config_get16(pci, PCI_VENDOR_ID)));
    value_set(info, "subsystem", value_new_int(pci_config_get16(pci, PCI_SUBSYSTEM_ID)));
    value_set(info, "subsystem-vendor", value_new_int(pci_config_get16(pci, PCI_SUBSYSTEM_VENDOR_ID)));
    return info;
}

static Value *describe_regions(const PciDevice *pci)
{
    Value *list = value_new_list();

    for (unsigned i = 0; i < PCI_REGIONS; i++) {
        const PciBar *bar = &pci->bars[i];
        bool io = bar->flags & PCI_BAR_IO;
        if (!bar->region) {
            continue;
        }
        Value *info = value_new_object();
        value_set(info, "bar", value_new_int(i));
        value_set(info, "size", value_new_uint(bar->size));
        value_set(info, "address", value_new_int(bar->mapped ? (int64_t)bar->address : -1));
        value_set(info, "type", value_new_string(io ? "io" : "memory"));
        if (!io) {
            value_set(info, "prefetch", value_new_bool(bar->flags & PCI_BAR_PREFETCH));
            value_set(info, "mem_type_64", value_new_bool(bar->flags & PCI_BAR_64));
        }
        value_append(list, info);
    }
    return list;
}

static Value *describe_function(const PciDevice *pci)
{
    Value *info = value_new_object();
    uint8_t pin = pci->config[PCI_INTERRUPT_PIN];

    value_set(info, "bus", value_new_int(0));
    value_set(info, "slot", value_new_int(PCI_SLOT(pci->devfn)));
    value_set(info, "function", value_new_int(PCI_FUNCTION(pci->devfn)));
    value_set(info, "class_info", describe_class(pci_config_get16(pci, PCI_CLASS_DEVICE)));
    value_set(info, "id", describe_id(pci));
    if (pin) {
        value_set(info, "irq", value_new_int(pci->config[PCI_INTERRUPT_LINE]));
    }
    value_set(info, "irq_pin", value_new_int(pin));
    value_set(info, "qdev_id", value_new_string(pci->device.id ? pci->device.id : ""));
    value_set(info, "regions", describe_regions(pci));
    return info;
}

QMP_HANDLER(query_pci)
{
    const Bus *bus = machine_find_bus(qmp_machine(), BUS_PCI, NULL);
    Value *list = value_new_list();

    if (bus) {
        Value *info = value_new_object(), *devices = value_new_list();
        for (unsigned devfn = 0; devfn < PCI_DEVFNS; devfn++) {
            const PciDevice *pci = pci_bus_function((const PciBus *)bus, devfn);
            if (pci) {
                value_append(devices, describe_function(pci));
            }
        }
        value_set(info, "bus", value_new_int(0));
        value_set(info, "devices", devices);
        value_append(list, info);
    }
    return list;
}

const QmpType pci_types[] = {
    { "PciInfo", "struct bus:int devices:[PciDeviceInfo]" },
    { "PciDeviceClass", "struct ?desc:str class:int" },
    { "PciDeviceId", "struct device:int vendor:int ?subsystem:int ?subsystem-vendor:int" },
    { "PciMemoryRange", "struct base:int limit:int" },
    { "PciBusInfo", "struct number:int secondary:int subordinate:int io_range:PciMemoryRange memory_range:PciMemoryRange "
      "prefetchable_range:PciMemoryRange" },
    { "PciBridgeInfo", "struct bus:PciBusInfo ?devices:[PciDeviceInfo]" },
    { "PciMemoryRegion", "struct bar:int type:str address:int size:int ?prefetch:bool ?mem_type_64:bool" },
    { "PciDeviceInfo", "struct bus:int slot:int function:int class_info:PciDeviceClass id:PciDeviceId ?irq:int irq_pin:int qdev_id:str "
      "?pci_bridge:PciBridgeInfo regions:[PciMemoryRegion]" },
    { .name = NULL } };

const QmpCommand pci_commands[] = {
    { "query-pci", query_pci, .returns = "[PciInfo]", .help = "the PCI buses and what sits on them" },
    { .name = NULL } };
