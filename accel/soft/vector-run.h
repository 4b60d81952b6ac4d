/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vector-run.h - running a stub, and what the handlers of legacy and VEX forms have in common
 */
#pragma once
#include "accel/soft/address.h"
#include "accel/soft/fpu.h"
#include "accel/soft/vector-stub.h"

typedef struct VectorOperands { void *reg, *rm, *vvvv, *fourth; } VectorOperands;

/* The guest's MXCSR is not in the host's. Raises #XM when the guest has unmasked what happens. */
uint32_t vector_run_with_mxcsr(SoftCpu *cpu, const Insn *insn, const VectorOperands *to);

static inline __attribute__((always_inline)) uint32_t vector_run(SoftCpu *cpu, const Insn *insn, const VectorOperands *to)
{
    if ((insn->vector & VECTOR_FP) && !cpu->mxcsr_live) {
        return vector_run_with_mxcsr(cpu, insn, to);
    }
    return ((VectorStub *)insn->stub)(to->reg, to->rm, cpu, to->vvvv, to->fourth);
}

/* In front of an instruction that has an SSE and a VEX form. */
static inline void vector_check(SoftCpu *cpu, const Insn *insn)
{
    insn->vex & VEX_PRESENT ? fpu_check_avx(cpu, insn) : fpu_check_sse(cpu, insn);
}

/* Address of an operand that must be aligned: #GP(0), which comes before the segment's own #SS. */
static inline uint64_t vector_aligned_address(SoftCpu *cpu, const Insn *insn, unsigned bytes, bool write)
{
    if (insn->memory != MEMORY_FLAT64 && ((soft_offset(cpu, insn) + cpu->segment[insn->segment].base) & (bytes - 1))) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
    uint64_t linear = soft_address(cpu, insn, bytes, write);
    if (__builtin_expect((linear & (bytes - 1)) != 0, 0)) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
    return linear;
}
