/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net-conf.c - what every network card asks of the netdev that it is plugged into: its address, its cable
 *
 * Threads  main loop, machine lock held
 * Tests    tests/dev/virtio-net.c, tests/qmp/net.py
 */
#include "hw/core/net-conf.h"
#include "base/error.h"
#include "base/log.h"
#include "hw/core/machine.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_NUMBER = 0x56, NUMBERS = 256 - FIRST_NUMBER };

static bool parse_mac(const char *text, uint8_t mac[6])
{
    unsigned bytes[6];
    int end = 0;

    if (strlen(text) != 17 || (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5], &end) != 6 &&
                               sscanf(text, "%2x-%2x-%2x-%2x-%2x-%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5], &end) != 6) ||
        end != 17) {
        return false;
    }
    for (unsigned i = 0; i < 6; i++) {
        mac[i] = (uint8_t)bytes[i];
    }
    return true;
}

/* What the cards that are there call themselves, by the property that they all have. */
static bool is_taken(const Machine *machine, const char *text)
{
    for (guint i = 0; i < machine->devices->len; i++) {
        Device *device = machine->devices->pdata[i];
        const Field *field = device->model->props ? field_find(device->model->props, "mac") : NULL;
        if (field && field->kind == FIELD_STR && g_strcmp0(*(char **)((char *)device + field->offset), text) == 0) {
            return true;
        }
    }
    return false;
}

static bool choose_mac(NetConf *conf, const Device *device, GError **err)
{
    if (conf->mac_text) {
        if (!parse_mac(conf->mac_text, conf->mac)) {
            return fail(err, EINVAL, "device '%s': mac=%s is not a card's address such as 52:54:00:12:34:56", device_name(device), conf->mac_text);
        }
        return !(conf->mac[0] & 1) || fail(err, EINVAL, "device '%s': mac=%s is a group's address; the first byte of a card's is even", device_name(device),
                                           conf->mac_text);
    }
    for (unsigned nr = 0; nr < NUMBERS; nr++) {
        const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, (uint8_t)(FIRST_NUMBER + nr) };
        g_autofree char *text = g_strdup_printf("52:54:00:12:34:%02x", mac[5]);
        if (!is_taken(device->machine, text)) {
            memcpy(conf->mac, mac, sizeof mac);
            conf->mac_text = g_steal_pointer(&text);
            return true;
        }
    }
    return fail(err, EINVAL, "device '%s': all addresses that cards get by themselves are taken; give it one by mac=", device_name(device));
}

bool net_conf_realize(NetConf *conf, Device *device, const NetUser *user, void *opaque, GError **err)
{
    if (!choose_mac(conf, device, err)) {
        return false;
    }
    if (!conf->netdev_id || !*conf->netdev_id) {
        report_warning("device '%s' has no netdev=; it is a card without a cable", device_name(device));
        return true;
    }
    NetDev *netdev = netdev_find(conf->netdev_id);
    if (!netdev) {
        return fail(err, ENOENT, "device '%s': there is no -netdev with id=%s", device_name(device), conf->netdev_id);
    }
    if (!netdev_attach(netdev, user, opaque, device_name(device), device->model->name, conf->mac, err)) {
        g_prefix_error(err, "device '%s': ", device_name(device));
        return false;
    }
    conf->netdev = netdev;
    return true;
}

void net_conf_unrealize(NetConf *conf, void *opaque)
{
    netdev_detach(g_steal_pointer(&conf->netdev), opaque);
}
