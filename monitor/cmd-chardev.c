/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-chardev.c - character streams that come and go, breaks, and what a ring buffer holds
 *
 * A server made here never waits for its first peer: the main loop would stand.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/device.py
 */
#include "base/char/chardev.h"
#include "base/error.h"
#include "monitor/commands.h"
#include "monitor/session.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { READ_MOST = 64 << 20 };

static Chardev *find_chardev(const char *id)
{
    g_autofree char *path = strchr(id, '/') ? NULL : g_strdup_printf("/chardevs/%s", id);

    return path && *id ? (Chardev *)object_find(path) : NULL;
}

static void take(Value *config, const char *key, const Value *data, const char *from)
{
    if (value_get(data, from)) {
        value_set(config, key, value_ref(value_get(data, from)));
    }
}

/* {"type":"unix","data":{...}}; a descriptor is one that getfd kept, or a number that was inherited. */
static bool socket_config(Session *session, Value *config, const Value *data, GError **err)
{
    const Value *address = value_get(data, "addr"), *place = value_get(address, "data");
    const char *type = value_get_string(address, "type", ""), *name = value_get_string(place, "str", "");
    bool server = value_get_bool(data, "server", true);

    take(config, "path", place, "path");
    take(config, "abstract", place, "abstract");
    take(config, "tight", place, "tight");
    take(config, "host", place, "host");
    take(config, "port", place, "port");
    take(config, "to", place, "to");
    take(config, "ipv4", place, "ipv4");
    take(config, "ipv6", place, "ipv6");
    value_set(config, "server", value_new_bool(server));
    value_set(config, "wait", value_new_bool(false));
    static const char *const others[] = { "nodelay", "telnet", "tn3270", "websocket", "tls-creds", "reconnect" };
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        take(config, others[i], data, others[i]);
    }
    if (strcmp(type, "fd") == 0) {
        int fd = g_ascii_isdigit(*name) ? -1 : session_take_fd(session, name);
        if (fd < 0 && !g_ascii_isdigit(*name)) {
            return fail(err, ENOENT, "File descriptor named '%s' has not been found", name);
        }
        g_autofree char *number = fd >= 0 ? g_strdup_printf("%d", fd) : g_strdup(name);
        value_set(config, "fd", value_new_string(number));
    }
    return true;
}

/* QMP's backend to what -chardev's keys say; NULL: there is no such stream. */
static Value *config_of(Session *session, const char *id, const Value *backend, GError **err)
{
    const char *type = value_get_string(backend, "type", "");
    const Value *data = value_get(backend, "data");
    g_autoptr(Value) config = value_new_object();

    value_set(config, "id", value_new_string(id));
    value_set(config, "backend", value_new_string(strcmp(type, "memory") == 0 ? "ringbuf" : type));
    take(config, "logfile", data, "logfile");
    take(config, "logappend", data, "logappend");
    take(config, "path", data, "device");
    take(config, "path", data, "out");
    take(config, "input-path", data, "in");
    take(config, "append", data, "append");
    take(config, "signal", data, "signal");
    take(config, "size", data, "size");
    return strcmp(type, "socket") != 0 || socket_config(session, config, data, err) ? g_steal_pointer(&config) : NULL;
}

static Value *made_chardev(const Chardev *chardev)
{
    Value *made = value_new_object();

    if (chardev_pty_name(chardev)) {
        value_set(made, "pty", value_new_string(chardev_pty_name(chardev)));
    }
    return made;
}

QMP_HANDLER(chardev_add)
{
    const char *id = value_get_string(args, "id", "");

    if (!g_ascii_isalpha(*id) || strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != strlen(id)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Parameter 'id' expects an identifier");
    }
    if (find_chardev(id)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Chardev with id '%s' already exists", id);
    }
    g_autoptr(Value) config = config_of(session, id, value_get(args, "backend"), err);
    Chardev *chardev = config ? chardev_new(config, err) : NULL;
    if (!chardev) {
        return NULL;
    }
    return made_chardev(chardev);
}

QMP_HANDLER(chardev_change_)
{
    const char *id = value_get_string(args, "id", "");
    Chardev *old = find_chardev(id);

    if (!old) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Chardev '%s' does not exist", id);
    }
    g_autoptr(Value) config = config_of(session, id, value_get(args, "backend"), err);
    Chardev *chardev = config ? chardev_change(old, config, err) : NULL;
    return chardev ? made_chardev(chardev) : NULL;
}

QMP_HANDLER(chardev_remove)
{
    const char *id = value_get_string(args, "id", "");
    Chardev *chardev = find_chardev(id);

    if (!chardev) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Chardev '%s' not found", id);
    }
    if (chardev_in_use(chardev)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Chardev '%s' is busy", id);
    }
    chardev_unref(chardev);
    return qmp_done();
}

QMP_HANDLER(chardev_send_break_)
{
    const char *id = value_get_string(args, "id", "");
    Chardev *chardev = find_chardev(id);

    if (!chardev) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Chardev '%s' not found", id);
    }
    chardev_send_break(chardev);
    return qmp_done();
}

