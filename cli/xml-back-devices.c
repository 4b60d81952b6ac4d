/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-back-devices.c - devices that are no disks to the elements of <devices>
 *
 * Tests    tests/xml/back.py
 */
#include "cli/xml-back.h"
#include "cli/xml-tables.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *driver_of(const Value *device)
{
    return value_get_string(device, "driver", "");
}

static const char *key_of(const XmlWord *words, const char *driver)
{
    for (; words->xml && strcmp(words->key, driver) != 0; words++) {
    }
    return words->xml;
}

/* "virtio-rng-pci-transitional" of "virtio-rng-pci" is model='virtio-transitional'; NULL: another driver. */
static char *virtio_model(const char *driver, const char *base, const char *plain)
{
    size_t short_name = strlen(base) - strlen("-pci");

    if (strcmp(driver, base) == 0 || (strncmp(driver, base, short_name) == 0 && !driver[short_name])) {
        return g_strdup(plain);
    }
    return g_str_has_prefix(driver, base) && g_str_has_suffix(driver, "-transitional") && driver[strlen(base)] == '-'
         ? g_strdup_printf("virtio%s", driver + strlen(base)) : NULL;
}

/* ---- streams ------------------------------------------------------------------------------------------------------------------ */

static bool move(Value *from, const char *key, XmlNode *node, const char *path)
{
    g_autofree char *text = xml_value_text(value_get(from, key));

    if (text) {
        xml_store(node, path, text);
        value_remove(from, key);
    }
    return text != NULL;
}

static bool socket_out(Value *stream, XmlNode *node)
{
    bool server = value_get_flag(stream, "server", false), telnet = value_get_flag(stream, "telnet", false);

    if (server && value_get_flag(stream, "wait", true)) {
        return false;
    }
    xml_store(node, "source@mode", server ? "bind" : "connect");
    if (move(stream, "path", node, "source@path")) {
        xml_set(node, "type", "unix");
    } else if (move(stream, "host", node, "source@host") && move(stream, "port", node, "source@service")) {
        xml_set(node, "type", "tcp");
        xml_store(node, "protocol@type", telnet ? "telnet" : "raw");
        value_remove(stream, "telnet");
    } else {
        return false;
    }
    value_remove(stream, "server");
    value_remove(stream, "wait");
    return true;
}

static bool stream_out(XmlBack *back, const char *id, XmlNode *node)
{
    Value *chardev = xml_back_find(back, "chardevs", "id", id);
    g_autoptr(Value) stream = xml_back_flat(chardev);
    g_autofree char *backend = g_strdup(value_get_string(stream, "backend", ""));
    bool named = strcmp(backend, "file") == 0 || strcmp(backend, "pipe") == 0;

    if (!chardev) {
        return false;
    }
    value_remove(stream, "backend");
    value_remove(stream, "id");
    if (strcmp(backend, "socket") == 0) {
        if (!socket_out(stream, node)) {
            return false;
        }
    } else {
        xml_set(node, "type", backend);
        if (named && !move(stream, "path", node, "source@path")) {
            return false;
        }
        move(stream, strcmp(backend, "file") == 0 ? "append" : "", node, "source@append");
    }
    if (move(stream, "logfile", node, "log@file")) {
        move(stream, "logappend", node, "log@append");
    }
    g_ptr_array_add(back->pending, chardev);
    return value_length(stream) == 0 && (named || strcmp(backend, "socket") == 0 || strcmp(backend, "pty") == 0 || strcmp(backend, "null") == 0 ||
                                         strcmp(backend, "stdio") == 0);
}

static void serial_target(XmlNode *node, unsigned index)
{
    g_autofree char *port = g_strdup_printf("%u", index);

    xml_store(node, "target@type", "isa-serial");
    xml_store(node, "target@port", port);
    xml_store(node, "target/model@name", "isa-serial");
}

