/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lapic.c - local APIC: what a processor's interrupts go through, and its timer
 *
 * Models   Intel SDM volume 3, chapter 11: xAPIC and x2APIC modes and the ways between them, all delivery modes and
 *          destinations, TPR/PPR, the error register, timer one-shot, periodic and TSC-deadline. The timer counts
 *          nanoseconds (1 GHz), as KVM's and QEMU's do. Version 14h, six LVT entries
 * Omits    thermal and performance interrupts (registers only), CMCI, suppressing EOI broadcasts, APR and remote read (zero)
 * Wires    pure chip; hw/intc/apic.c mounts one per processor
 * Threads  the caller's: one lock per chip
 * Tests    tests/dev/lapic.c
 *
 * A periodic timer asks for the main loop at most every 20 us: what a guest sets shorter is merged, as a slow processor
 * would merge it in IRR.
 */
#include "hw/intc/lapic.h"
#include "base/timer.h"
#include <string.h>

enum { VERSION = 0x14 | (LVT_COUNT - 1) << 16, FIRST_LEGAL_VECTOR = 16 };
#define SHORTEST_PERIOD (20 * NS_PER_US)

static const uint32_t lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERFORMANCE] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff,
};

static bool get_bit(const uint32_t *bits, unsigned vector)
{
    return bits[vector >> 5 & 7] >> (vector & 31) & 1;
}

static void set_bit(uint32_t *bits, unsigned vector, bool on)
{
    uint32_t bit = 1u << (vector & 31);

    bits[vector >> 5 & 7] = on ? bits[vector >> 5 & 7] | bit : bits[vector >> 5 & 7] & ~bit;
}

static int highest_bit(const uint32_t *bits)
{
    for (int i = 7; i >= 0; i--) {
        if (bits[i]) {
            return i * 32 + 31 - __builtin_clz(bits[i]);
        }
    }
    return -1;
}

static uint32_t x2apic_ldr(uint32_t id)
{
    return (id >> 4) << 16 | 1u << (id & 15);
}

void lapic_init(Lapic *apic)
{
    uint32_t apic_id = apic->apic_id, id = apic->id;
    uint64_t base = apic->base;
    bool bsp = apic->boot_processor, x2 = apic->has_x2apic, deadline = apic->has_deadline;
    bool lint[2] = { apic->lint[0], apic->lint[1] };

    *apic = (Lapic){
        .apic_id = apic_id, .boot_processor = bsp, .has_x2apic = x2, .has_deadline = deadline, .base = base, .id = id,
        .dfr = 0xffffffff, .svr = 0xff, .lint = { lint[0], lint[1] },
    };
    for (unsigned i = 0; i < LVT_COUNT; i++) {
        apic->lvt[i] = LVT_MASKED;
    }
    if (lapic_is_x2(apic)) {
        apic->ldr = x2apic_ldr(apic_id);
    }
    if (bsp) {                             /* "virtual wire": the 8259 works before anyone has set up the APIC */
        apic->lvt[LVT_LINT0] = MODE_EXTINT << LVT_MODE_SHIFT;
    }
}

void lapic_reset(Lapic *apic)
{
    apic->base = APIC_BASE_ADDRESS | APIC_BASE_ENABLE | (apic->boot_processor ? APIC_BASE_BSP : 0);
    apic->id = apic->apic_id << 24;
    lapic_init(apic);
}

/* Priorities and the processor's INTR. */

static uint32_t ppr(const Lapic *apic)
{
    int serving = highest_bit(apic->isr);
    uint32_t in_service = serving < 0 ? 0 : (uint32_t)serving;

    return (apic->tpr & 0xf0) >= (in_service & 0xf0) ? apic->tpr : in_service & 0xf0;
}

uint8_t lapic_priority(const Lapic *apic)
{
    return ppr(apic);
}

static int requested_vector(const Lapic *apic)
{
    int vector = highest_bit(apic->irr);

    if (!lapic_enabled(apic) || !(apic->svr & SVR_ENABLE) || vector < 0) {
        return -1;
    }
    return ((uint32_t)vector & 0xf0) > (ppr(apic) & 0xf0) ? vector : -1;
}

