/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-device.c - -device and -global
 *
 * Which models and properties there are is the machine's knowledge; here is the grammar only, and help from the models' tables.
 *
 * Tests    tests/cli/options.py, tests/cli/config.py
 */
#include "cli/keyval.h"
#include "cli/manual.h"
#include "cli/options.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

void options_print_devices(void)
{
    for (unsigned bus = 0; bus < BUS_KINDS; bus++) {
        bool headed = false;
        for (const DeviceModel *const *model = device_models; *model; model++) {
            if ((*model)->bus != (BusKind)bus || (*model)->board_only) {
                continue;
            }
            if (!headed) {
                printf("Devices on the %s bus:\n", bus_kind_name((BusKind)bus));
                headed = true;
            }
            const char *alias = (*model)->aliases ? (*model)->aliases[0] : NULL;
            printf("name \"%s\", bus %s%s%s%s, desc \"%s\"\n", (*model)->name, bus_kind_name((BusKind)bus),
                   alias ? ", alias \"" : "", alias ? alias : "", alias ? "\"" : "", (*model)->help);
        }
    }
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const Field *const *)a)->name, (*(const Field *const *)b)->name);
}

GPtrArray *device_properties(const DeviceModel *model)
{
    GPtrArray *list = g_ptr_array_new();
    const Field *const tables[] = { model->bus_props, model->props };

    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        for (const Field *prop = tables[i]; prop && prop->kind != FIELD_LAST; prop++) {
            if (!prop->hidden) {
                g_ptr_array_add(list, (void *)prop);
            }
        }
    }
    g_ptr_array_sort(list, by_name);
    return list;
}

static void print_properties(const DeviceModel *model)
{
    g_autoptr(GPtrArray) list = device_properties(model);

    for (guint i = 0; i < list->len; i++) {
        const Field *prop = list->pdata[i];
        g_autofree char *spelling = g_strdup_printf("%s=<%s>", prop->name, field_kind_name(prop->kind));
        g_autofree char *preset = keyval_preset(prop);
        printf("  %-22s - %s%s%s%s\n", spelling, prop->help ? prop->help : "", preset ? " (default: " : "", preset ? preset : "",
               preset ? ")" : "");
    }
}

static bool print_model(Config *config, const char *name, GError **err)
{
    const DeviceModel *model = device_model_find(name);

    if (!model) {
        return fail(err, ENOENT, "there is no device model '%s'; '-device help' lists them", name);
    }
    printf("%s options:\n", model->name);
    print_properties(model);
    return config_show(config);
}

static bool check_device(const Config *config, const Value *device, GError **err)
{
    const char *driver = value_get_string(device, "driver", NULL), *id = value_get_string(device, "id", NULL);
    const Value *list = value_get(config->tree, "devices");

    if (!driver || !*driver) {
        return fail(err, EINVAL, "driver=MODEL is missing; '-device help' lists the models");
    }
    if (value_get(device, "id") && (!id || !name_is_well_formed(id))) {
        return fail(err, EINVAL, "id=%s: an id is a letter, then letters, digits and '-._'", id ? id : "(not a text)");
    }
    for (size_t i = 0; id && i < value_length(list); i++) {
        if (strcmp(value_get_string(value_at(list, i), "id", ""), id) == 0) {
            return fail(err, EEXIST, "the id '%s' is taken by an earlier device", id);
        }
    }
    return true;
}

bool opt_device(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) device = NULL;

    (void)option;
    if (option_wants_help(text)) {
        g_autofree char *name = g_strndup(text, strcspn(text, ","));
        if (strcmp(name, "help") != 0 && strcmp(name, "?") != 0) {
            return print_model(config, g_str_has_prefix(name, "driver=") ? name + 7 : name, err);
        }
        options_print_devices();
        return config_show(config);
    }
    device = keyval_parse(config, NULL, text, "driver", err);
    if (!device || !check_device(config, device, err)) {
        return false;
    }
    value_append(config_list(config, "devices"), g_steal_pointer(&device));
    return true;
}

const Field global_keys[] = {
    KEY_STR("driver", "the model", .required = true), KEY_STR("property", "its property", .required = true),
    KEY_STR("value", "the value", .required = true), FIELD_END };

bool opt_global(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) global = value_new_object();
    const char *equals = strchr(text, '='), *dot = strchr(text, '.');

    (void)option;
    if (equals && dot && dot < equals && dot > text && equals > dot + 1) {
        g_autofree char *driver = g_strndup(text, dot - text), *property = g_strndup(dot + 1, equals - dot - 1);
        value_set(global, "driver", value_new_string(driver));
        value_set(global, "property", value_new_string(property));
        value_set(global, "value", value_new_string(equals + 1));
    } else if (!g_str_has_prefix(text, "driver=")) {
        return fail(err, EINVAL, "write MODEL.PROPERTY=VALUE");
    } else if (!keyval_apply(config, global, global_keys, text, NULL, err)) {
        return false;
    }
    value_append(config_list(config, "globals"), g_steal_pointer(&global));
    return true;
}
