/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-devices.c - <controller>, <watchdog>, <memballoon>, <rng>, <panic> and USB's passengers
 *
 * Tests    tests/xml/translate.py, tests/xml/refuse.py
 */
#include "cli/xml-tables.h"
#include "cli/xml-work.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- controllers ----------------------------------------------------------------------------------------------------- */

static const char *index_of(XmlNode *node)
{
    const char *index = xml_attribute(node, "index");

    return index ? index : "0";
}

/* They are the board's. */
static bool of_the_board(XmlWork *work, XmlNode *node, GError **err)
{
    const char *model = xml_attribute(node, "model"), *type = xml_attribute(node, "type");

    (void)work;
    if (strcmp(type, "pci") == 0 && model && strcmp(model, "pci-root") != 0) {
        return xml_fail(node, err, ENOTSUP, "model='%.100s' is not supported; a pc has one PCI bus, model='pci-root'", model);
    }
    if (strcmp(index_of(node), "0") != 0) {
        return xml_fail(node, err, ENOTSUP, "index='%.100s': the machine has one controller of type='%s', index='0'", index_of(node), type);
    }
    xml_ignore_child(node, "target");
    xml_ignore_child(node, "alias");
    xml_ignore_child(node, "address");
    return true;
}

static bool scsi_controller(XmlWork *work, XmlNode *node, GError **err)
{
    const char *model = xml_attribute(node, "model"), *thread = xml_lookup(node, "driver@iothread", NULL);
    const char *suffix = model && g_str_has_prefix(model, "virtio-") ? xml_virtio_suffix(node, "@model", "virtio-scsi", err) : "";
    uint64_t index, number;

    if (!suffix || !xml_number(node, "index", index_of(node), 1023, &index, err)) {
        return false;
    }
    if (model && !g_str_has_prefix(model, "virtio-")) {
        return xml_fail(node, err, ENOTSUP, "model='%.100s' is not supported; model='virtio-scsi' is, and needs its driver in the guest", model);
    }
    g_autofree char *driver = g_strdup_printf("virtio-scsi-pci%s", suffix);
    g_autoptr(Value) device = xml_device(driver, node, "scsi%" PRIu64, index);
    if (!xml_pci_place(node, device, err) || !xml_map_in(xml_scsi_controller_map, node, device, err)) {
        return false;
    }
    if (thread) {
        if (!xml_number(xml_child(node, "driver"), "iothread", thread, UINT16_MAX, &number, err)) {
            return false;
        }
        g_autofree char *id = g_strdup_printf("iothread%" PRIu64, number);
        value_set(device, "iothread", value_new_string(id));
    }
    xml_say_device(work, node, g_steal_pointer(&device));
    return true;
}

static bool virtio_serial_controller(XmlWork *work, XmlNode *node, GError **err)
{
    const char *ports = xml_attribute(node, "ports"), *vectors = xml_attribute(node, "vectors");
    uint64_t index, number;

    if (!xml_number(node, "index", index_of(node), 31, &index, err)) {
        return false;
    }
    g_autoptr(Value) device = xml_device("virtio-serial-pci", node, "virtio-serial%" PRIu64, index);
    if (!xml_pci_place(node, device, err)) {
        return false;
    }
    if (ports) {
        if (!xml_number(node, "ports", ports, 31, &number, err)) {
            return false;
        }
        value_set(device, "max_ports", value_new_uint(number));
    }
    if (vectors) {
        if (!xml_number(node, "vectors", vectors, 2048, &number, err)) {
            return false;
        }
        value_set(device, "vectors", value_new_uint(number));
    }
    xml_say_device(work, node, g_steal_pointer(&device));
    return true;
}

static bool usb_controller(XmlWork *work, XmlNode *node, GError **err)
{
    static const XmlWord models[] = {
        { "piix3-uhci", "piix3-usb-uhci" }, { "piix4-uhci", "piix4-usb-uhci" }, { "ehci", "usb-ehci" }, { "ich9-ehci1", "ich9-usb-ehci1" },
        { "ich9-uhci1", "ich9-usb-uhci1" }, { "ich9-uhci2", "ich9-usb-uhci2" }, { "ich9-uhci3", "ich9-usb-uhci3" }, { "pci-ohci", "pci-ohci" },
        { "nec-xhci", "nec-usb-xhci" }, { "qemu-xhci", "qemu-xhci" }, { NULL } };
    const char *model = xml_attribute(node, "model"), *start = xml_lookup(node, "master@startport", NULL);

    if (model && strcmp(model, "none") == 0) {
        return true;
    }
    for (const XmlWord *word = models; word->xml; word++) {
        if (strcmp(model ? model : "piix3-uhci", word->xml) != 0) {
            continue;
        }
        uint64_t index, port;
        if (!xml_number(node, "index", index_of(node), 255, &index, err) || (start && !xml_number(node, "startport", start, 15, &port, err))) {
            return false;
        }
        g_autofree char *number = index ? g_strdup_printf("%" PRIu64, index) : g_strdup("");
        g_autoptr(Value) device = xml_device(word->key, node, "usb%s%s%s", number, start ? "-" : "", start ? word->xml : "");
        if (start) {
            value_set(device, "masterbus", value_new_string("usb.0"));
            value_set(device, "firstport", value_new_uint(port));
        }
        if (!xml_pci_place(node, device, err)) {
            return false;
        }
        xml_ignore_child(node, "target");
        xml_attribute(node, "ports");
        xml_say_device(work, node, g_steal_pointer(&device));
        return true;
    }
    return xml_fail(node, err, ENOTSUP, "model='%.100s' is not supported; model='piix3-uhci' or 'qemu-xhci' is, or 'none'", model);
}