static bool serial(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    g_autofree char *index = xml_value_text(value_get(device, "index")), *canonical = g_strdup_printf("serial%u", number);
    const char *chardev = value_get_string(device, "chardev", NULL);
    uint64_t port = number;

    if (strcmp(driver_of(device), "isa-serial") != 0 || !chardev || (index && !parse_uint(index, &port)) || port > 3 || !stream_out(back, chardev, node)) {
        return false;
    }
    serial_target(node, (unsigned)port);
    value_remove(device, "index");
    value_remove(device, "chardev");
    xml_back_common(back, device, node, canonical);
    return true;
}

/* A port that -serial made: the device is the board's. */
static bool board_serial(XmlBack *back, Value *port, XmlNode *node, unsigned number)
{
    const char *id = value_get_string(port, "chardev", "");

    if (!stream_out(back, id, node)) {
        return false;
    }
    serial_target(node, number);
    value_remove(port, "chardev");
    return true;
}

static bool parallel(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    g_autofree char *canonical = g_strdup_printf("parallel%u", number), *port = g_strdup_printf("%u", number);
    const char *chardev = value_get_string(device, "chardev", NULL);

    if (strcmp(driver_of(device), "isa-parallel") != 0 || !chardev || !stream_out(back, chardev, node)) {
        return false;
    }
    xml_store(node, "target@port", port);
    value_remove(device, "chardev");
    xml_back_common(back, device, node, canonical);
    return true;
}

static bool virtio_port(XmlBack *back, Value *device, XmlNode *node, const char *driver, const char *kind, unsigned number)
{
    g_autofree char *canonical = g_strdup_printf("%s%u", kind, number), *nr = xml_value_text(value_get(device, "nr"));
    const char *chardev = value_get_string(device, "chardev", NULL), *bus = value_get_string(device, "bus", "");
    unsigned controller;

    if (strcmp(driver_of(device), driver) != 0 || !chardev || sscanf(bus, "virtio-serial%u.0", &controller) != 1 || !nr || !stream_out(back, chardev, node)) {
        return false;
    }
    g_autofree char *text = g_strdup_printf("%u", controller);
    xml_store(node, "target@type", "virtio");
    move(device, "name", node, "target@name");
    xml_store(node, "address@type", "virtio-serial");
    xml_store(node, "address@controller", text);
    xml_store(node, "address@bus", "0");
    xml_store(node, "address@port", nr);
    value_remove(device, "chardev");
    value_remove(device, "bus");
    value_remove(device, "nr");
    xml_back_common(back, device, node, canonical);
    return true;
}

static bool channel(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    return virtio_port(back, device, node, "virtserialport", "channel", number);
}

static bool console(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    return virtio_port(back, device, node, "virtconsole", "console", number);
}

/* ---- controllers ------------------------------------------------------------------------------------------------------------------ */

/* The number at the end of "scsi1"; the whole id must be that. */
static bool index_of(const Value *device, const char *stem, XmlNode *node)
{
    const char *id = value_get_string(device, "id", ""), *digits = g_str_has_prefix(id, stem) ? id + strlen(stem) : "";
    uint64_t number = 0;

    if (!g_str_has_prefix(id, stem) || (*digits && (!parse_uint(digits, &number) || number > 255))) {
        return false;
    }
    g_autofree char *text = g_strdup_printf("%" PRIu64, number);
    xml_set(node, "index", text);
    return true;
}

