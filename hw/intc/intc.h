/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * intc.h - the interrupt controllers of a PC as its board sees them: two 8259s, an I/O APIC, a local APIC per processor
 *
 * Where they live (all here; LAPICs in the kernel; everything in the kernel) follows from accel_irqchip(). The board
 * makes them in this order and then only knows lines by their number (GSI):
 *
 *     Intc *intc = intc_new(machine, isa, &error);           8259 pair on the ISA bus, I/O APIC
 *     for each processor: intc_add_cpu(intc, cpu, ...);      before it first runs
 *     isa->irq[n] = intc_gsi(intc, n);                       0-15; pin 0's interrupt reaches the I/O APIC at pin 2
 *     pci_bus->msi = (MsiSink){ intc_send_msi, intc };
 *     ... intc_free(intc) after the devices are gone
 *
 * Locking: machine lock, except intc_send_msi(): any thread, with or without it. Order: docs/threads.md.
 */
#pragma once
#include "hw/core/machine.h"

typedef struct Intc Intc;
typedef struct IsaBus IsaBus;

enum { INTC_GSIS = 24 };

/* apic_id and boot: as the processor has them. */
typedef struct IntcCpu {
    Cpu *cpu;                              /* NULL on a rig */
    uint32_t apic_id;
    bool boot_processor, has_x2apic, has_tsc_deadline;
} IntcCpu;

Intc *intc_new(Machine *machine, IsaBus *isa, GError **err);
void intc_free(Intc *intc);
bool intc_add_cpu(Intc *intc, const IntcCpu *cpu, GError **err);
IrqLine intc_gsi(Intc *intc, unsigned gsi);
void intc_send_msi(void *intc, uint64_t address, uint32_t data);
/* The acknowledge cycle to the 8259s; -1 when they request nothing. Takes the machine lock unless the caller holds it. */
int intc_acknowledge_pic(Intc *intc);
bool intc_in_kernel(const Intc *intc);     /* everything: lines are KVM's */

/* What a rig without processors sees: called instead of the cpu_* functions of a CPU that is NULL. */
typedef enum { INTC_INTR_LOW, INTC_INTR_HIGH, INTC_NMI, INTC_INIT, INTC_SIPI } IntcSignal;
void intc_probe(Intc *intc, void (*probe)(void *opaque, unsigned index, IntcSignal signal, uint8_t vector), void *opaque);
void intc_look_as(Intc *intc, unsigned index);         /* whose APIC an access without a processor reaches; at first 0 */
CpuIrqSource intc_irq_source(Intc *intc, unsigned index);             /* what its CPU was given */
