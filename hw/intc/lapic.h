/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lapic.h - a processor's local APIC, the chip alone: registers, priorities, timer
 *
 * Pure: no lock, no clock but the LapicTime argument. What a register access does to other chips comes back as a
 * LapicEffect, which the mounting (apic.c) carries out when it has let go of this chip's lock.
 */
#pragma once
#include "base/field.h"
#include <stdint.h>

/* IA32_APIC_BASE. */
enum { APIC_BASE_BSP = 1 << 8, APIC_BASE_X2APIC = 1 << 10, APIC_BASE_ENABLE = 1 << 11 };
#define APIC_BASE_ADDRESS UINT64_C(0xfee00000)

/* Registers: their offset in the xAPIC page divided by 16, their MSR less 800h. */
enum {
    LAPIC_ID = 0x02, LAPIC_VERSION = 0x03, LAPIC_TPR = 0x08, LAPIC_APR = 0x09, LAPIC_PPR = 0x0a, LAPIC_EOI = 0x0b,
    LAPIC_RRD = 0x0c, LAPIC_LDR = 0x0d, LAPIC_DFR = 0x0e, LAPIC_SVR = 0x0f, LAPIC_ISR = 0x10, LAPIC_TMR = 0x18,
    LAPIC_IRR = 0x20, LAPIC_ESR = 0x28, LAPIC_CMCI = 0x2f, LAPIC_ICR = 0x30, LAPIC_ICR_HIGH = 0x31, LAPIC_LVT = 0x32,
    LAPIC_INITIAL_COUNT = 0x38, LAPIC_CURRENT_COUNT = 0x39, LAPIC_DIVIDE = 0x3e, LAPIC_SELF_IPI = 0x3f,
};
/* The local vector table, in order of the registers. */
enum { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
enum {
    LVT_VECTOR = 0xff, LVT_MODE_SHIFT = 8, LVT_STATUS = 1 << 12, LVT_ACTIVE_LOW = 1 << 13, LVT_REMOTE_IRR = 1 << 14,
    LVT_LEVEL = 1 << 15, LVT_MASKED = 1 << 16, LVT_TIMER_SHIFT = 17,
};
enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };
enum { SVR_ENABLE = 1 << 8 };
typedef enum { MODE_FIXED, MODE_LOWEST, MODE_SMI, MODE_RESERVED, MODE_NMI, MODE_INIT, MODE_STARTUP, MODE_EXTINT } DeliveryMode;
/* The interrupt command register. */
enum {
    ICR_VECTOR = 0xff, ICR_MODE_SHIFT = 8, ICR_LOGICAL = 1 << 11, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15, ICR_SHORTHAND_SHIFT = 18,
};
enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };
/* Errors. */
enum { ESR_SEND_VECTOR = 1 << 5, ESR_RECEIVE_VECTOR = 1 << 6, ESR_REGISTER = 1 << 7 };

typedef struct LapicTime { int64_t now; uint64_t tsc, tsc_khz; } LapicTime;

typedef struct Lapic {
    uint32_t apic_id;                      /* as strapped (wiring); the xAPIC register can be rewritten */
    bool boot_processor;                   /* wiring */
    bool has_x2apic, has_deadline;         /* what CPUID says (wiring) */
    uint64_t base;                         /* IA32_APIC_BASE */
    uint32_t id;                           /* xAPIC ID register, 31:24 */
    uint32_t tpr, ldr, dfr, svr, esr, esr_pending, divide, initial_count;
    uint64_t icr;
    uint32_t lvt[LVT_COUNT];
    uint32_t irr[8], isr[8], tmr[8];
    int64_t count_start;                   /* ns: when the count was count_from */
    uint32_t count_from;                   /* 0: not counting */
    int64_t fired_at;                      /* the last expiry of a periodic timer */
    uint64_t tsc_deadline;                 /* 0: none */
    bool lint[2];                          /* levels of the pins */
    bool extint;                           /* an ExtINT message waits for its acknowledge cycle */
} Lapic;

/* What an access or an event does outside the chip. */
typedef struct LapicEffect {
    bool send;                             /* the ICR's message goes out */
    uint64_t icr;
    int eoi;                               /* a level-triggered vector ended: tell the I/O APICs; -1: none */
} LapicEffect;

extern const Field lapic_saved[];

void lapic_reset(Lapic *apic);             /* power-on */
void lapic_init(Lapic *apic);              /* INIT: the base and the id stay */
static inline bool lapic_enabled(const Lapic *apic) { return apic->base & APIC_BASE_ENABLE; }
static inline bool lapic_is_x2(const Lapic *apic) { return (apic->base & APIC_BASE_X2APIC) && lapic_enabled(apic); }

/* The xAPIC page. A write to a register that does not exist is an error that ESR shows. */
uint32_t lapic_read(Lapic *apic, unsigned reg, const LapicTime *time);
LapicEffect lapic_write(Lapic *apic, unsigned reg, uint32_t value, const LapicTime *time);
/* MSRs 800h-8FFh and 6E0h; false: #GP. */
bool lapic_read_msr(Lapic *apic, uint32_t msr, uint64_t *value, const LapicTime *time);
bool lapic_write_msr(Lapic *apic, uint32_t msr, uint64_t value, const LapicTime *time, LapicEffect *effect);
bool lapic_set_base(Lapic *apic, uint64_t value);
uint8_t lapic_cr8(const Lapic *apic);
void lapic_set_cr8(Lapic *apic, uint8_t value);

/* Does a message for dest concern this APIC? broadcast: the sender's all-ones. */
bool lapic_matches(const Lapic *apic, uint32_t dest, bool logical, bool broadcast);
uint8_t lapic_priority(const Lapic *apic);                /* PPR: who has the lowest takes a lowest-priority message */
/* Fixed, lowest priority (once chosen) and ExtINT; the other modes concern the processor and not the chip. */
void lapic_accept(Lapic *apic, DeliveryMode mode, uint8_t vector, bool level);
/* LINT0 or LINT1. True: the processor gets an NMI. */
bool lapic_set_lint(Lapic *apic, unsigned pin, bool high);

bool lapic_requests(const Lapic *apic);    /* the level of the processor's INTR */
bool lapic_requests_extint(const Lapic *apic);            /* among that: an acknowledge cycle to the 8259 */
int lapic_acknowledge(Lapic *apic);        /* the vector, moved from IRR to ISR; -1: none (ExtINT is the caller's) */

int64_t lapic_deadline(const Lapic *apic, const LapicTime *time);     /* ns; -1: no timer runs */
bool lapic_tick(Lapic *apic, const LapicTime *time);      /* true: performance or timer LVT in NMI mode: an NMI */
bool lapic_valid(const Lapic *apic);       /* after a load */
