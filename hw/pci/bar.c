/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci/bar.c - base address registers: sizing by writing ones, and mapping where the guest says
 *
 * Models   PCI 3.0, 6.2.5: I/O, 32-bit and 64-bit memory BARs, the expansion ROM
 * Omits    memory below 1 MiB (type 01b, long forbidden)
 * Wires    the regions that models hand in, mapped into the bus's memory and port roots
 * Threads  machine lock held
 * Tests    tests/dev/pci.c
 *
 * Whether a BAR is mapped is computed anew from command register and BAR after each write (pci_update_bars), never stepped.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "hw/core/machine.h"
#include "hw/machine/firmware.h"
#include "hw/pci/pci.h"
#include <errno.h>

enum { BAR_PRIORITY = 1 };                 /* over the board's own ranges of the same root, as PCI claims before ISA does */
#define BAR_NOWHERE UINT64_MAX

static unsigned bar_offset(unsigned index)
{
    return index == PCI_ROM_BAR ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * index;
}

static bool bar_size_fits(uint64_t size, unsigned flags)
{
    uint64_t most = flags & PCI_BAR_IO ? 256 : flags & PCI_BAR_64 ? UINT64_C(1) << 62 : UINT64_C(1) << 31;

    return size >= (flags & PCI_BAR_IO ? 4 : 16) && size <= most && !(size & (size - 1));
}

bool pci_add_bar(PciDevice *pci, unsigned index, unsigned flags, Region *region, GError **err)
{
    bool wide = flags & PCI_BAR_64;
    unsigned at = bar_offset(index);

    if (index > PCI_ROM_BAR || (wide && index >= PCI_BARS - 1) || pci->bars[index].region || !bar_size_fits(region->size, flags)) {
        return fail(err, EINVAL, "%s: BAR %u cannot have 0x%" G_GINT64_MODIFIER "x bytes of this kind", device_name(&pci->device),
                    index, region->size);
    }
    pci->bars[index] = (PciBar){ .region = region, .size = region->size, .flags = flags };
    pci_config_set32(pci, at, flags);
    if (index == PCI_ROM_BAR) {
        pci_config_set32(pci, at, 0);
        pci_config_writable(pci, at, 4, (uint32_t)~(region->size - 1) | PCI_ROM_ENABLE);
    } else {
        pci_config_writable(pci, at, 4, (uint32_t)~(region->size - 1) & (flags & PCI_BAR_IO ? ~3u : ~15u));
    }
    if (wide) {
        pci_config_writable(pci, at + 4, 4, ~(region->size - 1) >> 32);
    }
    return true;
}

/* Where the guest wants it, or BAR_NOWHERE. All-ones from sizing, wrapping and zero are "not assigned". */
static uint64_t bar_wanted(const PciDevice *pci, unsigned index)
{
    const PciBar *bar = &pci->bars[index];
    uint16_t command = pci_config_get16(pci, PCI_COMMAND);
    uint32_t low = pci_config_get32(pci, bar_offset(index));
    uint64_t address = low, limit = G_MAXUINT32;

    if (!(command & (bar->flags & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) ||
        (index == PCI_ROM_BAR && !(low & PCI_ROM_ENABLE))) {
        return BAR_NOWHERE;
    }
    if (bar->flags & PCI_BAR_IO) {
        limit = 0x10000;
    } else if (bar->flags & PCI_BAR_64) {
        address |= (uint64_t)pci_config_get32(pci, bar_offset(index) + 4) << 32;
        limit = UINT64_MAX;
    }
    address &= ~(bar->size - 1);
    return address == 0 || address >= limit || bar->size > limit - address ? BAR_NOWHERE : address;
}

static void bar_map(PciDevice *pci, PciBar *bar, uint64_t address)
{
    PciBus *bus = pci_bus_of(pci);

    if (address == (bar->mapped ? bar->address : BAR_NOWHERE)) {
        return;
    }
    if (bar->mapped) {
        region_remove(bar->region);
    }
    bar->mapped = address != BAR_NOWHERE;
    bar->address = bar->mapped ? address : 0;
    if (bar->mapped) {
        region_add(bar->flags & PCI_BAR_IO ? bus->io : bus->memory, address, bar->region, BAR_PRIORITY);
    }
}

void pci_update_bars(PciDevice *pci)
{
    region_begin();
    for (unsigned i = 0; i < PCI_REGIONS; i++) {
        if (pci->bars[i].region) {
            bar_map(pci, &pci->bars[i], bar_wanted(pci, i));
        }
    }
    region_commit();
}

void pci_remove_bars(PciDevice *pci)
{
    region_begin();
    for (unsigned i = 0; i < PCI_REGIONS; i++) {
        if (pci->bars[i].mapped) {
            region_remove(pci->bars[i].region);
        }
        pci->bars[i] = (PciBar){ 0 };
    }
    region_commit();
    if (pci->rom.size) {
        region_destroy(&pci->rom);
        memset(&pci->rom, 0, sizeof pci->rom);
    }
}

bool pci_add_rom(PciDevice *pci, GError **err)
{
    g_autofree uint8_t *data = NULL;
    size_t length = 0;
    uint64_t size = 2048;                  /* the smallest that the register can say */

    if (!pci->romfile || !*pci->romfile || !pci->rombar) {
        return true;
    }
    if (!firmware_read("option ROM", pci->romfile, &data, &length, err)) {
        return false;
    }
    if (length < 3 || load_le16(data) != 0xaa55) {
        return fail(err, EINVAL, "%s: romfile '%s' is not an expansion ROM (it does not begin with 55 aa)", device_name(&pci->device),
                    pci->romfile);
    }
    while (size < length) {
        size *= 2;
    }
    if (!region_init_rom(&pci->rom, "pci-rom", MAX(size, 4096), err)) {
        return false;
    }
    memcpy(region_host(&pci->rom), data, length);
    return pci_add_bar(pci, PCI_ROM_BAR, 0, &pci->rom, err);
}
