/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci/msi.c - message signalled interrupts: MSI in configuration space, MSI-X in a BAR
 *
 * Models   PCI 3.0, 6.8: both capabilities, masking per vector and per function, pending bits
 * Omits    nothing of 6.8
 * Wires    bus->msi takes messages into the interrupt window FEExxxxxh; any other address is an ordinary memory write
 * Threads  registers: machine lock held. pci_msix_notify(): any thread, so the table is read and pending bits are set
 *          atomically, and a vector's mask is looked at again after its pending bit was set
 * Tests    tests/dev/pci.c
 */
#include "base/checked.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/pci/pci.h"
#include <errno.h>

enum { TRACE_MSI_SEND, TRACE_MSIX_WRITE };
static TracePoint msi_trace[] = {
    [TRACE_MSI_SEND] = { "pci_msi_send", "a message signalled interrupt leaves a function" },
    [TRACE_MSIX_WRITE] = { "pci_msix_write", "the guest wrote an MSI-X table entry" },
};
TRACE_TABLE(msi_trace)

void pci_send_message(PciDevice *pci, uint64_t address, uint32_t data)
{
    const MsiSink *sink = &pci_bus_of(pci)->msi;

    TRACE(&msi_trace[TRACE_MSI_SEND], "%s address 0x%" G_GINT64_MODIFIER "x data 0x%x", device_name(&pci->device), address, data);
    if (!pci_is_master(pci)) {
        return;
    }
    if (address >> 20 == 0xfee) {
        if (sink->deliver) {
            sink->deliver(sink->opaque, address, data);
        }
        return;
    }
    pci_dma_write(pci, address, &data, sizeof data);
}

/* MSI. Registers in configuration space; masks and pending bits only where the model asked for them. */

static uint16_t msi_control(const PciDevice *pci)
{
    return pci_config_get16(pci, pci->msi + MSI_CONTROL);
}

static unsigned msi_mask_offset(const PciDevice *pci)
{
    return pci->msi + (msi_control(pci) & MSI_CONTROL_64 ? MSI_MASK_64 : MSI_MASK_32);
}

bool pci_msi_init(PciDevice *pci, uint8_t offset, unsigned vectors, bool wide, bool masking, GError **err)
{
    unsigned log = 0;

    while (log < 5 && 1u << log < vectors) {
        log++;
    }
    if (vectors < 1 || 1u << log != vectors) {
        return fail(err, EINVAL, "%s: MSI has 1, 2, 4, 8, 16 or 32 vectors, not %u", device_name(&pci->device), vectors);
    }
    uint8_t at = pci_add_capability(pci, PCI_CAP_MSI, offset, (wide ? 14 : 10) + (masking ? 10 : 0), err);
    if (!at) {
        return false;
    }
    pci->msi = at;
    pci_config_set16(pci, at + MSI_CONTROL, log << 1 | (wide ? MSI_CONTROL_64 : 0) | (masking ? MSI_CONTROL_MASKING : 0));
    pci_config_writable(pci, at + MSI_CONTROL, 2, MSI_CONTROL_ENABLE | MSI_CONTROL_ALLOWED);
    pci_config_writable(pci, at + MSI_ADDRESS, 4, 0xfffffffc);
    if (wide) {
        pci_config_writable(pci, at + MSI_ADDRESS_HIGH, 4, 0xffffffff);
    }
    pci_config_writable(pci, at + (wide ? MSI_DATA_64 : MSI_DATA_32), 2, 0xffff);
    if (masking) {
        pci_config_writable(pci, msi_mask_offset(pci), 4, 0xffffffffu >> (32 - vectors));
    }
    return true;
}

bool pci_msi_enabled(const PciDevice *pci)
{
    return pci->msi && msi_control(pci) & MSI_CONTROL_ENABLE;
}

