/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.c - virtio-net: a network card whose packets are chains in shared memory
 *
 * Models   Virtio 1.2, 5.1, with the legacy notes; features and numbers as QEMU 7.2 offers them
 * Omits    UDP fragmentation (UFO), receive-side scaling, hash reports, packed rings, vhost
 * Wires    the netdev behind NetConf
 * Threads  main loop, machine lock held; packets for the guest may come from a vCPU thread with that lock, too
 * Tests    tests/dev/virtio-net.c, tests/fuzz/virtio-net.c, tests/guest/net.py
 *
 * Queues   0 and 1 packets to the guest and from it; with several pairs 2 and 3, 4 and 5, ...; control behind the pairs that there are, or, for a
 *          driver that knows of one pair only, 2
 * Packet   flags 8, gso_type 8, header_bytes 16, gso_size 16, csum_start 16, csum_offset 16 [, buffers 16] | frame
 *
 * What the network has no room for is held, one packet a pair; the rest waits in the ring. Packets for a guest without room wait in the gate.
 */
#include "hw/virtio/net.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/iov.h"
#include "base/trace.h"
#include "hw/models.h"
#include <errno.h>
#include <string.h>

enum { TRACE_OUT, TRACE_IN };
static TracePoint net_trace[] = {
    [TRACE_OUT] = { "virtio_net_out", "a packet from the guest" },
    [TRACE_IN] = { "virtio_net_in", "a packet to the guest, and how many buffers it took" },
};
TRACE_TABLE(net_trace)

enum { AT_MAC = 0, AT_STATUS = 6, AT_PAIRS = 8, AT_MTU = 10, AT_SPEED = 12, AT_DUPLEX = 16, CONFIG_MOST = 17 };
enum { LINK_UP = 1, HEADER_LEGACY = 10, HEADER_MOST = 12, BUFFERS_MOST = 64, CONTROL_SIZE = 64, MTU_LEAST = 68, DUPLEX_UNKNOWN = 0xff };

static VirtioNet *net_of(Virtio *virtio)
{
    return (VirtioNet *)virtio->device;
}

static size_t header_bytes(const Virtio *virtio)
{
    return virtio_has(virtio, NET_F_MRG_RXBUF | VIRTIO_F_VERSION_1) ? HEADER_MOST : HEADER_LEGACY;
}

static bool is_control(const VirtioNet *net, unsigned index)
{
    return index == (virtio_has(&net->base.virtio, NET_F_MQ) ? 2 * net->most_pairs : 2) && virtio_has(&net->base.virtio, NET_F_CTRL_VQ);
}

/* ---- from the guest ---- */

static void read_header(const Virtio *virtio, const uint8_t *bytes, NetOffload *offload)
{
    if (virtio_has(virtio, NET_F_CSUM)) {
        *offload = (NetOffload){ .flags = bytes[0] & NET_NEEDS_CSUM, .gso_type = bytes[1], .header_bytes = load_le16(bytes + 2), .gso_size = load_le16(bytes + 4),
                                 .csum_start = load_le16(bytes + 6), .csum_offset = load_le16(bytes + 8) };
    }
}

/* False: the network has no room; the element is as it was. */
static bool send(VirtioNet *net, unsigned pair, QueueElement *element)
{
    Virtio *virtio = &net->base.virtio;
    struct iovec pieces[QUEUE_PIECES_MOST];
    uint8_t header[HEADER_MOST];
    size_t skip = header_bytes(virtio);
    NetPacket packet = { .iov = pieces };

    if (iov_gather(element->out, element->out_count, 0, header, skip) < skip) {
        virtio_fault(virtio, 2 * pair + 1, "a packet is shorter than its header");
        return true;
    }
    packet.bytes = element->out_bytes - skip;
    packet.count = iov_slice(element->out, element->out_count, skip, packet.bytes, pieces);
    read_header(virtio, header, &packet.offload);
    TRACE(&net_trace[TRACE_OUT], "%s pair %u bytes %zu gso %u", device_name(virtio->device), pair, packet.bytes, packet.offload.gso_size);
    return netdev_send(net->conf.netdev, pair % netdev_queues(net->conf.netdev), &packet) == NET_DONE;
}

