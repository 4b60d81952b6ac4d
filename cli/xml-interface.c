/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-interface.c - <interface> to -netdev and -device
 *
 * Tests    tests/xml/translate.py, tests/xml/refuse.py
 */
#include "cli/xml-tables.h"
#include "cli/xml-work.h"
#include <errno.h>
#include <string.h>

static Value *connection(const char *type)
{
    Value *keys = value_new_object();

    value_set(keys, "type", value_new_string(type));
    return keys;
}

/* <ip family='ipv4' address='10.0.2.0' prefix='24'/> is the network of a user-mode card. */
static Value *user_connection(XmlWork *work, XmlNode *node, GError **err)
{
    Value *keys = connection("user");
    XmlNode *ip = xml_child(node, "ip");
    const char *address = xml_attribute(ip, "address"), *prefix = xml_attribute(ip, "prefix"), *family = xml_attribute(ip, "family");

    (void)work;
    (void)err;
    if (address && (!family || strcmp(family, "ipv4") == 0)) {
        g_autofree char *net = g_strdup_printf("%s/%s", address, prefix ? prefix : "24");
        value_set(keys, "net", value_new_string(net));
    }
    return keys;
}

static Value *network_connection(XmlWork *work, XmlNode *node, GError **err)
{
    const char *name = xml_lookup(node, "source@network", NULL);

    if (!name) {
        xml_fail(node, err, EINVAL, "<source network='NAME'/> is missing");
        return NULL;
    }
    xml_lookup(node, "source@bridge", NULL);                          /* what it was, in the description of a running domain */
    xml_lookup(node, "source@portid", NULL);
    return xml_network(work, xml_child(node, "source"), name, err);
}

static Value *bridge_connection(XmlWork *work, XmlNode *node, GError **err)
{
    const char *bridge = xml_lookup(node, "source@bridge", NULL);

    (void)work;
    if (!bridge) {
        xml_fail(node, err, EINVAL, "<source bridge='NAME'/> is missing");
        return NULL;
    }
    Value *keys = connection("bridge");
    value_set(keys, "br", value_new_string(bridge));
    return keys;
}

static Value *tap_connection(XmlWork *work, XmlNode *node, GError **err)
{
    const char *script = xml_lookup(node, "script@path", NULL);
    Value *keys = connection("tap");

    (void)work;
    if (!xml_map_in(xml_netdev_map, node, keys, err)) {
        value_unref(keys);
        return NULL;
    }
    xml_lookup(node, "target@managed", NULL);
    value_set(keys, "script", value_new_string(script ? script : "no"));
    value_set(keys, "downscript", value_new_string("no"));
    return keys;
}

static Value *direct_connection(XmlWork *work, XmlNode *node, GError **err)
{
    (void)err;
    xml_ignore_child(node, "source");
    xml_lacks(work, "there is no type='direct', which needs root; type='bridge' and type='user' are other ways");
    return connection("user");
}

static const struct { const char *type; Value *(*make)(XmlWork *work, XmlNode *node, GError **err); } kinds[] = {
    { "user", user_connection }, { "network", network_connection }, { "bridge", bridge_connection }, { "ethernet", tap_connection },
    { "direct", direct_connection },
};

static Value *connect(XmlWork *work, XmlNode *node, GError **err)
{
    const char *type = xml_attribute(node, "type");

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (type && strcmp(type, kinds[i].type) == 0) {
            return kinds[i].make(work, node, err);
        }
    }
    xml_fail(node, err, ENOTSUP, "type='%.100s' is not supported; there are user, network, bridge, ethernet and direct", type ? type : "");
    return NULL;
}

/* libvirt's names of models, and ours; others are called the same. */
static char *card_model(XmlNode *node, GError **err)
{
    const char *type = xml_lookup(node, "model@type", NULL);

    if (!type) {
        return g_strdup("rtl8139");        /* libvirt's choice where nobody chose */
    }
    if (g_str_has_prefix(type, "virtio")) {
        const char *suffix = xml_virtio_suffix(node, "model@type", "virtio", err);
        return suffix ? g_strdup_printf("virtio-net-pci%s", suffix) : NULL;
    }
    if (!*type || strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789-_") != strlen(type)) {
        xml_fail(xml_child(node, "model"), err, EINVAL, "'%.100s' is not the name of a model", type);
        return NULL;
    }
    return g_strdup(type);
}

static bool check_mac(XmlNode *node, GError **err)
{
    XmlNode *holder = node;
    const char *mac = xml_lookup(node, "mac@address", &holder);
    unsigned digits = 0;

    for (const char *c = mac; c && *c; c++) {
        bool colon = (c - mac) % 3 == 2;
        if (colon ? *c != ':' : !g_ascii_isxdigit(*c)) {
            digits = 100;
        }
        digits += !colon;
    }
    return !mac || digits == 12 || xml_fail(holder, err, EINVAL, "'%.100s' is not a card's address such as 52:54:00:12:34:56", mac);
}

static bool card(XmlWork *work, XmlNode *node, unsigned number, GError **err)
{
    g_autofree char *model = card_model(node, err), *id = g_strdup_printf("hostnet%u", number);
    Value *keys = model && check_mac(node, err) ? connect(work, node, err) : NULL;

    if (!keys) {
        return false;
    }
    if (work->options->has_model && !work->options->has_model(model)) {
        g_autofree char *why = g_strdup_printf("there is no network card '%s' yet", model);
        xml_lacks(work, why);
    }
    Value *device = xml_device(model, node, "net%u", number);
    if (value_length(keys)) {
        value_set(keys, "id", value_new_string(id));
        xml_say_keys(work, node, "netdev", "type", keys);
        value_set(device, "netdev", value_new_string(id));
    } else {
        value_unref(keys);
    }
    if (!xml_pci_place(node, device, err) || !xml_map_in(xml_card_map, node, device, err) || !xml_boot_place(work, node, device, err)) {
        value_unref(device);
        return false;
    }
    xml_say_device(work, node, device);
    return true;
}

bool xml_interfaces(XmlWork *work, XmlNode *devices, GError **err)
{
    unsigned number = 0;

    for (XmlNode *node = xml_next(devices, NULL, "interface"); node; node = xml_next(devices, node, "interface")) {
        xml_begin(work);
        if (!card(work, node, number++, err)) {
            return false;
        }
        xml_end(work, node);
    }
    return true;
}
