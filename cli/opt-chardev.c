/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-chardev.c - -chardev, and the short spellings of -serial, -debugcon and -qtest
 *
 * Tests    tests/cli/options.py, tests/cli/config.py
 */
#include "base/char/chardev.h"
#include "base/fdset.h"
#include "cli/keyval.h"
#include "cli/options.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { SERIAL_PORTS = 4 };

static void print_backends(void)
{
    printf("Available chardev backend types:\n");
    for (const char *const *name = chardev_backends; *name; name++) {
        printf("  %-10s %s\n", *name, chardev_backend_help(*name));
    }
}

static void print_backend_keys(const char *backend)
{
    printf("%s options:\n", backend);
    keyval_print_keys(chardev_keys(backend));
    keyval_print_keys(chardev_common_keys);
}

static bool check_backend(const char *name, GError **err)
{
    const char *refusal = chardev_backend_refusal(name);

    if (chardev_keys(name)) {
        return true;
    }
    return refusal ? fail(err, ENOTSUP, "backend '%s' is refused: %s", name, refusal)
                   : fail(err, EINVAL, "there is no backend '%s'; '-chardev help' lists them", name);
}

/* The keys that are the spelling's own affair, the backend's, and those that all backends take, in one table. */
static Field *all_keys(const char *backend)
{
    static const Field naming[] = { KEY_STR("backend", "kind of stream"), KEY_STR("id", "its name"), FIELD_END };
    const Field *const tables[] = { naming, chardev_keys(backend), chardev_common_keys };
    GArray *keys = g_array_new(FALSE, FALSE, sizeof(Field));

    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        for (const Field *key = tables[i]; key->kind != FIELD_LAST; key++) {
            g_array_append_vals(keys, key, 1);
        }
    }
    g_array_append_vals(keys, &(const Field)FIELD_END, 1);
    return (Field *)(void *)g_array_free(keys, FALSE);
}

static bool add_chardev(Config *config, Value *take, GError **err)
{
    g_autoptr(Value) chardev = take;
    const char *id = value_get_string(chardev, "id", "");
    Value *list = config_list(config, "chardevs");

    for (size_t i = 0; i < value_length(list); i++) {
        if (strcmp(value_get_string(value_at(list, i), "id", ""), id) == 0) {
            return fail(err, EEXIST, "the id '%s' is taken by an earlier chardev", id);
        }
    }
    value_set_origin(chardev, config->saying);
    value_append(list, g_steal_pointer(&chardev));
    return true;
}

bool opt_chardev(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) given = keyval_parse(config, NULL, text, "backend", err);
    const char *backend = value_get_string(given, "backend", ""), *id = value_get_string(given, "id", NULL);
    bool help = option_wants_help(text);

    (void)option;
    if (!given) {
        return false;
    }
    if (help && (strcmp(backend, "help") == 0 || strcmp(backend, "?") == 0)) {
        print_backends();
        return config_show(config);
    }
    if (!*backend) {
        return fail(err, EINVAL, "the backend's name must come first; '-chardev help' lists them");
    }
    if (!check_backend(backend, err)) {
        return false;
    }
    if (help) {
        print_backend_keys(backend);
        return config_show(config);
    }
    if (!id) {
        return fail(err, EINVAL, "id=NAME is missing");
    }
    if (!name_is_well_formed(id)) {
        return fail(err, EINVAL, "id=%s: an id is a letter, then letters, digits and '-._'", id);
    }
    g_autofree Field *keys = all_keys(backend);
    Value *chardev = keyval_parse(config, keys, text, "backend", err);
    return chardev && add_chardev(config, chardev, err);
}

/* "HOST:PORT", "[HOST]:PORT", ":PORT"; the rest after a comma are keys. */
static bool tcp_from_text(Value *chardev, const char *text, const char **rest, GError **err)
{
    size_t length = strcspn(text, ",");
    g_autofree char *address = g_strndup(text, length);
    char *colon = strrchr(address, ':');

    if (!colon || !colon[1]) {
        return fail(err, EINVAL, "tcp:%s: an address is HOST:PORT", address);
    }
    *colon = '\0';
    size_t host_length = strlen(address);
    bool brackets = *address == '[' && host_length > 1 && address[host_length - 1] == ']';
    g_autofree char *host = brackets ? g_strndup(address + 1, host_length - 2) : g_strdup(address);
    value_set(chardev, "host", value_new_string(host));
    value_set(chardev, "port", value_new_string(colon + 1));
    *rest = text[length] ? text + length + 1 : "";
    return true;
}

