/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vector-memory.h - memory operands of vector and x87 instructions as host pointers
 */
#pragma once
#include "accel/soft/mmu.h"

static inline const TlbEntry *vector_tlb(const SoftCpu *cpu, uint64_t linear) { return &cpu->tlb[tlb_slot(linear)]; }

/* #AC of EFLAGS.AC. size is a power of two, or 10: those lie like 8. While it is armed no access finds a TLB entry. An instruction with
 * VEX takes operands of 16 bytes and more wherever they lie. */
static inline void vector_check_alignment(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size)
{
    if (insn->vex & VEX_PRESENT && size >= 16) {
        return;
    }
    bool canonical = (uint64_t)((int64_t)(linear << 16) >> 16) == linear;

    if (mmu_alignment_checked(cpu) && canonical && linear & ((size == 10 ? 8 : size) - 1)) {
        soft_raise_error(cpu, insn, EXC_AC, 0);
    }
}

/* Where to read size bytes from: guest memory itself, or bounce filled with a copy. Raises #PF. */
static inline void *vector_source(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, void *bounce)
{
    const TlbEntry *entry = vector_tlb(cpu, linear);

    if (__builtin_expect(((linear + size - 1) & ~UINT64_C(0xfff)) == entry->read, 1)) {
        return (void *)(linear + (uint64_t)entry->delta);
    }
    vector_check_alignment(cpu, insn, linear, size);
    mmu_read(cpu, insn, linear, bounce, size);
    return bounce;
}

/* Guest memory itself when the fast path allows writing there. NULL: it can be written by mmu_write, nothing will raise. */
static inline void *vector_destination(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size)
{
    const TlbEntry *entry = vector_tlb(cpu, linear);

    if (__builtin_expect(((linear + size - 1) & ~UINT64_C(0xfff)) == entry->write, 1)) {
        return (void *)(linear + (uint64_t)entry->delta);
    }
    vector_check_alignment(cpu, insn, linear, size);
    mmu_probe(cpu, insn, linear, size, true);
    return NULL;
}

/* xsave.c: the handlers that vector_handlers[] lists. */
InsnRun vector_ldmxcsr, vector_stmxcsr, vector_fxsave, vector_fxrstor, vector_xsave, vector_xsaveopt, vector_xsavec, vector_xrstor, vector_xgetbv;
/* interp-vex.c */
InsnRun vex_first, vex_zero, vex_gather, vex_maskmov;