static bool controller(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    static const XmlWord usb[] = {
        { "piix3-uhci", "piix3-usb-uhci" }, { "piix4-uhci", "piix4-usb-uhci" }, { "ehci", "usb-ehci" }, { "ich9-ehci1", "ich9-usb-ehci1" },
        { "pci-ohci", "pci-ohci" }, { "nec-xhci", "nec-usb-xhci" }, { "qemu-xhci", "qemu-xhci" }, { "ich9-uhci1", "ich9-usb-uhci1" },
        { "ich9-uhci2", "ich9-usb-uhci2" }, { "ich9-uhci3", "ich9-usb-uhci3" }, { NULL, "" } };
    const char *driver = driver_of(device), *usb_model = key_of(usb, driver), *thread = value_get_string(device, "iothread", NULL);
    g_autofree char *scsi = virtio_model(driver, "virtio-scsi-pci", "virtio-scsi"), *canonical = g_strdup(value_get_string(device, "id", NULL));

    (void)number;
    if (strcmp(driver, "virtio-serial-pci") == 0) {
        xml_set(node, "type", "virtio-serial");
        if (!index_of(device, "virtio-serial", node)) {
            return false;
        }
        move(device, "max_ports", node, "@ports");
        move(device, "vectors", node, "@vectors");
    } else if (scsi) {
        xml_set(node, "type", "scsi");
        xml_set(node, "model", scsi);
        if (!index_of(device, "scsi", node)) {
            return false;
        }
        xml_map_out(xml_scsi_controller_map, device, node);
        if (thread && g_str_has_prefix(thread, "iothread")) {
            xml_store(node, "driver@iothread", thread + strlen("iothread"));
            value_remove(device, "iothread");
        }
    } else if (usb_model && value_get(device, "firstport")) {
        xml_set(node, "type", "usb");
        xml_set(node, "index", "0");
        xml_set(node, "model", usb_model);
        move(device, "firstport", node, "master@startport");
        value_remove(device, "masterbus");
    } else if (usb_model) {
        xml_set(node, "type", "usb");
        xml_set(node, "model", usb_model);
        if (!index_of(device, "usb", node)) {
            return false;
        }
    } else {
        return false;
    }
    xml_back_common(back, device, node, canonical);
    return true;
}

/* ---- network ---------------------------------------------------------------------------------------------------------------------- */

static bool netdev_out(Value *netdev, XmlNode *node)
{
    g_autofree char *type = g_strdup(value_get_string(netdev, "type", ""));
    const char *net = value_get_string(netdev, "net", NULL), *slash = net ? strchr(net, '/') : NULL;

    value_remove(netdev, "type");
    value_remove(netdev, "id");
    if (strcmp(type, "user") == 0) {
        xml_set(node, "type", "user");
        if (slash && value_length(netdev) == 1) {
            g_autofree char *address = g_strndup(net, slash - net);
            xml_store(node, "ip@family", "ipv4");
            xml_store(node, "ip@address", address);
            xml_store(node, "ip@prefix", slash + 1);
            value_remove(netdev, "net");
        }
    } else if (strcmp(type, "bridge") == 0) {
        xml_set(node, "type", "bridge");
        return move(netdev, "br", node, "source@bridge") && value_length(netdev) == 0;
    } else if (strcmp(type, "tap") == 0 && strcmp(value_get_string(netdev, "downscript", ""), "no") == 0) {
        const char *script = value_get_string(netdev, "script", "");
        xml_set(node, "type", "ethernet");
        if (strcmp(script, "no") != 0) {
            xml_store(node, "script@path", script);
        }
        value_remove(netdev, "script");
        value_remove(netdev, "downscript");
        xml_map_out(xml_netdev_map, netdev, node);
    } else {
        return false;
    }
    return value_length(netdev) == 0;
}

static bool card(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    const char *driver = driver_of(device);
    Value *netdev = xml_back_find(back, "netdevs", "id", value_get_string(device, "netdev", NULL));
    g_autoptr(Value) keys = xml_back_flat(netdev);
    g_autofree char *canonical = g_strdup_printf("net%u", number), *virtio = virtio_model(driver, "virtio-net-pci", "virtio");

    if (!netdev || !netdev_out(keys, node)) {
        return false;
    }
    g_ptr_array_add(back->pending, netdev);
    value_remove(device, "netdev");
    xml_map_out(xml_card_map, device, node);
    xml_store(node, "model@type", virtio ? virtio : driver);
    xml_back_common(back, device, node, canonical);
    return true;
}

