/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend.h - inside net/: what a backend is, and what the gate does for it
 *
 * A backend is a constant NetBackend at the end of its file, named in netdev.c's list. Its struct begins with NetDev; its keys are a Field table over that
 * struct, filled in before open(). Machine lock held in all of it.
 */
#pragma once
#include "net/netdev.h"

typedef struct NetBackend {
    const char *name, *help;
    size_t size;                           /* of the struct that begins with NetDev */
    const Field *keys;                     /* "id" is the core's */
    bool (*open)(NetDev *netdev, GError **err);    /* may raise .queues and set .takes, .host_mtu */
    void (*close)(NetDev *netdev);         /* also after a failed open(); may be NULL */
    NetResult (*send)(NetDev *netdev, unsigned queue, const NetPacket *packet);    /* NET_WAIT: it will call netdev_now_sendable() */
    void (*room)(NetDev *netdev, unsigned queue);  /* the card takes packets again: for one that paused; may be NULL */
    void (*user_changed)(NetDev *netdev);  /* somebody was plugged in or out, or takes other offloads; may be NULL */
    char *(*describe)(const NetDev *netdev);       /* info network, after "type=NAME"; caller frees; may be NULL */
} NetBackend;

typedef struct NetKept NetKept;

struct NetDev {
    Object object;
    ObjectType type;                       /* what object.type points at, made from the backend */
    const NetBackend *backend;
    char *id;
    const NetUser *user;                   /* NULL: nobody is plugged in */
    void *opaque;
    char *user_name, *user_model;
    uint8_t mac[6];
    unsigned user_takes, takes;            /* NET_TAKES_*: the card; the backend */
    unsigned queues;                       /* pairs */
    uint16_t host_mtu;
    bool down;                             /* set_link */
    bool begun;                            /* open() was called, so close() must be */
    NetKept *kept;                         /* one per queue: packets for a card without room, where it stands in a packet of many segments */
};

extern const NetBackend net_user_backend, net_socket_backend, net_tap_backend, net_bridge_backend;

/* From the backend to the card. Packets that the card cannot take now are kept, a bounded number of them; after that they are dropped. */
void netdev_deliver(NetDev *netdev, unsigned queue, const NetPacket *packet);
void netdev_deliver_bytes(NetDev *netdev, unsigned queue, const void *frame, size_t bytes);
/* Nothing would be kept: a backend that can wait does so while this is false, until room(). True when nobody is plugged in. */
bool netdev_can_deliver(NetDev *netdev, unsigned queue);
void netdev_now_sendable(NetDev *netdev, unsigned queue);  /* after NET_WAIT of send() */
/* What netdev_new() is made of: keys at their defaults, not open, in no tree; then keys set, opened and named under /netdevs. On failure the maker
 * drops its reference. */
NetDev *netdev_make(const NetBackend *backend, const char *id);
bool netdev_begin(NetDev *netdev, const Value *config, GError **err);
