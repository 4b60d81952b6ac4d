/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci/config.c - a function's configuration space: header, masks, capabilities, reset, saved state
 *
 * Models   PCI Local Bus Specification 3.0, chapter 6: type 0 headers, 4 KiB of space per function
 * Omits    BIST, cardbus pointers, PCI Express extended capabilities (the space is there)
 * Wires    none; intx.c and bar.c act on what is written here
 * Threads  machine lock held
 * Tests    tests/dev/pci.c
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/pci/pci.h"
#include <errno.h>
#include <stdlib.h>

enum { TRACE_PCI_READ, TRACE_PCI_WRITE };
static TracePoint pci_trace[] = {
    [TRACE_PCI_READ] = { "pci_config_read", "the guest read configuration space" },
    [TRACE_PCI_WRITE] = { "pci_config_write", "the guest wrote configuration space" },
};
TRACE_TABLE(pci_trace)

static const PciModel *pci_model(const PciDevice *pci)
{
    return pci->device.model->class_data;
}

uint16_t pci_config_get16(const PciDevice *pci, unsigned offset)
{
    return load_le16(pci->config + offset);
}

uint32_t pci_config_get32(const PciDevice *pci, unsigned offset)
{
    return load_le32(pci->config + offset);
}

void pci_config_set16(PciDevice *pci, unsigned offset, uint16_t value)
{
    store_le16(pci->config + offset, value);
}

void pci_config_set32(PciDevice *pci, unsigned offset, uint32_t value)
{
    store_le32(pci->config + offset, value);
}

void pci_set_device_id(PciDevice *pci, uint16_t device_id)
{
    pci->device_id = device_id;
    pci_config_set16(pci, PCI_DEVICE_ID, device_id);
}

static void set_mask(uint8_t *masks, unsigned offset, unsigned size, uint32_t mask)
{
    for (unsigned i = 0; i < size; i++) {
        masks[offset + i] = mask >> (8 * i);
    }
}

void pci_config_writable(PciDevice *pci, unsigned offset, unsigned size, uint32_t mask)
{
    set_mask(pci->writable, offset, size, mask);
}

void pci_config_write_clears(PciDevice *pci, unsigned offset, unsigned size, uint32_t mask)
{
    set_mask(pci->write_clears, offset, size, mask);
}

void pci_config_init(PciDevice *pci)
{
    const PciModel *model = pci_model(pci);
    bool own = model->subsystem_vendor || model->subsystem;

    memset(pci->config, 0, sizeof pci->config);
    memset(pci->writable, 0, sizeof pci->writable);
    memset(pci->write_clears, 0, sizeof pci->write_clears);
    pci_config_set16(pci, PCI_VENDOR_ID, model->vendor);
    pci_set_device_id(pci, model->device);
    pci->config[PCI_REVISION_ID] = model->revision;
    pci->config[PCI_CLASS_PROG] = model->class_code;
    pci_config_set16(pci, PCI_CLASS_DEVICE, model->class_code >> 8);
    pci->config[PCI_HEADER_TYPE] = pci->multifunction ? PCI_HEADER_MULTIFUNCTION : 0;
    pci_config_set16(pci, PCI_SUBSYSTEM_VENDOR_ID, own ? model->subsystem_vendor : 0x1af4);
    pci_config_set16(pci, PCI_SUBSYSTEM_ID, own ? model->subsystem : 0x1100);
    pci->config[PCI_INTERRUPT_PIN] = model->interrupt_pin;
    pci_config_writable(pci, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR |
                        PCI_COMMAND_INTX_DISABLE);
    pci_config_write_clears(pci, PCI_STATUS, 2, PCI_STATUS_ERRORS);
    pci_config_writable(pci, PCI_CACHE_LINE_SIZE, 1, 0xff);
    pci_config_writable(pci, PCI_INTERRUPT_LINE, 1, 0xff);
    pci->last_capability = 0;
    pci->free_config = PCI_HEADER_SIZE;
}

uint8_t pci_add_capability(PciDevice *pci, uint8_t id, uint8_t offset, uint8_t size, GError **err)
{
    unsigned at = offset ? offset : pci->free_config;

    if (at < PCI_HEADER_SIZE || at % 4 || at < pci->free_config || at + size > PCI_CONVENTIONAL_SIZE) {
        fail(err, ENOSPC, "%s: no room in configuration space for capability 0x%02x (%u bytes at 0x%02x)",
             device_name(&pci->device), id, size, at);
        return 0;
    }
    pci->config[at] = id;
    pci->config[at + 1] = 0;
    pci->config[pci->last_capability ? pci->last_capability + 1 : PCI_CAPABILITY_LIST] = at;
    pci->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    pci->last_capability = at;
    pci->free_config = MIN((at + size + 3) & ~3u, 0xfc);
    return at;
}

uint32_t pci_config_read(PciDevice *pci, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    if (pci_model(pci)->config_reading) {
        pci_model(pci)->config_reading(pci, offset, size);
    }
    for (unsigned i = 0; i < size; i++) {
        value |= (uint32_t)pci->config[offset + i] << (8 * i);
    }
    TRACE(&pci_trace[TRACE_PCI_READ], "%s 0x%02x:%u value 0x%x", device_name(&pci->device), offset, size, value);
    return value;
}

static bool touches(unsigned offset, unsigned size, unsigned first, unsigned length)
{
    return offset < first + length && first < offset + size;
}