/* ---- people ------------------------------------------------------------------------------------------------------------------------- */

static bool input(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    static const struct { const char *driver, *type, *bus; } inputs[] = {
        { "usb-tablet", "tablet", "usb" }, { "usb-mouse", "mouse", "usb" }, { "usb-kbd", "keyboard", "usb" }, { "virtio-tablet-pci", "tablet", "virtio" },
        { "virtio-mouse-pci", "mouse", "virtio" }, { "virtio-keyboard-pci", "keyboard", "virtio" } };
    const char *id = value_get_string(device, "id", "");
    bool canonical = g_str_has_prefix(id, "input");

    (void)number;                          /* PS/2 devices count too, and are not here */
    for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
        if (strcmp(driver_of(device), inputs[i].driver) == 0) {
            xml_set(node, "type", inputs[i].type);
            xml_set(node, "bus", inputs[i].bus);
            if (strcmp(inputs[i].bus, "usb") == 0) {
                value_remove(device, "bus");
                value_remove(device, "port");
            }
            g_autofree char *same = canonical ? g_strdup(id) : NULL;
            xml_back_common(back, device, node, same);
            return true;
        }
    }
    return false;
}

static bool video(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    static const XmlWord models[] = { { "cirrus", "cirrus-vga" }, { "vga", "VGA" }, { "qxl", "qxl-vga" }, { "virtio", "virtio-vga" },
                                      { "bochs", "bochs-display" }, { "vmvga", "vmware-svga" }, { "ramfb", "ramfb" }, { NULL, "" } };
    const char *model = key_of(models, driver_of(device));
    g_autofree char *canonical = g_strdup_printf("video%u", number), *memory = xml_value_text(value_get(device, "vgamem_mb"));
    uint64_t megabytes;

    if (!model) {
        return false;
    }
    xml_store(node, "model@type", model);
    if (memory && parse_uint(memory, &megabytes) && megabytes < 1 << 20) {
        g_autofree char *kilobytes = g_strdup_printf("%" PRIu64, megabytes << 10);
        xml_store(node, strcmp(model, "qxl") == 0 ? "model@vgamem" : "model@vram", kilobytes);
        value_remove(device, "vgamem_mb");
    }
    xml_back_common(back, device, node, canonical);
    return true;
}

static bool sound(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    static const XmlWord models[] = { { "ac97", "AC97" }, { "es1370", "ES1370" }, { "sb16", "sb16" }, { NULL, "" } };
    const char *model = key_of(models, driver_of(device));
    g_autofree char *canonical = g_strdup_printf("sound%u", number);

    if (!model) {
        return false;
    }
    xml_set(node, "model", model);
    xml_back_common(back, device, node, canonical);
    return true;
}

static void graphics(XmlBack *back)
{
    Value *list = value_get(back->config.tree, "vncs");

    for (size_t i = 0; i < value_length(list); i++) {
        g_autoptr(Value) keys = value_copy(value_at(list, i));
        g_autofree char *where = g_strdup(value_get_string(keys, "vnc", ""));
        char *colon = strrchr(where, ':');
        XmlNode *node = xml_node_new(back->document, back->devices, "graphics");
        uint64_t display;
        xml_set(node, "type", "vnc");
        if (g_str_has_prefix(where, "unix:")) {
            xml_set(node, "socket", where + strlen("unix:"));
        } else if (colon && parse_uint(colon + 1, &display) && display <= UINT16_MAX - 5900) {
            bool automatic = value_get(keys, "to") && display == 0;
            g_autofree char *port = automatic ? g_strdup("-1") : g_strdup_printf("%" PRIu64, display + 5900);
            *colon = '\0';
            bool six = where[0] == '[' && colon > where + 2 && colon[-1] == ']';
            g_autofree char *host = six ? g_strndup(where + 1, colon - where - 2) : g_strdup(*where ? where : "0.0.0.0");
            xml_set(node, "port", port);
            xml_set(node, "autoport", automatic ? "yes" : "no");
            xml_set(node, "listen", host);
            value_remove(keys, automatic ? "to" : "");
        }
        if (node->attributes->len == 1 || value_length(keys) != 1) {
            xml_drop(node);
        } else {
            value_remove_at(list, i--);
        }
    }
}

