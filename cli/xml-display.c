/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-display.c - <input>, <graphics>, <video> and <sound>: what a person sees, hears and touches
 *
 * Tests    tests/xml/translate.py, tests/xml/refuse.py
 */
#include "cli/xml-work.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Somebody shows the screen: VNC, when it was built in. */
static bool has_display(const XmlWork *work)
{
#ifdef HAVE_VNC
    (void)work;
    return true;
#else
    return !work->options->has_model;
#endif
}

/* Keyboard and mouse of the PS/2 kind are part of a PC. */
static bool input(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    static const struct { const char *type, *bus, *driver; } models[] = {
        { "mouse", "ps2", NULL }, { "keyboard", "ps2", NULL }, { "tablet", "usb", "usb-tablet" }, { "mouse", "usb", "usb-mouse" },
        { "keyboard", "usb", "usb-kbd" }, { "tablet", "virtio", "virtio-tablet-pci" }, { "mouse", "virtio", "virtio-mouse-pci" },
        { "keyboard", "virtio", "virtio-keyboard-pci" } };
    const char *type = xml_attribute(node, "type"), *bus = xml_attribute(node, "bus");

    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        if (!type || strcmp(type, models[i].type) != 0 || (bus && strcmp(bus, models[i].bus) != 0)) {
            continue;
        }
        if (models[i].driver) {
            Value *device = xml_device(models[i].driver, node, "input%u", number);
            if (strcmp(models[i].bus, "usb") == 0) {
                value_set(device, "bus", value_new_string("usb.0"));
                xml_ignore_child(node, "address");
            } else if (!xml_pci_place(node, device, err)) {
                value_unref(device);
                return false;
            }
            xml_say_device(work, node, device);
        } else {
            xml_ignore_child(node, "alias");
        }
        return true;
    }
    return xml_fail(node, err, ENOTSUP, "type='%.100s' bus='%.100s' is not supported; there are mouse, keyboard and tablet on ps2, usb and virtio",
                    type ? type : "", bus ? bus : "");
}

/* What it listens on: the address, or a path in *socket. */
static const char *listens_on(XmlNode *node, const char **socket)
{
    XmlNode *listen = xml_child(node, "listen");
    const char *said = xml_attribute(node, "listen"), *type = xml_attribute(listen, "type");
    const char *address = xml_attribute(listen, "address"), *path = xml_attribute(listen, "socket");

    *socket = xml_attribute(node, "socket");
    *socket = *socket ? *socket : type && strcmp(type, "socket") == 0 ? path : NULL;
    return address ? address : said ? said : "127.0.0.1";
}

static bool vnc(XmlWork *work, XmlNode *node, GError **err)
{
    const char *port = xml_attribute(node, "port"), *autoport = xml_attribute(node, "autoport"), *password = xml_attribute(node, "passwd");
    bool spice = strcmp(xml_attribute(node, "type"), "spice") == 0;
    bool automatic = spice || !port || strcmp(port, "-1") == 0 || (autoport && strcmp(autoport, "yes") == 0);
    const char *socket, *address = listens_on(node, &socket);
    Value *keys = value_new_object();
    uint64_t number = 5900;

    if (!automatic && (!xml_number(node, "port", port, UINT16_MAX, &number, err) ||
                       (number < 5900 && !xml_fail(node, err, EINVAL, "port='%s': VNC counts from 5900; -1 takes a free one", port)))) {
        value_unref(keys);
        return false;
    }
    bool six = strchr(address, ':') != NULL;
    g_autofree char *where = socket ? g_strdup_printf("unix:%s", socket)
                                    : g_strdup_printf("%s%s%s:%" PRIu64, six ? "[" : "", address, six ? "]" : "", number - 5900);
    value_set(keys, "vnc", value_new_string(where));
    if (automatic && !socket) {
        value_set(keys, "to", value_new_uint(99));
    }
    if (password) {
        Value *secret = value_new_object();
        value_set(secret, "qom-type", value_new_string("secret"));
        value_set(secret, "id", value_new_string("vnc-passwd"));
        value_set(secret, "data", value_new_string(password));
        xml_say_keys(work, node, "object", "qom-type", secret);
        value_set(keys, "password-secret", value_new_string("vnc-passwd"));
    }
    xml_say_keys(work, node, "vnc", "vnc", keys);
    return true;
}

