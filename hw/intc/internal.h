/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * internal.h - between the files of hw/intc: the devices behind intc.h
 */
#pragma once
#include "hw/intc/i8259.h"
#include "hw/intc/intc.h"
#include "hw/intc/ioapic.h"
#include "hw/intc/kernel-chips.h"
#include "hw/intc/lapic.h"
#include "hw/isa/bus.h"
#include <pthread.h>

typedef struct Pic {                       /* "isa-i8259" */
    Device device;
    I8259Pair pair;
    Region io[2], elcr;
    IrqLine intr;
    bool in_kernel, requested;
} Pic;

typedef struct IoApicDevice {              /* "ioapic" */
    Device device;
    IoApic chip;
    Region window;
    Intc *intc;
    bool in_kernel;
    bool route;                            /* KVM wants to know the entries: split mode */
} IoApicDevice;

typedef struct Apic {                      /* "apic" */
    Device device;
    Intc *intc;
    unsigned index;
    Cpu *cpu;                              /* NULL on a rig */
    pthread_mutex_t lock;                  /* guards chip */
    Lapic chip;
    Timer timer;
    bool in_kernel;
} Apic;

struct Intc {
    Machine *machine;
    Pic *pic;
    IoApicDevice *ioapic;
    Region window;                         /* FEE00000h: the processor's own APIC, and messages */
    GPtrArray *apics;                      /* Apic *, by CPU index; fixed before the first CPU runs */
    unsigned arbitration;                  /* atomic: where the search for a lowest-priority taker starts */
    unsigned seen_from;                    /* rigs: intc_look_as() */
    bool levels[INTC_GSIS];
    void (*probe)(void *opaque, unsigned index, IntcSignal signal, uint8_t vector);
    void *probe_opaque;
};

void pic_set_line(Pic *pic, unsigned irq, bool high);
int pic_acknowledge(Pic *pic);
void apic_bus_send(Intc *intc, uint64_t address, uint32_t data);
void apic_bus_set_lint0(void *apics, int pin, bool high);     /* an IrqLine's set: of all local APICs */
void apic_map_window(Intc *intc);
void ioapic_end_of_interrupt(Intc *intc, uint8_t vector);