/* ---- one of a kind ------------------------------------------------------------------------------------------------------------------ */

static bool watchdog(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    g_autofree char *canonical = g_strdup_printf("watchdog%u", number);

    if (strcmp(driver_of(device), "i6300esb") != 0 && strcmp(driver_of(device), "ib700") != 0) {
        return false;
    }
    xml_set(node, "model", driver_of(device));
    xml_back_common(back, device, node, canonical);
    return true;
}

static bool balloon(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    g_autofree char *model = virtio_model(driver_of(device), "virtio-balloon-pci", "virtio");

    if (!model || number) {
        return false;
    }
    xml_set(node, "model", model);
    xml_map_out(xml_balloon_map, device, node);
    xml_back_common(back, device, node, "balloon0");
    return true;
}

static bool rng(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    g_autofree char *model = virtio_model(driver_of(device), "virtio-rng-pci", "virtio"), *canonical = g_strdup_printf("rng%u", number);
    Value *source = xml_back_find(back, "objects", "id", value_get_string(device, "rng", NULL));
    const char *type = value_get_string(source, "qom-type", ""), *path = value_get_string(source, "filename", NULL);
    bool file = strcmp(type, "rng-random") == 0, own = model && !value_get(device, "rng");

    if (!model || (!own && (!source || (!file && strcmp(type, "rng-builtin") != 0) || value_length(source) != 2 + (path != NULL)))) {
        return false;
    }
    xml_set(node, "model", model);
    xml_map_out(xml_rng_map, device, node);
    xml_store(node, "backend@model", file ? "random" : "builtin");    /* a device without a source has the host's, too */
    if (file) {
        xml_store(node, "backend", path ? path : "/dev/random");
    }
    if (source) {
        g_ptr_array_add(back->pending, source);
    }
    value_remove(device, "rng");
    xml_back_common(back, device, node, canonical);
    return true;
}

static bool panic(XmlBack *back, Value *device, XmlNode *node, unsigned number)
{
    if (strcmp(driver_of(device), "pvpanic") != 0 || value_get(device, "id")) {
        return false;
    }
    (void)number;
    xml_set(node, "model", "isa");
    if (value_get(device, "ioport")) {
        xml_store(node, "address@type", "isa");
        move(device, "ioport", node, "address@iobase");
    }
    xml_back_common(back, device, node, NULL);
    return true;
}

/* ---- all of them ----------------------------------------------------------------------------------------------------------------------- */

/* In libvirt's order: kind by kind. */
static const struct { const char *element; XmlBackConvert *convert; } kinds[] = {
    { "disk", xml_back_disk }, { "controller", controller }, { "interface", card }, { "serial", serial }, { "parallel", parallel }, { "console", console },
    { "channel", channel }, { "input", input }, { "sound", sound }, { "video", video }, { "watchdog", watchdog }, { "memballoon", balloon },
    { "rng", rng }, { "panic", panic },
};

/* What becomes an element leaves null in its place: the others keep their numbers. */
static void board_serials(XmlBack *back)
{
    const Value *serials = value_get(back->config.tree, "serials");
    Value *left = value_new_list();

    for (size_t i = 0; i < value_length(serials); i++) {
        const char *id = value_string(value_at(serials, i));
        g_autoptr(Value) port = value_new_object();
        value_set(port, "chardev", value_new_string(id ? id : ""));
        bool said = id && xml_back_try(back, "serial", port, board_serial, (unsigned)i);
        value_append(left, said || !id ? value_new_null() : value_new_string(id));
    }
    value_set(back->config.tree, "serials", left);
}

