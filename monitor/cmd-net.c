/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-net.c - network backends and cards, of which there are none yet: each command answers as QEMU does without the thing that it names
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/input.py
 */
#include "monitor/commands.h"
#include <string.h>

QMP_HANDLER(netdev_add)
{
    const char *id = value_get_string(args, "id", "");

    if (!g_ascii_isalpha(*id) || strspn(id, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-._") != strlen(id)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Parameter 'id' expects an identifier");
    }
    return qmp_fail(err, QMP_GENERIC_ERROR, "network backend '%s' is not compiled into this binary", value_get_string(args, "type", ""));
}

QMP_HANDLER(netdev_del)
{
    return qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", value_get_string(args, "id", ""));
}

QMP_HANDLER(set_link)
{
    return qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", value_get_string(args, "name", ""));
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
    { .name = NULL } };

const QmpCommand net_commands[] = {
    { "netdev_add", netdev_add, .args = "type:NetClientDriver id:str ...", .help = "makes a network backend" },
    { "netdev_del", netdev_del, .args = "id:str", .help = "takes a network backend away" },
    { "set_link", set_link, .args = "name:str up:bool", .help = "plugs a card's cable in or out" },
    { "query-rx-filter", query_rx_filter, .args = "?name:str", .returns = "[RxFilterInfo]", .help = "which packets the network cards take" },
    { .name = NULL } };
