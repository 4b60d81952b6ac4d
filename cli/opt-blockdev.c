/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-blockdev.c - -blockdev and -object
 *
 * Tests    tests/cli/options.py, tests/cli/config.py
 */
#include "block/driver.h"
#include "cli/keyval.h"
#include "hw/objects.h"
#include "cli/options.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

const Field blockdev_keys[] = {
    KEY_STR("driver", "file, host_device, host_cdrom, null-co, nbd, raw, qcow2, ...: a protocol, a format or a filter", .required = true),
    KEY_STR("node-name", "what others call it"),
    KEY_BOOL("read-only", "nobody writes through it"), KEY_BOOL("auto-read-only", "read-only where writing is not possible"),
    KEY_BOOL("cache.direct", "without the host's page cache"), KEY_BOOL("cache.no-flush", "flushes are not passed on"),
    KEY_STR("discard", "ignore, or unmap: space that the guest discards is given back"),
    KEY_STR("detect-zeroes", "off, on, unmap: zeroes that are written take no space"),
    KEY_BOOL("force-share", "read-only beside a writer, without locks"),
    FIELD_END };

static void print_drivers(void)
{
    static const char *const kinds[] = { [NODE_PROTOCOL] = "Protocols", [NODE_FORMAT] = "Formats", [NODE_FILTER] = "Filters" };

    for (NodeKind kind = NODE_PROTOCOL; kind <= NODE_FILTER; kind++) {
        printf("%s:\n", kinds[kind]);
        for (const NodeDriver *const *driver = node_drivers; *driver; driver++) {
            if ((*driver)->kind == kind) {
                printf("  %-20s %s\n", (*driver)->name, (*driver)->help);
            }
        }
    }
    puts("Keys of every driver:");
    keyval_print_keys(blockdev_keys);
}

/* "-blockdev help" lists the drivers, "-blockdev DRIVER,help" the keys of one. */
static bool help_about_driver(Config *config, const char *text, GError **err)
{
    g_autofree char *first = g_strndup(text, strcspn(text, ","));
    const char *name = g_str_has_prefix(first, "driver=") ? first + strlen("driver=") : first;
    const NodeDriver *driver = node_driver_find(name);

    if (strcmp(name, "help") == 0 || strcmp(name, "?") == 0) {
        print_drivers();
    } else if (!driver) {
        return fail(err, ENOENT, "there is no block driver '%s'; '-blockdev help' lists them", name);
    } else {
        printf("%s options:\n", driver->name);
        if (driver->file_child) {
            puts("  file=NODE                    the node below, by name or by keys (file.driver=...)");
        }
        if (driver->options) {
            keyval_print_keys(driver->options);
        }
    }
    return config_show(config);
}

static bool id_is_taken(const Value *list, const char *key, const char *id)
{
    for (size_t i = 0; i < value_length(list); i++) {
        if (strcmp(value_get_string(value_at(list, i), key, ""), id) == 0) {
            return true;
        }
    }
    return false;
}

bool opt_blockdev(Config *config, const Option *option, const char *text, GError **err)
{
    const OptionGrammar grammar = { .who = config->saying, .implied = "driver", .keys = blockdev_keys, .other_keys = true };

    if (option_wants_help(text)) {
        return help_about_driver(config, text, err);
    }
    g_autoptr(Value) flat = option_parse(&grammar, text, err);
    g_autoptr(Value) node = flat ? option_nest(flat, config->saying, NULL, err) : NULL;
    const char *name = value_get_string(node, "node-name", NULL);

    (void)option;
    if (!node) {
        return false;
    }
    if (!name) {
        return fail(err, EINVAL, "node-name=NAME is missing: nothing could use the node");
    }
    if (id_is_taken(value_get(config->tree, "blockdevs"), "node-name", name)) {
        return fail(err, EEXIST, "the node-name '%s' is taken by an earlier -blockdev", name);
    }
    value_append(config_list(config, "blockdevs"), g_steal_pointer(&node));
    return true;
}

static void print_object_kinds(void)
{
    puts("Object types:");
    for (const ObjectKind *kind = object_kinds; kind->name; kind++) {
        printf("  %-20s %s\n", kind->name, kind->help);
    }
}

/* "-object help" lists the types, "-object TYPE,help" the keys of one. */
static bool help_about(Config *config, const char *text, GError **err)
{
    g_autofree char *first = g_strndup(text, strcspn(text, ","));
    const char *name = g_str_has_prefix(first, "qom-type=") ? first + strlen("qom-type=") : first;
    const ObjectKind *kind;

    if (strcmp(name, "help") == 0 || strcmp(name, "?") == 0) {
        print_object_kinds();
        return config_show(config);
    }
    kind = object_kind_find(name, err);
    if (kind) {
        printf("%s options:\n", kind->name);
        keyval_print_keys(kind->keys);
        return config_show(config);
    }
    return false;
}

bool opt_object(Config *config, const Option *option, const char *text, GError **err)
{
    static const Field keys[] = { KEY_STR("qom-type", "its type", .required = true), KEY_STR("id", "its name", .required = true), FIELD_END };
    const OptionGrammar grammar = { .who = config->saying, .implied = "qom-type", .keys = keys, .other_keys = true };

    (void)option;
    if (option_wants_help(text)) {
        return help_about(config, text, err);
    }
    g_autoptr(Value) object = option_parse(&grammar, text, err);
    if (!object) {
        return false;
    }
    const char *id = value_get_string(object, "id", "");
    if (!name_is_well_formed(id)) {
        return fail(err, EINVAL, "id=%s: an id is a letter, then letters, digits and '-._'", id);
    }
    if (id_is_taken(value_get(config->tree, "objects"), "id", id)) {
        return fail(err, EEXIST, "the id '%s' is taken by an earlier object", id);
    }
    if (!object_kind_find(value_get_string(object, "qom-type", ""), err)) {
        return false;
    }
    value_append(config_list(config, "objects"), g_steal_pointer(&object));
    return true;
}
