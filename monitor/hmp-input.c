/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp-input.c - the monitor's keyboard and mouse, and a picture of the screen, by way of send-key, input-send-event and screendump
 *
 * Tests    tests/qmp/input.py
 */
#include "base/option.h"
#include "monitor/hmp.h"
#include "ui/keys.h"
#include <string.h>

static bool read_number(const char *text, int64_t lowest, int64_t highest, int64_t *number)
{
    char *end;

    *number = g_ascii_strtoll(text, &end, 0);
    return end != text && !*end && *number >= lowest && *number <= highest;
}

static Value *key_value(const char *type, Value *take_data)
{
    Value *key = value_new_object();

    value_set(key, "type", value_new_string(type));
    value_set(key, "data", take_data);
    return key;
}

/* A name, "<" (which a shell's user cannot spell), or the number of a key: 0x1e. NULL: it is none of them. */
static Value *read_key(const char *text)
{
    const char *name = strcmp(text, "<") == 0 ? "less" : text;
    int64_t number;

    if (key_find(name)) {
        return key_value("qcode", value_new_string(name));
    }
    return g_str_has_prefix(text, "0x") && read_number(text, 0, UINT16_MAX, &number) ? key_value("number", value_new_int(number)) : NULL;
}

void hmp_sendkey(Session *session, const Words *words, GString *out)
{
    g_auto(GStrv) names = g_strsplit(words->items[0], "-", -1);
    g_autoptr(Value) args = value_new_object();
    Value *keys = value_new_list();
    int64_t hold;

    value_set(args, "keys", keys);
    for (char **name = names; *name; name++) {
        Value *key = read_key(*name);
        if (!key) {
            g_string_append_printf(out, "invalid parameter: %s\n", *name);
            return;
        }
        value_append(keys, key);
    }
    if (words->count > 1) {
        if (!read_number(words->items[1], 0, INT32_MAX, &hold)) {
            g_string_append_printf(out, "Error: '%s' is no number of milliseconds\n", words->items[1]);
            return;
        }
        value_set(args, "hold-time", value_new_int(hold));
    }
    hmp_do(session, out, "send-key", g_steal_pointer(&args));
}

/* ---- the mouse ---- */

static void append_motion(Value *events, const char *axis, int64_t value)
{
    Value *data = value_new_object();

    value_set(data, "axis", value_new_string(axis));
    value_set(data, "value", value_new_int(value));
    value_append(events, key_value("rel", data));
}

static void append_button(Value *events, const char *button, bool down)
{
    Value *data = value_new_object();

    value_set(data, "button", value_new_string(button));
    value_set(data, "down", value_new_bool(down));
    value_append(events, key_value("btn", data));
}

static void send_events(Session *session, GString *out, Value *take_events)
{
    Value *args = value_new_object();

    value_set(args, "events", take_events);
    hmp_do(session, out, "input-send-event", args);
}

void hmp_mouse_move(Session *session, const Words *words, GString *out)
{
    Value *events = value_new_list();
    int64_t way[3] = { 0 };

    for (unsigned i = 0; i < MIN(words->count, G_N_ELEMENTS(way)); i++) {
        if (!read_number(words->items[i], INT16_MIN, INT16_MAX, &way[i])) {
            g_string_append_printf(out, "Error: '%s' is no distance\n", words->items[i]);
            value_unref(events);
            return;
        }
    }
    append_motion(events, "x", way[0]);
    append_motion(events, "y", way[1]);
    if (way[2]) {                          /* a notch of the wheel, away from the user when it is positive */
        append_button(events, way[2] > 0 ? "wheel-up" : "wheel-down", true);
        append_button(events, way[2] > 0 ? "wheel-up" : "wheel-down", false);
    }
    send_events(session, out, events);
}

void hmp_mouse_button(Session *session, const Words *words, GString *out)
{
    static const char *const names[] = { "left", "middle", "right" };
    static int64_t held;
    Value *events = value_new_list();
    int64_t state;

    if (!read_number(words->items[0], 0, 7, &state)) {
        g_string_append(out, "Error: the state is a sum of 1 left, 2 middle, 4 right\n");
        value_unref(events);
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if ((held ^ state) >> i & 1) {
            append_button(events, names[i], state >> i & 1);
        }
    }
    held = state;
    send_events(session, out, events);
}

/* The one that is in use is the only one that can be chosen. */
void hmp_mouse_set(Session *session, const Words *words, GString *out)
{
    g_autoptr(Value) mice = hmp_qmp(session, out, "query-mice", NULL);
    int64_t index;

    if (!read_number(words->items[0], 0, INT32_MAX, &index)) {
        g_string_append_printf(out, "Error: '%s' is no number\n", words->items[0]);
        return;
    }
    for (size_t i = 0; i < value_length(mice); i++) {
        if (value_get_int(value_at(mice, i), "index", -1) == index) {
            return;
        }
    }
    g_string_append_printf(out, "Mouse at index '%" G_GINT64_FORMAT "' not found\n", index);
}

void hmp_screendump(Session *session, const Words *words, GString *out)
{
    static const char *const keys[] = { "filename", "device", "head" };
    Value *args = value_new_object();
    int64_t head;

    for (unsigned i = 0; i < MIN(words->count, G_N_ELEMENTS(keys)); i++) {
        bool number = i == 2 && read_number(words->items[i], 0, INT32_MAX, &head);
        value_set(args, keys[i], number ? value_new_int(head) : value_new_string(words->items[i]));
    }
    hmp_do(session, out, "screendump", args);
}
