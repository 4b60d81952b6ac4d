/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.h - inside hw/virtio: a virtio network card, shared by its packets (net.c) and what its driver asks for (net-control.c)
 */
#pragma once
#include "hw/core/net-conf.h"
#include "hw/virtio/virtio-pci.h"

#define NET_F_CSUM                VIRTIO_BIT(0)
#define NET_F_GUEST_CSUM          VIRTIO_BIT(1)
#define NET_F_CTRL_GUEST_OFFLOADS VIRTIO_BIT(2)
#define NET_F_MTU                 VIRTIO_BIT(3)
#define NET_F_MAC                 VIRTIO_BIT(5)
#define NET_F_GUEST_TSO4          VIRTIO_BIT(7)
#define NET_F_GUEST_TSO6          VIRTIO_BIT(8)
#define NET_F_GUEST_ECN           VIRTIO_BIT(9)
#define NET_F_GUEST_UFO           VIRTIO_BIT(10)
#define NET_F_HOST_TSO4           VIRTIO_BIT(11)
#define NET_F_HOST_TSO6           VIRTIO_BIT(12)
#define NET_F_HOST_ECN            VIRTIO_BIT(13)
#define NET_F_MRG_RXBUF           VIRTIO_BIT(15)
#define NET_F_STATUS              VIRTIO_BIT(16)
#define NET_F_CTRL_VQ             VIRTIO_BIT(17)
#define NET_F_CTRL_RX             VIRTIO_BIT(18)
#define NET_F_CTRL_VLAN           VIRTIO_BIT(19)
#define NET_F_CTRL_RX_EXTRA       VIRTIO_BIT(20)
#define NET_F_GUEST_ANNOUNCE      VIRTIO_BIT(21)
#define NET_F_MQ                  VIRTIO_BIT(22)
#define NET_F_CTRL_MAC_ADDR       VIRTIO_BIT(23)
#define NET_F_SPEED_DUPLEX        VIRTIO_BIT(63)

enum { NET_MACS_MOST = 64, NET_VLANS = 4096, NET_PAIRS_MOST = 256 };
/* VirtioNet.modes: what passes, Virtio 1.2, 5.1.6.5.1 */
enum { RX_PROMISCUOUS = 1, RX_ALL_MULTICAST = 2, RX_ALL_UNICAST = 4, RX_NO_MULTICAST = 8, RX_NO_UNICAST = 16, RX_NO_BROADCAST = 32 };

typedef struct VirtioNetPair {
    QueueElement *held;                    /* a packet that the network has not taken yet */
} VirtioNetPair;

typedef struct VirtioNet {
    VirtioPci base;
    NetConf conf;
    /* properties */
    uint16_t rx_size, tx_size, host_mtu;
    int32_t speed;
    char *duplex, *tx;
    bool csum, guest_csum, gso, guest_tso4, guest_tso6, guest_ecn, host_tso4, host_tso6, host_ecn, mrg_rxbuf, status, ctrl_vq, ctrl_rx, ctrl_vlan,
         ctrl_rx_extra, ctrl_mac_addr, ctrl_guest_offloads, guest_announce, mq;
    bool guest_ufo, host_ufo, rss, hash;   /* refused */
    uint32_t tx_timer, tx_burst;           /* accepted */
    unsigned most_pairs;
    VirtioNetPair pairs[NET_PAIRS_MOST];
    /* saved */
    uint8_t mac[6];                        /* the one that it has now */
    uint16_t pairs_now;                    /* that the driver has asked for */
    uint8_t modes;
    bool unicast_overflow, multicast_overflow;
    uint16_t mac_count, first_multicast;   /* of macs: unicast ones, then multicast ones */
    uint8_t macs[NET_MACS_MOST * 6];
    uint64_t offloads;                     /* NET_F_GUEST_*: as the driver has set them */
    uint64_t vlans[NET_VLANS / 64];
} VirtioNet;

/* net-control.c */
void virtio_net_control(VirtioNet *net, QueueElement *element);        /* one command, answered and pushed */
void virtio_net_control_reset(VirtioNet *net);             /* filter and offloads as a driver finds them */
void virtio_net_features_chosen(VirtioNet *net);
void virtio_net_tell_takes(VirtioNet *net);                /* what the gate may leave undone in packets for the guest */
bool virtio_net_wants(const VirtioNet *net, const NetPacket *packet);  /* the filter lets it pass */