static bool graphics(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    const char *type = xml_attribute(node, "type");
    bool spice = type && strcmp(type, "spice") == 0;

    (void)number;
    if (!spice && (!type || strcmp(type, "vnc") != 0)) {
        xml_warn(node, "it is left out: type='%.100s' is not supported; there will be vnc", type ? type : "");
        xml_ignore(node);
        return true;
    }
    if (!has_display(work)) {
        xml_lacks(work, spice ? "VNC, which SPICE would become, was left out when Roost was built" : "VNC was left out when Roost was built");
    } else if (spice && work->options->has_model) {
        xml_warn(node, "there is no SPICE yet: the display is shown by VNC instead");
    }
    if (!vnc(work, node, err)) {
        return false;
    }
    if (spice) {
        xml_ignore(node);                  /* TLS, compression, clipboard: matters of SPICE alone */
    }
    return true;
}

static bool video(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    static const struct { const char *type, *driver, *memory; } models[] = {
        { "cirrus", "cirrus-vga", NULL }, { "vga", "VGA", "vgamem_mb" }, { "qxl", "qxl-vga", "vgamem_mb" }, { "virtio", "virtio-vga", NULL },
        { "bochs", "bochs-display", NULL }, { "vmvga", "vmware-svga", "vgamem_mb" }, { "ramfb", "ramfb", NULL } };
    XmlNode *model = xml_child(node, "model");
    const char *type = xml_attribute(model, "type"), *memory = xml_attribute(model, strcmp(type ? type : "", "qxl") == 0 ? "vgamem" : "vram");
    uint64_t kilobytes;

    if (type && strcmp(type, "none") == 0) {
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        if (strcmp(type ? type : "cirrus", models[i].type) != 0) {
            continue;
        }
        Value *device = xml_device(models[i].driver, node, "video%u", number);
        if (memory && models[i].memory) {
            if (!xml_number(model, "video memory", memory, UINT32_MAX, &kilobytes, err)) {
                value_unref(device);
                return false;
            }
            value_set(device, models[i].memory, value_new_uint(MAX(kilobytes >> 10, 1)));
        }
        if (!xml_pci_place(node, device, err)) {
            value_unref(device);
            return false;
        }
        xml_say_device(work, node, device);
        xml_ignore_child(node, "model");   /* what is said of memory and heads beside that is the model's default */
        return true;
    }
    return xml_fail(model ? model : node, err, ENOTSUP, "type='%.100s' is not supported; there are cirrus, vga, qxl, virtio, bochs, vmvga and none", type);
}

static bool sound(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    static const struct { const char *model, *driver, *codec; } models[] = {
        { "ac97", "AC97", NULL }, { "es1370", "ES1370", NULL }, { "sb16", "sb16", NULL }, { "ich6", "intel-hda", "hda-duplex" },
        { "ich7", "intel-hda", "hda-duplex" }, { "ich9", "ich9-intel-hda", "hda-duplex" }, { "usb", "usb-audio", NULL } };
    const char *model = xml_attribute(node, "model");

    xml_ignore_child(node, "codec");
    xml_ignore_child(node, "audio");
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        if (!model || strcmp(model, models[i].model) != 0) {
            continue;
        }
        Value *device = xml_device(models[i].driver, node, "sound%u", number);
        if (!xml_pci_place(node, device, err)) {
            value_unref(device);
            return false;
        }
        xml_say_device(work, node, device);
        if (models[i].codec) {
            Value *codec = value_new_object();
            g_autofree char *id = g_strdup_printf("sound%u-codec0", number), *bus = g_strdup_printf("sound%u.0", number);
            value_set(codec, "driver", value_new_string(models[i].codec));
            value_set(codec, "id", value_new_string(id));
            value_set(codec, "bus", value_new_string(bus));
            xml_say_device(work, node, codec);
        }
        return true;
    }
    xml_warn(node, "it is left out: there is no model '%.100s'", model ? model : "");
    xml_ignore(node);
    return true;
}

bool xml_display(XmlWork *work, XmlNode *devices, GError **err)
{
    static const XmlKind kinds[] = {
        { "input", input }, { "graphics", graphics }, { "video", video }, { "sound", sound } };

    return xml_each(work, devices, kinds, G_N_ELEMENTS(kinds), err);
}
