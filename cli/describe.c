/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * describe.c - the option table for programs: query-command-line-options
 *
 * Tests    tests/qmp/machine.py
 */
#include "base/char/chardev.h"
#include "cli/keyval.h"
#include <string.h>

static const char *type_of(const Field *key)
{
    switch (key->kind) {
    case FIELD_BOOL: return "boolean";
    case FIELD_SIZE: return "size";
    case FIELD_U8: case FIELD_U16: case FIELD_U32: case FIELD_U64: case FIELD_I32: case FIELD_I64: return "number";
    default: return "string";
    }
}

static void append_keys(Value *list, const Field *keys)
{
    for (; keys && keys->kind != FIELD_LAST; keys++) {
        Value *parameter = value_new_object();
        value_set(parameter, "name", value_new_string(keys->name));
        value_set(parameter, "type", value_new_string(type_of(keys)));
        if (keys->help) {
            value_set(parameter, "help", value_new_string(keys->help));
        }
        value_append(list, parameter);
    }
}

/* A key that several backends have is told once. */
static void append_chardev_keys(Value *list)
{
    g_autoptr(GHashTable) told = g_hash_table_new(g_str_hash, g_str_equal);

    append_keys(list, chardev_common_keys);
    for (const char *const *backend = chardev_backends; *backend; backend++) {
        for (const Field *key = chardev_keys(*backend); key->kind != FIELD_LAST; key++) {
            const Field one[] = { *key, FIELD_END };
            if (g_hash_table_add(told, (void *)key->name)) {
                append_keys(list, one);
            }
        }
    }
}

Value *options_describe(void)
{
    Value *list = value_new_list();

    for (const Option *option = run_options; option->name || option->help; option++) {
        bool chardev = option->name && strcmp(option->name, "chardev") == 0;
        bool any_keys = option->name && strcmp(option->name, "device") == 0;
        if (!option->name || strcmp(option->name, "M") == 0 || !(option->keys || chardev || any_keys)) {
            continue;
        }
        Value *info = value_new_object(), *parameters = value_new_list();
        append_keys(parameters, option->keys);
        if (chardev) {
            append_chardev_keys(parameters);
        }
        value_set(info, "option", value_new_string(option->name));
        value_set(info, "parameters", parameters);
        value_append(list, info);
    }
    return list;
}
