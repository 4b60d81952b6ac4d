/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * segment.c - descriptors and what may be loaded into a segment register; stacks for far transfers
 *
 * Models   Intel SDM volume 3, chapter 5 and the MOV, LDS, LLDT pages of volume 2. A null selector clears the base also
 *          of FS and GS, as Intel does and AMD where it says so in CPUID.
 * Tests    tests/cpu/segments.c
 */
#include "accel/soft/segment.h"

/* Descriptors --------------------------------------------------------------------------------------------------- */

static bool descriptor_address(const SoftCpu *cpu, uint16_t selector, unsigned size, uint64_t *address)
{
    uint32_t index = selector & 0xfff8u, limit = cpu->gdt_limit;
    uint64_t base = cpu->gdt_base;

    if (selector & 4) {
        if (cpu->ldt.attributes & ATTR_UNUSABLE || !(cpu->ldt.attributes & ATTR_P)) {
            return false;
        }
        base = cpu->ldt.base;
        limit = cpu->ldt.limit;
    }
    *address = cpu->long_mode ? base + index : (uint32_t)(base + index);
    return index + size - 1 <= limit;
}

bool descriptor_read(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor *descriptor)
{
    uint64_t address, value;

    if (!descriptor_address(cpu, selector, 8, &address)) {
        return false;
    }
    value = mmu_load_system(cpu, insn, address, 8);
    *descriptor = (Descriptor){ (uint32_t)value, (uint32_t)(value >> 32) };
    return true;
}

bool descriptor_read_wide(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor *descriptor, uint64_t *upper)
{
    uint64_t address, value;

    if (!descriptor_address(cpu, selector, 16, &address)) {
        return false;
    }
    value = mmu_load_system(cpu, insn, address, 8);
    *upper = mmu_load_system(cpu, insn, address + 8, 8);
    *descriptor = (Descriptor){ (uint32_t)value, (uint32_t)(value >> 32) };
    return true;
}

void descriptor_write_high(SoftCpu *cpu, const Insn *insn, uint16_t selector, uint32_t high)
{
    uint64_t address;

    if (descriptor_address(cpu, selector, 8, &address)) {
        mmu_store_system(cpu, insn, address + 4, 4, high);
    }
}

void descriptor_set_accessed(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor *descriptor)
{
    if (!(descriptor->high & TYPE_ACCESSED << 8)) {
        descriptor->high |= TYPE_ACCESSED << 8;
        descriptor_write_high(cpu, insn, selector, descriptor->high);
    }
}

CpuSegment descriptor_to_segment(Descriptor d, uint16_t selector)
{
    uint32_t limit = (d.low & 0xffff) | (d.high & 0x000f0000);

    return (CpuSegment){
        .selector = selector,
        .attributes = d.high >> 8 & 0xf0ff,
        .limit = d.high & 0x00800000 ? limit << 12 | 0xfff : limit,
        .base = d.low >> 16 | (d.high & 0xff) << 16 | (d.high & 0xff000000),
    };
}

/* Segment registers --------------------------------------------------------------------------------------------- */

bool segment_covers(const CpuSegment *segment, uint32_t offset, unsigned size)
{
    uint64_t last = (uint64_t)offset + (size - 1);

    if ((segment->attributes & (ATTR_S | TYPE_CODE | TYPE_EXPAND_DOWN)) == (ATTR_S | TYPE_EXPAND_DOWN)) {
        return offset > segment->limit && last <= (segment->attributes & ATTR_DB ? UINT32_MAX : 0xffffu);
    }
    return last <= segment->limit;
}

void segment_set_real(CpuSegment *segment, uint16_t selector)
{
    if (segment->attributes & ATTR_UNUSABLE) {
        segment->limit = 0xffff;
        segment->attributes = 0;
    }
    segment->attributes = (segment->attributes & (ATTR_DB | ATTR_G)) | 0x93;
    segment->selector = selector;
    segment->base = (uint32_t)selector << 4;
}

void segment_set_v8086(CpuSegment *segment, uint16_t selector)
{
    *segment = (CpuSegment){ .selector = selector, .attributes = 0xf3, .limit = 0xffff, .base = (uint32_t)selector << 4 };
}

CpuSegment segment_null(uint16_t selector)
{
    return (CpuSegment){ .selector = selector, .attributes = ATTR_UNUSABLE };
}