static void msi_send(PciDevice *pci, unsigned vector)
{
    bool wide = msi_control(pci) & MSI_CONTROL_64;
    unsigned capable = (msi_control(pci) & MSI_CONTROL_CAPABLE) >> 1, allowed = (msi_control(pci) & MSI_CONTROL_ALLOWED) >> 4;
    uint32_t vectors = 1u << MIN(capable, allowed);
    uint64_t address = pci_config_get32(pci, pci->msi + MSI_ADDRESS);
    uint32_t data = pci_config_get16(pci, pci->msi + (wide ? MSI_DATA_64 : MSI_DATA_32));

    if (wide) {
        address |= (uint64_t)pci_config_get32(pci, pci->msi + MSI_ADDRESS_HIGH) << 32;
    }
    /* With fewer vectors than the device has, they share: the low bits of the data are the vector's number. */
    pci_send_message(pci, address, (data & ~(vectors - 1)) | (vector & (vectors - 1)));
}

void pci_msi_notify(PciDevice *pci, unsigned vector)
{
    if (!pci_msi_enabled(pci) || vector >= 32) {
        return;
    }
    if (msi_control(pci) & MSI_CONTROL_MASKING) {
        unsigned at = msi_mask_offset(pci);
        if (pci_config_get32(pci, at) >> vector & 1) {
            pci_config_set32(pci, at + 4, pci_config_get32(pci, at + 4) | 1u << vector);
            return;
        }
    }
    msi_send(pci, vector);
}

static void msi_send_pending(PciDevice *pci)
{
    if (!pci_msi_enabled(pci) || !(msi_control(pci) & MSI_CONTROL_MASKING)) {
        return;
    }
    unsigned at = msi_mask_offset(pci);
    uint32_t ready = pci_config_get32(pci, at + 4) & ~pci_config_get32(pci, at);
    pci_config_set32(pci, at + 4, pci_config_get32(pci, at + 4) & ~ready);
    for (unsigned vector = 0; vector < 32; vector++) {
        if (ready >> vector & 1) {
            msi_send(pci, vector);
        }
    }
}

/* MSI-X. */

static uint32_t *msix_word(const PciDevice *pci, unsigned vector, unsigned offset)
{
    return (uint32_t *)(void *)(pci->msix.table + vector * MSIX_ENTRY_SIZE + offset);
}

static uint16_t msix_control(const PciDevice *pci)
{
    /* One atomic byte: enable and function mask sit in the high half. */
    return __atomic_load_n(&pci->config[pci->msix.capability + MSIX_CONTROL + 1], __ATOMIC_SEQ_CST) << 8;
}

bool pci_msix_enabled(const PciDevice *pci)
{
    return pci->msix.capability && msix_control(pci) & MSIX_CONTROL_ENABLE;
}

bool pci_msix_masked(const PciDevice *pci, unsigned vector)
{
    return !pci_msix_enabled(pci) || msix_control(pci) & MSIX_CONTROL_MASK_ALL || vector >= pci->msix.vectors ||
           __atomic_load_n(msix_word(pci, vector, MSIX_ENTRY_CONTROL), __ATOMIC_SEQ_CST) & MSIX_ENTRY_MASKED;
}

void pci_msix_message(const PciDevice *pci, unsigned vector, uint64_t *address, uint32_t *data)
{
    *address = 0;
    *data = 0;
    if (vector < pci->msix.vectors) {
        *address = __atomic_load_n(msix_word(pci, vector, 0), __ATOMIC_RELAXED) & ~3u;
        *address |= (uint64_t)__atomic_load_n(msix_word(pci, vector, 4), __ATOMIC_RELAXED) << 32;
        *data = __atomic_load_n(msix_word(pci, vector, MSIX_ENTRY_DATA), __ATOMIC_RELAXED);
    }
}

static void msix_send_if_pending(PciDevice *pci, unsigned vector)
{
    uint8_t bit = 1 << vector % 8;
    uint64_t address;
    uint32_t data;

    if (!pci_msix_masked(pci, vector) && __atomic_fetch_and(&pci->msix.pending[vector / 8], ~bit, __ATOMIC_SEQ_CST) & bit) {
        pci_msix_message(pci, vector, &address, &data);
        pci_send_message(pci, address, data);
    }
}

