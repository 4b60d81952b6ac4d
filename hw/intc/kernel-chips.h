/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel-chips.h - the same chips in the host's kernel, as the devices of this machine use them
 *
 * A device whose chip is in the kernel keeps its own struct only to be saved, loaded and reset: before a save it is fetched
 * from the kernel, after a load or a reset it is given to it. So both kinds share one saved-state table, and a state taken under
 * one loads under the other. Machine lock held, CPUs paused; a refusal by the kernel is reported and survived.
 */
#pragma once
#include "hw/core/machine.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "hw/intc/lapic.h"
#include "hw/timer/i8254.h"

typedef struct KernelChips {
    void (*fetch_pic)(Machine *machine, I8259Pair *pair);
    void (*give_pic)(Machine *machine, const I8259Pair *pair);
    void (*fetch_ioapic)(Machine *machine, IoApic *chip);
    void (*give_ioapic)(Machine *machine, const IoApic *chip);
    void (*route_ioapic)(Machine *machine, const IoApic *chip, unsigned pin);    /* split: tell the kernel where a pin's messages go */
    void (*fetch_lapic)(Cpu *cpu, Lapic *chip);
    void (*give_lapic)(Cpu *cpu, const Lapic *chip);
    void (*fetch_pit)(Machine *machine, I8254 *chip);
    void (*give_pit)(Machine *machine, const I8254 *chip, bool silent);          /* silent: the HPET has taken IRQ 0 over */
    void (*set_gsi)(Machine *machine, int gsi, bool high);                       /* any thread */
    void (*send_msi)(Machine *machine, uint64_t address, uint32_t data);         /* any thread */
} KernelChips;

const KernelChips *kernel_chips(void);     /* NULL where Roost was built without KVM */
