/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * piix3.h - what the board asks of the ISA bridge
 *
 * The board realizes "PIIX3" at addr 01.0 with multifunction=on, sets isa->irq[0..15], and then puts ISA devices on "isa.0".
 */
#pragma once
#include "hw/isa/bus.h"
#include "hw/pci/pci.h"

IsaBus *piix3_isa_bus(Device *piix3);
/* The ISA IRQ that a PIRQ input (0: A to 3: D) is routed to, or -1: for the in-kernel interrupt controller's resample table and info. */
int piix3_pirq_route(const Device *piix3, unsigned pirq);
