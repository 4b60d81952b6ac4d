/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registers.h - small operand helpers of the system and segment instructions
 */
#pragma once
#include "accel/soft/address.h"
#include "accel/soft/mmu.h"

/* A general register by operand size: 2 bytes keep the rest, 4 clear the upper half. */
static inline void register_write(SoftCpu *cpu, unsigned number, unsigned size, uint64_t value)
{
    uint64_t *reg = &cpu->gpr[number];

    *reg = size == 2 ? (*reg & ~UINT64_C(0xffff)) | (value & 0xffff) : size == 4 ? (uint32_t)value : value;
}

static inline uint64_t load_sized(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size)
{
    return size == 2 ? mmu_load16(cpu, insn, linear) : size == 4 ? mmu_load32(cpu, insn, linear) : mmu_load64(cpu, insn, linear);
}

/* Linear addresses wrap at 4 GiB outside 64-bit mode. */
static inline uint64_t linear_plus(const SoftCpu *cpu, uint64_t linear, unsigned offset)
{
    return cpu->code_size == 8 ? linear + offset : (uint32_t)(linear + offset);
}

/* A 16-bit r/m operand. */
static inline uint16_t selector_operand(SoftCpu *cpu, const Insn *insn)
{
    return insn->memory ? mmu_load16(cpu, insn, soft_address(cpu, insn, 2, false)) : (uint16_t)cpu->gpr[insn->rm];
}

/* SLDT, STR, MOV from a segment register: memory gets 16 bits, a register its operand size, zero-extended. */
static inline void selector_store(SoftCpu *cpu, const Insn *insn, uint16_t value)
{
    if (insn->memory) {
        mmu_store16(cpu, insn, soft_address(cpu, insn, 2, true), value);
    } else {
        register_write(cpu, insn->rm, insn->size, value);
    }
}

static inline void require_cpl0(SoftCpu *cpu, const Insn *insn)
{
    if (cpu->cpl != 0) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
}

/* CR4.UMIP: the addresses of system tables are not for programs. */
static inline void require_no_umip(SoftCpu *cpu, const Insn *insn)
{
    if (cpu->cpl != 0 && cpu->cr4 & CR4_UMIP) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
}
