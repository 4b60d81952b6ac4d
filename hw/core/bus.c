/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bus.c - what all buses share: a name in the machine, a list of devices */
#include "hw/core/device.h"
#include "hw/core/machine.h"

static const ObjectType bus_types[BUS_KINDS] = {
    [BUS_NONE] = { .name = "bus" }, [BUS_SYSTEM] = { .name = "System", .parent = "bus" },
    [BUS_ISA] = { .name = "ISA", .parent = "bus" }, [BUS_PCI] = { .name = "PCI", .parent = "bus" },
    [BUS_IDE] = { .name = "IDE", .parent = "bus" }, [BUS_SCSI] = { .name = "SCSI", .parent = "bus" },
    [BUS_VIRTIO] = { .name = "virtio-bus", .parent = "bus" }, [BUS_USB] = { .name = "usb-bus", .parent = "bus" },
    [BUS_FLOPPY] = { .name = "floppy-bus", .parent = "bus" }, [BUS_VIRTIO_SERIAL] = { .name = "virtio-serial-bus", .parent = "bus" },
};

void bus_init(Bus *bus, BusKind kind, const char *name, Machine *machine, Device *parent)
{
    object_init(&bus->object, &bus_types[kind]);
    bus->kind = kind;
    bus->name = name;
    bus->machine = machine;
    bus->parent = parent;
    bus->devices = g_ptr_array_new();
    g_ptr_array_add(machine->buses, bus);
    object_add_child(parent ? &parent->object : &machine->object, name, &bus->object, NULL);
}

void bus_destroy(Bus *bus)
{
    g_ptr_array_remove(bus->machine->buses, bus);
    object_unparent(&bus->object);
    g_ptr_array_free(bus->devices, TRUE);
    object_unref(&bus->object);            /* the struct is embedded in its owner: the type has no finalize */
}
