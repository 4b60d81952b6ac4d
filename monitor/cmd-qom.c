/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-qom.c - the tree of objects and the list of types, with their properties from the property tables
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/device.py
 */
#include "accel/x86/cpuid.h"
#include "base/char/chardev.h"
#include "base/error.h"
#include "hw/objects.h"
#include "monitor/commands.h"
#include <errno.h>
#include <string.h>

static const char inner[] = "/virtio-backend";             /* QEMU's second device within a virtio device: here the same */
static const char *const device_flags[] = { "realized", "hotplugged", "hotpluggable" };

static Object *find_object(const char *path, GError **err)
{
    size_t length = strlen(path), tail = sizeof inner - 1;
    g_autofree char *outer = g_str_has_suffix(path, inner) ? g_strndup(path, length - tail) : NULL;
    Object *object = object_find(outer ? outer : path);

    if (!object) {
        qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", path);
    }
    return object;
}

static Device *as_device(const Object *object)
{
    const Machine *machine = qmp_machine();

    for (guint i = 0; i < machine->devices->len; i++) {
        Device *device = machine->devices->pdata[i];
        if (&device->object == object) {
            return device;
        }
    }
    return NULL;
}

static Cpu *as_cpu(const Object *object)
{
    const Machine *machine = qmp_machine();

    for (guint i = 0; i < machine->cpus->len; i++) {
        if (cpu_object(machine->cpus->pdata[i]) == object) {
            return machine->cpus->pdata[i];
        }
    }
    return NULL;
}

/* ---- lists of properties ---- */

static void append(Value *list, const char *name, const char *type, const char *description)
{
    Value *info = value_new_object();

    value_set(info, "name", value_new_string(name));
    value_set(info, "type", value_new_string(type));
    if (description) {
        value_set(info, "description", value_new_string(description));
    }
    value_append(list, info);
}

static Value *preset_of(const Field *field)
{
    switch (field->kind) {
    case FIELD_BOOL: return value_new_bool(field->preset != 0);
    case FIELD_U8: case FIELD_U16: case FIELD_U32: return value_new_int(field->preset);
    case FIELD_I32: case FIELD_I64: return value_new_int(field->preset);
    case FIELD_U64: case FIELD_SIZE: return value_new_uint((uint64_t)field->preset);
    case FIELD_ENUM: return value_new_string(field->names[field->preset]);
    case FIELD_ONOFFAUTO: return value_new_string(field->preset == 2 ? "auto" : field->preset ? "on" : "off");
    case FIELD_STR: return field->preset_text ? value_new_string(field->preset_text) : NULL;
    default: return NULL;
    }
}

static void append_fields(Value *list, const Field *fields, bool presets)
{
    for (; fields && fields->kind != FIELD_LAST; fields++) {
        if (fields->kind == FIELD_IRQ) {
            continue;
        }
        append(list, fields->name, field_kind_name(fields->kind), presets ? fields->help : NULL);
        Value *preset = presets ? preset_of(fields) : NULL;
        if (preset) {
            value_set(value_at(list, value_length(list) - 1), "default-value", preset);
        }
    }
}

static void append_cpu(Value *list)
{
    g_autoptr(GHashTable) told = g_hash_table_new(g_str_hash, g_str_equal);

    for (unsigned i = 0; i < CPUID_WORDS * 32; i++) {
        const char *name = cpuid_feature_name(i / 32, i % 32);
        if (name && g_hash_table_add(told, (void *)name)) {
            append(list, name, "bool", NULL);
        }
    }
    append(list, "unavailable-features", "strList", NULL);
}

QMP_HANDLER(qom_list)
{
    Object *object = find_object(value_get_string(args, "path", ""), err);
    Value *list;

    if (!object) {
        return NULL;
    }
    const Device *device = as_device(object);
    list = value_new_list();
    append(list, "type", "string", NULL);
    if (device || as_cpu(object)) {
        append(list, "parent_bus", "link<bus>", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(device_flags); i++) {
            append(list, device_flags[i], "bool", NULL);
        }
    }
    if (device) {
        append_fields(list, device->model->props, false);
        append_fields(list, device->model->bus_props, false);
    } else if (as_cpu(object)) {
        append_cpu(list);
    } else {
        append_fields(list, object->type->props, false);
    }
    for (guint i = 0; object->children && i < object->children->len; i++) {
        const Object *child = object->children->pdata[i];
        g_autofree char *type = g_strdup_printf("child<%s>", child->type->name);
        append(list, child->name, type, NULL);
    }
    return list;
}

/* ---- one property ---- */

static const Field *find_field(const Object *object, const char *name)
{
    const Device *device = as_device(object);
    const Field *fields = device ? device->model->props : object->type->props, *found = fields ? field_find(fields, name) : NULL;

    return found || !device || !device->model->bus_props ? found : field_find(device->model->bus_props, name);
}