static void transmit(VirtioNet *net, unsigned pair)
{
    Virtio *virtio = &net->base.virtio;
    Queue *queue = virtio_queue(virtio, 2 * pair + 1);
    VirtioNetPair *state = &net->pairs[pair];

    if (!virtio->live || virtio->paused || !queue_started(queue)) {
        return;
    }
    while (state->held || (state->held = queue_next(queue))) {
        if (!send(net, pair, state->held)) {
            return;                        /* sent() comes */
        }
        queue_push(g_steal_pointer(&state->held), 0);
    }
}

/* The network has room again: in a turn of its own, with a budget. */
static void net_sent(void *opaque, unsigned queue)
{
    VirtioNet *net = opaque;

    for (unsigned pair = queue; pair < net->most_pairs; pair += netdev_queues(net->conf.netdev)) {
        if (net->pairs[pair].held) {
            virtio_kick(&net->base.virtio, 2 * pair + 1);
        }
    }
}

/* ---- to the guest ---- */

/* A driver that is not there takes nothing, and nothing waits for it. */
static bool is_ready(const VirtioNet *net)
{
    const Virtio *virtio = &net->base.virtio;

    return virtio->live && queue_started(virtio_queue((Virtio *)(uintptr_t)virtio, 0)) && virtio->transport->space((Virtio *)(uintptr_t)virtio);
}

static bool net_can_receive(void *opaque, unsigned queue)
{
    const VirtioNet *net = opaque;

    (void)queue;
    return !net->base.virtio.paused;
}

static void write_header(const VirtioNet *net, const NetPacket *packet, uint8_t *bytes)
{
    const NetOffload *offload = &packet->offload;

    memset(bytes, 0, HEADER_MOST);
    if (net->offloads & NET_F_GUEST_CSUM) {
        bytes[0] = offload->flags;
        bytes[1] = offload->gso_type;
        store_le16(bytes + 2, offload->header_bytes);
        store_le16(bytes + 4, offload->gso_size);
        store_le16(bytes + 6, offload->csum_start);
        store_le16(bytes + 8, offload->csum_offset);
    }
}

/* Buffers for so many bytes: how many they are, 0: the guest has not got them now, and none is taken. */
static unsigned gather_buffers(Queue *queue, size_t bytes, unsigned most, QueueElement **elements)
{
    size_t room = 0;
    unsigned count = 0;

    queue_set_budget(queue, BUFFERS_MOST);
    while (room < bytes && count < most && (elements[count] = queue_next(queue))) {
        room += elements[count++]->in_bytes;
    }
    if (room >= bytes || count == most) {
        return count;
    }
    while (count) {
        queue_unpop(elements[--count]);
    }
    return 0;
}

static void fill_buffers(Queue *queue, QueueElement **elements, unsigned count, const uint8_t *header, size_t header_size, const NetPacket *packet)
{
    const struct iovec head = { (void *)(uintptr_t)header, header_size };
    size_t done = 0;

    for (unsigned i = 0; i < count; i++) {
        QueueElement *element = elements[i];
        size_t at = 0;
        if (i == 0) {
            at = queue_answer(element, 0, head.iov_base, head.iov_len);
        }
        for (unsigned piece = 0; piece < element->in_count && done < packet->bytes; piece++) {
            const struct iovec *in = &element->in[piece];
            size_t skip = i == 0 ? MIN(in->iov_len, header_size) : 0, room = in->iov_len - skip;
            header_size -= skip;
            size_t copied = iov_gather(packet->iov, packet->count, done, (uint8_t *)in->iov_base + skip, MIN(room, packet->bytes - done));
            done += copied;
            at += copied;
        }
        queue_fill(element, at);
    }
    queue_publish(queue);              /* a driver that saw the first alone would take the second for another packet */
}

