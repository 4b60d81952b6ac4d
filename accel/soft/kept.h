/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kept.h - the slow paths of mmu.h for callers whose fast path should not pay for them
 *
 * A C call would make each handler save the registers that it wants to keep, whether or not the call is made. These keep every
 * general register (kept.c), so a handler that hits its TLB entry pushes nothing. Raising unwinds through them as through any call.
 */
#pragma once
#include "accel/soft/state.h"

void mmu_probe(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, bool write);
uint64_t mmu_load_slow(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size);
void mmu_store_slow(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, uint64_t value);

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(SOFT_LOOP)
/* The caller may have put something below its stack pointer: step over the red zone. */
#define KEPT_CALL(target) "lea -128(%%rsp), %%rsp\n\tcall " target "\n\tlea 128(%%rsp), %%rsp"
#define KEPT_CLOBBERS "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
                      "xmm12", "xmm13", "xmm14", "xmm15"

static inline uint64_t mmu_load_kept(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size)
{
    uint64_t value;

    __asm__ volatile(KEPT_CALL("kept_load") : "=a"(value) : "D"(cpu), "S"(insn), "d"(linear), "c"(size) : KEPT_CLOBBERS);
    return value;
}

static inline void mmu_store_kept(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, uint64_t value)
{
    register uint64_t r8 __asm__("r8") = value;

    __asm__ volatile(KEPT_CALL("kept_store") : : "D"(cpu), "S"(insn), "d"(linear), "c"(size), "r"(r8) : "rax", KEPT_CLOBBERS);
}

static inline void mmu_probe_kept(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, bool write)
{
    register uint64_t r8 __asm__("r8") = write;

    __asm__ volatile(KEPT_CALL("kept_probe") : : "D"(cpu), "S"(insn), "d"(linear), "c"(size), "r"(r8) : "rax", KEPT_CLOBBERS);
}
#else
#define mmu_load_kept mmu_load_slow
#define mmu_store_kept mmu_store_slow
#define mmu_probe_kept mmu_probe
#endif