void pci_msix_notify(PciDevice *pci, unsigned vector)
{
    uint64_t address;
    uint32_t data;

    if (!pci_msix_enabled(pci) || vector >= pci->msix.vectors) {
        return;
    }
    if (pci_msix_masked(pci, vector)) {
        __atomic_fetch_or(&pci->msix.pending[vector / 8], 1 << vector % 8, __ATOMIC_SEQ_CST);
        msix_send_if_pending(pci, vector);          /* unmasked in between, by another thread */
        return;
    }
    pci_msix_message(pci, vector, &address, &data);
    pci_send_message(pci, address, data);
}

static void msix_all_changed(PciDevice *pci)
{
    for (unsigned vector = 0; vector < pci->msix.vectors; vector++) {
        if (pci->msix.changed) {
            pci->msix.changed(pci, vector);
        }
        msix_send_if_pending(pci, vector);
    }
}

static uint64_t msix_table_read(void *opaque, uint64_t offset, unsigned size)
{
    const PciDevice *pci = opaque;

    (void)size;
    return *msix_word(pci, offset / MSIX_ENTRY_SIZE, offset % MSIX_ENTRY_SIZE);
}

static void msix_table_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PciDevice *pci = opaque;
    unsigned vector = offset / MSIX_ENTRY_SIZE;

    (void)size;
    TRACE(&msi_trace[TRACE_MSIX_WRITE], "%s vector %u word %u value 0x%x", device_name(&pci->device), vector,
          (unsigned)(offset % MSIX_ENTRY_SIZE) / 4, (unsigned)value);
    if (offset % MSIX_ENTRY_SIZE == MSIX_ENTRY_CONTROL) {
        value &= MSIX_ENTRY_MASKED;
    }
    __atomic_store_n(msix_word(pci, vector, offset % MSIX_ENTRY_SIZE), (uint32_t)value, __ATOMIC_SEQ_CST);
    if (pci->msix.changed) {
        pci->msix.changed(pci, vector);
    }
    msix_send_if_pending(pci, vector);
}

static uint64_t msix_pending_read(void *opaque, uint64_t offset, unsigned size)
{
    const PciDevice *pci = opaque;
    uint64_t value = 0;

    memcpy(&value, pci->msix.pending + offset, size);
    return value;
}

static const RegionOps msix_table_ops = { .read = msix_table_read, .write = msix_table_write, .widths = WIDTH_32 };
static const RegionOps msix_pending_ops = { .read = msix_pending_read, .widths = WIDTH_32_64 };

static void msix_mask_entries(PciDevice *pci)
{
    memset(pci->msix.table, 0, pci->msix.table_size);
    memset(pci->msix.pending, 0, pci->msix.pending_size);
    for (unsigned vector = 0; vector < pci->msix.vectors; vector++) {
        *msix_word(pci, vector, MSIX_ENTRY_CONTROL) = MSIX_ENTRY_MASKED;
    }
}

