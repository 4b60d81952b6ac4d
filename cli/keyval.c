/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keyval.c - KEY=VALUE,KEY=VALUE
 *
 * Tests    tests/cli/options.py
 */
#include "cli/keyval.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const on_off[] = { "on", "off", NULL };
const char *const on_off_auto[] = { "on", "off", "auto", NULL };

static void pair_free(gpointer pointer)
{
    KeyVal *pair = pointer;

    g_free(pair->key);
    g_free(pair->value);
    g_free(pair);
}

/* The text up to the next single comma; ",," stands for one comma. */
static char *take_value(const char **at)
{
    GString *value = g_string_new(NULL);

    while (**at && (**at != ',' || (*at)[1] == ',')) {
        *at += **at == ',';
        g_string_append_c(value, *(*at)++);
    }
    *at += **at == ',';
    return g_string_free(value, FALSE);
}

static KeyVal *take_pair(const char **at, const char *implied)
{
    KeyVal *pair = g_new0(KeyVal, 1);
    size_t name = strcspn(*at, "=,");

    if ((*at)[name] == '=') {
        pair->key = g_strndup(*at, name);
        *at += name + 1;
        pair->value = take_value(at);
    } else if (implied) {
        pair->key = g_strdup(implied);
        pair->value = take_value(at);
    } else {
        pair->key = take_value(at);
    }
    return pair;
}

GPtrArray *keyval_split(const char *text, const char *implied, GError **err)
{
    GPtrArray *pairs = g_ptr_array_new_with_free_func(pair_free);

    for (const char *at = text; *at;) {
        KeyVal *pair = take_pair(&at, pairs->len == 0 ? implied : NULL);
        g_ptr_array_add(pairs, pair);
        if (!*pair->key) {
            fail(err, EINVAL, "a key is missing before '%s'; write KEY=VALUE, and ',,' for a comma inside a value",
                 pair->value ? pair->value : ",");
            g_ptr_array_unref(pairs);
            return NULL;
        }
    }
    return pairs;
}

const Field *keyval_switch(const Field *keys, const char *word, bool *on)
{
    const Field *key = field_find(keys, word);

    *on = true;
    if (!key && strncmp(word, "no", 2) == 0) {
        *on = false;
        key = field_find(keys, word + 2);
    }
    return key && (key->kind == FIELD_BOOL || (key->kind == FIELD_ENUM && key->names[0] && strcmp(key->names[0], "on") == 0)) ? key : NULL;
}

char *keyval_key_names(const Field *keys)
{
    GString *names = g_string_new(NULL);

    for (const Field *key = keys; key->kind != FIELD_LAST; key++) {
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", key->name);
    }
    return g_string_free(names, FALSE);
}

static Value *typed_enum(const Field *key, const char *text, GError **err)
{
    for (const char *const *name = key->names; *name; name++) {
        if (strcmp(*name, text) == 0) {
            return value_new_string(text);
        }
    }
    g_autofree char *choices = g_strjoinv(", ", (char **)key->names);
    fail(err, EINVAL, "%s=%s: the choices are %s", key->name, text, choices);
    return NULL;
}

static Value *typed_number(const Field *key, const char *text, GError **err)
{
    uint64_t number;

    if (!parse_uint(text, &number) || (key->max && (number < key->min || number > key->max))) {
        if (key->max) {
            fail(err, EINVAL, "%s=%s: a number from %" PRIu64 " to %" PRIu64 " is needed", key->name, text, key->min, key->max);
        } else {
            fail(err, EINVAL, "%s=%s: a number is needed", key->name, text);
        }
        return NULL;
    }
    return value_new_uint(number);
}

static Value *typed_signed(const Field *key, const char *text, GError **err)
{
    uint64_t number;
    bool minus = *text == '-';

    if (!parse_uint(text + minus, &number) || number > INT64_MAX) {
        fail(err, EINVAL, "%s=%s: a number is needed", key->name, text);
        return NULL;
    }
    return value_new_int(minus ? -(int64_t)number : (int64_t)number);
}