static NetResult net_receive(void *opaque, unsigned queue_pair, const NetPacket *packet)
{
    VirtioNet *net = opaque;
    Virtio *virtio = &net->base.virtio;
    QueueElement *elements[BUFFERS_MOST];
    uint8_t header[HEADER_MOST];
    size_t skip = header_bytes(virtio), bytes = skip + packet->bytes;
    bool merges = virtio_has(virtio, NET_F_MRG_RXBUF);

    if (!is_ready(net) || !virtio_net_wants(net, packet)) {
        return NET_DONE;
    }
    unsigned pair = queue_pair < net->pairs_now && queue_started(virtio_queue(virtio, 2 * queue_pair)) ? queue_pair : 0;
    Queue *queue = virtio_queue(virtio, 2 * pair);
    unsigned count = gather_buffers(queue, bytes, merges ? BUFFERS_MOST : 1, elements);
    if (count == 0) {
        return NET_WAIT;
    }
    size_t room = 0;
    for (unsigned i = 0; i < count; i++) {
        room += elements[i]->in_bytes;
    }
    if (room < bytes) {                    /* it cannot be told in what this driver offers */
        guest_fault(virtio->device, "a packet of %zu bytes does not fit in %u buffers of %zu", packet->bytes, count, room);
        while (count) {
            queue_unpop(elements[--count]);
        }
        return NET_DONE;
    }
    TRACE(&net_trace[TRACE_IN], "%s pair %u bytes %zu buffers %u", device_name(virtio->device), pair, packet->bytes, count);
    write_header(net, packet, header);
    store_le16(header + HEADER_LEGACY, (uint16_t)count);
    fill_buffers(queue, elements, count, header, skip, packet);
    if (!io_loop_current()) {
        io_loop_kick(virtio->loop);        /* a vCPU thread: the interrupt waits for the end of the loop's turn */
    }
    return NET_DONE;
}

/* ---- the device ---- */

static void net_handle(Virtio *virtio, unsigned index)
{
    VirtioNet *net = net_of(virtio);
    QueueElement *element;

    if (is_control(net, index)) {
        while ((element = queue_next(virtio_queue(virtio, index)))) {
            virtio_net_control(net, element);
        }
    } else if (index / 2 < net->most_pairs && index % 2) {
        transmit(net, index / 2);
    } else {
        netdev_room(net->conf.netdev, index / 2 % netdev_queues(net->conf.netdev));
    }
}

static void net_stop(Virtio *virtio)
{
    VirtioNet *net = net_of(virtio);

    for (unsigned pair = 0; pair < net->most_pairs; pair++) {
        if (net->pairs[pair].held) {
            queue_push(g_steal_pointer(&net->pairs[pair].held), 0);
        }
    }
}

static void net_resubmit(Virtio *virtio, unsigned index, QueueElement *element)
{
    VirtioNet *net = net_of(virtio);

    if (index % 2 && index / 2 < net->most_pairs && !is_control(net, index) && !net->pairs[index / 2].held) {
        net->pairs[index / 2].held = element;      /* handle() comes next */
    } else {
        queue_push(element, 0);
    }
}

static void tell_link(VirtioNet *net, bool up)
{
    Virtio *virtio = &net->base.virtio;
    uint64_t status = virtio_config_get(virtio, AT_STATUS, 2);

    virtio_config_set(virtio, AT_STATUS, 2, up ? status | LINK_UP : status & ~(uint64_t)LINK_UP);
}

static void net_link(void *opaque, bool up)
{
    VirtioNet *net = opaque;

    tell_link(net, up);
    virtio_config_changed(&net->base.virtio);
}

static void net_gone(void *opaque)
{
    VirtioNet *net = opaque;

    net->conf.netdev = NULL;
    net_link(net, false);
}

static void net_features_set(Virtio *virtio)
{
    virtio_net_features_chosen(net_of(virtio));
}

static void net_reset(Virtio *virtio)
{
    VirtioNet *net = net_of(virtio);

    virtio_net_control_reset(net);
    for (unsigned i = 0; i < 6; i++) {
        virtio_config_set(virtio, AT_MAC + i, 1, net->mac[i]);
    }
}

/* The old way to another address: its bytes, one by one. A modern driver's writes are masked. */
static void net_config_written(Virtio *virtio, unsigned offset, unsigned size)
{
    VirtioNet *net = net_of(virtio);

    (void)size;
    if (offset >= 6 || virtio_has(virtio, VIRTIO_F_VERSION_1 | NET_F_CTRL_MAC_ADDR)) {
        return;
    }
    for (unsigned i = 0; i < 6; i++) {
        net->mac[i] = (uint8_t)virtio_config_get(virtio, AT_MAC + i, 1);
    }
    netdev_user_mac(net->conf.netdev, net->mac);
}

