/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-map.c - rows of "this attribute is that key", read in both directions
 *
 * Tests    tests/xml/translate.py
 */
#include "cli/xml-work.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

bool xml_number(const XmlNode *node, const char *what, const char *text, uint64_t most, uint64_t *out, GError **err)
{
    guint64 number;

    if (!g_ascii_isdigit(*text) || !g_ascii_string_to_unsigned(text, 10, 0, most, &number, NULL)) {
        return xml_fail(node, err, EINVAL, "%s '%.100s' is not a number from 0 to %" PRIu64, what, text, most);
    }
    *out = number;
    return true;
}

static bool switch_in(const XmlMap *map, const XmlNode *node, const char *text, Value *out, GError **err)
{
    bool on = strcmp(text, "on") == 0 || strcmp(text, "yes") == 0;

    if (!on && strcmp(text, "off") != 0 && strcmp(text, "no") != 0) {
        return xml_fail(node, err, EINVAL, "%s '%.100s' is neither '%s' nor '%s'", map->path, text, map->on ? map->on : "on", map->off ? map->off : "off");
    }
    value_set(out, map->key, value_new_bool(on));
    return true;
}

static bool word_in(const XmlMap *map, const XmlNode *node, const char *text, Value *out, GError **err)
{
    g_autoptr(GString) choices = g_string_new(NULL);

    for (const XmlWord *word = map->words; word->xml; word++) {
        if (strcmp(word->xml, text) == 0) {
            if (word->key) {
                value_set(out, map->key, value_new_string(word->key));
            }
            return true;
        }
        g_string_append_printf(choices, "%s%s", choices->len ? ", " : "", word->xml);
    }
    return xml_fail(node, err, ENOTSUP, "%s '%.100s' is not supported; there are %s", map->path, text, choices->str);
}

static bool row_in(const XmlMap *map, XmlNode *node, Value *out, GError **err)
{
    XmlNode *holder = node;
    const char *text;
    uint64_t number;

    if (map->kind == MAP_PRESENT) {
        if (xml_child(node, map->path)) {
            value_set(out, map->key, value_new_bool(true));
        }
        return true;
    }
    text = xml_lookup(node, map->path, &holder);
    if (!text) {
        return true;
    }
    switch (map->kind) {
    case MAP_NUMBER:
        if (!xml_number(holder, map->path, text, map->most ? map->most : UINT32_MAX, &number, err)) {
            return false;
        }
        value_set(out, map->key, value_new_uint(number));
        return true;
    case MAP_SWITCH:
        return switch_in(map, holder, text, out, err);
    case MAP_WORD:
        return word_in(map, holder, text, out, err);
    default:
        value_set(out, map->key, value_new_string(text));
        return true;
    }
}

bool xml_map_in(const XmlMap *map, XmlNode *node, Value *out, GError **err)
{
    for (; map->path; map++) {
        if (!row_in(map, node, out, err)) {
            return false;
        }
    }
    return true;
}

char *xml_value_text(const Value *value)
{
    int64_t signed_number;
    uint64_t number;
    bool on;

    if (!value) {
        return NULL;
    }
    if (value_string(value)) {
        return g_strdup(value_string(value));
    }
    if (value_kind(value) == VALUE_BOOL && value_to_bool(value, &on)) {
        return g_strdup(on ? "on" : "off");
    }
    if (value_to_uint(value, &number)) {
        return g_strdup_printf("%" PRIu64, number);
    }
    return value_to_int(value, &signed_number) ? g_strdup_printf("%" PRId64, signed_number) : NULL;
}

/* False: the table has no way to say it. */
static bool row_out(const XmlMap *map, const char *text, XmlNode *node)
{
    uint64_t number;
    bool on;

    switch (map->kind) {
    case MAP_NUMBER: {
        bool fits = parse_uint(text, &number) && number <= (map->most ? map->most : UINT32_MAX);
        g_autofree char *decimal = fits ? g_strdup_printf("%" PRIu64, number) : NULL;
        if (fits) {
            xml_store(node, map->path, decimal);
        }
        return fits;
    }
    case MAP_SWITCH:
        if (!parse_bool(text, &on)) {
            return false;
        }
        xml_store(node, map->path, on ? map->on ? map->on : "on" : map->off ? map->off : "off");
        return true;
    case MAP_PRESENT:
        if (!parse_bool(text, &on)) {
            return false;
        }
        if (on) {
            xml_make(node, map->path);
        }
        return true;
    case MAP_WORD:
        for (const XmlWord *word = map->words; word->xml; word++) {
            if (word->key && strcmp(word->key, text) == 0) {
                xml_store(node, map->path, word->xml);
                return true;
            }
        }
        return false;
    default:
        xml_store(node, map->path, text);
        return true;
    }
}

void xml_map_out(const XmlMap *map, Value *in, XmlNode *node)
{
    for (; map->path; map++) {
        g_autofree char *text = xml_value_text(value_get(in, map->key));
        if (text && row_out(map, text, node)) {
            value_remove(in, map->key);
        }
    }
}
