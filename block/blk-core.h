/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk-core.h - a Blk's inside, shared by blk.c (requests), blk-device.c (devices, media, errors) and blk-tray.c
 */
#pragma once
#include "block/blk.h"
#include "block/node-core.h"

typedef struct BlkTray { bool open, locked; } BlkTray;

struct Blk {
    char *id;                              /* "" for none */
    unsigned refs;                         /* atomic */
    GThread *maker;                        /* the only one that frees it */
    Blk *next, *previous;
    NodeUser *user;                        /* atomic; NULL: no medium */
    IoLoop *loop;

    bool idle;                             /* atomic: in_flight is 0 */
    unsigned in_flight;                    /* atomic: submitted, not done */
    unsigned waiters;                      /* atomic: threads in blk_drain() */
    unsigned running;                      /* home loop: started, not done */
    bool quiesced;                         /* atomic: what is submitted is kept back */
    BlkRequest *kept, **kept_end;          /* home loop */
    bool submitting;                       /* home loop: blk_submit() is on the stack */
    BlkRequest *finished, **finished_end;  /* home loop: done inside blk_submit(), to be told in a later turn */

    bool write_cache;                      /* atomic */
    BlkStats stats;                        /* home loop; read with atomics */
    BlkErrorPolicy on_read, on_write;      /* of the drive */
    BlkErrorPolicy device_on_read, device_on_write;            /* AUTO: the drive's */

    bool claimed, claimed_write, claimed_share;
    char *device;                          /* NULL: none */
    const BlkDeviceOps *ops;
    void *opaque;
    bool removable;
    bool moving;                           /* blk_set_loop() is on the stack */
    BlkTray tray, host_tray;               /* the guest's; a CD-ROM drive of the host's below it, when it has moved. blk-tray.c */
    bool tray_moves;
    bool resize_told;                      /* atomic: a call of ops->resized is posted */
};

static inline NodeUser *blk_user(const Blk *blk) { return __atomic_load_n(&blk->user, __ATOMIC_ACQUIRE); }
bool blk_attach_node(Blk *blk, Node *node, GError **err);
/* What the graph says to its user, in blk.c. */
void blk_quiesce(void *opaque, bool on);
bool blk_busy(void *opaque);
