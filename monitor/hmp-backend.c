/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp-backend.c - the monitor's character streams and network backends, by way of chardev-add and its kin
 *
 * chardev-add takes what -chardev takes; QMP wants the same sorted into a backend's type and data.
 *
 * Tests    tests/qmp/hmp.py
 */
#include "base/char/chardev.h"
#include "base/option.h"
#include "monitor/hmp.h"
#include <string.h>

static void move(Value *to, const char *name, Value *from, const char *key)
{
    if (value_get(from, key)) {
        value_set(to, name, value_ref(value_get(from, key)));
        value_remove(from, key);
    }
}

/* {"type":"unix","data":{"path":...}} from path=, host= or fd=. */
static Value *socket_address(Value *options)
{
    static const char *const places[] = { "path", "abstract", "tight", "host", "port", "to", "ipv4", "ipv6" };
    Value *address = value_new_object(), *data = value_new_object();
    const char *type = value_get(options, "path") ? "unix" : value_get(options, "fd") ? "fd" : "inet";

    value_set(address, "type", value_new_string(type));
    value_set(address, "data", data);
    move(data, "str", options, "fd");
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        move(data, places[i], options, places[i]);
    }
    return address;
}

/* The backend as QMP says it; what is left of the options is its data. */
static Value *qmp_backend(Value *options)
{
    g_autofree char *type = g_strdup(value_get_string(options, "backend", ""));
    Value *backend = value_new_object(), *data = value_new_object();

    value_remove(options, "backend");
    if (strcmp(type, "socket") == 0) {
        value_set(data, "addr", socket_address(options));
    } else if (strcmp(type, "file") == 0) {
        move(data, "out", options, "path");
        move(data, "in", options, "input-path");
    } else if (strcmp(type, "pipe") == 0) {
        move(data, "device", options, "path");
    }
    for (size_t i = 0; i < value_length(options); i++) {
        value_set(data, value_key_at(options, i), value_ref(value_member_at(options, i)));
    }
    value_set(backend, "type", value_new_string(type));
    value_set(backend, "data", data);
    return backend;
}

/* Typed by the backend's own tables. NULL: what is wrong is in out. */
static Value *chardev_options(const char *text, GString *out)
{
    const OptionGrammar any = { .who = "chardev", .implied = "backend" };
    static const Field naming[] = { { .name = "backend", .kind = FIELD_STR }, { .name = "id", .kind = FIELD_STR }, FIELD_END };
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) given = option_parse(&any, text, &err);
    const char *backend = value_get_string(given, "backend", "");
    Value *typed = NULL;

    if (given && !chardev_keys(backend)) {
        g_string_append_printf(out, "Error: '%s' is not a valid char driver name\n", backend);
    } else if (given) {
        const Field *const tables[] = { naming, chardev_keys(backend), chardev_common_keys };
        g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(Field));
        for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
            for (const Field *key = tables[i]; key->kind != FIELD_LAST; key++) {
                g_array_append_vals(keys, key, 1);
            }
        }
        g_array_append_vals(keys, &(const Field)FIELD_END, 1);
        const OptionGrammar grammar = { .who = "chardev", .implied = "backend", .keys = (const Field *)(void *)keys->data };
        typed = option_parse(&grammar, text, &err);
    }
    if (err) {
        g_string_append_printf(out, "Error: %s\n", err->message);
    }
    return typed;
}

static void make_chardev(Session *session, GString *out, const char *command, const char *id, Value *options)
{
    Value *args = hmp_args("id", id);

    value_remove(options, "id");
    value_set(args, "backend", qmp_backend(options));
    g_autoptr(Value) made = hmp_qmp(session, out, command, args);
    if (value_get(made, "pty")) {
        g_string_append_printf(out, "char device redirected to %s (label %s)\n", value_get_string(made, "pty", ""), id);
    }
}

void hmp_chardev_add(Session *session, const Words *words, GString *out)
{
    g_autoptr(Value) options = chardev_options(words->items[0], out);
    g_autofree char *id = g_strdup(value_get_string(options, "id", NULL));

    if (options && !id) {
        g_string_append(out, "Error: chardev: no id specified\n");
    } else if (options) {
        make_chardev(session, out, "chardev-add", id, options);
    }
}

void hmp_chardev_change(Session *session, const Words *words, GString *out)
{
    g_autoptr(Value) options = chardev_options(words->items[1], out);

    if (options) {
        make_chardev(session, out, "chardev-change", words->items[0], options);
    }
}

/* ---- networks ---- */

void hmp_netdev_add(Session *session, const Words *words, GString *out)
{
    const OptionGrammar grammar = { .who = "netdev_add", .implied = "type" };
    g_autoptr(GError) err = NULL;
    Value *args = option_parse(&grammar, words->items[0], &err);

    if (!args) {
        g_string_append_printf(out, "Error: %s\n", err->message);
    } else {
        hmp_do(session, out, "netdev_add", args);
    }
}

void hmp_netdev_del(Session *session, const Words *words, GString *out)
{
    hmp_do(session, out, "netdev_del", hmp_args("id", words->items[0]));
}

void hmp_set_link(Session *session, const Words *words, GString *out)
{
    Value *args = hmp_args("name", words->items[0]);
    bool up;

    if (!parse_bool(words->items[1], &up)) {
        g_string_append_printf(out, "Error: '%s' is neither on nor off\n", words->items[1]);
        value_unref(args);
        return;
    }
    value_set(args, "up", value_new_bool(up));
    hmp_do(session, out, "set_link", args);
}

/* "[ID] RULE" */
static void forward(Session *session, const Words *words, GString *out, const char *command)
{
    Value *args = hmp_args("rule", words->items[words->count > 1 ? 1 : 0]);

    if (words->count > 1) {
        value_set(args, "id", value_new_string(words->items[0]));
    }
    gsize begin = out->len;
    g_autoptr(Value) reply = hmp_qmp(session, out, command, args);
    if (reply) {
        g_string_append(out, value_get_string(reply, "human-readable-text", ""));
    } else if (g_str_has_prefix(out->str + begin, "Error: ")) {
        g_string_erase(out, (gssize)begin, (gssize)strlen("Error: "));         /* these two commands have no such word before */
    }
}

void hmp_hostfwd_add(Session *session, const Words *words, GString *out)
{
    forward(session, words, out, "x-hostfwd-add");
}

void hmp_hostfwd_remove(Session *session, const Words *words, GString *out)
{
    forward(session, words, out, "x-hostfwd-remove");
}
