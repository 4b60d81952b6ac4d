/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netdev.h - packets between a network card and the host
 *
 * A NetDev is what -netdev makes: a backend with an id and one or more queue pairs. One user at a time is plugged into it: a card (hw/nic,
 * hw/virtio/net.c) or a hub's port. Between the two stands a gate (netdev.c): lengths are checked there, filters see each packet, a link that is
 * down swallows all, and what one side cannot take (checksums to be filled in, segments to be cut) is finished in software.
 *
 * A packet is an Ethernet frame from the destination address on, without its FCS. Pieces and header are the caller's, valid during the call.
 * Threads: the main loop or a vCPU thread, machine lock held; callbacks the same.
 */
#pragma once
#include "base/field.h"
#include "base/object.h"
#include "base/value.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct NetDev NetDev;              /* an Object of type "netdev-KIND", under /netdevs/ID */

enum { NET_FRAME_MOST = 65550, NET_HEADER = 14, NET_QUEUES_MOST = 256 };

/* What is left to do with a packet; fields and values of struct virtio_net_hdr (Virtio 1.2, 5.1.6), host order. All zero: nothing. */
enum { NET_NEEDS_CSUM = 1, NET_DATA_VALID = 2 };
enum { NET_GSO_NONE = 0, NET_GSO_TCPV4 = 1, NET_GSO_UDP = 3, NET_GSO_TCPV6 = 4, NET_GSO_ECN = 0x80 };
typedef struct NetOffload {
    uint8_t flags, gso_type;
    uint16_t header_bytes, gso_size, csum_start, csum_offset;
} NetOffload;

typedef struct NetPacket {
    const struct iovec *iov;
    size_t count;
    size_t bytes;                          /* of all pieces */
    NetOffload offload;
} NetPacket;

/* What a side takes as it is: bits. */
enum { NET_TAKES_CSUM = 1, NET_TAKES_TSO4 = 2, NET_TAKES_TSO6 = 4, NET_TAKES_ECN = 8, NET_TAKES_UFO = 16 };

typedef enum { NET_DONE, NET_WAIT } NetResult;     /* taken (or dropped); or: no room now, keep it and wait to be called */

/* The card's side. */
typedef struct NetUser {
    NetResult (*receive)(void *opaque, unsigned queue, const NetPacket *packet);   /* NET_WAIT: it will call netdev_room() */
    bool (*can_receive)(void *opaque, unsigned queue);                 /* false: receive() would answer NET_WAIT; NULL: always true */
    void (*sent)(void *opaque, unsigned queue);                        /* after NET_WAIT of netdev_send(): send it again */
    void (*link)(void *opaque, bool up);                               /* set_link, or the backend's own cable */
    void (*gone)(void *opaque);            /* netdev_del while in use: detached already; sends are dropped from now on */
} NetUser;

/* config: an object of QEMU's -netdev keys: {"type":"user","id":"n0",...}. The caller owns one reference. NULL and *err on failure. */
NetDev *netdev_new(const Value *config, GError **err);
NetDev *netdev_find(const char *id);
bool netdev_delete(const char *id, GError **err);
void netdev_remove_all(void);
NetDev *netdev_of_user(const char *name);          /* that the card of this name is plugged into; NULL */
void netdev_each(void (*each)(void *opaque, NetDev *netdev), void *opaque);    /* must not add or delete any */
const char *netdev_id(const NetDev *netdev);
const char *netdev_kind(const NetDev *netdev);
char *netdev_describe(const NetDev *netdev);       /* info network's words, caller frees */
char *netdev_describe_user(const NetDev *netdev);  /* the same of the card; NULL: nobody is plugged in */
/* For help and for typing what a person wrote. */
const char *netdev_backend_name(unsigned index);   /* NULL: the list has ended */
const char *netdev_backend_help(const char *name);
const Field *netdev_keys(const char *name);        /* NULL: there is no such backend */
const char *netdev_backend_refusal(const char *name);      /* why a backend that QEMU has is not here; NULL: a typing mistake */

/* name, model and mac are for people. What a card calls is harmless with netdev NULL: a card without a cable. */
bool netdev_attach(NetDev *netdev, const NetUser *user, void *opaque, const char *name, const char *model, const uint8_t mac[6], GError **err);
void netdev_detach(NetDev *netdev, void *opaque);
void netdev_user_takes(NetDev *netdev, unsigned takes);    /* NET_TAKES_* of packets to the card; nothing at first */
void netdev_user_mac(NetDev *netdev, const uint8_t mac[6]);    /* the guest gave itself another */
unsigned netdev_queues(const NetDev *netdev);      /* queue pairs */
unsigned netdev_takes(const NetDev *netdev);       /* NET_TAKES_* that the backend takes as they are; the gate finishes the rest */
uint16_t netdev_host_mtu(const NetDev *netdev);    /* 0: it has no opinion */
bool netdev_link_up(const NetDev *netdev);
void netdev_set_link(NetDev *netdev, bool up);

/* From the card to the host. Packets of any offload kind: the gate finishes what the backend does not take. */
NetResult netdev_send(NetDev *netdev, unsigned queue, const NetPacket *packet);
void netdev_room(NetDev *netdev, unsigned queue);  /* the card has room for packets again */