static bool other_controller(XmlWork *work, XmlNode *node, GError **err)
{
    (void)work;
    (void)err;
    xml_warn(node, "it is left out: there is no controller of type='%.100s'", xml_attribute(node, "type"));
    xml_ignore(node);
    return true;
}

static const struct { const char *type; bool (*translate)(XmlWork *work, XmlNode *node, GError **err); } controllers[] = {
    { "pci", of_the_board }, { "ide", of_the_board }, { "fdc", of_the_board }, { "isa", of_the_board }, { "scsi", scsi_controller },
    { "virtio-serial", virtio_serial_controller }, { "usb", usb_controller }, { "sata", other_controller }, { "ccid", other_controller },
};

static bool controller(XmlWork *work, XmlNode *node, GError **err)
{
    const char *type = xml_attribute(node, "type");

    for (size_t i = 0; i < G_N_ELEMENTS(controllers); i++) {
        if (type && strcmp(type, controllers[i].type) == 0) {
            return controllers[i].translate(work, node, err);
        }
    }
    return xml_fail(node, err, ENOTSUP, "type='%.100s' is not supported; there are pci, ide, fdc, scsi, virtio-serial and usb", type ? type : "");
}

static bool any_child(XmlNode *devices, const char *name, const char *path, const char *value)
{
    for (XmlNode *node = xml_next(devices, NULL, name); node; node = xml_next(devices, node, name)) {
        const char *said = xml_lookup(node, path, NULL);
        if (said && (value ? strcmp(said, value) == 0 : g_str_has_prefix(said, "sd"))) {
            return true;
        }
    }
    return false;
}

/* Options as they are may bring the controller. */
static bool is_raw(XmlNode *domain, const char *driver)
{
    XmlNode *node = xml_child(domain, "qemu:commandline");

    for (XmlNode *arg = xml_next(node, NULL, "qemu:arg"); arg; arg = xml_next(node, arg, "qemu:arg")) {
        const char *value = xml_attribute(arg, "value");
        if (value && strstr(value, driver)) {
            return true;
        }
    }
    return false;
}

/* What a disk or a channel needs and the domain does not name. */
static void implied_controllers(XmlWork *work, XmlNode *devices)
{
    bool channels = any_child(devices, "channel", "target@type", "virtio") || any_child(devices, "console", "target@type", "virtio");
    bool scsi = any_child(devices, "disk", "target@bus", "scsi");

    for (XmlNode *node = xml_next(devices, NULL, "disk"); node && !scsi; node = xml_next(devices, node, "disk")) {
        const char *dev = xml_lookup(node, "target@dev", NULL);
        scsi = dev && !xml_lookup(node, "target@bus", NULL) && g_str_has_prefix(dev, "sd");
    }
    if (scsi && !any_child(devices, "controller", "@type", "scsi") && !is_raw(work->document->root, "virtio-scsi")) {
        xml_say(work, devices, "device", "virtio-scsi-pci,id=scsi0");
    }
    if (channels && !any_child(devices, "controller", "@type", "virtio-serial") && !is_raw(work->document->root, "virtio-serial-pci") &&
        (!work->options->has_model || work->options->has_model("virtio-serial-pci"))) {
        xml_say(work, devices, "device", "virtio-serial-pci,id=virtio-serial0");
    }
}

bool xml_controllers(XmlWork *work, XmlNode *devices, GError **err)
{
    for (XmlNode *node = xml_next(devices, NULL, "controller"); node; node = xml_next(devices, node, "controller")) {
        xml_begin(work);
        if (!controller(work, node, err)) {
            return false;
        }
        xml_end(work, node);
    }
    implied_controllers(work, devices);
    return true;
}

/* ---- one of a kind ----------------------------------------------------------------------------------------------------- */

