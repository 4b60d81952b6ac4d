/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flags.h - the guest's RFLAGS, put together and taken apart
 *
 * Handlers compute with the host's own instruction and keep what lahf and seto say, so that flags which the manuals
 * leave undefined come out as this host makes them.
 */
#pragma once
#include "accel/soft/state.h"
#include "accel/x86/bits.h"

enum { FLAGS_LOW = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF };

/* All of RFLAGS, bit 1 set. */
static inline uint64_t flags_get(const SoftCpu *cpu)
{
    return (cpu->rflags & ~(uint64_t)FLAG_ARITHMETIC) | FLAG_FIXED | (cpu->flags_low & FLAGS_LOW) | (uint64_t)cpu->flags_of << 11;
}

/* The six arithmetic flags from an RFLAGS value. */
static inline void flags_set_arithmetic(SoftCpu *cpu, uint64_t value)
{
    cpu->flags_low = (uint8_t)((value & FLAGS_LOW) | FLAG_FIXED);
    cpu->flags_of = (value & FLAG_OF) != 0;
}

/* All of RFLAGS, no rule checked. Whoever changes TF, AC, VM or IF follows with soft_mode_changed() and debug_update(). */
static inline void flags_set(SoftCpu *cpu, uint64_t value)
{
    flags_set_arithmetic(cpu, value);
    cpu->rflags = (value & ~(uint64_t)FLAG_ARITHMETIC) | FLAG_FIXED;
}

static inline void flags_set_zf(SoftCpu *cpu, bool zf)         /* the others stay (lar, lsl, verr, arpl, cmpxchg8b) */
{
    cpu->flags_low = (uint8_t)((cpu->flags_low & ~FLAG_ZF) | (zf ? FLAG_ZF : 0));
}

static inline void flags_set_cf(SoftCpu *cpu, bool cf)
{
    cpu->flags_low = (uint8_t)((cpu->flags_low & ~FLAG_CF) | (cf ? FLAG_CF : 0));
}

static inline bool flags_cf(const SoftCpu *cpu) { return cpu->flags_low & FLAG_CF; }
static inline bool flags_pf(const SoftCpu *cpu) { return cpu->flags_low & FLAG_PF; }
static inline bool flags_zf(const SoftCpu *cpu) { return cpu->flags_low & FLAG_ZF; }
static inline bool flags_sf(const SoftCpu *cpu) { return cpu->flags_low & FLAG_SF; }
static inline bool flags_of(const SoftCpu *cpu) { return cpu->flags_of; }

/* Condition codes as jcc, setcc and cmovcc number them. */
static inline __attribute__((always_inline)) bool flags_condition(const SoftCpu *cpu, unsigned condition)
{
    bool result;

    switch (condition >> 1 & 7) {
    case 0: result = cpu->flags_of; break;
    case 1: result = flags_cf(cpu); break;
    case 2: result = flags_zf(cpu); break;
    case 3: result = cpu->flags_low & (FLAG_CF | FLAG_ZF); break;
    case 4: result = flags_sf(cpu); break;
    case 5: result = flags_pf(cpu); break;
    case 6: result = flags_sf(cpu) != cpu->flags_of; break;
    default: result = flags_zf(cpu) || flags_sf(cpu) != cpu->flags_of; break;
    }
    return result != (condition & 1);
}