static Chardev *find_ring(const Value *args, GError **err)
{
    const char *id = value_get_string(args, "device", "");
    Chardev *chardev = find_chardev(id);

    if (!chardev) {
        qmp_fail(err, QMP_GENERIC_ERROR, "Device '%s' not found", id);
    } else if (strcmp(((const Object *)chardev)->type->name, "chardev-ringbuf") != 0) {
        qmp_fail(err, QMP_GENERIC_ERROR, "%s is not a ringbuf device", id);
        chardev = NULL;
    }
    return chardev;
}

static bool is_base64(const Value *args)
{
    return strcmp(value_get_string(args, "format", "utf8"), "base64") == 0;
}

QMP_HANDLER(ringbuf_read)
{
    int64_t size = value_get_int(args, "size", 0);
    Chardev *ring = find_ring(args, err);

    if (ring && size <= 0) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "size must be greater than zero");
    }
    if (!ring) {
        return NULL;
    }
    g_autofree uint8_t *bytes = g_malloc((size_t)MIN(size, READ_MOST) + 1);
    size_t length = chardev_ringbuf_read(ring, bytes, (size_t)MIN(size, READ_MOST));
    g_autofree char *text = is_base64(args) ? g_base64_encode(bytes, length) : g_utf8_make_valid((const char *)bytes, (gssize)length);
    return value_new_string(text);
}

QMP_HANDLER(ringbuf_write)
{
    const char *data = value_get_string(args, "data", "");
    Chardev *ring = find_ring(args, err);

    if (!ring) {
        return NULL;
    }
    if (!is_base64(args)) {
        chardev_write(ring, (const uint8_t *)data, strlen(data));
        return qmp_done();
    }
    if (strspn(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n") != strlen(data)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Base64 data '%.100s' is not valid", data);
    }
    gsize length;
    g_autofree uint8_t *bytes = g_base64_decode(data, &length);
    chardev_write(ring, bytes, length);
    return qmp_done();
}

const QmpType chardev_types[] = {
    { "ChardevReturn", "struct ?pty:str" },
    { "ChardevBackendKind", "enum file pipe socket pty null stdio ringbuf memory" },
    { "ChardevBackend", "union type:ChardevBackendKind ; type ; file:ChardevFileWrapper pipe:ChardevHostdevWrapper socket:ChardevSocketWrapper "
      "pty:ChardevCommonWrapper null:ChardevCommonWrapper stdio:ChardevStdioWrapper ringbuf:ChardevRingbufWrapper memory:ChardevRingbufWrapper" },
    { "ChardevFileWrapper", "struct data:ChardevFile" },
    { "ChardevFile", "struct ?logfile:str ?logappend:bool ?in:str out:str ?append:bool" },
    { "ChardevHostdevWrapper", "struct data:ChardevHostdev" },
    { "ChardevHostdev", "struct ?logfile:str ?logappend:bool device:str" },
    { "ChardevSocketWrapper", "struct data:ChardevSocket" },
    { "ChardevSocket", "struct ?logfile:str ?logappend:bool addr:SocketAddressLegacy ?tls-creds:str ?server:bool ?wait:bool ?nodelay:bool "
      "?telnet:bool ?tn3270:bool ?websocket:bool ?reconnect:int" },
    { "SocketAddressLegacyType", "enum inet unix fd" },
    { "SocketAddressLegacy", "union type:SocketAddressLegacyType ; type ; inet:InetSocketAddressWrapper unix:UnixSocketAddressWrapper fd:StringWrapper" },
    { "InetSocketAddressWrapper", "struct data:InetSocketAddress" },
    { "UnixSocketAddressWrapper", "struct data:UnixSocketAddress" },
    { "StringWrapper", "struct data:String" },
    { "String", "struct str:str" },
    { "ChardevCommonWrapper", "struct data:ChardevCommon" },
    { "ChardevCommon", "struct ?logfile:str ?logappend:bool" },
    { "ChardevStdioWrapper", "struct data:ChardevStdio" },
    { "ChardevStdio", "struct ?logfile:str ?logappend:bool ?signal:bool" },
    { "ChardevRingbufWrapper", "struct data:ChardevRingbuf" },
    { "ChardevRingbuf", "struct ?logfile:str ?logappend:bool ?size:int" },
    { "DataFormat", "enum utf8 base64" },
    { .name = NULL } };

const QmpCommand chardev_commands[] = {
    { "chardev-add", chardev_add, .args = "id:str backend:ChardevBackend", .returns = "ChardevReturn", .help = "makes a character stream" },
    { "chardev-change", chardev_change_, .args = "id:str backend:ChardevBackend", .returns = "ChardevReturn",
      .help = "puts another character stream in the place of one, whose user goes on with it" },
    { "chardev-remove", chardev_remove, .args = "id:str", .help = "closes a character stream that nothing uses" },
    { "chardev-send-break", chardev_send_break_, .args = "id:str", .help = "sends a break" },
    { "ringbuf-read", ringbuf_read, .args = "device:str size:int ?format:DataFormat", .returns = "str", .help = "takes what a ring buffer holds" },
    { "ringbuf-write", ringbuf_write, .args = "device:str data:str ?format:DataFormat", .help = "puts data into a ring buffer" },
    { .name = NULL } };
