/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-net.c - networks and cards: coming, going, cables, forwards
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/net.py, tests/qmp/input.py
 */
#include "monitor/commands.h"
#include "net/forward.h"
#include "net/netdev.h"
#include <string.h>

static bool check_id(const char *id, GError **err)
{
    if (g_ascii_isalpha(*id) && strspn(id, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-._") == strlen(id)) {
        return true;
    }
    qmp_fail(err, QMP_GENERIC_ERROR, "Parameter 'id' expects an identifier");
    return false;
}

static bool check_keys(const Value *args, const Field *keys, GError **err)
{
    for (size_t i = 0; i < value_length(args); i++) {
        const char *key = value_key_at(args, i);
        if (strcmp(key, "id") != 0 && strcmp(key, "type") != 0 && !field_find(keys, key)) {
            qmp_fail(err, QMP_GENERIC_ERROR, "Parameter '%s' is unexpected", key);
            return false;
        }
    }
    return true;
}

QMP_HANDLER(netdev_add)
{
    const char *id = value_get_string(args, "id", ""), *type = value_get_string(args, "type", "");
    const Field *keys = netdev_keys(type);

    if (!check_id(id, err)) {
        return NULL;
    }
    if (netdev_find(id)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Duplicate ID '%s'", id);
    }
    if (!keys) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "network backend '%s' is not compiled into this binary", type);
    }
    return check_keys(args, keys, err) && netdev_new(args, err) ? qmp_done() : NULL;
}

QMP_HANDLER(netdev_del)
{
    const char *id = value_get_string(args, "id", "");

    if (!netdev_find(id)) {
        return qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    }
    return netdev_delete(id, err) ? qmp_done() : NULL;
}

/* By the network's name or by the card's: they are two ends of one cable. */
QMP_HANDLER(set_link)
{
    const char *name = value_get_string(args, "name", "");
    NetDev *netdev = netdev_find(name);

    netdev = netdev ? netdev : netdev_of_user(name);
    if (!netdev) {
        return qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", name);
    }
    netdev_set_link(netdev, value_get_bool(args, "up", true));
    return qmp_done();
}

/* ---- what is there, for people ---- */

static Value *human(GString *text)
{
    Value *reply = value_new_object();

    value_set(reply, "human-readable-text", value_new_string(text->str));
    g_string_free(text, TRUE);
    return reply;
}

static void append_network(void *opaque, NetDev *netdev)
{
    g_autofree char *network = netdev_describe(netdev), *card = netdev_describe_user(netdev);

    if (card) {
        g_string_append_printf(opaque, "%s\n \\ ", card);
    }
    g_string_append_printf(opaque, "%s\n", network);
}

QMP_HANDLER(query_network)
{
    GString *text = g_string_new(NULL);

    netdev_each(append_network, text);
    return human(text);
}

static void append_connections(void *opaque, NetDev *netdev)
{
    g_autofree char *connections = net_user_connections(netdev);

    if (connections) {
        g_string_append_printf(opaque, "Hub -1 (%s):\n%s", netdev_id(netdev), connections);
    }
}

QMP_HANDLER(query_usernet)
{
    GString *text = g_string_new(NULL);

    netdev_each(append_connections, text);
    return human(text);
}

/* ---- forwards ---- */

static void first_user_network(void *opaque, NetDev *netdev)
{
    NetDev **found = opaque;

    if (!*found && strcmp(netdev_kind(netdev), "user") == 0) {
        *found = netdev;
    }
}

/* NULL and *err in QEMU's words. */
static NetDev *forwarding(const Value *args, GError **err)
{
    const char *id = value_get_string(args, "id", NULL);
    NetDev *netdev = id ? netdev_find(id) : NULL;

    if (id && !netdev) {
        qmp_fail(err, QMP_GENERIC_ERROR, "unrecognized netdev id '%s'", id);
    } else if (!id) {
        netdev_each(first_user_network, &netdev);
        if (!netdev) {
            qmp_fail(err, QMP_GENERIC_ERROR, "user mode network stack not in use");
        }
    }
    return netdev;
}

QMP_HANDLER(hostfwd_add)
{
    NetDev *netdev = forwarding(args, err);
    g_autofree char *report = NULL;

    if (!netdev || !net_forward_add(netdev, value_get_string(args, "rule", ""), &report, err)) {
        return NULL;
    }
    GString *text = g_string_new(report);
    if (report) {
        g_string_append_c(text, '\n');
    }
    return human(text);
}

QMP_HANDLER(hostfwd_remove)
{
    const char *rule = value_get_string(args, "rule", "");
    NetDev *netdev = forwarding(args, err);
    bool found;

    if (!netdev || !net_forward_remove(netdev, rule, &found, err)) {
        return NULL;
    }
    GString *text = g_string_new(NULL);
    g_string_printf(text, "host forwarding rule for %s %s\n", rule, found ? "removed" : "not found");
    return human(text);
}

QMP_HANDLER(query_addresses)
{
    const char *id = value_get_string(args, "id", "");
    NetDev *netdev = netdev_find(id);
    Value *list = netdev ? net_user_addresses(netdev) : NULL;

    if (!netdev) {
        return qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    }
    return list ? list : qmp_fail(err, QMP_GENERIC_ERROR, "netdev '%s' is no user network: who is in it is not known here", id);
}

QMP_HANDLER(query_rx_filter)
{
    const char *name = value_get_string(args, "name", NULL);

    return name ? qmp_fail(err, QMP_GENERIC_ERROR, "invalid net client name: %s", name) : value_new_list();
}

const QmpType net_types[] = {
    { "NetClientDriver", "enum none nic user tap l2tpv3 socket stream dgram vde bridge hubport netmap vhost-user vhost-vdpa" },
    { "RxState", "enum normal none all" },
    { "RxFilterInfo", "struct name:str promiscuous:bool multicast:RxState unicast:RxState vlan:RxState broadcast-allowed:bool "
      "multicast-overflow:bool unicast-overflow:bool main-mac:str vlan-table:[int] unicast-table:[str] multicast-table:[str]" },
    { "GuestAddress", "struct ipv6:bool address:str" },
    { .name = NULL } };

const QmpCommand net_commands[] = {
    { "netdev_add", netdev_add, .args = "type:NetClientDriver id:str ...", .help = "makes a network backend" },
    { "netdev_del", netdev_del, .args = "id:str", .help = "takes a network backend away" },
    { "set_link", set_link, .args = "name:str up:bool", .help = "plugs a card's cable in or out" },
    { "query-rx-filter", query_rx_filter, .args = "?name:str", .returns = "[RxFilterInfo]", .help = "which packets the network cards take" },
    { "x-query-network", query_network, .returns = "HumanReadableText", .help = "networks and the cards in them; for people, may change" },
    { "x-query-usernet", query_usernet, .returns = "HumanReadableText", .help = "connections and forwards of user networks; for people, may change" },
    { "x-query-addresses", query_addresses, .args = "id:str", .returns = "[GuestAddress]", .help = "addresses that the guest uses in a user network" },
    { "x-hostfwd-add", hostfwd_add, .args = "?id:str rule:str", .returns = "HumanReadableText", .help = "a port of the host leads to one of the guest, as hostfwd= says it" },
    { "x-hostfwd-remove", hostfwd_remove, .args = "?id:str rule:str", .returns = "HumanReadableText", .help = "ends that" },
    { .name = NULL } };