static bool watchdog(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    const char *model = xml_attribute(node, "model");

    if (!model || (strcmp(model, "i6300esb") != 0 && strcmp(model, "ib700") != 0)) {
        return xml_fail(node, err, ENOTSUP, "model='%.100s' is not supported; model='i6300esb' is", model ? model : "");
    }
    Value *device = xml_device(model, node, "watchdog%u", number);
    if (!xml_pci_place(node, device, err)) {
        value_unref(device);
        return false;
    }
    xml_say_device(work, node, device);
    return true;
}

/* libvirt gives a guest a balloon unless model='none' forbids it; without <memballoon> node is <devices>. */
static bool balloon(XmlWork *work, XmlNode *node, bool said, GError **err)
{
    const char *model = said ? xml_attribute(node, "model") : NULL;

    if (model && strcmp(model, "none") == 0) {
        return true;
    }
    const char *suffix = said ? xml_virtio_suffix(node, "@model", "virtio", err) : "";
    if (!suffix) {
        return false;
    }
    g_autofree char *driver = g_strdup_printf("virtio-balloon-pci%s", suffix);
    g_autoptr(Value) device = said ? xml_device(driver, node, "balloon0") : value_new_object();
    if (!said) {
        value_set(device, "driver", value_new_string(driver));
        value_set(device, "id", value_new_string("balloon0"));
    } else if (!xml_pci_place(node, device, err) || !xml_map_in(xml_balloon_map, node, device, err)) {
        return false;
    }
    xml_say_device(work, node, g_steal_pointer(&device));
    return true;
}

static bool random_source(XmlWork *work, XmlNode *node, const char *id, GError **err)
{
    XmlNode *backend = xml_child(node, "backend");
    const char *model = xml_attribute(backend, "model"), *path = backend ? xml_text(backend) : NULL;
    Value *object = value_new_object();

    if (model && strcmp(model, "random") == 0) {
        value_set(object, "qom-type", value_new_string("rng-random"));
        value_set(object, "id", value_new_string(id));
        value_set(object, "filename", value_new_string(path && *path ? path : "/dev/random"));
    } else if (model && strcmp(model, "builtin") == 0) {
        value_set(object, "qom-type", value_new_string("rng-builtin"));
        value_set(object, "id", value_new_string(id));
    } else {
        value_unref(object);
        return xml_fail(backend ? backend : node, err, ENOTSUP, "<backend model='%.100s'> is not supported; there are random and builtin", model ? model : "");
    }
    xml_say_keys(work, backend, "object", "qom-type", object);
    return true;
}

static bool rng(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    const char *suffix = xml_virtio_suffix(node, "@model", "virtio", err);
    g_autofree char *id = g_strdup_printf("objrng%u", number), *driver = g_strdup_printf("virtio-rng-pci%s", suffix ? suffix : "");

    if (!suffix || !random_source(work, node, id, err)) {
        return false;
    }
    Value *device = xml_device(driver, node, "rng%u", number);
    value_set(device, "rng", value_new_string(id));
    if (!xml_map_in(xml_rng_map, node, device, err) || !xml_pci_place(node, device, err)) {
        value_unref(device);
        return false;
    }
    xml_say_device(work, node, device);
    return true;
}

static bool panic(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    const char *model = xml_attribute(node, "model"), *type = xml_lookup(node, "address@type", NULL);

    if (model && strcmp(model, "isa") != 0) {
        return xml_fail(node, err, ENOTSUP, "model='%.100s' is not supported; model='isa' is", model);
    }
    Value *device = xml_device("pvpanic", node, "panic%u", number);
    value_remove(device, "id");
    if ((type && strcmp(type, "isa") != 0) || !xml_map_in(xml_panic_map, node, device, err)) {
        value_unref(device);
        return type && xml_fail(node, err, ENOTSUP, "an address of type '%.100s' is not for this device; it takes type='isa'", type);
    }
    xml_say_device(work, node, device);
    return true;
}

/* They ride on USB, and come with it. */
static bool on_usb(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    (void)number;
    (void)err;
    xml_ignore(node);
    (void)work;
    xml_warn(node, "it is left out: there is no USB yet");
    return true;
}

bool xml_others(XmlWork *work, XmlNode *devices, GError **err)
{
    static const XmlKind kinds[] = {
        { "watchdog", watchdog }, { "rng", rng }, { "panic", panic }, { "redirdev", on_usb }, { "hub", on_usb }, { "smartcard", on_usb } };
    XmlNode *memballoon = xml_child(devices, "memballoon");

    xml_begin(work);
    if (!balloon(work, memballoon ? memballoon : devices ? devices : work->document->root, memballoon != NULL, err)) {
        return false;
    }
    return xml_each(work, devices, kinds, G_N_ELEMENTS(kinds), err);
}