static bool net_after_load(Virtio *virtio, GError **err)
{
    VirtioNet *net = net_of(virtio);

    if (net->pairs_now < 1 || net->pairs_now > net->most_pairs || net->mac_count > NET_MACS_MOST || net->first_multicast > net->mac_count) {
        return fail(err, EINVAL, "device '%s': the saved state has %u queue pairs of %u and %u addresses of %d", device_name(virtio->device), net->pairs_now,
                    net->most_pairs, net->mac_count, NET_MACS_MOST);
    }
    virtio_net_tell_takes(net);
    tell_link(net, netdev_link_up(net->conf.netdev));
    return true;
}

static const VirtioModel virtio_net = {
    .name = "virtio-net",  .id = VIRTIO_ID_NET,  .legacy_device = 0x1000,  .class_code = 0x020000,
    .element_size = sizeof(QueueElement),
    .handle = net_handle,  .stop = net_stop,  .resubmit = net_resubmit,  .features_set = net_features_set,  .reset = net_reset,
    .config_written = net_config_written,  .after_load = net_after_load,
};

static const NetUser net_user = { .receive = net_receive, .can_receive = net_can_receive, .sent = net_sent, .link = net_link, .gone = net_gone };

/* ---- life ---- */

static void offer(VirtioNet *net)
{
    const struct { bool on; uint64_t bits; } features[] = {
        { true, NET_F_MAC }, { net->csum, NET_F_CSUM }, { net->guest_csum, NET_F_GUEST_CSUM },
        { net->guest_csum && net->guest_tso4, NET_F_GUEST_TSO4 }, { net->guest_csum && net->guest_tso6, NET_F_GUEST_TSO6 },
        { net->guest_csum && net->guest_ecn, NET_F_GUEST_ECN }, { net->csum && net->gso && net->host_tso4, NET_F_HOST_TSO4 },
        { net->csum && net->gso && net->host_tso6, NET_F_HOST_TSO6 }, { net->csum && net->gso && net->host_ecn, NET_F_HOST_ECN },
        { net->mrg_rxbuf, NET_F_MRG_RXBUF }, { net->status, NET_F_STATUS }, { net->ctrl_vq, NET_F_CTRL_VQ }, { net->ctrl_vq && net->ctrl_rx, NET_F_CTRL_RX },
        { net->ctrl_vq && net->ctrl_vlan, NET_F_CTRL_VLAN }, { net->ctrl_vq && net->ctrl_rx_extra, NET_F_CTRL_RX_EXTRA },
        { net->ctrl_vq && net->ctrl_mac_addr, NET_F_CTRL_MAC_ADDR }, { net->ctrl_vq && net->ctrl_guest_offloads && net->guest_csum, NET_F_CTRL_GUEST_OFFLOADS },
        { net->ctrl_vq && net->status && net->guest_announce, NET_F_GUEST_ANNOUNCE }, { net->ctrl_vq && net->mq && net->most_pairs > 1, NET_F_MQ },
        { net->host_mtu != 0, NET_F_MTU }, { net->speed >= 0 || net->duplex, NET_F_SPEED_DUPLEX },
    };

    net->base.virtio.offered = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        net->base.virtio.offered |= features[i].on ? features[i].bits : 0;
    }
}

/* As long as what is offered needs. */
static unsigned config_bytes(uint64_t offered)
{
    return offered & NET_F_SPEED_DUPLEX ? CONFIG_MOST : offered & NET_F_MTU ? AT_SPEED : offered & NET_F_MQ ? AT_MTU : offered & NET_F_STATUS ? AT_PAIRS : AT_STATUS;
}

