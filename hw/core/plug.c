/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plug.c - a device as a person or a manager asks for it: driver, id, bus, properties; and how it goes
 *
 * A device that comes to or goes from a built machine: the bus's controller (pci-hotplug.c) tells the guest, the guest lets a
 * leaving device go, and the main loop takes it away.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/dev/core.c, tests/dev/hotplug.c, tests/cli
 */
#include "base/error.h"
#include "base/event.h"
#include "hw/core/machine.h"
#include <errno.h>
#include <string.h>

static Bus *find_named_bus(Machine *machine, const DeviceModel *model, const char *name, GError **err)
{
    Bus *bus = machine_find_bus(machine, model->bus, name);

    if (!bus) {
        fail(err, ENODEV, "device '%s': there is no %s bus '%s'", model->name, bus_kind_name(model->bus), name);
    }
    return bus;
}

static bool set_properties(Device *device, const Value *description, GError **err)
{
    static const char *const own[] = { "driver", "id", "bus", NULL };

    for (size_t i = 0; i < value_length(description); i++) {
        const char *key = value_key_at(description, i);
        if (!g_strv_contains(own, key) && !device_set(device, key, value_member_at(description, i), err)) {
            return false;
        }
    }
    return true;
}

/* On a machine that is built: does everyone who would have to take part know how? */
static bool check_hotplug(const Device *device, GError **err)
{
    if (!device->model->hotpluggable) {
        return fail(err, ENOTSUP, "device '%s': model '%s' does not support hotplug; give it on the command line",
                    device_name(device), device->model->name);
    }
    if (device->bus && !device->bus->accepts_hotplug) {
        return fail(err, ENOTSUP, "device '%s': bus '%s' does not support hotplugging", device_name(device), device->bus->name);
    }
    return true;
}

bool device_plug(Device *device, GError **err)
{
    Bus *bus = device->bus;

    device->hotplugged = device->machine->built;
    if ((device->hotplugged && !check_hotplug(device, err)) || !device_realize(device, err)) {
        return false;
    }
    if (device->hotplugged && bus && bus->hotplug) {
        bus->hotplug->plugged(bus->hotplug_opaque, device);
    }
    return true;
}

void device_delete(Device *device)
{
    g_autofree char *path = object_path(&device->object);
    Value *data = value_new_object();

    if (device->id) {
        value_set(data, "device", value_new_string(device->id));
    }
    value_set(data, "path", value_new_string(path));
    device_unrealize(device);
    event_emit("DEVICE_DELETED", data);
}

bool machine_remove_device(Machine *machine, const char *id, GError **err)
{
    Device *device = machine_find_device(machine, id);

    if (!device) {
        return fail(err, ENOENT, "device '%s' not found", id);
    }
    if (!check_hotplug(device, err)) {
        return false;
    }
    if (device->model->unplug_request) {
        device->model->unplug_request(device);
    } else if (device->bus && device->bus->hotplug) {
        device->bus->hotplug->unplug_request(device->bus->hotplug_opaque, device);
    } else {
        machine_request_eject(machine, device);
    }
    return true;
}

/* What other machines have and this one does not, with what does its work. */
static const char *instead_of(const char *driver)
{
    static const char passthrough[] = "handing a host's SCSI device to the guest is not supported; scsi-hd with a -drive file=/dev/... reads and writes it";
    static const char adapter[] = "this SCSI adapter is not supported; use virtio-scsi-pci";
    static const struct { const char *name, *instead; } elsewhere[] = {
        { "scsi-block", passthrough }, { "scsi-generic", passthrough }, { "lsi", adapter }, { "lsi53c895a", adapter }, { "lsi53c810", adapter },
        { "am53c974", adapter }, { "dc390", adapter }, { "megasas", adapter }, { "megasas-gen2", adapter }, { "mptsas1068", adapter },
        { "pvscsi", adapter }, { "vhost-scsi-pci", adapter }, { "vhost-user-scsi-pci", adapter },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(elsewhere); i++) {
        if (strcmp(driver, elsewhere[i].name) == 0) {
            return elsewhere[i].instead;
        }
    }
    return NULL;
}

Device *machine_add_device(Machine *machine, const Value *description, GError **err)
{
    const char *driver = value_get_string(description, "driver", NULL);
    const char *bus_name = value_get_string(description, "bus", NULL);
    Bus *bus = NULL;

    if (!driver) {
        fail(err, EINVAL, "a device needs driver=MODEL; '-device help' lists the models");
        return NULL;
    }
    if (g_str_has_suffix(driver, "-x86_64-cpu")) {
        fail(err, ENOTSUP, "'%s': a processor cannot be added to a machine yet; start it with all of them: -smp N", driver);
        return NULL;
    }
    const DeviceModel *model = device_model_find(driver);
    if (!model && instead_of(driver)) {
        fail(err, ENOTSUP, "device '%s': %s", driver, instead_of(driver));
        return NULL;
    }
    if (!model || model->board_only) {
        fail(err, ENOENT, "'%s' is not a device model that can be added; '-device help' lists them", driver);
        return NULL;
    }
    if (bus_name && !(bus = find_named_bus(machine, model, bus_name, err))) {
        return NULL;
    }
    Device *device = device_new(machine, model, bus, value_get_string(description, "id", NULL), err);
    if (!device) {
        return NULL;
    }
    device->from_user = true;
    if (!set_properties(device, description, err) || !device_plug(device, err)) {
        object_unref(&device->object);
        return NULL;
    }
    return device;
}
