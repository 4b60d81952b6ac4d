/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-driver.h - a small virtio driver for tests: finds a function, negotiates over either transport, lays out rings, and lets
 * a test write into them what no real driver would
 *
 * A Driver outlives checkpoints: what it knows are guest addresses. Slot n has its I/O BAR at c000h + 100h n, its memory BARs at
 * e0000000h + 100000h n; queue q its rings at 100000h + 10000h q; buffers are the test's, best from 400000h on.
 */
#pragma once
#include "hw/pci/pci.h"
#include "tests/rig/rig.h"

typedef enum { LEGACY, MODERN } Interface;
enum { DRIVER_QUEUES = 8, DRIVER_BUFFERS = 0x400000 };
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

typedef struct Piece { uint64_t address; uint32_t length; uint16_t flags, next; } Piece;       /* a descriptor as it lies in memory */

typedef struct Ring {
    uint16_t size;
    uint64_t descriptors, available, used;
    uint16_t next_free;                    /* descriptors are given out round */
    uint16_t offered, seen;                /* our available index; used entries looked at */
} Ring;

typedef struct Driver {
    Rig *rig;
    unsigned slot;
    Interface interface;
    bool event_index;
    uint64_t features;
    uint64_t common, isr, device, notify, notify_step;     /* addresses of the modern structures */
    uint16_t port;
    Ring rings[DRIVER_QUEUES];
} Driver;

/* Finds the function and maps its BARs. */
void driver_find(Driver *driver, Rig *rig, unsigned slot, Interface interface);
uint32_t driver_config_space(Driver *driver, unsigned offset);
void driver_config_space_put(Driver *driver, unsigned offset, uint32_t value);
uint8_t driver_capability(Driver *driver, uint8_t id, unsigned which);         /* offset of the which-th of that kind; 0: none */

uint64_t driver_offered(Driver *driver);
uint8_t driver_status(Driver *driver);
void driver_set_status(Driver *driver, uint8_t status);
uint64_t driver_config(Driver *driver, unsigned offset, unsigned size);        /* the device's configuration bytes */
void driver_config_put(Driver *driver, unsigned offset, unsigned size, uint64_t value);
uint8_t driver_isr(Driver *driver);
/* Reset, then features (those offered out of `wanted`), the first `queues` queues, DRIVER_OK. */
void driver_start(Driver *driver, uint64_t wanted, unsigned queues);
void driver_begin(Driver *driver, uint64_t wanted);        /* up to FEATURES_OK */
void driver_queue(Driver *driver, unsigned queue, uint16_t size);              /* size 0: the device's */
void driver_place(Driver *driver, unsigned queue);         /* the registers only: from rings[queue] */
void driver_go(Driver *driver);            /* DRIVER_OK */

/* Rings. */
void driver_describe(Driver *driver, unsigned queue, uint16_t index, Piece piece);
uint16_t driver_chain(Driver *driver, unsigned queue, const Piece *pieces, unsigned count);    /* linked one by one; its head; not offered yet */
void driver_offer(Driver *driver, unsigned queue, uint16_t head);
void driver_kick(Driver *driver, unsigned queue);
/* Turns the main loop until queue has an entry not looked at; false when there is none within two seconds. head and written may be NULL. */
bool driver_used(Driver *driver, unsigned queue, uint16_t *head, uint32_t *written);
void driver_turn(Driver *driver);          /* a few turns */
/* chain, offer, kick, and the wait for its return; bytes written, or -1. */
int64_t driver_do(Driver *driver, unsigned queue, const Piece *pieces, unsigned count);
