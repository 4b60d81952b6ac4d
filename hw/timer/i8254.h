/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8254.h - the timer chip alone: three counters, a function of the time that is passed in
 *
 * Pure. Times are nanoseconds of one clock that never goes back; inside they are ticks of 1.193182 MHz.
 */
#pragma once
#include "base/field.h"
#include <stdint.h>

enum { I8254_COUNTERS = 3 };
#define I8254_HZ UINT64_C(1193182)

typedef struct I8254Counter {
    uint8_t control;                       /* access, mode and BCD bits of the control word: 0-5 */
    bool gate;
    bool loaded;                           /* a count has come since the control word */
    bool triggered;                        /* modes 1 and 5: the gate has risen since */
    bool pending;                          /* modes 2 and 3: reload waits for the end of the running (half) cycle */
    bool null_count;                       /* modes 1 and 5: written, not yet in the counting element */
    uint32_t reload;                       /* as written: 1 to 65536 (10000 in BCD) */
    uint32_t period;                       /* what counts now */
    int64_t start;                         /* tick at which period was loaded */
    int64_t held;                          /* ticks counted when the gate fell: modes 0 and 4 */
    int64_t pending_at, pending_start;     /* tick when reload takes over, and the start it counts from */
    bool half_written, high_next;          /* between the two bytes of a write; of a read */
    uint8_t low_byte;
    uint8_t latched;                       /* bytes still to be read of latched_count: 0, 1, 2 */
    uint16_t latched_count;
    bool status_latched;
    uint8_t status;
} I8254Counter;

typedef struct I8254 { I8254Counter counter[I8254_COUNTERS]; } I8254;

extern const Field i8254_saved[];

void i8254_reset(I8254 *pit);              /* gates: 1 1 0, as a PC has them */
uint8_t i8254_read(I8254 *pit, unsigned port, int64_t now);           /* 0-3; 3 reads as ones */
void i8254_write(I8254 *pit, unsigned port, uint8_t value, int64_t now);
void i8254_set_gate(I8254 *pit, unsigned counter, bool high, int64_t now);
bool i8254_out(I8254 *pit, unsigned counter, int64_t now);
/* When OUT may rise next after now, in ns: no earlier rise is missed, a few calls may come for nothing. -1: never by itself. */
int64_t i8254_next_rise(I8254 *pit, unsigned counter, int64_t now);
/* Did OUT rise in (then, now]? The registers must not have been touched in between. */
bool i8254_rose(I8254 *pit, unsigned counter, int64_t then, int64_t now);
bool i8254_valid(const I8254 *pit);        /* after a load */