static bool socket_from_text(const Config *config, Value *chardev, const char *text, GError **err)
{
    const char *rest = "";

    value_set(chardev, "backend", value_new_string("socket"));
    if (g_str_has_prefix(text, "tcp:")) {
        if (!tcp_from_text(chardev, text + 4, &rest, err)) {
            return false;
        }
    } else {
        size_t length = strcspn(text + 5, ",");
        g_autofree char *path = g_strndup(text + 5, length);
        if (!*path) {
            return fail(err, EINVAL, "unix: needs a path");
        }
        value_set(chardev, "path", value_new_string(path));
        rest = text[5 + length] ? text + 5 + length + 1 : "";
    }
    g_autofree Field *keys = all_keys("socket");
    return keyval_apply(config, chardev, keys, rest, NULL, err);
}

static const char *refused_spelling(const char *text)
{
    static const struct { const char *prefix, *reason; } refused[] = {
        { "vc", "there is no display yet" }, { "telnet:", "telnet is not supported yet; tcp: carries the plain bytes" },
        { "tn3270:", "tn3270 is not supported yet" }, { "websocket:", "websocket is not supported yet" },
        { "udp:", "udp is not supported yet" }, { "con:", "there is no such console on this host" }, { "COM", "there is no such port on this host" },
        { "/dev/", "a serial or parallel port of the host is not supported yet" }, { "msmouse", "it is not supported yet" },
        { "braille", "it is not supported yet" }, { "wctablet", "it is not supported yet" }, { "testdev", "it is not supported yet" },
        { "fdset", "it is not supported yet" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        if (g_str_has_prefix(text, refused[i].prefix)) {
            return refused[i].reason;
        }
    }
    return NULL;
}

static bool fill_from_text(const Config *config, Value *chardev, const char *text, GError **err)
{
    static const char *const bare[] = { "null", "stdio", "pty", "ringbuf", NULL };
    const char *refused = refused_spelling(text);

    if (g_strv_contains(bare, text)) {
        value_set(chardev, "backend", value_new_string(text));
        return true;
    }
    if (g_str_has_prefix(text, "file:") || g_str_has_prefix(text, "pipe:")) {
        g_autofree char *backend = g_strndup(text, 4);
        if (!text[5]) {
            return fail(err, EINVAL, "%s needs a path", text);
        }
        value_set(chardev, "backend", value_new_string(backend));
        value_set(chardev, "path", value_new_string(text + 5));
        return true;
    }
    if (g_str_has_prefix(text, "unix:") || g_str_has_prefix(text, "tcp:")) {
        return socket_from_text(config, chardev, text, err);
    }
    return refused ? fail(err, ENOTSUP, "'%s' is refused: %s", text, refused)
                   : fail(err, EINVAL, "'%s' is not a stream; there are none, null, stdio, mon:stdio, pty, file:PATH, pipe:PATH, "
                          "unix:PATH, tcp:HOST:PORT, ringbuf and chardev:ID", text);
}

static void add_monitor(Config *config, const char *id, const char *mode, bool pretty)
{
    Value *monitor = value_new_object();

    value_set(monitor, "chardev", value_new_string(id));
    value_set(monitor, "mode", value_new_string(mode));
    if (pretty) {
        value_set(monitor, "pretty", value_new_bool(true));
    }
    value_set_origin(monitor, config->saying);
    value_append(config_list(config, "monitors"), monitor);
    config->monitor_given |= strcmp(mode, "readline") == 0;
}

bool chardev_from_text(Config *config, const char *text, const char *id, char **out, GError **err)
{
    g_autoptr(Value) chardev = value_new_object();
    bool with_monitor = g_str_has_prefix(text, "mon:");

    *out = NULL;
    if (strcmp(text, "none") == 0) {
        return true;
    }
    if (g_str_has_prefix(text, "chardev:")) {
        if (!text[8]) {
            return fail(err, EINVAL, "chardev: needs the id of a -chardev");
        }
        *out = g_strdup(text + 8);
        return true;
    }
    value_set(chardev, "id", value_new_string(id));
    if (!fill_from_text(config, chardev, with_monitor ? text + 4 : text, err)) {
        return false;
    }
    if (with_monitor) {
        value_set(chardev, "mux", value_new_bool(true));
        if (strcmp(text, "mon:stdio") == 0) {
            value_set(chardev, "signal", value_new_bool(false));      /* Ctrl-C is the guest's; Ctrl-A x ends it */
        }
        add_monitor(config, id, "readline", false);
    }
    *out = g_strdup(id);
    return add_chardev(config, g_steal_pointer(&chardev), err);
}

bool opt_serial(Config *config, const Option *option, const char *text, GError **err)
{
    Value *serials = config_list(config, "serials");
    g_autofree char *label = g_strdup_printf("serial%zu", value_length(serials)), *id = NULL;

    (void)option;
    if (value_length(serials) == SERIAL_PORTS) {
        return fail(err, EINVAL, "a PC has %d serial ports, and all are given", SERIAL_PORTS);
    }
    if (!chardev_from_text(config, text, label, &id, err)) {
        return false;
    }
    config->serial_given = true;
    value_append(serials, id ? value_new_string(id) : value_new_null());
    return true;
}

static bool single_stream(Config *config, const char *member, const char *label, const char *text, GError **err)
{
    g_autofree char *id = NULL;

    if (value_get(config->tree, member)) {
        return fail(err, EINVAL, "it is given twice");
    }
    if (!chardev_from_text(config, text, label, &id, err)) {
        return false;
    }
    if (id) {
        value_set(config->tree, member, value_new_string(id));
    }
    return true;
}

bool opt_debugcon(Config *config, const Option *option, const char *text, GError **err)
{
    return single_stream(config, option->path, "debugcon", text, err);
}

bool opt_qtest(Config *config, const Option *option, const char *text, GError **err)
{
    return single_stream(config, option->path, "qtest", text, err);
}

bool opt_parallel(Config *config, const Option *option, const char *text, GError **err)
{
    (void)config;
    (void)option;
    return strcmp(text, "none") == 0 || fail(err, ENOTSUP, "a parallel port is not supported yet; 'none' is all there is");
}

/* "STREAM" with a monitor on it; the streams of all of them are numbered together. */
static bool monitor_on_stream(Config *config, const char *text, const char *mode, bool pretty, GError **err)
{
    g_autofree char *label = NULL, *id = NULL;
    const Value *chardevs = value_get(config->tree, "chardevs");
    unsigned number = 0;

    for (size_t i = 0; i < value_length(chardevs); i++) {
        number += g_str_has_prefix(value_get_string(value_at(chardevs, i), "id", ""), "compat_monitor");
    }
    label = g_strdup_printf("compat_monitor%u", number);
    if (g_str_has_prefix(text, "mon:")) {
        return fail(err, EINVAL, "'mon:' puts a monitor on a serial port's stream; this is a monitor already");
    }
    if (!chardev_from_text(config, text, label, &id, err)) {
        return false;
    }
    if (id) {
        add_monitor(config, id, mode, pretty);
    }
    return true;
}

bool opt_monitor(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    config->monitor_given = true;
    return monitor_on_stream(config, text, "readline", false, err);
}

bool opt_qmp(Config *config, const Option *option, const char *text, GError **err)
{
    return monitor_on_stream(config, text, "control", strcmp(option->name, "qmp-pretty") == 0, err);
}

static const char *const monitor_modes[] = { "readline", "control", NULL };
const Field mon_keys[] = {
    KEY_STR("chardev", "the stream: a -chardev's id", .required = true), KEY_ENUM("mode", monitor_modes, "for people, or QMP"),
    KEY_BOOL("pretty", "QMP: replies indented"), KEY_STR("id", "its name"), FIELD_END };

bool opt_mon(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) keys = keyval_parse(config, mon_keys, text, "chardev", err);
    bool pretty = value_get_bool(keys, "pretty", false);
    const char *mode = value_get_string(keys, "mode", "readline");

    (void)option;
    if (!keys) {
        return false;
    }
    if (pretty && strcmp(mode, "control") != 0) {
        return fail(err, EINVAL, "pretty=on is for mode=control");
    }
    add_monitor(config, value_get_string(keys, "chardev", ""), mode, pretty);
    return true;
}

