/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plug.c - a device as a person or a manager asks for it: driver, id, bus, properties
 *
 * Tests    tests/dev/core.c, tests/cli
 */
#include "base/error.h"
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

Device *machine_add_device(Machine *machine, const Value *description, GError **err)
{
    const char *driver = value_get_string(description, "driver", NULL);
    const char *bus_name = value_get_string(description, "bus", NULL);
    Bus *bus = NULL;

    if (!driver) {
        fail(err, EINVAL, "a device needs driver=MODEL; '-device help' lists the models");
        return NULL;
    }
    const DeviceModel *model = device_model_find(driver);
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
    if (!set_properties(device, description, err) || !device_realize(device, err)) {
        object_unref(&device->object);
        return NULL;
    }
    return device;
}
