/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * piix-ide.c - the PIIX3's IDE function: two channels at their traditional ports, and the bus master's BAR
 *
 * Models   Intel 82371SB function 1 (order number 290550): 8086:7010, BAR 4 with 16 bytes, timing registers 40h-43h (kept as
 *          bytes; bit 15 of each, "IDE decode enable", is set from the start, since a kernel that is started without
 *          firmware expects working ports)
 * Wires    "irq14", "irq15"; buses ide.0 and ide.1
 * Tests    tests/dev/ide.c
 */
#include "hw/ide/piix-ide.h"
#include "base/error.h"
#include "hw/core/machine.h"
#include "hw/ide/channel.h"
#include "hw/models.h"
#include <errno.h>

enum { CHANNELS = 2, TIMING = 0x40, TIMING_ENABLED = 0x8000 };

typedef struct PiixIde {
    PciDevice pci;
    IdeBus buses[CHANNELS];
    Region bus_master;
    IrqLine irq[CHANNELS];
} PiixIde;

static const struct { uint16_t command, control; const char *bus; } places[CHANNELS] = {
    { 0x1f0, 0x3f6, "ide.0" }, { 0x170, 0x376, "ide.1" },
};

static bool ide_attach(Bus *bus, Device *device, GError **err)
{
    IdeBus *ide = (IdeBus *)bus;
    IdeDrive *drive = (IdeDrive *)device;
    uint32_t unit = drive->unit;

    if (unit == IDE_UNIT_ANY) {
        unit = ide->channel.drives[0] ? 1 : 0;
    }
    if (unit >= IDE_DRIVES) {
        return fail(err, EINVAL, "device '%s': unit=%u: a channel has units 0 and 1", device_name(device), unit);
    }
    if (ide->channel.drives[unit]) {
        return fail(err, EBUSY, "device '%s': unit %u of bus %s is taken", device_name(device), unit, bus->name);
    }
    drive->unit = unit;
    ide_channel_set_drive(&ide->channel, unit, &drive->ata);
    return true;
}

static void ide_detach(Bus *bus, Device *device)
{
    IdeBus *ide = (IdeBus *)bus;

    for (unsigned i = 0; i < IDE_DRIVES; i++) {
        if (ide->channel.drives[i] == &((IdeDrive *)device)->ata) {
            ide_channel_set_drive(&ide->channel, i, NULL);
        }
    }
}

static bool ide_full(const Bus *bus)
{
    const IdeChannel *channel = &((const IdeBus *)bus)->channel;

    return channel->drives[0] && channel->drives[1];
}

bool piix_ide_geometry(Device *controller, unsigned channel, unsigned unit, IdeGeometry *geometry)
{
    const PiixIde *ide = (PiixIde *)controller;
    const GPtrArray *devices = channel < CHANNELS ? ide->buses[channel].bus.devices : NULL;

    for (guint i = 0; devices && i < devices->len; i++) {
        const IdeDrive *drive = devices->pdata[i];
        if (drive->unit == unit && !drive->ata.cd) {
            *geometry = (IdeGeometry){ drive->conf.cylinders, drive->conf.heads, drive->conf.sectors, (ChsTranslation)drive->translation };
            return true;
        }
    }
    return false;
}

static bool piix_ide_realize(Device *device, GError **err)
{
    PiixIde *ide = (PiixIde *)device;
    Machine *machine = device->machine;

    region_init_container(&ide->bus_master, "piix-bus-master", 16);
    for (unsigned i = 0; i < CHANNELS; i++) {
        IdeChannel *channel = &ide->buses[i].channel;
        bus_init(&ide->buses[i].bus, BUS_IDE, places[i].bus, machine, device);
        ide->buses[i].bus.attach = ide_attach;
        ide->buses[i].bus.detach = ide_detach;
        ide->buses[i].bus.full = ide_full;
        ide_channel_init(channel, &ide->pci);
        channel->irq = ide->irq[i];
        region_add(&machine->port_root, places[i].command, &channel->command_io, 0);
        region_add(&machine->port_root, places[i].control, &channel->control_io, 0);
        region_add(&ide->bus_master, i * 8, &channel->bm_io, 0);
    }
    pci_config_writable(&ide->pci, TIMING, 4, UINT32_MAX);
    return pci_add_bar(&ide->pci, 4, PCI_BAR_IO, &ide->bus_master, err);
}

static void piix_ide_unrealize(Device *device)
{
    PiixIde *ide = (PiixIde *)device;

    pci_unrealize(&ide->pci);
    for (unsigned i = 0; i < CHANNELS; i++) {
        IdeChannel *channel = &ide->buses[i].channel;
        region_remove(&channel->command_io);
        region_remove(&channel->control_io);
        region_remove(&channel->bm_io);
        bus_destroy(&ide->buses[i].bus);
    }
    region_destroy(&ide->bus_master);
}

static void piix_ide_reset(Device *device)
{
    PiixIde *ide = (PiixIde *)device;

    pci_reset(&ide->pci);
    pci_config_set16(&ide->pci, TIMING, TIMING_ENABLED);
    pci_config_set16(&ide->pci, TIMING + 2, TIMING_ENABLED);
    for (unsigned i = 0; i < CHANNELS; i++) {
        ide_channel_reset(&ide->buses[i].channel);
    }
}

static bool piix_ide_after_load(Device *device, GError **err)
{
    PiixIde *ide = (PiixIde *)device;

    return pci_after_load(&ide->pci, err) && ide_channel_after_load(&ide->buses[0].channel, err) &&
           ide_channel_after_load(&ide->buses[1].channel, err);
}

static const Field piix_ide_props[] = {
    PROP_IRQ("irq14", PiixIde, irq[0]), PROP_IRQ("irq15", PiixIde, irq[1]), FIELD_END };

static const Field ide_bus_saved[] = { SAVE_STRUCT(IdeBus, channel, ide_channel_saved), FIELD_END };
static const Field piix_ide_saved[] = {
    SAVE_PCI(PiixIde, pci), SAVE_STRUCTS(PiixIde, buses, ide_bus_saved), FIELD_END };

static const PciModel piix_ide_pci = {
    .vendor = 0x8086, .device = 0x7010, .class_code = 0x010180,
};

const DeviceModel piix_ide_model = {
    .name = "piix3-ide",  .bus = BUS_PCI,  .size = sizeof(PiixIde),  .board_only = true,
    .help = "PIIX3 IDE controller: two channels, bus-master DMA",
    .props = piix_ide_props,  .bus_props = pci_props,  .class_data = &piix_ide_pci,
    .saved = piix_ide_saved,  .saved_version = 1,
    .realize = piix_ide_realize,  .reset = piix_ide_reset,  .unrealize = piix_ide_unrealize,  .after_load = piix_ide_after_load,
};