const Field add_fd_keys[] = {
    KEY_UINT("fd", 3, G_MAXINT, "the inherited descriptor", .required = true), KEY_UINT("set", 0, G_MAXINT32, "number of the set, N of /dev/fdset/N", .required = true),
    KEY_STR("opaque", "a remark that query-fdsets shows"), FIELD_END };

/* The set gets a copy, so that the number stays free for other options. */
bool opt_add_fd(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) keys = keyval_parse(config, add_fd_keys, text, NULL, err);

    (void)option;
    if (!keys) {
        return false;
    }
    int fd = (int)value_get_uint(keys, "fd", 0), copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
        return fail(err, errno, "fd=%d: %s", fd, g_strerror(errno));
    }
    return fdset_add(value_get_int(keys, "set", 0), copy, value_get_string(keys, "opaque", NULL), err) >= 0;
}

bool opt_echr(Config *config, const Option *option, const char *text, GError **err)
{
    uint64_t code;

    (void)config;
    (void)option;
    if (!parse_uint(text, &code) || code > 255) {
        return fail(err, EINVAL, "a character code from 0 to 255 is needed, such as 0x14 for Ctrl-T");
    }
    chardev_set_escape((uint8_t)code);
    return true;
}

static bool has_serial_device(const Config *config)
{
    const Value *devices = value_get(config->tree, "devices");

    for (size_t i = 0; i < value_length(devices); i++) {
        if (strcmp(value_get_string(value_at(devices, i), "driver", ""), "isa-serial") == 0) {
            return true;
        }
    }
    return false;
}

