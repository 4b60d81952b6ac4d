/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bootorder.c - the fw_cfg file "bootorder": devices with a bootindex as Open Firmware paths, a line each
 *
 * Firmware compares the lines with the paths it makes for what it finds, so these must be spelled as SeaBIOS spells them:
 *
 *   /pci@i0cf8/ide@1,1/drive@0/disk@1          an IDE drive: channel, unit
 *   /pci@i0cf8/scsi@4/disk@0,0                 virtio-blk in slot 4
 *   /pci@i0cf8/scsi@5/channel@0/disk@2,0       a SCSI disk behind virtio-scsi: target, unit
 *   /pci@i0cf8/isa@1/fdc@03f0/floppy@0
 *   /rom@genroms/NAME                          an option ROM in fw_cfg
 *   HALT                                       boot from nothing else (-boot strict=on)
 *
 * Threads  main loop, before the first run
 * Tests    tests/dev/bootorder.c
 */
#include "hw/machine/bootorder.h"
#include "base/error.h"
#include "hw/pci/pci.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

typedef struct Entry { int64_t index; const Device *device; } Entry;

static int64_t bootindex_of(const Device *device)
{
    const Field *field = device->model->props ? field_find(device->model->props, "bootindex") : NULL;

    return field && field->kind == FIELD_I32 ? *(const int32_t *)((const char *)device + field->offset) : -1;
}

/* The name that firmware gives a PCI function by its class; what has none goes by its numbers. */
static void put_pci(GString *path, PciDevice *pci)
{
    static const struct { uint16_t class_code; const char *name; } names[] = {
        { 0x0100, "scsi" }, { 0x0101, "ide" }, { 0x0106, "sata" }, { 0x0200, "ethernet" }, { 0x0300, "display" }, { 0x0601, "isa" }, { 0x0c03, "usb" },
    };
    uint16_t class_code = (uint16_t)pci_config_read(pci, 0x0a, 2);
    const char *name = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i].class_code == class_code) {
            name = names[i].name;
        }
    }
    if (name) {
        g_string_append_printf(path, "/%s@%x", name, PCI_SLOT(pci->devfn));
    } else {
        g_string_append_printf(path, "/pci%04x,%04x@%x", pci_config_read(pci, 0, 2), pci_config_read(pci, 2, 2), PCI_SLOT(pci->devfn));
    }
    if (PCI_FUNCTION(pci->devfn)) {
        g_string_append_printf(path, ",%x", PCI_FUNCTION(pci->devfn));
    }
}

/* "ide.1" is bus 1 of its controller. */
static uint64_t bus_number(const Bus *bus)
{
    const char *dot = strrchr(bus->name, '.');

    return dot ? g_ascii_strtoull(dot + 1, NULL, 10) : 0;
}

/* The controller's own part: a bus within it, and what hangs there. */
static void put_below(GString *path, const Device *device)
{
    switch (device->model->bus) {
    case BUS_IDE:
        g_string_append_printf(path, "/drive@%" PRIx64 "/disk@%" PRIx64, bus_number(device->bus), device_get_uint(device, "unit", 0));
        break;
    case BUS_SCSI:
        g_string_append_printf(path, "/channel@%" PRIx64 "/disk@%" PRIx64 ",%" PRIx64, device_get_uint(device, "channel", 0),
                               device_get_uint(device, "scsi-id", 0), device_get_uint(device, "lun", 0));
        break;
    case BUS_PCI:
        if (strncmp(device->model->name, "virtio-blk", strlen("virtio-blk")) == 0) {
            g_string_append(path, "/disk@0,0");
        } else if (pci_config_read(PCI_DEVICE((Device *)device), 0x0a, 2) == 0x0200) {
            g_string_append(path, "/ethernet-phy@0");
        }
        break;
    default:
        break;
    }
}

static void put_path(GString *path, const Device *device)
{
    const Device *pci = device;

    if (strcmp(device->model->name, "floppy") == 0) {
        g_string_append_printf(path, "/pci@i0cf8/isa@1/fdc@03f0/floppy@%" PRIx64, device_get_uint(device, "unit", 0));
        return;
    }
    while (pci && pci->model->bus != BUS_PCI) {
        pci = pci->bus ? pci->bus->parent : NULL;
    }
    if (pci) {
        g_string_append(path, "/pci@i0cf8");
        put_pci(path, PCI_DEVICE((Device *)pci));
    }
    put_below(path, device);
}

static int by_index(gconstpointer a, gconstpointer b)
{
    const Entry *first = a, *second = b;

    return first->index < second->index ? -1 : first->index > second->index;
}

static bool gather(const Machine *machine, GArray *entries, GError **err)
{
    for (guint i = 0; i < machine->devices->len; i++) {
        const Device *device = machine->devices->pdata[i];
        Entry entry = { bootindex_of(device), device };
        if (entry.index < 0) {
            continue;
        }
        for (guint j = 0; j < entries->len; j++) {
            const Entry *other = &g_array_index(entries, Entry, j);
            if (other->index == entry.index) {
                return fail(err, EEXIST, "device '%s': bootindex=%" PRId64 " is taken by device '%s'", device_name(device), entry.index,
                            device_name(other->device));
            }
        }
        g_array_append_val(entries, entry);
    }
    g_array_sort(entries, by_index);
    return true;
}

bool bootorder_add(FwCfg *fw_cfg, const Machine *machine, const char *first, GError **err)
{
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(Entry));
    g_autoptr(GString) text = g_string_new(first);
    bool strict = value_get_flag(value_get(machine->config, "boot"), "strict", false);

    if (!gather(machine, entries, err)) {
        return false;
    }
    for (guint i = 0; i < entries->len; i++) {
        if (text->len) {
            g_string_append_c(text, '\n');
        }
        put_path(text, g_array_index(entries, Entry, i).device);
    }
    if (strict && text->len) {
        g_string_append(text, "\nHALT");
    }
    return text->len == 0 || fw_cfg_add_file(fw_cfg, "bootorder", text->str, text->len + 1, err);
}
