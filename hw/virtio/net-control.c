/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net-control.c - what a virtio network card's driver asks for by its control queue: which packets it wants, its address, queues, offloads
 *
 * Models   Virtio 1.2, 5.1.6.5
 * Omits    receive-side scaling and hash reports: not offered
 * Threads  main loop, machine lock held
 * Tests    tests/dev/virtio-net.c, tests/fuzz/virtio-net.c
 *
 *   out: class 8, command 8 | data      in: VIRTIO_NET_OK or VIRTIO_NET_ERR, 8
 */
#include "base/bitmap.h"
#include "base/bytes.h"
#include "base/iov.h"
#include "base/trace.h"
#include "hw/virtio/net.h"
#include <string.h>

enum { TRACE_CONTROL };
static TracePoint control_trace[] = {
    [TRACE_CONTROL] = { "virtio_net_control", "a driver asks its network card for something" },
};
TRACE_TABLE(control_trace)

enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_VLAN = 2, CLASS_ANNOUNCE = 3, CLASS_MQ = 4, CLASS_GUEST_OFFLOADS = 5 };
enum { MAC_TABLE_SET = 0, MAC_ADDR_SET = 1, VLAN_ADD = 0, VLAN_DEL = 1, PAIRS_SET = 0, OFFLOADS_SET = 0 };
enum { ETHERTYPE_VLAN = 0x8100, HEADER = 2, STATUS_ANNOUNCE = 2, AT_STATUS = 6 };

#define GUEST_OFFLOADS (NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN)

/* ---- receive modes ---- */

static bool set_mode(VirtioNet *net, uint8_t command, QueueElement *element)
{
    uint8_t on;
    bool extra = command >= 2;

    if (command > 5 || !virtio_has(&net->base.virtio, extra ? NET_F_CTRL_RX_EXTRA : NET_F_CTRL_RX) || queue_take_out(element, &on, 1) < 1) {
        return false;
    }
    uint8_t bit = (uint8_t)(1u << command);
    net->modes = (uint8_t)((net->modes & ~bit) | (on ? bit : 0));
    return true;
}

/* ---- addresses ---- */

/* Count and addresses; what does not fit in what is left of the table turns the kind on as a whole. */
static bool take_table(VirtioNet *net, QueueElement *element, bool *overflow)
{
    uint8_t bytes[4];

    if (queue_take_out(element, bytes, sizeof bytes) < sizeof bytes) {
        return false;
    }
    uint32_t count = load_le32(bytes);
    if ((uint64_t)count * 6 > element->out_bytes) {
        return false;
    }
    *overflow = count > (uint32_t)NET_MACS_MOST - net->mac_count;
    for (uint32_t i = 0; i < count; i++) {             /* no more than the driver has sent */
        uint8_t mac[6];
        queue_take_out(element, mac, sizeof mac);
        if (!*overflow) {
            memcpy(net->macs + net->mac_count++ * 6, mac, sizeof mac);
        }
    }
    return true;
}

static bool set_macs(VirtioNet *net, QueueElement *element)
{
    net->mac_count = net->first_multicast = 0;
    net->unicast_overflow = net->multicast_overflow = false;
    if (!take_table(net, element, &net->unicast_overflow)) {
        return false;
    }
    net->first_multicast = net->mac_count;
    return take_table(net, element, &net->multicast_overflow);
}

static bool set_mac(VirtioNet *net, uint8_t command, QueueElement *element)
{
    if (command == MAC_TABLE_SET && virtio_has(&net->base.virtio, NET_F_CTRL_RX)) {
        return set_macs(net, element);
    }
    if (command != MAC_ADDR_SET || !virtio_has(&net->base.virtio, NET_F_CTRL_MAC_ADDR) || element->out_bytes != 6) {
        return false;
    }
    queue_take_out(element, net->mac, sizeof net->mac);
    netdev_user_mac(net->conf.netdev, net->mac);
    return true;
}

static bool set_vlan(VirtioNet *net, uint8_t command, QueueElement *element)
{
    uint8_t bytes[2];

    if (command > VLAN_DEL || !virtio_has(&net->base.virtio, NET_F_CTRL_VLAN) || queue_take_out(element, bytes, sizeof bytes) < sizeof bytes ||
        load_le16(bytes) >= NET_VLANS) {
        return false;
    }
    uint16_t vlan = load_le16(bytes);
    if (command == VLAN_ADD) {
        bitmap_set(net->vlans, vlan, 1);
    } else {
        bitmap_clear(net->vlans, vlan, 1);
    }
    return true;
}

/* ---- the rest ---- */

static bool acknowledge_announce(VirtioNet *net, uint8_t command)
{
    Virtio *virtio = &net->base.virtio;
    uint64_t status = virtio_config_get(virtio, AT_STATUS, 2);

    if (command != 0 || !(status & STATUS_ANNOUNCE)) {
        return false;
    }
    virtio_config_set(virtio, AT_STATUS, 2, status & ~(uint64_t)STATUS_ANNOUNCE);
    return true;
}

