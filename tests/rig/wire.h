/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire.h - a netdev for tests of cards: it keeps what it is sent, and says what it is told to */
#pragma once
#include "net/backend.h"

typedef struct Wire {
    NetDev netdev;
    GPtrArray *frames;                     /* GBytes: what the card has sent */
    GArray *offloads;                      /* NetOffload of each */
    unsigned most;                         /* then it has no room */
    unsigned rooms;                        /* calls of room() */
} Wire;

/* A new one of that id under /netdevs; it takes every offload where `takes` says so. Ends with netdev_remove_all(). */
Wire *wire_new(const char *id, unsigned queues, unsigned takes);
void wire_say(Wire *wire, const void *frame, size_t bytes);
void wire_forget(Wire *wire);              /* what was sent */
GBytes *wire_bytes(const NetPacket *packet);       /* a packet's pieces in one; the caller's */