bool pci_msix_init(PciDevice *pci, unsigned vectors, Region *table_bar, unsigned table_index, uint32_t table_offset,
                   Region *pending_bar, unsigned pending_index, uint32_t pending_offset, GError **err)
{
    PciMsix *msix = &pci->msix;
    uint32_t table_size = vectors * MSIX_ENTRY_SIZE, pending_size = (vectors + 63) / 64 * 8;

    if (vectors < 1 || vectors > MSIX_MOST_VECTORS || table_index >= PCI_BARS || pending_index >= PCI_BARS ||
        (table_offset | pending_offset) % 8 || !range_within(table_offset, table_size, table_bar->size) ||
        !range_within(pending_offset, pending_size, pending_bar->size)) {
        return fail(err, EINVAL, "%s: %u MSI-X vectors do not fit where the device has its table (limit %d)",
                    device_name(&pci->device), vectors, MSIX_MOST_VECTORS);
    }
    uint8_t at = pci_add_capability(pci, PCI_CAP_MSIX, 0, MSIX_CAP_SIZE, err);
    if (!at) {
        return false;
    }
    *msix = (PciMsix){ .capability = at, .vectors = vectors, .table_size = table_size, .pending_size = pending_size };
    msix->table = g_malloc(table_size);
    msix->pending = g_malloc(pending_size);
    msix_mask_entries(pci);
    pci_config_set16(pci, at + MSIX_CONTROL, vectors - 1);
    pci_config_writable(pci, at + MSIX_CONTROL, 2, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK_ALL);
    pci_config_set32(pci, at + MSIX_TABLE, table_offset | table_index);
    pci_config_set32(pci, at + MSIX_PBA, pending_offset | pending_index);
    region_init_io(&msix->table_io, &msix_table_ops, pci, "msix-table", table_size);
    region_init_io(&msix->pending_io, &msix_pending_ops, pci, "msix-pba", pending_size);
    region_add(table_bar, table_offset, &msix->table_io, 1);
    region_add(pending_bar, pending_offset, &msix->pending_io, 1);
    return true;
}

void pci_msix_destroy(PciDevice *pci)
{
    if (!pci->msix.capability) {
        return;
    }
    region_remove(&pci->msix.table_io);
    region_remove(&pci->msix.pending_io);
    region_destroy(&pci->msix.table_io);
    region_destroy(&pci->msix.pending_io);
    g_free(pci->msix.table);
    g_free(pci->msix.pending);
    pci->msix = (PciMsix){ 0 };
}

void pci_msi_config_written(PciDevice *pci, unsigned offset, unsigned size, bool msix_was_on)
{
    if (pci->msi && offset + size > pci->msi) {
        msi_send_pending(pci);
    }
    if (pci->msix.capability && offset + size > pci->msix.capability && offset < (unsigned)pci->msix.capability + MSIX_CAP_SIZE &&
        (msix_was_on || pci_msix_enabled(pci))) {
        msix_all_changed(pci);
    }
}

void pci_msi_reset(PciDevice *pci)
{
    if (pci->msi) {
        unsigned length = (msi_control(pci) & MSI_CONTROL_64 ? 14 : 10) + (msi_control(pci) & MSI_CONTROL_MASKING ? 10 : 0);
        for (unsigned i = pci->msi + MSI_CONTROL; i < pci->msi + length; i++) {
            pci->config[i] &= ~pci->writable[i];
        }
        if (msi_control(pci) & MSI_CONTROL_MASKING) {
            pci_config_set32(pci, msi_mask_offset(pci) + 4, 0);
        }
    }
    if (pci->msix.capability) {
        pci->config[pci->msix.capability + MSIX_CONTROL + 1] &= ~((MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK_ALL) >> 8);
        msix_mask_entries(pci);
    }
}

/* The arrays came from a stream: of another length they are replaced before anyone can look at them. */
bool pci_msix_after_load(PciDevice *pci, GError **err)
{
    PciMsix *msix = &pci->msix;
    uint32_t table_size = msix->vectors * MSIX_ENTRY_SIZE, pending_size = (msix->vectors + 63) / 64 * 8;

    if (!msix->capability) {
        return true;
    }
    if (msix->table_size != table_size || msix->pending_size != pending_size) {
        msix->table = g_realloc(msix->table, table_size);
        msix->pending = g_realloc(msix->pending, pending_size);
        msix->table_size = table_size;
        msix->pending_size = pending_size;
        msix_mask_entries(pci);
        return fail(err, EINVAL, "%s: the saved state has another number of MSI-X vectors than this device (%u)",
                    device_name(&pci->device), msix->vectors);
    }
    if (msix->changed) {
        for (unsigned vector = 0; vector < msix->vectors; vector++) {
            msix->changed(pci, vector);
        }
    }
    return true;
}
