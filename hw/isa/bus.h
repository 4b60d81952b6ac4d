/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa/bus.h - sixteen IRQ lines, the port space, and the memory below 16 MiB
 */
#pragma once
#include "accel/memory/space.h"
#include "hw/core/device.h"

enum { ISA_IRQS = 16, ISA_INPUTS = 64 };

/* One device's hold on one IRQ line. */
typedef struct IsaInput {
    Device *owner;                         /* NULL: free */
    uint8_t irq;
    bool high;
} IsaInput;

typedef struct IsaBus {
    Bus bus;
    IrqLine irq[ISA_IRQS];                 /* inputs of the interrupt controller, set by the board */
    Region *ports, *memory;                /* roots that devices map into */
    IsaInput inputs[ISA_INPUTS];           /* several devices on one line are ORed */
    bool level[ISA_IRQS];                  /* what irq[] was last told */
} IsaBus;

/* ports and memory may be NULL: the machine's roots. */
void isa_bus_init(IsaBus *isa, const char *name, Machine *machine, Device *parent, Region *ports, Region *memory);
/* Maps a port range; fails when it leaves 64 KiB or overlaps another device's, naming the owner. Unmapped at unrealize by isa_unmap. */
bool isa_map(Device *device, Region *region, uint16_t port, GError **err);
void isa_unmap(Region *region);
bool isa_map_memory(Device *device, Region *region, uint64_t address, GError **err);
/* The device's own input to an IRQ line: high while any device's input is. Freed (and lowered) when the device leaves the bus.
 * irq < 16; out of range, or with all inputs taken, it is a line that goes nowhere: check at realize by isa_irq_valid(). */
IrqLine isa_irq(Device *device, unsigned irq);
bool isa_irq_valid(Device *device, unsigned irq, GError **err);
/* For a device that sits on another bus and drives ISA lines too (the PIIX3's PIRQ router). */
IrqLine isa_bus_irq(IsaBus *isa, Device *owner, unsigned irq);
IsaBus *isa_bus_of(const Device *device);