static Value *cpu_property(const Cpu *cpu, const char *name)
{
    for (unsigned i = 0; i < CPUID_WORDS * 32; i++) {
        const char *known = cpuid_feature_name(i / 32, i % 32);
        if (known && strcmp(known, name) == 0) {
            return value_new_bool(cpu_has_feature(cpu, i));
        }
    }
    return strcmp(name, "unavailable-features") == 0 ? value_new_list() : NULL;
}

/* What every object, device or processor has; NULL: not such a one. */
static Value *common_property(Object *object, const char *name)
{
    const Device *device = as_device(object);
    const Cpu *cpu = as_cpu(object);

    if (strcmp(name, "type") == 0) {
        return value_new_string(object->type->name);
    }
    if (strcmp(name, "realized") == 0 && (device || cpu)) {
        return value_new_bool(!device || device->realized);
    }
    if (strcmp(name, "hotplugged") == 0 && (device || cpu)) {
        return value_new_bool(device && device->hotplugged);
    }
    if (strcmp(name, "hotpluggable") == 0 && (device || cpu)) {
        return value_new_bool(device && device->model->hotpluggable);
    }
    if (strcmp(name, "parent_bus") == 0 && (device || cpu)) {
        g_autofree char *path = device && device->bus ? object_path(&device->bus->object) : g_strdup("");
        return value_new_string(path);
    }
    for (guint i = 0; object->children && i < object->children->len; i++) {
        const Object *child = object->children->pdata[i];
        if (strcmp(child->name, name) == 0) {
            g_autofree char *path = object_path(child);
            return value_new_string(path);
        }
    }
    return cpu ? cpu_property(cpu, name) : NULL;
}

static Value *no_property(const Object *object, const char *name, GError **err)
{
    return qmp_fail(err, QMP_GENERIC_ERROR, "Property '%s.%s' not found", object->type->name, name);
}

QMP_HANDLER(qom_get)
{
    const char *name = value_get_string(args, "property", "");
    Object *object = find_object(value_get_string(args, "path", ""), err);
    Value *value = object ? common_property(object, name) : NULL;

    if (value || !object) {
        return value;
    }
    const Field *field = find_field(object, name);
    if (!field || field->kind == FIELD_IRQ) {
        return no_property(object, name, err);
    }
    if (field->kind == FIELD_STR && !*(char **)((char *)object + field->offset)) {
        return value_new_string("");
    }
    return field_get(field, object, &value, err) ? value : NULL;
}

/* A device that lives changes only where the property computes: the others are read once, when it is made. */
QMP_HANDLER(qom_set)
{
    const char *name = value_get_string(args, "property", "");
    Object *object = find_object(value_get_string(args, "path", ""), err);

    if (!object) {
        return NULL;
    }
    const Field *field = find_field(object, name);
    if (!field) {
        g_autoptr(Value) common = common_property(object, name);
        return common ? qmp_fail(err, QMP_GENERIC_ERROR, "Property '%s.%s' is not writable", object->type->name, name) : no_property(object, name, err);
    }
    if (field->kind != FIELD_CALL) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Attempt to set property '%s' on device '%s' (type '%s') after it was realized", name,
                        object->name ? object->name : "", object->type->name);
    }
    return field_set(field, object, object->type->name, value_get(args, "value"), err) ? qmp_done() : NULL;
}

/* ---- types ---- */

typedef struct TypeList { Value *list; const char *implements; bool abstract; } TypeList;

/* name's ancestors are known by its parent alone; every list of types is flat but for these. */
static const struct { const char *name, *parent; } ancestors[] = {
    { "device", "object" }, { "pci-device", "device" }, { "isa-device", "device" }, { "sys-bus-device", "device" }, { "ide-device", "device" },
    { "scsi-device", "device" }, { "virtio-device", "device" }, { "usb-device", "device" }, { "cpu", "device" }, { "x86_64-cpu", "cpu" },
    { "machine", "object" }, { "accel", "object" }, { "chardev", "object" },
};

static const char *parent_of(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ancestors); i++) {
        if (strcmp(ancestors[i].name, name) == 0) {
            return ancestors[i].parent;
        }
    }
    return NULL;
}

static void add_type(TypeList *types, const char *name, const char *parent, bool abstract)
{
    bool wanted = !types->implements || strcmp(types->implements, name) == 0;

    for (const char *above = parent; above && !wanted; above = parent_of(above)) {
        wanted = strcmp(types->implements, above) == 0;
    }
    if (!wanted || (abstract && !types->abstract)) {
        return;
    }
    Value *info = value_new_object();
    value_set(info, "name", value_new_string(name));
    if (abstract) {
        value_set(info, "abstract", value_new_bool(true));
    }
    value_set(info, "parent", value_new_string(parent));
    value_append(types->list, info);
}

static void add_made(TypeList *types, const char *before, const char *name, const char *after, const char *parent)
{
    g_autofree char *whole = g_strconcat(before, name, after, NULL);

    add_type(types, whole, parent, false);
}

