/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa/bus.h - sixteen IRQ lines, the port space, and the memory below 16 MiB
 */
#pragma once
#include "accel/memory/space.h"
#include "hw/core/device.h"

typedef struct IsaBus {
    Bus bus;
    IrqLine irq[16];                       /* inputs, set by the board; several devices on one line are ORed by irq_share */
    Region *ports, *memory;                /* roots that devices map into */
} IsaBus;

void isa_bus_init(IsaBus *isa, const char *name, Machine *machine, Device *parent, Region *ports, Region *memory);
/* Maps a port range; fails when it leaves 64 KiB or overlaps another device's, naming the owner. Unmapped at unrealize by isa_unmap. */
bool isa_map(Device *device, Region *region, uint16_t port, GError **err);
void isa_unmap(Region *region);
bool isa_map_memory(Device *device, Region *region, uint64_t address, GError **err);
IrqLine isa_irq(Device *device, unsigned irq);            /* irq < 16 */