static void fill_config(VirtioNet *net)
{
    Virtio *virtio = &net->base.virtio;

    for (unsigned i = 0; i < 6; i++) {
        virtio_config_set(virtio, AT_MAC + i, 1, net->conf.mac[i]);
    }
    if (virtio->offered & NET_F_CTRL_MAC_ADDR) {           /* else a legacy driver writes the bytes */
        virtio_config_allow(virtio, AT_MAC, 6, 0);
    } else {
        virtio_config_allow(virtio, AT_MAC, 4, UINT32_MAX);
        virtio_config_allow(virtio, AT_MAC + 4, 2, UINT16_MAX);
    }
    tell_link(net, netdev_link_up(net->conf.netdev));
    virtio_config_set(virtio, AT_PAIRS, 2, net->most_pairs);
    virtio_config_set(virtio, AT_MTU, 2, net->host_mtu);
    virtio_config_set(virtio, AT_SPEED, 4, (uint32_t)net->speed);
    virtio_config_set(virtio, AT_DUPLEX, 1, g_strcmp0(net->duplex, "full") == 0 ? 1 : net->duplex ? 0 : DUPLEX_UNKNOWN);
}

static bool is_queue_size(uint16_t size)
{
    return size >= 64 && size <= QUEUE_SIZE_MOST && !(size & (size - 1));
}

static bool check_properties(VirtioNet *net, GError **err)
{
    const char *name = device_name(&net->base.pci.device);

    if (net->guest_ufo || net->host_ufo || net->rss || net->hash) {
        return fail(err, ENOTSUP, "device '%s': guest_ufo, host_ufo, rss and hash are not supported; leave them off", name);
    }
    if (!is_queue_size(net->rx_size) || !is_queue_size(net->tx_size)) {
        return fail(err, EINVAL, "device '%s': rx_queue_size=%u and tx_queue_size=%u must be powers of two from 64 to %d", name, net->rx_size, net->tx_size,
                    QUEUE_SIZE_MOST);
    }
    if (net->duplex && strcmp(net->duplex, "half") != 0 && strcmp(net->duplex, "full") != 0) {
        return fail(err, EINVAL, "device '%s': duplex=%s is neither half nor full", name, net->duplex);
    }
    if (net->tx && strcmp(net->tx, "bh") != 0 && strcmp(net->tx, "timer") != 0) {
        return fail(err, EINVAL, "device '%s': tx=%s is neither bh nor timer", name, net->tx);
    }
    return net->host_mtu == 0 || net->host_mtu >= MTU_LEAST || fail(err, EINVAL, "device '%s': host_mtu=%u is less than %d", name, net->host_mtu, MTU_LEAST);
}

static void net_unrealize(Device *device)
{
    VirtioNet *net = (VirtioNet *)device;

    virtio_pci_unrealize(&net->base);
    net_conf_unrealize(&net->conf, net);
}

static bool make(VirtioNet *net, GError **err)
{
    Virtio *virtio = &net->base.virtio;

    if (!check_properties(net, err) || !net_conf_realize(&net->conf, &net->base.pci.device, &net_user, net, err)) {
        return false;
    }
    net->most_pairs = CLAMP(netdev_queues(net->conf.netdev), 1, NET_PAIRS_MOST);
    net->host_mtu = net->host_mtu ? net->host_mtu : netdev_host_mtu(net->conf.netdev);
    offer(net);
    uint64_t offered = virtio->offered;
    if (!virtio_init(virtio, &net->base.pci.device, &virtio_net, NULL, config_bytes(offered), err)) {
        return false;
    }
    virtio->offered = offered;
    for (unsigned pair = 0; pair < net->most_pairs; pair++) {
        if (!virtio_add_queue(virtio, net->rx_size, err) || !virtio_add_queue(virtio, net->tx_size, err)) {
            return false;
        }
    }
    if (!virtio_add_queue(virtio, CONTROL_SIZE, err)) {
        return false;
    }
    virtio_net_control_reset(net);
    fill_config(net);
    return virtio_pci_realize(&net->base, virtio->queue_count + 1, err);
}

static bool net_realize(Device *device, GError **err)
{
    if (!make((VirtioNet *)device, err)) {
        net_unrealize(device);
        return false;
    }
    return true;
}

