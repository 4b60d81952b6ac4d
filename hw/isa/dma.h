/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dma.h - DMA of ISA devices: eight channels of two 8237s, a page register each
 *
 * A device takes a channel, raises its request when it has bytes or wants some, and moves them when the controller calls. Machine
 * lock held.
 */
#pragma once
#include "hw/core/device.h"

enum { ISA_DMA_CHANNELS = 8, ISA_DMA_CASCADE = 4 };

typedef struct IsaDmaClient {
    /* Moves up to `length` bytes into data (to_memory) or out of it, and says how many; fewer than length: the request is over for
     * now. terminal: with the last of these bytes the channel's count ends (TC). May call isa_dma_request(). */
    size_t (*move)(void *opaque, uint8_t *data, size_t length, bool to_memory, bool terminal);
    void *opaque;
} IsaDmaClient;

/* By the name of the device ("i8257") that the board made; NULL: the machine has none. */
Device *isa_dma_find(Machine *machine);
/* False, with a sentence, for a channel that is taken or is none. A client without move lets it go. */
bool isa_dma_take(Device *controller, unsigned channel, const IsaDmaClient *client, const Device *who, GError **err);
void isa_dma_release(Device *controller, unsigned channel);
void isa_dma_request(Device *controller, unsigned channel, bool high);
