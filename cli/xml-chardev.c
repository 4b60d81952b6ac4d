/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-chardev.c - <serial>, <console>, <parallel> and <channel>: streams, and what the guest has at their ends
 *
 * Tests    tests/xml/translate.py, tests/xml/refuse.py
 */
#include "cli/xml-work.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- the host's end --------------------------------------------------------------------------------------------------- */

static bool path_of(XmlNode *node, XmlNode *source, const char *backend, Value *keys, GError **err)
{
    const char *path = xml_attribute(source, "path");

    if (!path || !*path) {
        return xml_fail(source ? source : node, err, EINVAL, "<source path='...'/> is missing");
    }
    value_set(keys, "backend", value_new_string(backend));
    value_set(keys, "path", value_new_string(path));
    return true;
}

static bool pty_stream(XmlNode *node, XmlNode *source, Value *keys, GError **err)
{
    (void)err;
    xml_attribute(node, "tty");            /* where it was, in the description of a running domain */
    xml_attribute(source, "path");
    value_set(keys, "backend", value_new_string("pty"));
    return true;
}

static bool plain_stream(XmlNode *node, XmlNode *source, Value *keys, GError **err)
{
    (void)source;
    (void)err;
    value_set(keys, "backend", value_new_string(xml_attribute(node, "type")));
    return true;
}

static bool file_stream(XmlNode *node, XmlNode *source, Value *keys, GError **err)
{
    const char *append = xml_attribute(source, "append");

    if (!path_of(node, source, "file", keys, err)) {
        return false;
    }
    if (append) {
        value_set(keys, "append", value_new_bool(strcmp(append, "on") == 0));
    }
    return true;
}

static bool pipe_stream(XmlNode *node, XmlNode *source, Value *keys, GError **err)
{
    return path_of(node, source, "pipe", keys, err);
}

/* mode='bind' waits for a peer, mode='connect' goes to one. */
static bool socket_mode(XmlNode *source, const char *preset, Value *keys, GError **err)
{
    const char *mode = xml_attribute(source, "mode");

    mode = mode ? mode : preset;
    if (strcmp(mode, "bind") != 0 && strcmp(mode, "connect") != 0) {
        return xml_fail(source, err, EINVAL, "mode='%.100s' is neither 'bind' nor 'connect'", mode);
    }
    if (strcmp(mode, "bind") == 0) {
        value_set(keys, "server", value_new_bool(true));
        value_set(keys, "wait", value_new_bool(false));
    }
    return true;
}

/* A channel that waits for a peer needs no path of its own: it gets one by its domain and name. */
static bool unix_stream(XmlNode *node, XmlNode *source, Value *keys, GError **err)
{
    const char *name = xml_lookup(node, "target@name", NULL), *domain = xml_text(xml_child(node->document->root, "name"));

    if (strcmp(node->name, "channel") == 0 && !xml_attribute(source, "path") && name && domain) {
        g_autofree char *leaf = g_strdup_printf("channel-%s-%s", domain, name), *path = NULL;
        g_strdelimit(leaf, "/", '_');
        path = g_build_filename(g_get_user_runtime_dir(), "roost", leaf, NULL);
        value_set(keys, "backend", value_new_string("socket"));
        value_set(keys, "path", value_new_string(path));
    } else if (!path_of(node, source, "socket", keys, err)) {
        return false;
    }
    return socket_mode(source, strcmp(node->name, "channel") == 0 ? "bind" : "connect", keys, err);
}

static bool tcp_stream(XmlNode *node, XmlNode *source, Value *keys, GError **err)
{
    const char *host = xml_attribute(source, "host"), *service = xml_attribute(source, "service"), *protocol = xml_lookup(node, "protocol@type", NULL);

    if (!service) {
        return xml_fail(source ? source : node, err, EINVAL, "<source mode='bind' host='127.0.0.1' service='PORT'/> is needed");
    }
    if (protocol && strcmp(protocol, "raw") != 0 && strcmp(protocol, "telnet") != 0) {
        return xml_fail(node, err, ENOTSUP, "<protocol type='%.100s'/> is not supported; there are raw and telnet", protocol);
    }
    value_set(keys, "backend", value_new_string("socket"));
    value_set(keys, "host", value_new_string(host ? host : "127.0.0.1"));
    value_set(keys, "port", value_new_string(service));
    if (protocol && strcmp(protocol, "telnet") == 0) {
        value_set(keys, "telnet", value_new_bool(true));
    }
    return socket_mode(source, "connect", keys, err);
}

static bool spice_stream(XmlNode *node, XmlNode *source, Value *keys, GError **err)
{
    (void)err;
    value_set(keys, "backend", value_new_string(xml_attribute(node, "type")));
    const char *channel = xml_attribute(source, "channel");
    const char *name = strcmp(node->name, "redirdev") == 0 ? "usbredir" : channel ? channel : "vdagent";
    value_set(keys, "name", value_new_string(name));
    return true;
}

static const struct { const char *type; bool (*fill)(XmlNode *node, XmlNode *source, Value *keys, GError **err); const char *lacks; } streams[] = {
    { "pty", pty_stream }, { "null", plain_stream }, { "stdio", plain_stream }, { "file", file_stream }, { "pipe", pipe_stream },
    { "unix", unix_stream }, { "tcp", tcp_stream }, { "spicevmc", spice_stream, "there is no SPICE yet" }, { "spiceport", spice_stream, "there is no SPICE yet" },
};