static bool set_pairs(VirtioNet *net, uint8_t command, QueueElement *element)
{
    uint8_t bytes[2];

    if (command != PAIRS_SET || !virtio_has(&net->base.virtio, NET_F_MQ) || queue_take_out(element, bytes, sizeof bytes) < sizeof bytes ||
        load_le16(bytes) == 0 || load_le16(bytes) > net->most_pairs) {
        return false;
    }
    net->pairs_now = load_le16(bytes);
    return true;
}

static bool set_offloads(VirtioNet *net, uint8_t command, QueueElement *element)
{
    uint8_t bytes[8];

    if (command != OFFLOADS_SET || !virtio_has(&net->base.virtio, NET_F_CTRL_GUEST_OFFLOADS) || queue_take_out(element, bytes, sizeof bytes) < sizeof bytes ||
        load_le64(bytes) & ~(net->base.virtio.accepted & GUEST_OFFLOADS)) {
        return false;
    }
    net->offloads = load_le64(bytes);
    virtio_net_tell_takes(net);
    return true;
}

static bool carry_out(VirtioNet *net, uint8_t class, uint8_t command, QueueElement *element)
{
    switch (class) {
    case CLASS_RX:
        return set_mode(net, command, element);
    case CLASS_MAC:
        return set_mac(net, command, element);
    case CLASS_VLAN:
        return set_vlan(net, command, element);
    case CLASS_ANNOUNCE:
        return acknowledge_announce(net, command);
    case CLASS_MQ:
        return set_pairs(net, command, element);
    case CLASS_GUEST_OFFLOADS:
        return set_offloads(net, command, element);
    default:
        return false;
    }
}

void virtio_net_control(VirtioNet *net, QueueElement *element)
{
    uint8_t header[HEADER];

    if (queue_take_out(element, header, sizeof header) < sizeof header || element->in_bytes < 1) {
        guest_fault(net->base.virtio.device, "a control command without a header, or without room for its answer");
        queue_push(element, 0);
        return;
    }
    bool good = carry_out(net, header[0], header[1], element);
    TRACE(&control_trace[TRACE_CONTROL], "%s class %u command %u: %s", device_name(net->base.virtio.device), header[0], header[1], good ? "done" : "refused");
    uint8_t answer = good ? 0 : 1;
    queue_answer(element, element->in_total - 1, &answer, 1);
    queue_push(element, element->in_total);
}

void virtio_net_control_reset(VirtioNet *net)
{
    memcpy(net->mac, net->conf.mac, sizeof net->mac);
    net->pairs_now = 1;
    net->modes = RX_PROMISCUOUS;           /* until a driver says what it wants */
    net->unicast_overflow = net->multicast_overflow = false;
    net->mac_count = net->first_multicast = 0;
    net->offloads = 0;
    memset(net->vlans, 0xff, sizeof net->vlans);
    virtio_net_tell_takes(net);
}

void virtio_net_features_chosen(VirtioNet *net)
{
    net->offloads = net->base.virtio.accepted & GUEST_OFFLOADS;
    memset(net->vlans, virtio_has(&net->base.virtio, NET_F_CTRL_VLAN) ? 0 : 0xff, sizeof net->vlans);
    virtio_net_tell_takes(net);
}

void virtio_net_tell_takes(VirtioNet *net)
{
    static const struct { uint64_t feature; unsigned takes; } both[] = {
        { NET_F_GUEST_CSUM, NET_TAKES_CSUM }, { NET_F_GUEST_TSO4, NET_TAKES_TSO4 }, { NET_F_GUEST_TSO6, NET_TAKES_TSO6 }, { NET_F_GUEST_ECN, NET_TAKES_ECN },
    };
    unsigned takes = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
        takes |= net->offloads & both[i].feature ? both[i].takes : 0;
    }
    netdev_user_takes(net->conf.netdev, takes);
}

/* ---- the filter ---- */

static bool table_has(const VirtioNet *net, const uint8_t *mac, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        if (memcmp(net->macs + i * 6, mac, 6) == 0) {
            return true;
        }
    }
    return false;
}

bool virtio_net_wants(const VirtioNet *net, const NetPacket *packet)
{
    static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    uint8_t head[16] = { 0 };

    if (net->modes & RX_PROMISCUOUS) {
        return true;
    }
    iov_gather(packet->iov, packet->count, 0, head, sizeof head);
    if (load_be16(head + 12) == ETHERTYPE_VLAN && !bitmap_test(net->vlans, load_be16(head + 14) & (NET_VLANS - 1))) {
        return false;
    }
    if (memcmp(head, everybody, sizeof everybody) == 0) {
        return !(net->modes & RX_NO_BROADCAST);
    }
    if (head[0] & 1) {
        return !(net->modes & RX_NO_MULTICAST) && (net->modes & RX_ALL_MULTICAST || net->multicast_overflow ||
                                                   table_has(net, head, net->first_multicast, net->mac_count));
    }
    return !(net->modes & RX_NO_UNICAST) && (net->modes & RX_ALL_UNICAST || net->unicast_overflow || memcmp(head, net->mac, 6) == 0 ||
                                             table_has(net, head, 0, net->first_multicast));
}
