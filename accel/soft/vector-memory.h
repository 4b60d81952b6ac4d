/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vector-memory.h - memory operands of vector and x87 instructions as host pointers
 */
#pragma once
#include "accel/soft/mmu.h"

static inline const TlbEntry *vector_tlb(const SoftCpu *cpu, uint64_t linear) { return &cpu->tlb[(linear >> 12) & (TLB_ENTRIES - 1)]; }

/* Where to read size bytes from: guest memory itself, or bounce filled with a copy. Raises #PF. */
static inline void *vector_source(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, void *bounce)
{
    const TlbEntry *entry = vector_tlb(cpu, linear);

    if (__builtin_expect(((linear + size - 1) & ~UINT64_C(0xfff)) == entry->read, 1)) {
        return (void *)(linear + (uint64_t)entry->delta);
    }
    mmu_read(cpu, insn, linear, bounce, size);
    return bounce;
}

/* Guest memory itself when the fast path allows writing there; NULL: use mmu_host or mmu_write. */
static inline void *vector_destination(SoftCpu *cpu, uint64_t linear, unsigned size)
{
    const TlbEntry *entry = vector_tlb(cpu, linear);

    return ((linear + size - 1) & ~UINT64_C(0xfff)) == entry->write ? (void *)(linear + (uint64_t)entry->delta) : NULL;
}

/* xsave.c: the handlers that vector_handlers[] lists. */
InsnRun vector_ldmxcsr, vector_stmxcsr, vector_fxsave, vector_fxrstor, vector_xsave, vector_xsaveopt, vector_xsavec, vector_xrstor, vector_xgetbv;
