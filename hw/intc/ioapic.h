/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioapic.h - the I/O APIC chip alone: 24 inputs, a redirection table, messages out
 *
 * Pure. What it wants delivered goes to .send as the message that hardware would write: an address in FEExxxxxh and data.
 */
#pragma once
#include "base/field.h"
#include <stdint.h>

enum { IOAPIC_PINS = 24, IOAPIC_WINDOW = 0x1000 };
#define IOAPIC_ADDRESS UINT64_C(0xfec00000)

/* Redirection table entries. */
enum {
    RTE_VECTOR = 0xff, RTE_MODE_SHIFT = 8, RTE_LOGICAL = 1 << 11, RTE_STATUS = 1 << 12, RTE_ACTIVE_LOW = 1 << 13,
    RTE_REMOTE_IRR = 1 << 14, RTE_LEVEL = 1 << 15, RTE_MASKED = 1 << 16,
};
#define RTE_DESTINATION_SHIFT 56

typedef struct IoApic {
    uint8_t id, select;
    uint8_t version;                       /* 11h, or 20h with an EOI register (wiring) */
    uint32_t lines;                        /* levels of the inputs: 1 is asserted, whatever the polarity bit says */
    uint64_t entry[IOAPIC_PINS];
    void (*send)(void *opaque, uint64_t address, uint32_t data);
    void *opaque;
} IoApic;

extern const Field ioapic_saved[];

void ioapic_reset(IoApic *apic);           /* levels stay */
void ioapic_set_line(IoApic *apic, unsigned pin, bool high);
uint32_t ioapic_read(const IoApic *apic, unsigned offset);            /* of the window: 00h, 10h */
void ioapic_write(IoApic *apic, unsigned offset, uint32_t value);     /* 00h, 10h, 40h */
void ioapic_eoi(IoApic *apic, uint8_t vector);            /* a processor ended a level-triggered interrupt */
/* The message of an entry, for whoever routes it (KVM's split mode); false while it is masked. */
bool ioapic_message(const IoApic *apic, unsigned pin, uint64_t *address, uint32_t *data);
