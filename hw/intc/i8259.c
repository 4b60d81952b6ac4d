/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8259.c - programmable interrupt controller: eight inputs, priorities, one INT output
 *
 * Models   Intel 8259A (order number 231468) with the edge/level control register of the PIIX3 (290550): all initialization
 *          and operation commands, rotation, special mask, poll, automatic EOI, special fully nested mode
 * Omits    MCS-80 mode and buffered mode (accepted, without effect on a PC); LTIM: the ELCR decides, as in the PIIX3
 * Wires    pure chip, two of them cascaded; hw/intc/pic.c mounts the pair
 * Threads  the caller's
 * Tests    tests/dev/i8259.c
 *
 * An edge stays requested when its line falls before the acknowledge (the chip would answer with a spurious IRQ 7): KVM's
 * chip does so, state moves between the two, and no timer tick is lost behind a long CLI. A level that falls is withdrawn.
 */
#include "hw/intc/i8259.h"

#define BIT(n) ((uint8_t)(1u << ((n) & 7)))

enum { ICW1_IC4 = 0x01, ICW1_SNGL = 0x02, ICW1 = 0x10, OCW3 = 0x08 };
enum { ICW4_AEOI = 0x02, ICW4_SFNM = 0x10 };
enum { OCW3_RIS = 0x01, OCW3_RR = 0x02, OCW3_POLL = 0x04, OCW3_SMM = 0x20, OCW3_ESMM = 0x40 };

void i8259_init(I8259 *pic, bool master)
{
    *pic = (I8259){ .master = master, .elcr_mask = master ? 0xf8 : 0xde };
}

void i8259_reset(I8259 *pic)
{
    I8259 fresh;

    i8259_init(&fresh, pic->master);
    fresh.lines = pic->lines;
    *pic = fresh;
}

/* 0 is the highest; 8: none of them. */
static unsigned highest_priority(const I8259 *pic, uint8_t inputs)
{
    unsigned priority = 0;

    while (priority < 8 && !(inputs & BIT(pic->first + priority))) {
        priority++;
    }
    return priority;
}

static unsigned input_of(const I8259 *pic, unsigned priority)
{
    return (pic->first + priority) & 7;
}

int i8259_request(const I8259 *pic)
{
    unsigned wanted = highest_priority(pic, pic->irr & ~pic->imr);
    unsigned serving = highest_priority(pic, pic->special_mask ? pic->isr & ~pic->imr : pic->isr);
    bool nested;

    if (wanted == 8 || pic->expects) {
        return I8259_NO_REQUEST;
    }
    /* Special fully nested mode: another request of the slave whose interrupt is in service gets through. */
    nested = pic->special_fully_nested && pic->master && wanted == serving && input_of(pic, wanted) == I8259_CASCADE;
    return wanted < serving || nested ? (int)input_of(pic, wanted) : I8259_NO_REQUEST;
}

void i8259_set_line(I8259 *pic, unsigned pin, bool high)
{
    uint8_t bit = BIT(pin);

    if (pic->elcr & bit) {
        pic->irr = high ? pic->irr | bit : pic->irr & ~bit;
    } else if (high && !(pic->lines & bit)) {
        pic->irr |= bit;
    }
    pic->lines = high ? pic->lines | bit : pic->lines & ~bit;
}

void i8259_write_elcr(I8259 *pic, uint8_t value)
{
    pic->elcr = value & pic->elcr_mask;
    pic->irr = (pic->irr & ~pic->elcr) | (pic->lines & pic->elcr);
}

unsigned i8259_acknowledge(I8259 *pic)
{
    int input = i8259_request(pic);

    if (input == I8259_NO_REQUEST) {
        return 7;
    }
    if (!(pic->elcr & BIT(input))) {
        pic->irr &= ~BIT(input);
    }
    if (!pic->auto_eoi) {
        pic->isr |= BIT(input);
    } else if (pic->rotate_on_auto_eoi) {
        pic->first = (input + 1) & 7;
    }
    return (unsigned)input;
}

/* ICW1 resets more than a person expects: the mask, rotation, edges seen, and what ICW4 said. */
static void start_initialization(I8259 *pic, uint8_t icw1)
{
    pic->irr = pic->lines & pic->elcr;
    pic->imr = pic->isr = pic->first = pic->vector_base = 0;
    pic->read_isr = pic->poll = pic->special_mask = false;
    pic->auto_eoi = pic->rotate_on_auto_eoi = pic->special_fully_nested = false;
    pic->wants_icw4 = icw1 & ICW1_IC4;
    pic->single = icw1 & ICW1_SNGL;
    pic->expects = 2;
}