#define SWITCH(n, m, h) PROP_BOOL(n, VirtioNet, m, true, .help = h)
static const Field net_props[] = {
    NET_PROPS(VirtioNet, conf),
    VIRTIO_PCI_PROPS(VirtioNet, base),
    SWITCH("csum", csum, "the driver may leave checksums out"), SWITCH("guest_csum", guest_csum, "checksums may be left out towards the guest"),
    SWITCH("gso", gso, "the driver may leave segments uncut"), SWITCH("host_tso4", host_tso4, "the driver may leave TCP over IPv4 uncut"),
    SWITCH("host_tso6", host_tso6, "the driver may leave TCP over IPv6 uncut"), SWITCH("host_ecn", host_ecn, "also with congestion marks"),
    SWITCH("guest_tso4", guest_tso4, "TCP over IPv4 may come uncut"), SWITCH("guest_tso6", guest_tso6, "TCP over IPv6 may come uncut"),
    SWITCH("guest_ecn", guest_ecn, "also with congestion marks"), SWITCH("mrg_rxbuf", mrg_rxbuf, "a packet may fill several buffers"),
    SWITCH("status", status, "the driver hears of the cable"), SWITCH("ctrl_vq", ctrl_vq, "a queue for the driver's wishes"),
    SWITCH("ctrl_rx", ctrl_rx, "the driver chooses which packets it gets"), SWITCH("ctrl_rx_extra", ctrl_rx_extra, "in more ways"),
    SWITCH("ctrl_vlan", ctrl_vlan, "the driver chooses its VLANs"), SWITCH("ctrl_mac_addr", ctrl_mac_addr, "the driver may change the address"),
    SWITCH("ctrl_guest_offloads", ctrl_guest_offloads, "the driver may change what may be left undone while it runs"),
    SWITCH("guest_announce", guest_announce, "the driver announces itself when it is asked to"),
    PROP_BOOL("mq", VirtioNet, mq, false, .help = "several pairs of queues, as many as the netdev has"),
    PROP_U16("rx_queue_size", VirtioNet, rx_size, 256, .help = "entries of each queue to the guest, a power of two"),
    PROP_U16("tx_queue_size", VirtioNet, tx_size, 256, .help = "entries of each queue from the guest, a power of two"),
    PROP_U16("host_mtu", VirtioNet, host_mtu, 0, .help = "the largest packet that the driver should send, without its Ethernet header; default: no word about it"),
    PROP_I32("speed", VirtioNet, speed, -1, .help = "Mbit/s, as told to the driver; default: unknown"),
    PROP_STR("duplex", VirtioNet, duplex, .help = "half or full, as told to the driver; default: unknown"),
    PROP_STR("tx", VirtioNet, tx, .help = "bh or timer; accepted: packets go out at once"),
    PROP_U32("x-txtimer", VirtioNet, tx_timer, 150000, .help = "accepted without effect"),
    PROP_U32("x-txburst", VirtioNet, tx_burst, 256, .help = "accepted without effect"),
    PROP_BOOL("guest_ufo", VirtioNet, guest_ufo, false, .help = "UDP fragmentation; not supported"),
    PROP_BOOL("host_ufo", VirtioNet, host_ufo, false, .help = "UDP fragmentation; not supported"),
    PROP_BOOL("rss", VirtioNet, rss, false, .help = "receive-side scaling; not supported"),
    PROP_BOOL("hash", VirtioNet, hash, false, .help = "hash reports; not supported"),
    FIELD_END };

static const Field net_saved[] = {
    SAVE_VIRTIO_PCI(VirtioNet, base), SAVE_BYTES(VirtioNet, mac), SAVE_U16(VirtioNet, pairs_now), SAVE_U8(VirtioNet, modes),
    SAVE_BOOL(VirtioNet, unicast_overflow), SAVE_BOOL(VirtioNet, multicast_overflow), SAVE_U16(VirtioNet, mac_count), SAVE_U16(VirtioNet, first_multicast),
    SAVE_BYTES(VirtioNet, macs), SAVE_U64(VirtioNet, offloads), SAVE_U64S(VirtioNet, vlans),
    FIELD_END };

const DeviceModel virtio_net_models[VIRTIO_PCI_KINDS] = VIRTIO_PCI_MODELS("virtio-net",
    .help = "virtio network card", .size = sizeof(VirtioNet),
    .props = net_props, .saved = net_saved, .saved_version = 1,
    .realize = net_realize, .reset = virtio_pci_reset, .unrealize = net_unrealize,
    .before_save = virtio_pci_before_save, .after_load = virtio_pci_after_load);