static bool any_element(XmlBack *back, const char *element, const char *path, const char *value)
{
    for (XmlNode *node = xml_next(back->devices, NULL, element); node; node = xml_next(back->devices, node, element)) {
        const char *said = xml_lookup(node, path, NULL);
        if (said && strcmp(said, value) == 0) {
            return true;
        }
    }
    return false;
}

static bool any_left(const XmlBack *back, const char *prefix)
{
    const Value *devices = value_get(back->config.tree, "devices");

    for (size_t i = 0; i < value_length(devices); i++) {
        if (g_str_has_prefix(driver_of(value_at(devices, i)), prefix)) {
            return true;
        }
    }
    return false;
}

/* Those that a domain has unless it forbids them, and those that it has by what hangs on them. */
static void controllers_that_go_without_saying(XmlBack *back)
{
    bool scsi = any_element(back, "disk", "target@bus", "scsi") && !any_left(back, "virtio-scsi");
    bool serial_bus = (any_element(back, "channel", "target@type", "virtio") || any_element(back, "console", "target@type", "virtio")) &&
                      !any_left(back, "virtio-serial");

    if (scsi && !any_element(back, "controller", "@type", "scsi")) {
        XmlNode *node = xml_node_new(back->document, back->devices, "controller");
        xml_set(node, "type", "scsi");
        xml_set(node, "model", "virtio-scsi");
        xml_set(node, "index", "0");
    }
    if (serial_bus && !any_element(back, "controller", "@type", "virtio-serial")) {
        XmlNode *node = xml_node_new(back->document, back->devices, "controller");
        xml_set(node, "type", "virtio-serial");
        xml_set(node, "index", "0");
    }
    if (!any_element(back, "controller", "@type", "usb")) {           /* else libvirt adds one */
        XmlNode *node = xml_node_new(back->document, back->devices, "controller");
        xml_set(node, "type", "usb");
        xml_set(node, "index", "0");
        xml_set(node, "model", "none");
    }
    if (!xml_child(back->devices, "memballoon")) {
        xml_set(xml_node_new(back->document, back->devices, "memballoon"), "model", "none");
    }
}

/* Controllers stand together, wherever they were found. */
static int by_kind(gconstpointer a, gconstpointer b)
{
    const XmlNode *one = *(const XmlNode *const *)a, *other = *(const XmlNode *const *)b;
    int places[2] = { 0, 0 };
    const XmlNode *const nodes[2] = { one, other };

    for (size_t n = 0; n < 2; n++) {
        const char *name = strcmp(nodes[n]->name, "graphics") == 0 ? "input" : nodes[n]->name;
        while (places[n] < (int)G_N_ELEMENTS(kinds) && strcmp(kinds[places[n]].element, name) != 0) {
            places[n]++;
        }
    }
    return places[0] != places[1] ? places[0] - places[1] : one->index < other->index ? -1 : 1;
}

void xml_back_devices(XmlBack *back)
{
    Value *devices = value_get(back->config.tree, "devices");

    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
        unsigned number = 0;
        if (strcmp(kinds[k].element, "serial") == 0) {
            board_serials(back);
        }
        for (size_t i = 0; i < value_length(devices);) {
            if (xml_back_try(back, kinds[k].element, value_at(devices, i), kinds[k].convert, number)) {
                value_remove_at(devices, i);
                number++;
            } else {
                i++;
            }
        }
        if (strcmp(kinds[k].element, "disk") == 0) {
            xml_back_drives(back);
        }
        if (strcmp(kinds[k].element, "input") == 0) {
            graphics(back);
        }
    }
    controllers_that_go_without_saying(back);
    g_ptr_array_sort(back->devices->children, by_kind);
    for (guint i = 0; i < back->devices->children->len; i++) {
        ((XmlNode *)back->devices->children->pdata[i])->index = i;
    }
}