void pci_config_write(PciDevice *pci, unsigned offset, uint32_t value, unsigned size)
{
    bool msix_was_on = pci_msix_enabled(pci);

    TRACE(&pci_trace[TRACE_PCI_WRITE], "%s 0x%02x:%u value 0x%x", device_name(&pci->device), offset, size, value);
    for (unsigned i = 0; i < size; i++) {
        uint8_t *byte = &pci->config[offset + i];
        uint8_t mask = pci->writable[offset + i], bits = value >> (8 * i);
        *byte = ((*byte & ~mask) | (bits & mask)) & ~(bits & pci->write_clears[offset + i]);
    }
    if (touches(offset, size, PCI_COMMAND, 2) || touches(offset, size, PCI_BASE_ADDRESS_0, 4 * PCI_BARS) ||
        touches(offset, size, PCI_ROM_ADDRESS, 4)) {
        pci_update_bars(pci);
        pci_update_intx(pci);
    }
    pci_msi_config_written(pci, offset, size, msix_was_on);
    if (pci_model(pci)->config_written) {
        pci_model(pci)->config_written(pci, offset, size);
    }
}

/* What RST# does to any function: deaf, mute, unmapped. Bits that no guest can write stay as realize made them. */
void pci_reset(PciDevice *pci)
{
    pci_set_intx(pci, false);
    for (unsigned i = PCI_COMMAND; i < PCI_STATUS + 2; i++) {
        pci->config[i] &= ~(pci->writable[i] | pci->write_clears[i]);
    }
    for (unsigned i = PCI_BASE_ADDRESS_0; i < PCI_BASE_ADDRESS_0 + 4 * PCI_BARS; i++) {
        pci->config[i] &= ~pci->writable[i];
    }
    for (unsigned i = PCI_ROM_ADDRESS; i < PCI_ROM_ADDRESS + 4; i++) {
        pci->config[i] &= ~pci->writable[i];
    }
    pci->config[PCI_CACHE_LINE_SIZE] = pci->config[PCI_INTERRUPT_LINE] = 0;
    pci_update_bars(pci);
    pci_msi_reset(pci);
}

void pci_reset_device(Device *device)
{
    pci_reset(PCI_DEVICE(device));
}

/* A loaded space must be that of the same device; what follows from it is derived again. */
bool pci_after_load(PciDevice *pci, GError **err)
{
    const PciModel *model = pci_model(pci);

    if (pci_config_get16(pci, PCI_VENDOR_ID) != model->vendor || pci_config_get16(pci, PCI_DEVICE_ID) != pci->device_id) {
        return fail(err, EINVAL, "%s: the saved state is of PCI device %04x:%04x, this is %04x:%04x", device_name(&pci->device),
                    pci_config_get16(pci, PCI_VENDOR_ID), pci_config_get16(pci, PCI_DEVICE_ID), model->vendor, pci->device_id);
    }
    if (pci->config[PCI_INTERRUPT_PIN] != model->interrupt_pin) {
        return fail(err, EINVAL, "%s: the saved state has another interrupt pin than this device", device_name(&pci->device));
    }
    if (!pci_msix_after_load(pci, err)) {
        return false;
    }
    pci_update_bars(pci);
    pci_update_intx(pci);
    return true;
}

bool pci_after_load_device(Device *device, GError **err)
{
    return pci_after_load(PCI_DEVICE(device), err);
}

/* addr=: "6", "06.1", "0x1e.7" (hexadecimal, as QEMU reads it), or a number from JSON: slot * 8 + function. */
static bool addr_set(void *object, const Value *value, GError **err)
{
    PciDevice *pci = object;
    const char *text = value_string(value);
    int64_t number = -1;
    char *end = NULL;

    if (!text) {
        if (!value_to_int(value, &number) || number < -1 || number >= PCI_DEVFNS) {
            return fail(err, EINVAL, "%s: addr must be SLOT or SLOT.FUNCTION, as in addr=06.0", device_name(&pci->device));
        }
        pci->wanted = number + 1;
        return true;
    }
    unsigned long slot = g_ascii_isxdigit(*text) ? strtoul(text, &end, 16) : PCI_SLOTS, function = 0;
    if (end && *end == '.' && g_ascii_isxdigit(end[1])) {
        function = strtoul(end + 1, &end, 16);
    }
    if (!end || *end || slot >= PCI_SLOTS || function >= PCI_FUNCTIONS) {
        return fail(err, EINVAL, "%s: addr=%s is no PCI address; use SLOT or SLOT.FUNCTION with slot 0 to 1f and function 0 to 7, "
                    "as in addr=06.0", device_name(&pci->device), text);
    }
    pci->wanted = PCI_DEVFN(slot, function) + 1;
    return true;
}

static bool addr_get(void *object, Value **out, GError **err)
{
    const PciDevice *pci = object;

    (void)err;
    *out = value_new_int(pci->attached ? pci->devfn : -1);
    return true;
}

const Field pci_props[] = {
    PROP_CALL("addr", addr_get, addr_set, .help = "slot and optional function number on the bus, as in 06.0; default: the first free slot"),
    PROP_BOOL("multifunction", PciDevice, multifunction, false, .help = "other functions may share the slot"),
    PROP_STR("romfile", PciDevice, romfile, .help = "file with the expansion ROM"),
    PROP_U32("rombar", PciDevice, rombar, 1, .help = "0: no expansion ROM even with a romfile"),
    FIELD_END };

static bool has_msix(const void *object)
{
    return ((const PciDevice *)object)->msix.capability != 0;
}

const Field pci_saved[] = {
    SAVE_BYTES(PciDevice, config), SAVE_BOOL(PciDevice, intx),
    SAVE_VARIABLE_BYTES(PciDevice, msix.table, msix.table_size, MSIX_MOST_VECTORS * MSIX_ENTRY_SIZE, .needed = has_msix),
    SAVE_VARIABLE_BYTES(PciDevice, msix.pending, msix.pending_size, MSIX_MOST_VECTORS / 8, .needed = has_msix),
    FIELD_END };
