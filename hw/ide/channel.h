/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * channel.h - one IDE cable: two drives behind a command and a control block, and its half of the bus master
 *
 * The controller embeds two channels, maps their regions, and gives each its IRQ line. Machine lock held.
 */
#pragma once
#include "accel/memory/region.h"
#include "hw/core/device.h"
#include "hw/ide/ata.h"
#include "hw/pci/pci.h"

enum { IDE_DRIVES = 2 };

typedef struct IdeChannel {
    Ata *drives[IDE_DRIVES];               /* NULL: no drive there */
    uint8_t selected;                      /* 0 or 1 */
    uint8_t control;                       /* device control register */
    uint8_t bm_command, bm_status;
    uint32_t bm_table;                     /* PRD table, as the guest wrote it */
    /* The engine, while BM_ACTIVE: the entry that comes next, and what is left of the one before. */
    uint32_t bm_next, bm_address, bm_left, bm_entries;
    bool bm_last;
    bool line_was;                         /* the line's level, to latch its rise in bm_status */
    IrqLine irq;
    PciDevice *master;                     /* whose bus master bit gates DMA */
    Region command_io, control_io, bm_io;
} IdeChannel;

typedef struct IdeBus {
    Bus bus;
    IdeChannel channel;
} IdeBus;

extern const Field ide_channel_saved[];
void ide_channel_init(IdeChannel *channel, PciDevice *master);
void ide_channel_set_drive(IdeChannel *channel, unsigned unit, Ata *drive);     /* NULL takes it away */
void ide_channel_reset(IdeChannel *channel);
void ide_channel_update(IdeChannel *channel);             /* derives the line; after a load too */
bool ide_channel_after_load(IdeChannel *channel, GError **err);
