/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address.h - from an instruction's memory operand to a checked linear address
 *
 * The block cache sets Insn.memory when it knows that no segment can bite: MEMORY_FLAT64 (64-bit mode, no FS or GS) and
 * MEMORY_FLAT32, and adds .start and .length into .disp where the base is INSN_RIP. A non-canonical 64-bit address misses every TLB entry, and it is the slow path of mmu.h that refuses it
 * (#GP, or #SS for Insn.segment SEG_SS), so the fast path need not look.
 */
#pragma once
#include "accel/soft/state.h"

/* Base + index * scale + displacement, cut to the address size; no segment. lea is this. */
static inline uint64_t soft_offset(const SoftCpu *cpu, const Insn *insn)
{
    uint64_t offset = cpu->gpr[insn->base] + (cpu->gpr[insn->index] << insn->scale) + (uint64_t)(int64_t)insn->disp;

    if (__builtin_expect(insn->vex & INSN_FAR_RIP, 0)) {
        offset += insn->start + insn->length;
    }
    return insn->address_size == 8 ? offset : insn->address_size == 4 ? (uint32_t)offset : (uint16_t)offset;
}

/* Offset in a segment to linear address of size bytes; #GP or #SS when the segment forbids it or the address is not canonical. */
uint64_t soft_linear(SoftCpu *cpu, const Insn *insn, unsigned segment, uint64_t offset, unsigned size, bool write);
uint64_t soft_address_any(SoftCpu *cpu, const Insn *insn, unsigned size, bool write);

/* The linear address of the memory operand; size bytes are about to be read (or written too). */
static inline __attribute__((always_inline)) uint64_t soft_address(SoftCpu *cpu, const Insn *insn, unsigned size, bool write)
{
    if (__builtin_expect(insn->memory == MEMORY_FLAT64, 1)) {
        return cpu->gpr[insn->base] + (cpu->gpr[insn->index] << insn->scale) + (uint64_t)(int64_t)insn->disp;
    }
    return soft_address_any(cpu, insn, size, write);
}
