/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address.c - the addresses that a segment may change or forbid
 *
 * Models   Intel SDM volume 3, 5.3 and 5.5: limits, expand-down segments, types; in 64-bit mode only FS and GS have a base
 * Tests    tests/cpu/integer.c, tests/cpu/segments.c
 */
#include "accel/soft/address.h"
#include "accel/x86/bits.h"

/* Is [offset, offset + size) inside? */
static bool limit_allows(const CpuSegment *segment, uint64_t offset, unsigned size)
{
    uint64_t last = offset + (size - 1);
    bool expands_down = segment->attributes & ATTR_S && !(segment->attributes & 0x8) && segment->attributes & 0x4;

    if (!expands_down) {
        return last <= segment->limit;
    }
    return offset > segment->limit && last <= (segment->attributes & ATTR_DB ? UINT32_MAX : UINT16_MAX);
}

static bool type_allows(const SoftCpu *cpu, const CpuSegment *segment, bool write)
{
    uint32_t attributes = segment->attributes;

    if (!(cpu->cr0 & CR0_PE) || cpu->rflags & FLAG_VM) {
        return true;
    }
    if (attributes & ATTR_UNUSABLE || !(attributes & ATTR_P)) {
        return false;
    }
    if (attributes & 0x8) {                /* code: never written, read when it says so */
        return !write && attributes & 0x2;
    }
    return !write || attributes & 0x2;
}

uint64_t soft_linear(SoftCpu *cpu, const Insn *insn, unsigned number, uint64_t offset, unsigned size, bool write)
{
    const CpuSegment *segment = &cpu->segment[number];

    if (cpu->code_size == 8) {
        return number >= SEG_FS ? segment->base + offset : offset;
    }
    offset = (uint32_t)offset;
    if (!limit_allows(segment, offset, size) || !type_allows(cpu, segment, write)) {
        soft_raise_error(cpu, insn, number == SEG_SS ? EXC_SS : EXC_GP, 0);
    }
    return (uint32_t)(segment->base + offset);
}

uint64_t soft_address_any(SoftCpu *cpu, const Insn *insn, unsigned size, bool write)
{
    uint64_t offset = soft_offset(cpu, insn);

    if (insn->memory == MEMORY_FLAT32) {
        if (__builtin_expect(offset + (size - 1) > UINT32_MAX, 0)) {
            soft_raise_error(cpu, insn, insn->segment == SEG_SS ? EXC_SS : EXC_GP, 0);
        }
        return offset;
    }
    return soft_linear(cpu, insn, insn->segment, offset, size, write);
}
