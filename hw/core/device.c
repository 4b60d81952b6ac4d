/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.c - the life of one device, whatever its model
 *
 * Threads  main loop, machine lock held; guest_fault() on any thread that holds it
 * Tests    tests/dev/core.c, and the walk over all models in tests/dev/models.c
 */
#include "hw/core/device.h"
#include "base/char/chardev.h"
#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include <errno.h>

enum { TRACE_REALIZE, TRACE_UNREALIZE, TRACE_RESET, TRACE_FAULT };
static TracePoint device_trace[] = {
    [TRACE_REALIZE] = { "device_realize", "a device came to life" },
    [TRACE_UNREALIZE] = { "device_unrealize", "a device is taken away" },
    [TRACE_RESET] = { "device_reset", "a device is reset" },
    [TRACE_FAULT] = { "device_guest_fault", "the guest did what no sane guest does" },
};
TRACE_TABLE(device_trace)

void (*irq_observer)(IrqLine line, bool high);

static const char *const bus_kind_names[BUS_KINDS] = {
    [BUS_NONE] = "none", [BUS_SYSTEM] = "System", [BUS_ISA] = "ISA", [BUS_PCI] = "PCI", [BUS_IDE] = "IDE",
    [BUS_SCSI] = "SCSI", [BUS_VIRTIO] = "virtio-bus", [BUS_USB] = "usb-bus", [BUS_FLOPPY] = "floppy-bus",
    [BUS_VIRTIO_SERIAL] = "virtio-serial-bus",
};
/* The ancestor that qom-list-types names. */
static const char *const bus_kind_types[BUS_KINDS] = {
    [BUS_NONE] = "device", [BUS_SYSTEM] = "sys-bus-device", [BUS_ISA] = "isa-device", [BUS_PCI] = "pci-device",
    [BUS_IDE] = "ide-device", [BUS_SCSI] = "scsi-device", [BUS_VIRTIO] = "virtio-device", [BUS_USB] = "usb-device",
    [BUS_FLOPPY] = "device", [BUS_VIRTIO_SERIAL] = "virtio-serial-port",
};

const char *bus_kind_name(BusKind kind)
{
    return bus_kind_names[kind];
}

const char *device_name(const Device *device)
{
    return device->id ? device->id : device->model->name;
}

const DeviceModel *device_model_find(const char *name)
{
    for (const DeviceModel *const *model = device_models; *model; model++) {
        if (!strcmp((*model)->name, name)) {
            return *model;
        }
        for (const char *const *alias = (*model)->aliases; alias && *alias; alias++) {
            if (!strcmp(*alias, name)) {
                return *model;
            }
        }
    }
    return NULL;
}

static void device_finalize(Object *object)
{
    Device *device = (Device *)object;

    fields_clear(device->model->props ? device->model->props : &(const Field)FIELD_END, device);
    fields_clear(device->model->bus_props ? device->model->bus_props : &(const Field)FIELD_END, device);
    g_free(device->id);
    g_free(device);
}

/* -global DRIVER.PROPERTY=VALUE from the configuration, in order of writing. */
static bool apply_globals(Device *device, GError **err)
{
    const Value *globals = value_get(device->machine->config, "globals");

    for (size_t i = 0; i < value_length(globals); i++) {
        const Value *global = value_at(globals, i);
        if (device_model_find(value_get_string(global, "driver", "")) == device->model &&
            !device_set(device, value_get_string(global, "property", ""), value_get(global, "value"), err)) {
            return false;
        }
    }
    return true;
}

/* Of the bus's kind, the first with room; the first of all where there is none, which says so itself. */
static Bus *find_bus_with_room(Machine *machine, BusKind kind)
{
    for (guint i = 0; i < machine->buses->len; i++) {
        Bus *bus = machine->buses->pdata[i];
        if (bus->kind == kind && !(bus->full && bus->full(bus))) {
            return bus;
        }
    }
    return machine_find_bus(machine, kind, NULL);
}

Device *device_new(Machine *machine, const DeviceModel *model, Bus *bus, const char *id, GError **err)
{
    if (!bus && model->bus != BUS_NONE && model->bus != BUS_SYSTEM) {
        bus = find_bus_with_room(machine, model->bus);
        if (!bus) {
            fail(err, ENODEV, "device '%s': this machine has no %s bus", id ? id : model->name, bus_kind_name(model->bus));
            return NULL;
        }
    }
    Device *device = g_malloc0(model->size);
    device->type = (ObjectType){ .name = model->name, .parent = bus_kind_types[model->bus],
                                 .finalize = device_finalize, .props = model->props };
    object_init(&device->object, &device->type);
    device->model = model;
    device->machine = machine;
    device->bus = bus;
    device->id = g_strdup(id);
    if (model->props) {
        fields_init(model->props, device);
    }
    if (model->bus_props) {
        fields_init(model->bus_props, device);
    }
    if (!apply_globals(device, err)) {
        object_unref(&device->object);
        return NULL;
    }
    return device;
}

static const Field *property_find(const Device *device, const char *name)
{
    const Field *field = device->model->props ? field_find(device->model->props, name) : NULL;

    if (!field && device->model->bus_props) {
        field = field_find(device->model->bus_props, name);
    }
    return field;
}

