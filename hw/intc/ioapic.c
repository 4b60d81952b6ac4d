/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioapic.c - I/O APIC: interrupt lines in, messages to the local APICs out
 *
 * Models   Intel 82093AA (290566), and the EOI register of later ones (version 20h)
 * Omits    polarity: lines carry "asserted", so the bit is kept and has no effect; arbitration: its register reads as the id
 * Wires    pure chip; hw/intc/intc.c mounts it at FEC00000h and gives it the lines
 * Threads  the caller's: machine lock
 * Tests    tests/dev/ioapic.c
 *
 * An edge on a masked input is lost, as the data sheet says. A level asks again whenever it is high and its entry is unmasked
 * with remote IRR clear: after a write, an EOI, an edge of the line.
 */
#include "hw/intc/ioapic.h"

enum { IOREGSEL = 0x00, IOWIN = 0x10, IOEOI = 0x40 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_TABLE = 0x10 };

#define RTE_READ_ONLY ((uint64_t)(RTE_REMOTE_IRR | RTE_STATUS))
#define RTE_WRITABLE  (UINT64_C(0xff00000000000000) | 0x1afff)

void ioapic_reset(IoApic *apic)
{
    apic->id = apic->select = 0;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        apic->entry[pin] = RTE_MASKED;
    }
}

bool ioapic_message(const IoApic *apic, unsigned pin, uint64_t *address, uint32_t *data)
{
    uint64_t entry = apic->entry[pin];
    bool level = entry & RTE_LEVEL;

    *address = 0xfee00000 | (entry >> RTE_DESTINATION_SHIFT) << 12 | (entry & RTE_LOGICAL ? 1 << 2 : 0);
    *data = (uint32_t)(entry & (RTE_VECTOR | 7 << RTE_MODE_SHIFT)) | (level ? 1u << 15 | 1u << 14 : 0);
    return !(entry & RTE_MASKED);
}

static void send(IoApic *apic, unsigned pin)
{
    uint64_t address;
    uint32_t data;

    if (ioapic_message(apic, pin, &address, &data) && apic->send) {
        apic->send(apic->opaque, address, data);
    }
}

static bool level_asks(const IoApic *apic, unsigned pin)
{
    uint64_t entry = apic->entry[pin];

    return (apic->lines >> pin & 1) && (entry & RTE_LEVEL) && !(entry & (RTE_MASKED | RTE_REMOTE_IRR));
}

static void service_level(IoApic *apic, unsigned pin)
{
    if (level_asks(apic, pin)) {
        apic->entry[pin] |= RTE_REMOTE_IRR;
        send(apic, pin);
    }
}

void ioapic_set_line(IoApic *apic, unsigned pin, bool high)
{
    if (pin >= IOAPIC_PINS) {
        return;
    }
    uint32_t bit = 1u << pin;
    bool rose = high && !(apic->lines & bit);

    apic->lines = high ? apic->lines | bit : apic->lines & ~bit;
    if (rose && !(apic->entry[pin] & (RTE_LEVEL | RTE_MASKED))) {
        send(apic, pin);
    }
    service_level(apic, pin);
}

void ioapic_eoi(IoApic *apic, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if ((apic->entry[pin] & RTE_VECTOR) == vector && (apic->entry[pin] & RTE_REMOTE_IRR)) {
            apic->entry[pin] &= ~(uint64_t)RTE_REMOTE_IRR;
            service_level(apic, pin);
        }
    }
}

uint32_t ioapic_read(const IoApic *apic, unsigned offset)
{
    if (offset == IOREGSEL) {
        return apic->select;
    }
    if (offset != IOWIN) {
        return 0;
    }
    switch (apic->select) {
    case REG_ID:
    case REG_ARBITRATION:
        return (uint32_t)apic->id << 24;
    case REG_VERSION:
        return apic->version | (IOAPIC_PINS - 1) << 16;
    default:
        break;
    }
    unsigned index = apic->select - REG_TABLE;
    if (apic->select < REG_TABLE || index >= 2 * IOAPIC_PINS) {
        return 0;
    }
    return (uint32_t)(apic->entry[index / 2] >> (index & 1 ? 32 : 0));
}

static void write_entry(IoApic *apic, unsigned index, uint32_t value)
{
    unsigned pin = index / 2, shift = index & 1 ? 32 : 0;
    uint64_t entry = apic->entry[pin];

    entry &= ~(UINT64_C(0xffffffff) << shift) | RTE_READ_ONLY;
    entry |= (uint64_t)value << shift & RTE_WRITABLE;
    if (!(entry & RTE_LEVEL)) {
        entry &= ~(uint64_t)RTE_REMOTE_IRR;    /* how systems end a stuck level interrupt where there is no EOI register */
    }
    apic->entry[pin] = entry;
    service_level(apic, pin);
}

void ioapic_write(IoApic *apic, unsigned offset, uint32_t value)
{
    if (offset == IOREGSEL) {
        apic->select = value;
    } else if (offset == IOEOI && apic->version >= 0x20) {
        ioapic_eoi(apic, value);
    } else if (offset == IOWIN && apic->select == REG_ID) {
        apic->id = value >> 24 & 0x0f;
    } else if (offset == IOWIN && apic->select >= REG_TABLE && apic->select - REG_TABLE < 2 * IOAPIC_PINS) {
        write_entry(apic, apic->select - REG_TABLE, value);
    }
}

const Field ioapic_saved[] = {
    SAVE_U8(IoApic, id), SAVE_U8(IoApic, select), SAVE_U32(IoApic, lines), SAVE_U64S(IoApic, entry), FIELD_END };
