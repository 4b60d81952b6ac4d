/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8259.h - the interrupt controller chip alone, and two of them cascaded as in a PC
 *
 * Pure: registers and lines in, INT level out. No locks, no machine. Callers mask nothing: pins are taken modulo 8,
 * bytes are bytes.
 */
#pragma once
#include "base/field.h"
#include <stdint.h>

enum { I8259_CASCADE = 2, I8259_NO_REQUEST = -1 };

typedef struct I8259 {
    uint8_t lines;                         /* levels of the inputs */
    uint8_t irr, imr, isr;
    uint8_t elcr, elcr_mask;               /* level triggered inputs; those that may be (wiring, not state) */
    uint8_t first;                         /* the input with the highest priority */
    uint8_t vector_base;                   /* ICW2, upper five bits */
    uint8_t expects;                       /* 0: operating, else the number of the ICW that comes next: 2, 3, 4 */
    bool wants_icw4, single;
    bool read_isr, poll;
    bool special_mask, auto_eoi, rotate_on_auto_eoi, special_fully_nested;
    bool master;                           /* wiring */
} I8259;

extern const Field i8259_saved[];

void i8259_init(I8259 *pic, bool master);
void i8259_reset(I8259 *pic);              /* power-on; line levels stay, since their drivers own them */
void i8259_set_line(I8259 *pic, unsigned pin, bool high);
void i8259_write(I8259 *pic, unsigned a0, uint8_t value);
uint8_t i8259_read(I8259 *pic, unsigned a0);              /* a poll acknowledges */
void i8259_write_elcr(I8259 *pic, uint8_t value);
int i8259_request(const I8259 *pic);       /* the input that INT stands for, or I8259_NO_REQUEST */
/* One interrupt acknowledge cycle: the input, 7 when nothing is requested any more (spurious: no in-service bit). */
unsigned i8259_acknowledge(I8259 *pic);

/* The pair: after anything that changed a chip, i8259_pair_update(); true when the CPU's INTR is high. */
typedef struct I8259Pair { I8259 master, slave; } I8259Pair;
bool i8259_pair_update(I8259Pair *pair);
uint8_t i8259_pair_acknowledge(I8259Pair *pair);          /* the vector */