static const char *parent_of_model(const DeviceModel *model)
{
    static const char *const parents[BUS_KINDS] = {
        [BUS_NONE] = "device", [BUS_SYSTEM] = "sys-bus-device", [BUS_ISA] = "isa-device", [BUS_PCI] = "pci-device", [BUS_IDE] = "ide-device",
        [BUS_SCSI] = "scsi-device", [BUS_VIRTIO] = "virtio-device", [BUS_USB] = "usb-device", [BUS_FLOPPY] = "device",
        [BUS_VIRTIO_SERIAL] = "virtio-serial-port",
    };

    return parents[model->bus];
}

QMP_HANDLER(qom_list_types)
{
    static const char *const accels[] = { "tcg", "kvm", "qtest" };
    TypeList types = { value_new_list(), value_get_string(args, "implements", NULL), value_get_bool(args, "abstract", false) };

    for (size_t i = 0; i < G_N_ELEMENTS(ancestors); i++) {
        add_type(&types, ancestors[i].name, ancestors[i].parent, true);
    }
    for (const DeviceModel *const *model = device_models; *model; model++) {
        add_type(&types, (*model)->name, parent_of_model(*model), false);
    }
    for (const ObjectKind *kind = object_kinds; kind->name; kind++) {
        add_type(&types, kind->name, "object", false);
    }
    for (const char *const *backend = chardev_backends; *backend; backend++) {
        add_made(&types, "chardev-", *backend, "", "chardev");
    }
    for (const BoardModel *const *board = board_models; *board; board++) {
        add_made(&types, "", (*board)->name, "-machine", "machine");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(accels); i++) {
        add_made(&types, "", accels[i], "-accel", "accel");
    }
    for (size_t i = 0; cpuid_model_name(i); i++) {
        add_made(&types, "", cpuid_model_name(i), "-x86_64-cpu", "x86_64-cpu");
    }
    add_type(&types, "max-x86_64-cpu", "x86_64-cpu", false);
    add_type(&types, "host-x86_64-cpu", "x86_64-cpu", false);
    return types.list;
}

static Value *model_properties(const DeviceModel *model)
{
    Value *list = value_new_list();

    append_fields(list, model->props, true);
    append_fields(list, model->bus_props, true);
    return list;
}

QMP_HANDLER(device_list_properties)
{
    const char *name = value_get_string(args, "typename", "");
    const DeviceModel *model = device_model_find(name);

    if (model) {
        return model_properties(model);
    }
    return parent_of(name) ? qmp_fail(err, QMP_GENERIC_ERROR, "Parameter 'typename' expects a non-abstract device type")
                           : qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", name);
}

/* A type that is known and has no properties of its own has an empty list: libvirt does not bear an error here. */
QMP_HANDLER(qom_list_properties)
{
    const char *name = value_get_string(args, "typename", "");
    const DeviceModel *model = device_model_find(name);
    Value *list;

    if (model) {
        return model_properties(model);
    }
    list = value_new_list();
    for (const ObjectKind *kind = object_kinds; kind->name; kind++) {
        if (strcmp(kind->name, name) == 0) {
            append_fields(list, kind->keys, true);
            return list;
        }
    }
    if (g_str_has_suffix(name, "-x86_64-cpu") || strcmp(name, "x86_64-cpu") == 0) {
        append_cpu(list);
        return list;
    }
    if (parent_of(name) || g_str_has_suffix(name, "-machine") || g_str_has_suffix(name, "-accel") || g_str_has_prefix(name, "chardev-") ||
        g_str_has_prefix(name, "memory-backend-")) {
        return list;
    }
    value_unref(list);
    return qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Class '%s' not found", name);
}

const QmpType qom_types[] = {
    { "ObjectPropertyInfo", "struct name:str type:str ?description:str ?default-value:any" },
    { "ObjectTypeInfo", "struct name:str ?abstract:bool ?parent:str" },
    { .name = NULL } };

const QmpCommand qom_commands[] = {
    { "qom-list", qom_list, .args = "path:str", .returns = "[ObjectPropertyInfo]", .help = "an object's properties and children" },
    { "qom-get", qom_get, .args = "path:str property:str", .returns = "any", .help = "a property of an object" },
    { "qom-set", qom_set, .args = "path:str property:str value:any", .help = "sets a property of an object that takes it while it lives" },
    { "qom-list-types", qom_list_types, .args = "?implements:str ?abstract:bool", .returns = "[ObjectTypeInfo]", .help = "all types, or those below one" },
    { "qom-list-properties", qom_list_properties, .args = "typename:str", .returns = "[ObjectPropertyInfo]", .help = "what objects of a type have" },
    { "device-list-properties", device_list_properties, .args = "typename:str", .returns = "[ObjectPropertyInfo]", .help = "what -device takes for a model" },
    { .name = NULL } };