static void continue_initialization(I8259 *pic, uint8_t icw)
{
    switch (pic->expects) {
    case 2:
        pic->vector_base = icw & 0xf8;
        pic->expects = !pic->single ? 3 : pic->wants_icw4 ? 4 : 0;
        break;
    case 3:                                /* which input the slave is on: the board's wiring says so */
        pic->expects = pic->wants_icw4 ? 4 : 0;
        break;
    default:
        pic->auto_eoi = icw & ICW4_AEOI;
        pic->special_fully_nested = icw & ICW4_SFNM;
        pic->expects = 0;
    }
}

/* The interrupt that a non-specific EOI ends, or 8. In special mask mode masked ones are passed over. */
static unsigned in_service(const I8259 *pic)
{
    unsigned priority = highest_priority(pic, pic->special_mask ? pic->isr & ~pic->imr : pic->isr);

    return priority == 8 ? 8 : input_of(pic, priority);
}

static void write_ocw2(I8259 *pic, uint8_t value)
{
    enum { ROTATE = 4, SPECIFIC = 2, EOI = 1 };
    unsigned command = value >> 5;
    unsigned level = command & SPECIFIC ? value & 7 : in_service(pic);

    if (!(command & (SPECIFIC | EOI))) {
        pic->rotate_on_auto_eoi = command & ROTATE;
        return;
    }
    if (level == 8) {
        return;
    }
    if (command & EOI) {
        pic->isr &= ~BIT(level);
    }
    if (command & ROTATE) {
        pic->first = (level + 1) & 7;      /* command 6 rotates without ending anything: "set priority" */
    }
}

static void write_ocw3(I8259 *pic, uint8_t value)
{
    pic->poll = value & OCW3_POLL;
    if (value & OCW3_RR) {
        pic->read_isr = value & OCW3_RIS;
    }
    if (value & OCW3_ESMM) {
        pic->special_mask = value & OCW3_SMM;
    }
}

void i8259_write(I8259 *pic, unsigned a0, uint8_t value)
{
    if (a0 & 1) {
        if (pic->expects) {
            continue_initialization(pic, value);
        } else {
            pic->imr = value;
        }
    } else if (value & ICW1) {
        start_initialization(pic, value);
    } else if (value & OCW3) {
        write_ocw3(pic, value);
    } else {
        write_ocw2(pic, value);
    }
}

uint8_t i8259_read(I8259 *pic, unsigned a0)
{
    if (pic->poll) {
        pic->poll = false;
        return i8259_request(pic) == I8259_NO_REQUEST ? 0 : 0x80 | i8259_acknowledge(pic);
    }
    if (a0 & 1) {
        return pic->imr;
    }
    return pic->read_isr ? pic->isr : pic->irr;
}

bool i8259_pair_update(I8259Pair *pair)
{
    i8259_set_line(&pair->master, I8259_CASCADE, i8259_request(&pair->slave) != I8259_NO_REQUEST);
    return i8259_request(&pair->master) != I8259_NO_REQUEST;
}

uint8_t i8259_pair_acknowledge(I8259Pair *pair)
{
    bool requested = i8259_request(&pair->master) != I8259_NO_REQUEST;
    unsigned input = i8259_acknowledge(&pair->master);

    if (!requested || input != I8259_CASCADE) {
        return pair->master.vector_base | input;
    }
    /* INT of the slave falls during the cycle: what it requests next makes a new edge. */
    input = i8259_acknowledge(&pair->slave);
    i8259_set_line(&pair->master, I8259_CASCADE, false);
    i8259_pair_update(pair);
    return pair->slave.vector_base | input;
}

const Field i8259_saved[] = {
    SAVE_U8(I8259, lines), SAVE_U8(I8259, irr), SAVE_U8(I8259, imr), SAVE_U8(I8259, isr), SAVE_U8(I8259, elcr),
    SAVE_U8(I8259, first), SAVE_U8(I8259, vector_base), SAVE_U8(I8259, expects), SAVE_BOOL(I8259, wants_icw4),
    SAVE_BOOL(I8259, single), SAVE_BOOL(I8259, read_isr), SAVE_BOOL(I8259, poll), SAVE_BOOL(I8259, special_mask),
    SAVE_BOOL(I8259, auto_eoi), SAVE_BOOL(I8259, rotate_on_auto_eoi), SAVE_BOOL(I8259, special_fully_nested), FIELD_END };