bool lapic_requests_extint(const Lapic *apic)
{
    uint32_t lint0 = apic->lvt[LVT_LINT0];

    if (!lapic_enabled(apic)) {
        return apic->lint[0];              /* the pin is the processor's INTR */
    }
    if (apic->extint) {
        return true;
    }
    return apic->lint[0] && !(lint0 & LVT_MASKED) && (lint0 >> LVT_MODE_SHIFT & 7) == MODE_EXTINT;
}

bool lapic_requests(const Lapic *apic)
{
    return lapic_requests_extint(apic) || requested_vector(apic) >= 0;
}

int lapic_acknowledge(Lapic *apic)
{
    int vector = requested_vector(apic);

    if (vector >= 0) {
        set_bit(apic->irr, vector, false);
        set_bit(apic->isr, vector, true);
    }
    return vector;
}

/* Errors and acceptance. */

static void report(Lapic *apic, uint32_t error)
{
    uint32_t lvt = apic->lvt[LVT_ERROR];

    apic->esr_pending |= error;
    if (!(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) >= FIRST_LEGAL_VECTOR) {
        set_bit(apic->irr, lvt & LVT_VECTOR, true);
        set_bit(apic->tmr, lvt & LVT_VECTOR, false);
    }
}

void lapic_accept(Lapic *apic, DeliveryMode mode, uint8_t vector, bool level)
{
    if (!lapic_enabled(apic)) {
        return;
    }
    if (mode == MODE_EXTINT) {
        apic->extint = true;
        return;
    }
    if (!(apic->svr & SVR_ENABLE)) {
        return;
    }
    if (vector < FIRST_LEGAL_VECTOR) {
        report(apic, ESR_RECEIVE_VECTOR);
        return;
    }
    set_bit(apic->irr, vector, true);
    set_bit(apic->tmr, vector, level);
}

/* An entry of the local vector table fires. True: an NMI. */
static bool fire_lvt(Lapic *apic, unsigned index, bool level)
{
    uint32_t lvt = apic->lvt[index];
    DeliveryMode mode = index == LVT_TIMER || index == LVT_ERROR ? MODE_FIXED : (DeliveryMode)(lvt >> LVT_MODE_SHIFT & 7);

    if ((lvt & LVT_MASKED) || !lapic_enabled(apic)) {
        return false;
    }
    if (mode == MODE_FIXED) {
        lapic_accept(apic, MODE_FIXED, lvt & LVT_VECTOR, level);
        if (level) {
            apic->lvt[index] |= LVT_REMOTE_IRR;
        }
    }
    return mode == MODE_NMI;
}

bool lapic_set_lint(Lapic *apic, unsigned pin, bool high)
{
    unsigned index = pin ? LVT_LINT1 : LVT_LINT0;
    bool rose = high && !apic->lint[pin & 1];
    bool level = (apic->lvt[index] & LVT_LEVEL) && pin == 0;

    apic->lint[pin & 1] = high;
    if (!lapic_enabled(apic)) {
        return pin && rose;                /* LINT1 is the processor's NMI */
    }
    if (level ? high && !(apic->lvt[index] & LVT_REMOTE_IRR) : rose) {
        return fire_lvt(apic, index, level);
    }
    return false;
}

bool lapic_matches(const Lapic *apic, uint32_t dest, bool logical, bool broadcast)
{
    if (!lapic_enabled(apic)) {
        return false;
    }
    if (broadcast) {
        return true;
    }
    if (lapic_is_x2(apic)) {
        uint32_t ldr = x2apic_ldr(apic->apic_id);
        return logical ? dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff) : dest == apic->apic_id;
    }
    if (dest > 0xff) {
        return false;
    }
    if (!logical) {
        return dest == apic->id >> 24;
    }
    uint8_t mine = apic->ldr >> 24;
    if (apic->dfr >> 28 == 0x0f) {
        return dest & mine;
    }
    return apic->dfr >> 28 == 0 && dest >> 4 == mine >> 4 && (dest & mine & 0x0f);
}

/* The timer. */

static unsigned timer_mode(const Lapic *apic)
{
    return apic->lvt[LVT_TIMER] >> LVT_TIMER_SHIFT & 3;
}

