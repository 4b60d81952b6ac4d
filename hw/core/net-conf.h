/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net-conf.h - the properties that every network card shares, and its hold on the netdev that it is plugged into
 *
 * A model embeds a NetConf, names NET_PROPS(T, conf) among its properties, calls net_conf_realize() in realize and net_conf_unrealize() in unrealize
 * (harmless when repeated). From then on conf->netdev goes to the functions of net/netdev.h, which take NULL: a card without a cable.
 * Machine lock held.
 */
#pragma once
#include "hw/core/device.h"
#include "net/netdev.h"

typedef struct NetConf {
    char *netdev_id, *mac_text;
    uint8_t mac[6];                        /* after realize: as given, or the next free one of 52:54:00:12:34:56 and on */
    int32_t bootindex;                     /* -1: none */
    NetDev *netdev;                        /* after realize; NULL: netdev= was left out, or it was taken away */
} NetConf;

#define NET_PROPS(T, m) \
    PROP_STR("netdev", T, m.netdev_id, .help = "id of a -netdev; without one the card has no cable"), \
    PROP_STR("mac", T, m.mac_text, .help = "the card's address; default: the next of 52:54:00:12:34:56 and on"), \
    PROP_I32("bootindex", T, m.bootindex, -1, .help = "place in the boot order, 0 first; default: none")

bool net_conf_realize(NetConf *conf, Device *device, const NetUser *user, void *opaque, GError **err);
void net_conf_unrealize(NetConf *conf, void *opaque);
