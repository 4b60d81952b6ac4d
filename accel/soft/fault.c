/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault.c - raising exceptions: the fault is noted, the stack unwound, the rest is exception.c's
 *
 * Tests    tests/cpu/system.c
 */
#include "accel/soft/state.h"
#include "accel/x86/bits.h"

static bool takes_selector(unsigned vector)
{
    return vector == EXC_TS || vector == EXC_NP || vector == EXC_SS || vector == EXC_GP;
}

static _Noreturn void raise_any(SoftCpu *cpu, const Insn *insn, unsigned vector, bool has_error, uint32_t error)
{
    if (insn) {
        cpu->rip = insn_rip(cpu, insn);
    }
    cpu->sys.raised_vector = (uint8_t)vector;
    cpu->sys.raised_has_error = has_error;
    cpu->sys.raised_error = takes_selector(vector) ? error | cpu->sys.external : error;
    longjmp(cpu->unwind, 1);
}

_Noreturn void soft_raise(SoftCpu *cpu, const Insn *insn, unsigned vector)
{
    raise_any(cpu, insn, vector, false, 0);
}

_Noreturn void soft_raise_error(SoftCpu *cpu, const Insn *insn, unsigned vector, uint32_t error)
{
    raise_any(cpu, insn, vector, true, error);
}