static uint64_t divisor(const Lapic *apic)
{
    unsigned code = (apic->divide & 3) | (apic->divide >> 1 & 4);

    return UINT64_C(1) << ((code + 1) & 7);
}

static uint64_t elapsed_ticks(const Lapic *apic, int64_t now)
{
    return now > apic->count_start ? (uint64_t)(now - apic->count_start) / divisor(apic) : 0;
}

static uint32_t current_count(const Lapic *apic, int64_t now)
{
    uint64_t elapsed = elapsed_ticks(apic, now);

    if (!apic->count_from || timer_mode(apic) == TIMER_TSC_DEADLINE) {
        return 0;
    }
    if (elapsed < apic->count_from) {
        return apic->count_from - (uint32_t)elapsed;
    }
    if (timer_mode(apic) != TIMER_PERIODIC || !apic->initial_count) {
        return 0;
    }
    return apic->initial_count - (uint32_t)((elapsed - apic->count_from) % apic->initial_count);
}

static void start_count(Lapic *apic, uint32_t count, int64_t now)
{
    apic->count_from = count;
    apic->count_start = apic->fired_at = now;
}

int64_t lapic_deadline(const Lapic *apic, const LapicTime *time)
{
    uint64_t unit = divisor(apic);

    if (!lapic_enabled(apic)) {
        return -1;
    }
    if (timer_mode(apic) == TIMER_TSC_DEADLINE) {
        if (!apic->tsc_deadline || !time->tsc_khz) {
            return -1;
        }
        if (apic->tsc_deadline <= time->tsc) {
            return time->now;
        }
        __int128 wait = (__int128)(apic->tsc_deadline - time->tsc) * 1000000 / time->tsc_khz + 1;
        return wait > INT64_MAX / 2 ? INT64_MAX / 2 : time->now + (int64_t)wait;
    }
    if (!apic->count_from) {
        return -1;
    }
    int64_t first = apic->count_start + (int64_t)(apic->count_from * unit);
    if (apic->fired_at < first || timer_mode(apic) != TIMER_PERIODIC || !apic->initial_count) {
        return first;
    }
    /* The first end of a period that leaves the host some air after the last one. */
    int64_t period = (int64_t)(apic->initial_count * unit), next = apic->fired_at - first + SHORTEST_PERIOD;
    if (period >= SHORTEST_PERIOD) {
        next = apic->fired_at - first + 1;
    }
    return first + (next + period - 1) / period * period;
}

bool lapic_tick(Lapic *apic, const LapicTime *time)
{
    int64_t deadline = lapic_deadline(apic, time);

    if (deadline < 0 || deadline > time->now) {
        return false;
    }
    if (timer_mode(apic) == TIMER_TSC_DEADLINE) {
        apic->tsc_deadline = 0;
    } else if (timer_mode(apic) == TIMER_PERIODIC && apic->initial_count) {
        apic->fired_at = time->now;
    } else {
        apic->count_from = 0;
    }
    return fire_lvt(apic, LVT_TIMER, false);
}

/* Registers. */

static uint32_t read_register(Lapic *apic, unsigned reg, const LapicTime *time)
{
    switch (reg) {
    case LAPIC_ID:
        return lapic_is_x2(apic) ? apic->apic_id : apic->id;
    case LAPIC_VERSION:
        return VERSION;
    case LAPIC_TPR:
        return apic->tpr;
    case LAPIC_PPR:
        return ppr(apic);
    case LAPIC_APR:
    case LAPIC_RRD:
    case LAPIC_EOI:
        return 0;
    case LAPIC_LDR:
        return lapic_is_x2(apic) ? x2apic_ldr(apic->apic_id) : apic->ldr;
    case LAPIC_DFR:
        return apic->dfr;
    case LAPIC_SVR:
        return apic->svr;
    case LAPIC_ISR ... LAPIC_ISR + 7:
        return apic->isr[reg - LAPIC_ISR];
    case LAPIC_TMR ... LAPIC_TMR + 7:
        return apic->tmr[reg - LAPIC_TMR];
    case LAPIC_IRR ... LAPIC_IRR + 7:
        return apic->irr[reg - LAPIC_IRR];
    case LAPIC_ESR:
        return apic->esr;
    case LAPIC_ICR:
        return (uint32_t)apic->icr;
    case LAPIC_ICR_HIGH:
        return (uint32_t)(apic->icr >> 32);
    case LAPIC_LVT ... LAPIC_LVT + LVT_COUNT - 1:
        return apic->lvt[reg - LAPIC_LVT];
    case LAPIC_INITIAL_COUNT:
        return apic->initial_count;
    case LAPIC_CURRENT_COUNT:
        return current_count(apic, time->now);
    case LAPIC_DIVIDE:
        return apic->divide;
    default:
        report(apic, ESR_REGISTER);
        return 0;
    }
}

