/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block.c - names of drives, devices and nodes to what they stand for; and the drivers' options as QMP types
 *
 * The union BlockdevOptions and its branches are printed from the drivers' tables, so that query-qmp-schema says exactly what
 * blockdev-add takes.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/block.py
 */
#include "monitor/block.h"
#include "block/driver.h"
#include <string.h>

static Device *device_of(const Blk *blk)
{
    const Machine *machine = qmp_machine();

    for (guint i = 0; blk_device_name(blk) && i < machine->devices->len; i++) {
        Device *device = machine->devices->pdata[i];
        if ((void *)device == blk_device_opaque(blk)) {
            return device;
        }
    }
    return NULL;
}

/* QEMU has a device within each virtio device, and its clients use that one's path. */
static bool has_inner_device(const Device *device)
{
    return g_str_has_prefix(device->model->name, "virtio-blk");
}

char *block_qdev(const Blk *blk)
{
    const Device *device = device_of(blk);

    if (!device) {
        return g_strdup(blk_device_name(blk));
    }
    if (device->id && !has_inner_device(device)) {
        return g_strdup(device->id);
    }
    g_autofree char *path = object_path(&device->object);
    return g_strconcat(path, has_inner_device(device) ? "/virtio-backend" : "", NULL);
}

static bool is_called(const Blk *blk, const char *name)
{
    const Device *device = device_of(blk);

    if (!device) {
        return blk_device_name(blk) && strcmp(blk_device_name(blk), name) == 0;
    }
    g_autofree char *path = object_path(&device->object), *inner = g_strconcat(path, "/virtio-backend", NULL);
    return (device->id && strcmp(device->id, name) == 0) || strcmp(path, name) == 0 || strcmp(inner, name) == 0;
}

Blk *block_find_drive(const Value *args, const char **who, GError **err)
{
    const char *device = value_get_string(args, "device", NULL), *id = value_get_string(args, "id", NULL);

    if (!device == !id) {
        qmp_fail(err, QMP_GENERIC_ERROR, "Need exactly one of 'device' and 'id'");
        return NULL;
    }
    *who = device ? device : id;
    for (Blk *blk = blk_next(NULL); blk; blk = blk_next(blk)) {
        if (device ? strcmp(blk_id(blk), device) == 0 : is_called(blk, id)) {
            return blk;
        }
    }
    qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", *who);
    return NULL;
}

Node *block_find_node(const char *name, GError **err)
{
    Node *node = node_find(name);

    if (!node) {
        qmp_fail(err, QMP_GENERIC_ERROR, "Cannot find device='' nor node-name='%s'", name);
    }
    return node;
}

Node *block_node_of(const Value *args, GError **err)
{
    const char *device = value_get_string(args, "device", NULL), *name = value_get_string(args, "node-name", NULL);
    const Blk *blk = device ? blk_find(device) : NULL;
    Node *node = blk ? blk_node(blk) : node_find(name ? name : device ? device : "");

    if (blk && !node) {
        qmp_fail(err, QMP_GENERIC_ERROR, "Device '%s' has no medium", device);
    } else if (!node) {
        qmp_fail(err, QMP_GENERIC_ERROR, "Cannot find device='%s' nor node-name='%s'", device ? device : "", name ? name : "");
    }
    return node;
}

/* ---- types ---- */

/* Keys that hold another node, whatever their table says. */
static bool is_reference(const Field *field)
{
    static const char *const names[] = { "image", "file", "log", "data-file", NULL };

    return field->kind == FIELD_VALUE && g_strv_contains(names, field->name);
}

static char *type_of_field(const NodeDriver *driver, const Field *field)
{
    switch (field->kind) {
    case FIELD_BOOL: return g_strdup("bool");
    case FIELD_STR: return g_strdup("str");
    case FIELD_ENUM: return g_strdup_printf("BlockdevEnum/%s/%s", driver->name, field->name);
    case FIELD_ONOFFAUTO: return g_strdup(strcmp(field->name, "locking") == 0 ? "OnOffAuto" : "bool");
    case FIELD_VALUE:
        return g_strdup(is_reference(field) ? "BlockdevRef" : strcmp(field->name, "server") == 0 ? "SocketAddress" : "any");
    default: return g_strdup("uint");
    }
}

static void print_branch(GString *text, const NodeDriver *driver)
{
    g_string_append(text, "struct");
    if (driver->file_child) {
        g_string_append(text, " file:BlockdevRef");
    }
    if (driver->backing_child) {
        g_string_append(text, " ?backing:BlockdevRefOrNull");
    }
    for (const Field *field = driver->options; field && field->kind != FIELD_LAST; field++) {
        g_autofree char *type = type_of_field(driver, field);
        if (!strchr(field->name, '.')) {
            g_string_append_printf(text, " %s%s:%s", field->required ? "" : "?", field->name, type);
        }
    }
    if (strcmp(driver->name, "nbd") == 0) {
        g_string_append(text, " ?tls-creds:str ?tls-hostname:str");
    }
}

static void print_options(GString *text)
{
    g_string_append(text, "union driver:BlockdevDriver ?node-name:str ?discard:BlockdevDiscardOptions ?cache:BlockdevCacheOptions ?read-only:bool "
                    "?auto-read-only:bool ?force-share:bool ?detect-zeroes:BlockdevDetectZeroesOptions ?trust:bool ; driver ;");
    for (const NodeDriver *const *driver = node_drivers; *driver; driver++) {
        g_string_append_printf(text, " %s:BlockdevOptions/%s", (*driver)->name, (*driver)->name);
    }
}

static bool print_enum(GString *text, const char *place)
{
    g_auto(GStrv) words = g_strsplit(place, "/", 2);
    const NodeDriver *driver = node_driver_find(words[0]);
    const Field *field = driver && words[1] ? field_find(driver->options, words[1]) : NULL;

    for (const char *const *name = field ? field->names : NULL; name && *name; name++) {
        g_string_append_printf(text, "%s%s", text->len ? " " : "enum ", *name);
    }
    return text->len != 0;
}

const char *block_made_type(const char *name)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (strcmp(name, "BlockdevOptions") == 0) {
        print_options(text);
    } else if (strcmp(name, "BlockdevDriver") == 0) {
        g_string_append(text, "enum");
        for (const NodeDriver *const *driver = node_drivers; *driver; driver++) {
            g_string_append_printf(text, " %s", (*driver)->name);
        }
    } else if (g_str_has_prefix(name, "BlockdevOptions/")) {
        const NodeDriver *driver = node_driver_find(name + strlen("BlockdevOptions/"));
        if (driver) {
            print_branch(text, driver);
        }
    } else if (g_str_has_prefix(name, "BlockdevEnum/")) {
        print_enum(text, name + strlen("BlockdevEnum/"));
    }
    return text->len ? g_intern_string(text->str) : NULL;
}