/* A link written by a person: the id of a character stream. Drives follow with the block layer. */
static bool set_link_by_id(Device *device, const Field *field, const Value *value, GError **err)
{
    const char *id = value_string(value);

    if (!id) {
        return fail(err, EINVAL, "device '%s': property '%s' takes the id of a %s", device_name(device), field->name, field->target);
    }
    void *target = strcmp(field->target, "chardev") == 0 ? (void *)chardev_find(id) : NULL;
    if (!target) {
        return fail(err, ENOENT, "device '%s': %s=%s: there is no %s with that id", device_name(device), field->name, id, field->target);
    }
    *(void **)((char *)device + field->offset) = target;
    return true;
}

bool device_set(Device *device, const char *property, const Value *value, GError **err)
{
    const Field *field = property_find(device, property);

    if (!field || field->kind == FIELD_IRQ) {
        return fail(err, ENOENT, "device '%s': model '%s' has no property '%s'; '-device %s,help' lists them",
                    device_name(device), device->model->name, property, device->model->name);
    }
    if (field->kind == FIELD_LINK) {
        return set_link_by_id(device, field, value, err);
    }
    g_autofree char *who = g_strdup_printf("device '%s'", device_name(device));
    return field_set(field, device, who, value, err);
}

uint64_t device_get_uint(const Device *device, const char *property, uint64_t fallback)
{
    const Field *field = property_find(device, property);
    g_autoptr(Value) value = NULL;
    uint64_t number = fallback;

    if (field && field_get(field, (void *)device, &value, NULL)) {
        value_to_uint(value, &number);
    }
    return number;
}

/* The board names wires and links itself: a wrong name is a mistake in this program, said loudly and survived. */
static void *wired_place(Device *device, const char *property, FieldKind kind)
{
    const Field *field = property_find(device, property);

    if (!field || field->kind != kind) {
        report_error("device '%s' has no wire or link '%s'", device_name(device), property);
        return NULL;
    }
    return (char *)device + field->offset;
}

void device_set_line(Device *device, const char *property, IrqLine line)
{
    IrqLine *place = wired_place(device, property, FIELD_IRQ);

    if (place) {
        *place = line;
    }
}

void device_set_link(Device *device, const char *property, void *target)
{
    void **place = wired_place(device, property, FIELD_LINK);

    if (place) {
        *place = target;
    }
}

static bool device_name_in_tree(Device *device, GError **err)
{
    const char *home = device->id ? "/machine/peripheral"
                     : device->from_user ? "/machine/peripheral-anon" : "/machine/unattached";

    return object_add_child(object_container(home), device->id ? device->id : "device[*]", &device->object, err);
}

bool device_realize(Device *device, GError **err)
{
    if (device->id && machine_find_device(device->machine, device->id)) {
        return fail(err, EEXIST, "device '%s': the id is taken; choose another id=", device->id);
    }
    if (device->bus && device->bus->attach && !device->bus->attach(device->bus, device, err)) {
        return false;
    }
    if (!device_name_in_tree(device, err)) {
        goto detach;
    }
    if (device->model->realize && !device->model->realize(device, err)) {
        goto unparent;
    }
    device->realized = true;
    g_ptr_array_add(device->machine->devices, device);
    if (device->bus) {
        g_ptr_array_add(device->bus->devices, device);
    }
    TRACE(&device_trace[TRACE_REALIZE], "%s (%s)", device_name(device), device->model->name);
    device_reset(device);
    return true;

unparent:
    object_unparent(&device->object);      /* the maker's reference stays */
detach:
    if (device->bus && device->bus->detach) {
        device->bus->detach(device->bus, device);
    }
    return false;
}

void device_unrealize(Device *device)
{
    TRACE(&device_trace[TRACE_UNREALIZE], "%s (%s)", device_name(device), device->model->name);
    if (device->model->unrealize) {
        device->model->unrealize(device);
    }
    g_ptr_array_remove(device->machine->devices, device);
    if (device->bus) {
        g_ptr_array_remove(device->bus->devices, device);
        if (device->bus->detach) {
            device->bus->detach(device->bus, device);
        }
    }
    device->realized = false;
    object_unparent(&device->object);      /* gives back the tree's reference */
    object_unref(&device->object);         /* and the maker's */
}

void device_reset(Device *device)
{
    TRACE(&device_trace[TRACE_RESET], "%s (%s)", device_name(device), device->model->name);
    if (device->model->reset) {
        device->model->reset(device);
    }
}

/* A guest that repeats itself would drown the log: the first ones are told, the rest only counted. */
enum { FAULTS_TOLD = 16 };

void guest_fault(Device *device, const char *format, ...)
{
    device->guest_faults++;
    if (!device_trace[TRACE_FAULT].on && (!log_enabled(LOG_GUEST_ERRORS) || device->guest_faults > FAULTS_TOLD)) {
        return;
    }
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    TRACE(&device_trace[TRACE_FAULT], "%s: %s", device_name(device), what);
    if (device->guest_faults <= FAULTS_TOLD) {
        log_line(LOG_GUEST_ERRORS, "%s: %s%s", device_name(device), what,
                 device->guest_faults == FAULTS_TOLD ? " (further ones are only counted)" : "");
    }
}