uint32_t lapic_read(Lapic *apic, unsigned reg, const LapicTime *time)
{
    return read_register(apic, reg, time);
}

static int end_of_interrupt(Lapic *apic)
{
    int vector = highest_bit(apic->isr);

    if (vector < 0) {
        return -1;
    }
    set_bit(apic->isr, vector, false);
    for (unsigned i = LVT_LINT0; i <= LVT_LINT1; i++) {
        if ((apic->lvt[i] & LVT_VECTOR) == (uint32_t)vector && (apic->lvt[i] & LVT_REMOTE_IRR)) {
            apic->lvt[i] &= ~(uint32_t)LVT_REMOTE_IRR;
            lapic_set_lint(apic, i - LVT_LINT0, apic->lint[i - LVT_LINT0]);
        }
    }
    return get_bit(apic->tmr, vector) ? vector : -1;
}

static void write_svr(Lapic *apic, uint32_t value)
{
    apic->svr = value & 0x1ff;
    if (!(value & SVR_ENABLE)) {
        for (unsigned i = 0; i < LVT_COUNT; i++) {
            apic->lvt[i] |= LVT_MASKED;
        }
    }
}

static void write_lvt(Lapic *apic, unsigned index, uint32_t value, const LapicTime *time)
{
    unsigned old_mode = timer_mode(apic);

    value &= lvt_writable[index];
    if (!(apic->svr & SVR_ENABLE)) {
        value |= LVT_MASKED;
    }
    if (index == LVT_TIMER && value >> LVT_TIMER_SHIFT == TIMER_TSC_DEADLINE && !apic->has_deadline) {
        value &= ~(3u << LVT_TIMER_SHIFT);
    }
    if (value & LVT_LEVEL) {
        value |= apic->lvt[index] & LVT_REMOTE_IRR;
    }
    apic->lvt[index] = value;
    if (index == LVT_LINT0) {
        lapic_set_lint(apic, 0, apic->lint[0]);    /* a level that was masked asks now */
    }
    if (index != LVT_TIMER) {
        return;
    }
    if ((timer_mode(apic) == TIMER_TSC_DEADLINE) != (old_mode == TIMER_TSC_DEADLINE)) {
        apic->tsc_deadline = 0;
        apic->count_from = apic->initial_count = 0;
    } else if (timer_mode(apic) != old_mode && current_count(apic, time->now)) {
        start_count(apic, current_count(apic, time->now), time->now);
    }
}

static void write_divide(Lapic *apic, uint32_t value, const LapicTime *time)
{
    uint32_t count = current_count(apic, time->now);

    apic->divide = value & 0x0b;
    if (count) {
        start_count(apic, count, time->now);
    }
}

static LapicEffect command(Lapic *apic, uint64_t icr)
{
    LapicEffect effect = { .eoi = -1 };
    unsigned mode = icr >> ICR_MODE_SHIFT & 7;

    apic->icr = icr & ~(uint64_t)(1 << 12);
    if (mode <= MODE_LOWEST && (icr & ICR_VECTOR) < FIRST_LEGAL_VECTOR) {
        report(apic, ESR_SEND_VECTOR);
        return effect;
    }
    effect.send = true;
    effect.icr = apic->icr;
    return effect;
}