CpuSegment segment_check_ss(SoftCpu *cpu, const Insn *insn, uint16_t selector, unsigned cpl, unsigned invalid)
{
    uint32_t error = selector_error(selector);
    Descriptor d;

    if (selector_is_null(selector)) {
        if (cpu_is_64(cpu) && cpl != 3 && (selector & 3) == cpl && invalid == EXC_GP) {
            CpuSegment null = segment_null(selector);

            null.attributes |= cpl << ATTR_DPL_SHIFT;
            return null;
        }
        soft_raise_error(cpu, insn, invalid, 0);
    }
    if (!descriptor_read(cpu, insn, selector, &d) || (selector & 3) != cpl || !descriptor_is_segment(d) ||
        descriptor_is_code(d) || !(descriptor_type(d) & TYPE_READ_WRITE) || descriptor_dpl(d) != cpl) {
        soft_raise_error(cpu, insn, invalid, error);
    }
    if (!descriptor_present(d)) {
        soft_raise_error(cpu, insn, EXC_SS, error);
    }
    descriptor_set_accessed(cpu, insn, selector, &d);
    return descriptor_to_segment(d, selector);
}

CpuSegment segment_check_data(SoftCpu *cpu, const Insn *insn, uint16_t selector, unsigned cpl, unsigned invalid)
{
    uint32_t error = selector_error(selector);
    Descriptor d;

    if (selector_is_null(selector)) {
        return segment_null(selector);
    }
    if (!descriptor_read(cpu, insn, selector, &d) || !descriptor_is_segment(d) ||
        (descriptor_is_code(d) && !(descriptor_type(d) & TYPE_READ_WRITE))) {
        soft_raise_error(cpu, insn, invalid, error);
    }
    if (!descriptor_is_conforming(d) && ((selector & 3) > descriptor_dpl(d) || cpl > descriptor_dpl(d))) {
        soft_raise_error(cpu, insn, invalid, error);
    }
    if (!descriptor_present(d)) {
        soft_raise_error(cpu, insn, EXC_NP, error);
    }
    descriptor_set_accessed(cpu, insn, selector, &d);
    return descriptor_to_segment(d, selector);
}

CpuSegment segment_check_ldt(SoftCpu *cpu, const Insn *insn, uint16_t selector, unsigned invalid)
{
    uint32_t error = selector_error(selector);
    CpuSegment ldt;
    uint64_t upper = 0;
    Descriptor d;
    bool found;

    if (selector_is_null(selector)) {
        return segment_null(selector);
    }
    found = !(selector & 4) && (cpu->long_mode ? descriptor_read_wide(cpu, insn, selector, &d, &upper)
                                                : descriptor_read(cpu, insn, selector, &d));
    if (!found || descriptor_is_segment(d) || descriptor_type(d) != SYS_LDT) {
        soft_raise_error(cpu, insn, invalid, error);
    }
    if (!descriptor_present(d)) {
        soft_raise_error(cpu, insn, invalid == EXC_TS ? EXC_TS : EXC_NP, error);
    }
    ldt = descriptor_to_segment(d, selector);
    ldt.base |= upper << 32;
    if (!linear_is_canonical(ldt.base)) {
        soft_raise_error(cpu, insn, EXC_GP, error);
    }
    return ldt;
}

void segment_load(SoftCpu *cpu, const Insn *insn, unsigned which, uint16_t selector)
{
    CpuSegment *segment = &cpu->segment[which];

    if (cpu_is_real(cpu)) {
        segment_set_real(segment, selector);
    } else if (cpu_is_v8086(cpu)) {
        segment_set_v8086(segment, selector);
    } else if (which == SEG_SS) {
        *segment = segment_check_ss(cpu, insn, selector, cpu->cpl, EXC_GP);
    } else {
        *segment = segment_check_data(cpu, insn, selector, cpu->cpl, EXC_GP);
    }
    if (!cpu_is_64(cpu) && which != SEG_FS && which != SEG_GS) {
        soft_mode_changed(cpu);
    }
}

void segments_hide(SoftCpu *cpu, unsigned cpl)
{
    static const uint8_t data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

    for (unsigned i = 0; i < sizeof data; i++) {
        CpuSegment *segment = &cpu->segment[data[i]];
        unsigned type = segment->attributes & ATTR_TYPE;
        bool conforming = (type & (TYPE_CODE | TYPE_CONFORMING)) == (TYPE_CODE | TYPE_CONFORMING);

        if (!(segment->attributes & ATTR_UNUSABLE) && !conforming && (segment->attributes & ATTR_DPL) >> ATTR_DPL_SHIFT < cpl) {
            uint64_t base = cpu->long_mode ? segment->base : 0;

            *segment = segment_null(0);
            segment->base = base;          /* 64-bit bases of FS and GS outlive their selectors */
        }
    }
}

