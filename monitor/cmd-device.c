/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-device.c - devices and objects that come and go, and the balloon
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/device.py
 */
#include "base/error.h"
#include "hw/objects.h"
#include "hw/virtio/balloon.h"
#include "monitor/commands.h"
#include <errno.h>
#include <string.h>

static bool bus_exists(const Machine *machine, const char *name)
{
    for (guint i = 0; i < machine->buses->len; i++) {
        if (strcmp(((const Bus *)machine->buses->pdata[i])->name, name) == 0) {
            return true;
        }
    }
    return false;
}

QMP_HANDLER(device_add)
{
    Machine *machine = qmp_machine();
    const char *driver = value_get_string(args, "driver", ""), *bus = value_get_string(args, "bus", NULL);
    const char *id = value_get_string(args, "id", NULL);
    const DeviceModel *model = device_model_find(driver);

    if ((!model || model->board_only) && !g_str_has_suffix(driver, "-x86_64-cpu")) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "'%s' is not a valid device model name", driver);
    }
    if (bus && !bus_exists(machine, bus)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Bus '%s' not found", bus);
    }
    const Bus *home = model ? machine_find_bus(machine, model->bus, bus) : NULL;
    if (home && !home->accepts_hotplug) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Bus '%s' does not support hotplugging", home->name);
    }
    if (id && machine_find_device(machine, id)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Duplicate device ID '%s'", id);
    }
    return machine_add_device(machine, args, err) ? qmp_done() : NULL;
}

QMP_HANDLER(device_del)
{
    Machine *machine = qmp_machine();
    const char *id = value_get_string(args, "id", "");

    for (guint i = 0; i < machine->devices->len; i++) {
        const Device *device = machine->devices->pdata[i];
        g_autofree char *path = object_path(&device->object);
        if (device->id && (strcmp(device->id, id) == 0 || strcmp(path, id) == 0)) {
            bool asked = machine_remove_device(machine, device->id, err);
            if (asked && machine->state != RUN_RUNNING) {
                machine_handle_requests(machine);              /* where no guest has a say it is gone at once */
            }
            return asked ? qmp_done() : NULL;
        }
    }
    return qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", id);
}

QMP_HANDLER(object_add)
{
    const ObjectKind *kind = object_kind_find(value_get_string(args, "qom-type", ""), err);
    g_autofree char *path = g_strdup_printf("/objects/%s", value_get_string(args, "id", ""));

    if (kind && object_find(path)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "attempt to add duplicate property '%s' to object (type 'container')", value_get_string(args, "id", ""));
    }
    return kind && kind->add(args, err) ? qmp_done() : NULL;
}

QMP_HANDLER(object_del)
{
    const char *id = value_get_string(args, "id", "");

    for (const ObjectKind *kind = object_kinds; kind->name; kind++) {
        g_autoptr(GError) why = NULL;
        if (kind->remove(id, &why)) {
            return qmp_done();
        }
        if (why && why->code != ENOENT) {
            g_propagate_error(err, g_steal_pointer(&why));
            return NULL;
        }
    }
    return qmp_fail(err, QMP_GENERIC_ERROR, "object '%s' not found", id);
}

static Device *balloon_of(GError **err)
{
    Device *balloon = balloon_find(qmp_machine());

    if (!balloon) {
        qmp_fail(err, QMP_DEVICE_NOT_ACTIVE, "No balloon device has been activated");
    }
    return balloon;
}

QMP_HANDLER(balloon)
{
    int64_t bytes = value_get_int(args, "value", 0);
    Device *device = balloon_of(err);

    if (device && bytes <= 0) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Parameter 'target' expects a size");
    }
    return device && balloon_set_target(device, (uint64_t)bytes, err) ? qmp_done() : NULL;
}

QMP_HANDLER(query_balloon)
{
    const Device *device = balloon_of(err);

    if (!device) {
        return NULL;
    }
    Value *info = value_new_object();
    value_set(info, "actual", value_new_uint(balloon_actual(device)));
    return info;
}

static void print_keys(GString *text, const ObjectKind *kind)
{
    g_string_append(text, "struct");
    for (const Field *key = kind->keys; key && key->kind != FIELD_LAST; key++) {
        const char *type = key->kind == FIELD_BOOL ? "bool" : key->kind == FIELD_STR ? "str" : key->kind == FIELD_VALUE ? "any"
                         : key->kind == FIELD_ENUM ? "str" : "int";
        if (strcmp(key->name, "id") != 0 && strcmp(key->name, "qom-type") != 0) {
            g_string_append_printf(text, " ?%s:%s", key->name, type);
        }
    }
    if (strcmp(kind->name, "throttle-group") == 0) {
        g_string_append(text, " ?limits:any");
    }
}

const char *object_made_type(const char *name)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (strcmp(name, "ObjectType") == 0 || strcmp(name, "ObjectOptions") == 0) {
        bool options = name[6] == 'O';
        g_string_append(text, options ? "union qom-type:ObjectType id:str ; qom-type ;" : "enum");
        for (const ObjectKind *kind = object_kinds; kind->name; kind++) {
            g_string_append_printf(text, options ? " %s:ObjectOptions/%s" : " %s", kind->name, kind->name);
        }
    }
    for (const ObjectKind *kind = object_kinds; g_str_has_prefix(name, "ObjectOptions/") && kind->name; kind++) {
        if (strcmp(kind->name, name + strlen("ObjectOptions/")) == 0) {
            print_keys(text, kind);
        }
    }
    return text->len ? g_intern_string(text->str) : NULL;
}

const QmpType device_types[] = {
    { "BalloonInfo", "struct actual:int" },
    { .name = NULL } };

const QmpCommand device_commands[] = {
    { "device_add", device_add, .args = "driver:str ?bus:str ?id:str ...", .help = "adds a device; further members are its properties",
      .features = "json-cli json-cli-hotplug" },
    { "device_del", device_del, .args = "id:str", .help = "asks the guest to let a device go; DEVICE_DELETED tells when it has" },
    { "object-add", object_add, .args = "ObjectOptions", .help = "makes what -object makes" },
    { "object-del", object_del, .args = "id:str", .help = "takes away an object that nothing uses" },
    { "balloon", balloon, .args = "value:int", .help = "how much memory the guest shall keep, in bytes" },
    { "query-balloon", query_balloon, .returns = "BalloonInfo", .help = "how much memory the guest has now" },
    { .name = NULL } };