static LapicEffect write_register(Lapic *apic, unsigned reg, uint32_t value, const LapicTime *time)
{
    LapicEffect effect = { .eoi = -1 };

    switch (reg) {
    case LAPIC_TPR:
        apic->tpr = value & 0xff;
        break;
    case LAPIC_EOI:
        effect.eoi = end_of_interrupt(apic);
        break;
    case LAPIC_SVR:
        write_svr(apic, value);
        break;
    case LAPIC_ESR:
        apic->esr = apic->esr_pending;
        apic->esr_pending = 0;
        break;
    case LAPIC_ICR:
        return command(apic, (apic->icr & ~UINT64_C(0xffffffff)) | (value & 0xcdfff));
    case LAPIC_LVT ... LAPIC_LVT + LVT_COUNT - 1:
        write_lvt(apic, reg - LAPIC_LVT, value, time);
        break;
    case LAPIC_INITIAL_COUNT:
        if (timer_mode(apic) != TIMER_TSC_DEADLINE) {
            apic->initial_count = value;
            start_count(apic, value, time->now);
        }
        break;
    case LAPIC_DIVIDE:
        write_divide(apic, value, time);
        break;
    default:
        report(apic, ESR_REGISTER);
    }
    return effect;
}

LapicEffect lapic_write(Lapic *apic, unsigned reg, uint32_t value, const LapicTime *time)
{
    LapicEffect effect = { .eoi = -1 };

    switch (reg) {                         /* registers that only the xAPIC page has */
    case LAPIC_ID:
        apic->id = value & 0xff000000;
        return effect;
    case LAPIC_LDR:
        apic->ldr = value & 0xff000000;
        return effect;
    case LAPIC_DFR:
        apic->dfr = value | 0x0fffffff;
        return effect;
    case LAPIC_ICR_HIGH:
        apic->icr = (apic->icr & 0xffffffff) | (uint64_t)(value & 0xff000000) << 32;
        return effect;
    default:
        return write_register(apic, reg, value, time);
    }
}

uint8_t lapic_cr8(const Lapic *apic)
{
    return apic->tpr >> 4;
}

void lapic_set_cr8(Lapic *apic, uint8_t value)
{
    apic->tpr = (value & 0x0fu) << 4;
}

/* x2APIC. Reserved bits are an error here, and not ignored. */

static bool x2apic_readable(unsigned reg)
{
    switch (reg) {
    case LAPIC_ID:
    case LAPIC_VERSION:
    case LAPIC_TPR:
    case LAPIC_PPR:
    case LAPIC_LDR:
    case LAPIC_SVR:
    case LAPIC_ISR ... LAPIC_IRR + 7:
    case LAPIC_ESR:
    case LAPIC_ICR:
    case LAPIC_LVT ... LAPIC_LVT + LVT_COUNT - 1:
    case LAPIC_INITIAL_COUNT:
    case LAPIC_CURRENT_COUNT:
    case LAPIC_DIVIDE:
        return true;
    default:
        return false;
    }
}

/* The bits that may be written; UINT64_MAX would be all, 0 with false: not writable. */
static bool x2apic_writable(const Lapic *apic, unsigned reg, uint64_t *mask)
{
    switch (reg) {
    case LAPIC_TPR:
    case LAPIC_SELF_IPI:
        *mask = 0xff;
        return true;
    case LAPIC_EOI:
    case LAPIC_ESR:
        *mask = 0;
        return true;
    case LAPIC_SVR:
        *mask = 0x1ff;
        return true;
    case LAPIC_ICR:
        *mask = UINT64_C(0xffffffff000cdfff);  /* bit 12 is ignored: systems write back what xAPICs have there */
        return true;
    case LAPIC_LVT ... LAPIC_LVT + LVT_COUNT - 1:
        *mask = lvt_writable[reg - LAPIC_LVT] | LVT_STATUS | LVT_REMOTE_IRR;
        if (reg == LAPIC_LVT && !apic->has_deadline) {
            *mask &= ~(UINT64_C(1) << (LVT_TIMER_SHIFT + 1));
        }
        return true;
    case LAPIC_INITIAL_COUNT:
        *mask = 0xffffffff;
        return true;
    case LAPIC_DIVIDE:
        *mask = 0x0b;
        return true;
    default:
        return false;
    }
}

enum { MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };

bool lapic_read_msr(Lapic *apic, uint32_t msr, uint64_t *value, const LapicTime *time)
{
    unsigned reg = msr - MSR_X2APIC;

    if (msr == MSR_TSC_DEADLINE) {
        *value = timer_mode(apic) == TIMER_TSC_DEADLINE ? apic->tsc_deadline : 0;
        return apic->has_deadline;
    }
    if (!lapic_is_x2(apic) || !x2apic_readable(reg)) {
        return false;
    }
    *value = reg == LAPIC_ICR ? apic->icr : read_register(apic, reg, time);
    return true;
}

static bool write_deadline(Lapic *apic, uint64_t value)
{
    if (apic->has_deadline && timer_mode(apic) == TIMER_TSC_DEADLINE && lapic_enabled(apic)) {
        apic->tsc_deadline = value;
    }
    return apic->has_deadline;
}

bool lapic_write_msr(Lapic *apic, uint32_t msr, uint64_t value, const LapicTime *time, LapicEffect *effect)
{
    unsigned reg = msr - MSR_X2APIC;
    uint64_t mask;

    *effect = (LapicEffect){ .eoi = -1 };
    if (msr == MSR_TSC_DEADLINE) {
        return write_deadline(apic, value);
    }
    if (!lapic_is_x2(apic) || !x2apic_writable(apic, reg, &mask) || value & ~mask) {
        return false;
    }
    if (reg == LAPIC_ICR) {
        *effect = command(apic, value);
    } else if (reg == LAPIC_SELF_IPI) {
        if (value < FIRST_LEGAL_VECTOR) {
            report(apic, ESR_SEND_VECTOR);
        } else {
            lapic_accept(apic, MODE_FIXED, value, false);
        }
    } else {
        *effect = write_register(apic, reg, (uint32_t)value, time);
    }
    return true;
}

bool lapic_set_base(Lapic *apic, uint64_t value)
{
    const uint64_t modes = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
    uint64_t legal = UINT64_C(0x000ffffffffff000) | APIC_BASE_ENABLE | APIC_BASE_BSP | (apic->has_x2apic ? APIC_BASE_X2APIC : 0);
    uint64_t from = apic->base & modes, to = value & modes;

    if ((value & ~legal) || to == APIC_BASE_X2APIC || (from == 0 && to == modes) || (from == modes && to == APIC_BASE_ENABLE)) {
        return false;
    }
    apic->base = (value & ~(uint64_t)APIC_BASE_BSP) | (apic->boot_processor ? APIC_BASE_BSP : 0);
    if (from && !to) {
        lapic_init(apic);                  /* what comes back when it is enabled again is a fresh APIC */
    } else if (from != modes && to == modes) {
        apic->icr &= 0xffffffff;
        apic->id = apic->apic_id << 24;
        apic->ldr = x2apic_ldr(apic->apic_id);
    }
    return true;
}

bool lapic_valid(const Lapic *apic)
{
    uint64_t mode = apic->base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);

    return mode != APIC_BASE_X2APIC && apic->count_start >= 0 && apic->fired_at >= 0 && apic->count_start < INT64_MAX / 4 &&
           apic->fired_at < INT64_MAX / 4;
}

const Field lapic_saved[] = {
    SAVE_U64(Lapic, base), SAVE_U32(Lapic, id), SAVE_U32(Lapic, tpr), SAVE_U32(Lapic, ldr), SAVE_U32(Lapic, dfr),
    SAVE_U32(Lapic, svr), SAVE_U32(Lapic, esr), SAVE_U32(Lapic, esr_pending), SAVE_U32(Lapic, divide),
    SAVE_U32(Lapic, initial_count), SAVE_U64(Lapic, icr), SAVE_U32S(Lapic, lvt), SAVE_U32S(Lapic, irr), SAVE_U32S(Lapic, isr),
    SAVE_U32S(Lapic, tmr), SAVE_I64(Lapic, count_start), SAVE_U32(Lapic, count_from), SAVE_I64(Lapic, fired_at),
    SAVE_U64(Lapic, tsc_deadline), SAVE_BOOLS(Lapic, lint), SAVE_BOOL(Lapic, extint), FIELD_END };