/* Stacks -------------------------------------------------------------------------------------------------------- */

Stack stack_new(const SoftCpu *cpu, CpuSegment ss, uint64_t pointer, bool wide, unsigned cpl)
{
    (void)cpu;
    return (Stack){
        .ss = ss, .pointer = pointer, .wide = wide,
        .mask = wide ? UINT64_MAX : ss.attributes & ATTR_DB ? UINT32_MAX : 0xffff,
        .mode = cpl == 3 ? TLB_USER : TLB_SUPERVISOR,
        .error = selector_error(ss.selector),
    };
}

Stack stack_current(const SoftCpu *cpu)
{
    Stack stack = stack_new(cpu, cpu->segment[SEG_SS], cpu->gpr[GPR_RSP], cpu_is_64(cpu), cpu->cpl);

    stack.mode = cpu->sys.tlb_mode;
    stack.error = 0;
    return stack;
}

static uint64_t stack_linear(SoftCpu *cpu, const Insn *insn, const Stack *stack, uint64_t pointer, unsigned size)
{
    uint64_t offset = pointer & stack->mask;

    if (stack->wide) {
        if (!linear_is_canonical(offset) || !linear_is_canonical(offset + size - 1)) {
            soft_raise_error(cpu, insn, EXC_SS, stack->error);
        }
        return offset;
    }
    if (stack->ss.attributes & ATTR_UNUSABLE || !segment_covers(&stack->ss, (uint32_t)offset, size)) {
        soft_raise_error(cpu, insn, EXC_SS, stack->error);
    }
    return (uint32_t)(stack->ss.base + offset);
}

void stack_push(SoftCpu *cpu, const Insn *insn, Stack *stack, unsigned size, uint64_t value)
{
    uint64_t pointer = stack->pointer - size;

    mmu_store_as(cpu, insn, stack_linear(cpu, insn, stack, pointer, size), size, value, stack->mode);
    stack->pointer = pointer;
}

uint64_t stack_peek(SoftCpu *cpu, const Insn *insn, const Stack *stack, unsigned offset, unsigned size)
{
    return mmu_load_as(cpu, insn, stack_linear(cpu, insn, stack, stack->pointer + offset, size), size, stack->mode);
}

uint64_t stack_pop(SoftCpu *cpu, const Insn *insn, Stack *stack, unsigned size)
{
    uint64_t value = stack_peek(cpu, insn, stack, 0, size);

    stack->pointer += size;
    return value;
}

void stack_commit(SoftCpu *cpu, const Stack *stack)
{
    uint64_t *rsp = &cpu->gpr[GPR_RSP];

    *rsp = stack->mask == 0xffff ? (*rsp & ~UINT64_C(0xffff)) | (stack->pointer & 0xffff) : stack->pointer & stack->mask;
}

Stack stack_from_tss(SoftCpu *cpu, const Insn *insn, unsigned cpl)
{
    bool wide = (cpu->tr.attributes & ATTR_TYPE) >= SYS_TSS32;
    unsigned offset = wide ? 4 + cpl * 8 : 2 + cpl * 4, size = wide ? 4 : 2;
    uint32_t pointer, last = offset + (wide ? 5 : 3);
    uint16_t selector;
    CpuSegment ss;

    if (cpu->tr.attributes & ATTR_UNUSABLE || last > cpu->tr.limit) {
        soft_raise_error(cpu, insn, EXC_TS, selector_error(cpu->tr.selector));
    }
    pointer = (uint32_t)mmu_load_system(cpu, insn, (uint32_t)(cpu->tr.base + offset), size);
    selector = (uint16_t)mmu_load_system(cpu, insn, (uint32_t)(cpu->tr.base + offset + size), 2);
    ss = segment_check_ss(cpu, insn, selector, cpl, EXC_TS);
    return stack_new(cpu, ss, pointer, false, cpl);
}

uint64_t tss64_pointer(SoftCpu *cpu, const Insn *insn, unsigned slot)
{
    uint32_t offset = 4 + slot * 8;
    uint64_t pointer;

    if (cpu->tr.attributes & ATTR_UNUSABLE || offset + 7 > cpu->tr.limit) {
        soft_raise_error(cpu, insn, EXC_TS, selector_error(cpu->tr.selector));
    }
    pointer = mmu_load_system(cpu, insn, cpu->tr.base + offset, 8);
    if (!linear_is_canonical(pointer)) {
        soft_raise_error(cpu, insn, EXC_SS, 0);
    }
    return pointer;
}
