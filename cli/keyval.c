/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keyval.c - KEY=VALUE,... by tables of keys
 *
 * Tests    tests/cli/options.py
 */
#include "cli/keyval.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const on_off[] = { "on", "off", NULL };
const char *const on_off_auto[] = { "on", "off", "auto", NULL };
static const char *const on_off_auto_preset[] = { "off", "on", "auto", "auto" };       /* by FIELD_ONOFFAUTO's numbers */

Value *keyval_parse(const Config *config, const Field *keys, const char *text, const char *implied, GError **err)
{
    const OptionGrammar grammar = { .who = config->saying, .implied = implied, .keys = keys };

    return option_parse(&grammar, text, err);
}

bool keyval_apply(const Config *config, Value *target, const Field *keys, const char *text, const char *implied, GError **err)
{
    g_autoptr(Value) given = keyval_parse(config, keys, text, implied, err);

    for (size_t i = 0; i < value_length(given); i++) {
        value_set(target, value_key_at(given, i), value_ref(value_member_at(given, i)));
    }
    return given != NULL;
}

static const char *kind_in_words(const Field *key)
{
    switch (key->kind) {
    case FIELD_BOOL: case FIELD_ONOFFAUTO:
        return key->kind == FIELD_BOOL ? "on|off" : "on|off|auto";
    case FIELD_SIZE:
        return "SIZE";
    case FIELD_STR: case FIELD_VALUE:
        return "TEXT";
    case FIELD_LINK:
        return "ID";
    default:
        return "NUMBER";
    }
}

char *keyval_choices(const Field *key)
{
    return key->kind == FIELD_ENUM ? g_strjoinv("|", (char **)key->names) : g_strdup(kind_in_words(key));
}

char *keyval_preset(const Field *key)
{
    if (key->required || (key->help && strstr(key->help, "default"))) {
        return NULL;
    }
    switch (key->kind) {
    case FIELD_BOOL:
        return g_strdup(key->preset ? "true" : "false");
    case FIELD_U8: case FIELD_U16: case FIELD_U32: case FIELD_U64: case FIELD_SIZE:
        return g_strdup_printf("%" PRIu64, (uint64_t)key->preset);
    case FIELD_I32: case FIELD_I64:
        return g_strdup_printf("%" PRId64, key->preset);
    case FIELD_ENUM:
        return key->preset < 0 ? NULL : g_strdup(key->names[key->preset]);
    case FIELD_ONOFFAUTO:
        return g_strdup(on_off_auto_preset[key->preset & 3]);
    default:
        return key->preset_text ? g_strdup_printf("\"%s\"", key->preset_text) : NULL;
    }
}

void keyval_print_keys(const Field *keys)
{
    for (const Field *key = keys; key->kind != FIELD_LAST; key++) {
        if (key->hidden) {
            continue;
        }
        g_autofree char *choices = keyval_choices(key);
        g_autofree char *spelling = g_strdup_printf("%s=%s", key->name, choices);
        printf("  %-28s %s%s\n", spelling, key->help ? key->help : "", key->required ? " (needed)" : "");
    }
}

bool name_is_well_formed(const char *id)
{
    if (!g_ascii_isalpha(*id)) {
        return false;
    }
    return id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")] == '\0';
}