bool xml_stream(XmlWork *work, XmlNode *node, const char *id, GError **err)
{
    const char *type = xml_attribute(node, "type"), *log = xml_lookup(node, "log@file", NULL), *append = xml_lookup(node, "log@append", NULL);
    g_autoptr(Value) keys = value_new_object();

    for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
        if (!type || strcmp(type, streams[i].type) != 0) {
            continue;
        }
        if (!streams[i].fill(node, xml_child(node, "source"), keys, err)) {
            return false;
        }
        if (streams[i].lacks) {
            xml_lacks(work, streams[i].lacks);
        }
        value_set(keys, "id", value_new_string(id));
        if (log) {
            value_set(keys, "logfile", value_new_string(log));
            if (append) {
                value_set(keys, "logappend", value_new_bool(strcmp(append, "on") == 0));
            }
        }
        xml_say_keys(work, node, "chardev", "backend", g_steal_pointer(&keys));
        return true;
    }
    return xml_fail(node, err, ENOTSUP, "type='%.100s' is not supported; there are pty, null, stdio, file, pipe, unix and tcp", type ? type : "");
}

/* ---- the guest's end ---------------------------------------------------------------------------------------------------- */

static bool is_virtio(XmlNode *node)
{
    const char *type = xml_lookup(node, "target@type", NULL);

    return type && strcmp(type, "virtio") == 0;
}

static bool serial(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    const char *port = xml_lookup(node, "target@port", NULL), *type = xml_lookup(node, "target@type", NULL), *model = xml_lookup(node, "target/model@name", NULL);
    g_autofree char *id = g_strdup_printf("charserial%u", number);
    const char *driver = model ? model : "isa-serial";
    uint64_t index = number;

    if (!model && type && strcmp(type, "serial") != 0) {
        driver = type;                     /* isa-serial, usb-serial, pci-serial */
    }
    if (port && !xml_number(xml_child(node, "target"), "port", port, 3, &index, err)) {
        return false;
    }
    if (!xml_stream(work, node, id, err)) {
        return false;
    }
    Value *device = xml_device(driver, node, "serial%u", number);
    value_set(device, "chardev", value_new_string(id));
    if (strcmp(driver, "isa-serial") == 0) {
        value_set(device, "index", value_new_uint(index));
        xml_ignore_child(node, "address");
    }
    xml_say_device(work, node, device);
    return true;
}

static bool parallel(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    g_autofree char *id = g_strdup_printf("charparallel%u", number);

    xml_ignore_child(node, "target");
    xml_ignore_child(node, "address");
    if (!xml_stream(work, node, id, err)) {
        return false;
    }
    Value *device = xml_device("isa-parallel", node, "parallel%u", number);
    value_set(device, "chardev", value_new_string(id));
    xml_say_device(work, node, device);
    return true;
}

/* On <address type='virtio-serial' controller='C' port='P'/>, or in order. */
static bool virtio_port(XmlWork *work, XmlNode *node, Value *device, GError **err)
{
    XmlNode *address = xml_child(node, "address");
    const char *controller = xml_attribute(address, "controller"), *port = xml_attribute(address, "port"), *type = xml_attribute(address, "type");
    uint64_t c = 0, p = work->virtio_serial_ports + 1;

    xml_attribute(address, "bus");
    if (address && (!type || strcmp(type, "virtio-serial") != 0)) {
        return xml_fail(address, err, ENOTSUP, "an address of type '%.100s' is not for this device; it takes type='virtio-serial'", type ? type : "");
    }
    if ((controller && !xml_number(address, "controller", controller, 31, &c, err)) || (port && !xml_number(address, "port", port, 511, &p, err))) {
        return false;
    }
    work->virtio_serial_ports = MAX(work->virtio_serial_ports, (unsigned)p);
    g_autofree char *bus = g_strdup_printf("virtio-serial%" PRIu64 ".0", c);
    value_set(device, "bus", value_new_string(bus));
    value_set(device, "nr", value_new_uint(p));
    return true;
}

static bool virtio_stream(XmlWork *work, XmlNode *node, const char *driver, const char *id, const char *kind, unsigned number, GError **err)
{
    const char *name = xml_lookup(node, "target@name", NULL);
    Value *device = xml_device(driver, node, "%s%u", kind, number);

    value_set(device, "chardev", value_new_string(id));
    xml_lookup(node, "target@state", NULL);                           /* of a running domain */
    xml_lookup(node, "target@port", NULL);
    if (!xml_stream(work, node, id, err) || !virtio_port(work, node, device, err)) {
        value_unref(device);
        return false;
    }
    if (name) {
        value_set(device, "name", value_new_string(name));
    }
    xml_say_device(work, node, device);
    return true;
}

static bool channel(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    g_autofree char *id = g_strdup_printf("charchannel%u", number);

    if (!is_virtio(node)) {
        return xml_fail(node, err, ENOTSUP, "only channels with <target type='virtio' name='...'/> are supported");
    }
    return virtio_stream(work, node, "virtserialport", id, "channel", number, err);
}

/* The first console of type serial is another word for the first serial port. */
static bool console(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    const char *type = xml_lookup(node, "target@type", NULL);
    g_autofree char *id = g_strdup_printf("charconsole%u", number);

    if (is_virtio(node)) {
        return virtio_stream(work, node, "virtconsole", id, "console", number, err);
    }
    if (type && strcmp(type, "serial") != 0) {
        return xml_fail(node, err, ENOTSUP, "<target type='%.100s'/> is not supported; there are serial and virtio", type);
    }
    if (!xml_child(node->parent, "serial")) {
        return number == 0 ? serial(work, node, 0, err) : xml_fail(node, err, EINVAL, "a second console on the serial port; <serial> makes more ports");
    }
    xml_ignore(node);
    return true;
}

bool xml_streams(XmlWork *work, XmlNode *devices, GError **err)
{
    static const XmlKind kinds[] = {
        { "serial", serial }, { "console", console }, { "parallel", parallel }, { "channel", channel } };

    return xml_each(work, devices, kinds, G_N_ELEMENTS(kinds), err);
}