static bool check_reference(const Config *config, const char *what, const char *id, GError **err)
{
    const Value *list = value_get(config->tree, "chardevs");

    for (size_t i = 0; id && i < value_length(list); i++) {
        if (strcmp(value_get_string(value_at(list, i), "id", ""), id) == 0) {
            return true;
        }
    }
    return !id || fail(err, ENOENT, "-%s chardev:%s: there is no -chardev with that id", what, id);
}

static bool add_default_serial(Config *config, const char *text, GError **err)
{
    g_autofree char *id = NULL;

    if (!chardev_from_text(config, text, "serial0", &id, err)) {
        return false;
    }
    value_append(config_list(config, "serials"), value_new_string(id));
    return true;
}

/* What a plain pc has: COM1, on the terminal under -nographic, and the monitor beside it. */
bool chardev_defaults(Config *config, GError **err)
{
    bool bare = value_get_bool(config->tree, "nodefaults", false);
    bool serial = !bare && !config->serial_given && !has_serial_device(config);
    bool monitor = !bare && !config->monitor_given;

    if (serial) {
        const char *text = !config->nographic ? "null" : monitor ? "mon:stdio" : "stdio";
        if (!add_default_serial(config, text, err)) {
            return false;
        }
    } else if (config->nographic && monitor) {
        g_autofree char *id = NULL;
        if (!chardev_from_text(config, "stdio", "compat_monitor0", &id, err)) {
            return false;
        }
        add_monitor(config, id, "readline", false);
    }
    const Value *serials = value_get(config->tree, "serials"), *monitors = value_get(config->tree, "monitors");
    for (size_t i = 0; i < value_length(monitors); i++) {
        const Value *one = value_at(monitors, i);
        if (!check_reference(config, "mon", value_get_string(one, "chardev", NULL), NULL)) {
            return fail(err, ENOENT, "%s: there is no -chardev with the id '%s'", value_origin(one) ? value_origin(one) : "-mon",
                        value_get_string(one, "chardev", ""));
        }
    }
    for (size_t i = 0; i < value_length(serials); i++) {
        if (!check_reference(config, "serial", value_string(value_at(serials, i)), err)) {
            return false;
        }
    }
    return check_reference(config, "debugcon", value_get_string(config->tree, "debugcon", NULL), err) &&
           check_reference(config, "qtest", value_get_string(config->tree, "qtest", NULL), err);
}