static Value *typed_size(const Field *key, const char *text, GError **err)
{
    uint64_t number;

    if (!parse_size(text, 1, &number)) {
        fail(err, EINVAL, "%s=%s: a size below 2^64 is needed, such as 65536, 64k, 512M or 2G", key->name, text);
        return NULL;
    }
    return value_new_uint(number);
}

Value *keyval_typed(const Field *key, const char *text, GError **err)
{
    bool truth;

    switch (key->kind) {
    case FIELD_BOOL:
        if (!parse_bool(text, &truth)) {
            fail(err, EINVAL, "%s=%s: on or off is needed", key->name, text);
            return NULL;
        }
        return value_new_bool(truth);
    case FIELD_ENUM:
        return typed_enum(key, text, err);
    case FIELD_SIZE:
        return typed_size(key, text, err);
    case FIELD_I32: case FIELD_I64:
        return typed_signed(key, text, err);
    case FIELD_U8: case FIELD_U16: case FIELD_U32: case FIELD_U64:
        return typed_number(key, text, err);
    default:
        return value_new_string(text);
    }
}

static bool apply_switch(Value *target, const Field *keys, const char *word, GError **err)
{
    bool on;
    const Field *key = keyval_switch(keys, word, &on);

    if (!key) {
        g_autofree char *names = keyval_key_names(keys);
        return fail(err, EINVAL, "'%s' is not a switch here; %s: %s", word, field_find(keys, word) ? "it takes a value" : "the keys are", names);
    }
    value_set(target, key->name, key->kind == FIELD_BOOL ? value_new_bool(on) : value_new_string(on ? "on" : "off"));
    return true;
}

static bool apply_pair(Value *target, const Field *keys, const KeyVal *pair, GError **err)
{
    const Field *key = field_find(keys, pair->key);

    if (!pair->value) {
        return apply_switch(target, keys, pair->key, err);
    }
    if (!key) {
        g_autofree char *names = keyval_key_names(keys);
        return fail(err, EINVAL, "there is no key '%s'; the keys are %s", pair->key, names);
    }
    Value *value = keyval_typed(key, pair->value, err);
    if (!value) {
        return false;
    }
    value_set(target, key->name, value);
    return true;
}

bool keyval_apply(Value *target, const Field *keys, const char *text, const char *implied, GError **err)
{
    g_autoptr(GPtrArray) pairs = keyval_split(text, implied, err);

    for (guint i = 0; pairs && i < pairs->len; i++) {
        if (!apply_pair(target, keys, pairs->pdata[i], err)) {
            return false;
        }
    }
    for (const Field *key = keys; pairs && key->kind != FIELD_LAST; key++) {
        if (key->required && !value_get(target, key->name)) {
            return fail(err, EINVAL, "%s= is missing", key->name);
        }
    }
    return pairs != NULL;
}

bool keyval_asks_help(const char *text)
{
    g_auto(GStrv) items = g_strsplit(text, ",", -1);

    for (char **item = items; *item; item++) {
        if (strcmp(*item, "help") == 0 || strcmp(*item, "?") == 0) {
            return true;
        }
    }
    return false;
}

static const char *kind_in_words(const Field *key)
{
    switch (key->kind) {
    case FIELD_BOOL: case FIELD_ONOFFAUTO:
        return key->kind == FIELD_BOOL ? "on|off" : "on|off|auto";
    case FIELD_SIZE:
        return "SIZE";
    case FIELD_STR:
        return "TEXT";
    case FIELD_LINK:
        return "ID";
    default:
        return "NUMBER";
    }
}

void keyval_print_keys(const Field *keys)
{
    for (const Field *key = keys; key->kind != FIELD_LAST; key++) {
        if (key->hidden) {
            continue;
        }
        g_autofree char *choices = key->kind == FIELD_ENUM ? g_strjoinv("|", (char **)key->names) : g_strdup(kind_in_words(key));
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
