/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * far.c - far jumps, calls and returns, call gates, IRET
 *
 * Models   the operation sections of JMP, CALL, RET and IRET in Intel SDM volume 2, in all modes. Checks come in their
 *          order; registers change only after the last of them and the last stack access.
 * Tests    tests/cpu/segments.c
 */
#include "accel/soft/flags.h"
#include "accel/soft/segment.h"

/* What a far transfer ends with. */
static void enter_code(SoftCpu *cpu, CpuSegment cs, uint64_t rip, unsigned cpl)
{
    cpu->segment[SEG_CS] = cs;
    cpu->rip = rip;
    cpu->cpl = (uint8_t)cpl;
    soft_mode_changed(cpu);
}

static _Noreturn void refuse(SoftCpu *cpu, const Insn *insn, uint16_t selector)
{
    soft_raise_error(cpu, insn, EXC_GP, selector_error(selector));
}

static Descriptor read_or_refuse(SoftCpu *cpu, const Insn *insn, uint16_t selector)
{
    Descriptor d;

    if (selector_is_null(selector)) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
    if (!descriptor_read(cpu, insn, selector, &d)) {
        refuse(cpu, insn, selector);
    }
    return d;
}

CpuSegment code_segment(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor d, unsigned cpl)
{
    if (cpu->long_mode && descriptor_long(d) && descriptor_big(d)) {
        refuse(cpu, insn, selector);
    }
    if (!descriptor_present(d)) {
        soft_raise_error(cpu, insn, EXC_NP, selector_error(selector));
    }
    descriptor_set_accessed(cpu, insn, selector, &d);
    return descriptor_to_segment(d, (uint16_t)((selector & 0xfffc) | cpl));
}

void code_check_target(SoftCpu *cpu, const Insn *insn, const CpuSegment *cs, uint64_t offset)
{
    bool good = cpu->long_mode && cs->attributes & ATTR_L ? linear_is_canonical(offset) : offset <= cs->limit;

    if (!good) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
}

/* Real and virtual-8086 mode: a paragraph and an offset. */
static void enter_paragraph(SoftCpu *cpu, const Insn *insn, uint16_t selector, uint64_t offset)
{
    if (offset > (cpu_is_v8086(cpu) ? 0xffff : cpu->segment[SEG_CS].limit)) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
    if (cpu_is_v8086(cpu)) {
        segment_set_v8086(&cpu->segment[SEG_CS], selector);
    } else {
        segment_set_real(&cpu->segment[SEG_CS], selector);
    }
    cpu->rip = offset;
    soft_mode_changed(cpu);
}

static bool is_paragraph_mode(const SoftCpu *cpu)
{
    return cpu_is_real(cpu) || cpu_is_v8086(cpu);
}

/* Direct transfer to a code segment at the current level. */
static CpuSegment direct_code(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor d)
{
    bool allowed = descriptor_is_conforming(d) ? descriptor_dpl(d) <= cpu->cpl
                                               : (selector & 3u) <= cpu->cpl && descriptor_dpl(d) == cpu->cpl;

    if (!allowed) {
        refuse(cpu, insn, selector);
    }
    return code_segment(cpu, insn, selector, d, cpu->cpl);
}

/* Gates --------------------------------------------------------------------------------------------------------- */

typedef struct Gate {
    uint16_t target;
    uint64_t offset;
    unsigned size, parameters;
    Descriptor code;
} Gate;

static void system_check(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor d)
{
    if (descriptor_dpl(d) < cpu->cpl || descriptor_dpl(d) < (selector & 3u)) {
        refuse(cpu, insn, selector);
    }
    if (!descriptor_present(d)) {
        soft_raise_error(cpu, insn, EXC_NP, selector_error(selector));
    }
}

static Gate call_gate(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor d)
{
    Gate gate = { .target = gate_selector(d), .offset = gate_offset(d), .size = 4, .parameters = d.high & 31 };

    system_check(cpu, insn, selector, d);
    if (cpu->long_mode) {
        uint64_t upper;

        if (!descriptor_read_wide(cpu, insn, selector, &d, &upper) || upper >> 40 & 31) {
            refuse(cpu, insn, selector);
        }
        gate.offset |= upper << 32;
        gate.size = 8;
        gate.parameters = 0;
    } else if (descriptor_type(d) == SYS_CALL16) {
        gate.offset &= 0xffff;
        gate.size = 2;
    }
    gate.code = read_or_refuse(cpu, insn, gate.target);
    if (!descriptor_is_code(gate.code) || descriptor_dpl(gate.code) > cpu->cpl ||
        (cpu->long_mode && (!descriptor_long(gate.code) || descriptor_big(gate.code)))) {
        refuse(cpu, insn, gate.target);
    }
    return gate;
}

/* Whether a system descriptor is a call gate in this mode, a task, or nothing to transfer to. */
static bool is_call_gate(const SoftCpu *cpu, Descriptor d)
{
    unsigned type = descriptor_type(d);

    return type == SYS_CALL32 || (type == SYS_CALL16 && !cpu->long_mode);
}

static void transfer_to_task(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor d, TaskSource source)
{
    unsigned type = descriptor_type(d);
    bool is_tss = type == SYS_TSS16 || type == SYS_TSS32;

    if (cpu->long_mode || (type != SYS_TASK_GATE && !is_tss) || (is_tss && selector & 4)) {
        refuse(cpu, insn, selector);
    }
    system_check(cpu, insn, selector, d);
    if (is_tss) {
        task_switch(cpu, insn, selector, source, insn_next_rip(cpu, insn), false, 0);
    } else {
        task_gate(cpu, insn, gate_selector(d), source, insn_next_rip(cpu, insn), false, 0);
    }
}

/* JMP ----------------------------------------------------------------------------------------------------------- */

void far_jump(SoftCpu *cpu, const Insn *insn, uint16_t selector, uint64_t offset)
{
    CpuSegment cs;
    Descriptor d;

    if (is_paragraph_mode(cpu)) {
        enter_paragraph(cpu, insn, selector, offset);
        return;
    }
    d = read_or_refuse(cpu, insn, selector);
    if (descriptor_is_code(d)) {
        cs = direct_code(cpu, insn, selector, d);
    } else if (descriptor_is_segment(d)) {
        refuse(cpu, insn, selector);
    } else if (is_call_gate(cpu, d)) {
        Gate gate = call_gate(cpu, insn, selector, d);

        if (!descriptor_is_conforming(gate.code) && descriptor_dpl(gate.code) != cpu->cpl) {
            refuse(cpu, insn, gate.target);
        }
        cs = code_segment(cpu, insn, gate.target, gate.code, cpu->cpl);
        offset = gate.offset;
    } else {
        transfer_to_task(cpu, insn, selector, d, TASK_JUMP);
        return;
    }
    code_check_target(cpu, insn, &cs, offset);
    enter_code(cpu, cs, offset, cpu->cpl);
}

/* CALL ---------------------------------------------------------------------------------------------------------- */

static void push_return(SoftCpu *cpu, const Insn *insn, Stack *stack, unsigned size)
{
    stack_push(cpu, insn, stack, size, cpu->segment[SEG_CS].selector);
    stack_push(cpu, insn, stack, size, insn_next_rip(cpu, insn));
}

static Stack inner_stack(SoftCpu *cpu, const Insn *insn, unsigned cpl)
{
    CpuSegment null;

    if (!cpu->long_mode) {
        return stack_from_tss(cpu, insn, cpl);
    }
    null = segment_null((uint16_t)cpl);
    null.attributes |= cpl << ATTR_DPL_SHIFT;
    return stack_new(cpu, null, tss64_pointer(cpu, insn, cpl), true, cpl);
}

/* Through a call gate to a more privileged level: the stack out of the TSS, the parameters carried over. */
static void call_inwards(SoftCpu *cpu, const Insn *insn, const Gate *gate)
{
    unsigned cpl = descriptor_dpl(gate->code);
    Stack old = stack_current(cpu), stack = inner_stack(cpu, insn, cpl);
    CpuSegment cs = code_segment(cpu, insn, gate->target, gate->code, cpl);

    code_check_target(cpu, insn, &cs, gate->offset);
    stack_push(cpu, insn, &stack, gate->size, cpu->segment[SEG_SS].selector);
    stack_push(cpu, insn, &stack, gate->size, cpu->gpr[GPR_RSP]);
    for (unsigned i = gate->parameters; i-- > 0;) {
        stack_push(cpu, insn, &stack, gate->size, stack_peek(cpu, insn, &old, i * gate->size, gate->size));
    }
    push_return(cpu, insn, &stack, gate->size);
    cpu->segment[SEG_SS] = stack.ss;
    stack_commit(cpu, &stack);
    enter_code(cpu, cs, gate->offset, cpl);
}

static void call_by_gate(SoftCpu *cpu, const Insn *insn, uint16_t selector, Descriptor d)
{
    Gate gate = call_gate(cpu, insn, selector, d);
    Stack stack;
    CpuSegment cs;

    if (!descriptor_is_conforming(gate.code) && descriptor_dpl(gate.code) < cpu->cpl) {
        call_inwards(cpu, insn, &gate);
        return;
    }
    cs = code_segment(cpu, insn, gate.target, gate.code, cpu->cpl);
    code_check_target(cpu, insn, &cs, gate.offset);
    stack = stack_current(cpu);
    push_return(cpu, insn, &stack, gate.size);
    stack_commit(cpu, &stack);
    enter_code(cpu, cs, gate.offset, cpu->cpl);
}

void far_call(SoftCpu *cpu, const Insn *insn, uint16_t selector, uint64_t offset)
{
    Stack stack = stack_current(cpu);
    CpuSegment cs;
    Descriptor d;

    if (is_paragraph_mode(cpu)) {
        if (offset > (cpu_is_v8086(cpu) ? 0xffff : cpu->segment[SEG_CS].limit)) {
            soft_raise_error(cpu, insn, EXC_GP, 0);
        }
        push_return(cpu, insn, &stack, insn->size);
        stack_commit(cpu, &stack);
        enter_paragraph(cpu, insn, selector, offset);
        return;
    }
    d = read_or_refuse(cpu, insn, selector);
    if (descriptor_is_code(d)) {
        cs = direct_code(cpu, insn, selector, d);
        code_check_target(cpu, insn, &cs, offset);
        push_return(cpu, insn, &stack, insn->size);
        stack_commit(cpu, &stack);
        enter_code(cpu, cs, offset, cpu->cpl);
    } else if (descriptor_is_segment(d)) {
        refuse(cpu, insn, selector);
    } else if (is_call_gate(cpu, d)) {
        call_by_gate(cpu, insn, selector, d);
    } else {
        transfer_to_task(cpu, insn, selector, d, TASK_CALL);
    }
}

/* RET ----------------------------------------------------------------------------------------------------------- */

/* CS of a return in protected mode: never inwards. */
static CpuSegment return_code(SoftCpu *cpu, const Insn *insn, uint16_t selector)
{
    Descriptor d = read_or_refuse(cpu, insn, selector);
    unsigned rpl = selector & 3;
    bool allowed = descriptor_is_code(d) && rpl >= cpu->cpl &&
                   (descriptor_is_conforming(d) ? descriptor_dpl(d) <= rpl : descriptor_dpl(d) == rpl);

    if (!allowed) {
        refuse(cpu, insn, selector);
    }
    return code_segment(cpu, insn, selector, d, rpl);
}

/* SS of a return to another level, or of any IRET from 64-bit code. */
static CpuSegment return_stack(SoftCpu *cpu, const Insn *insn, uint16_t selector, const CpuSegment *cs)
{
    unsigned cpl = cs->selector & 3;

    if (selector_is_null(selector)) {
        CpuSegment null = segment_null(selector);

        if (!(cpu->long_mode && cs->attributes & ATTR_L) || cpl == 3 || (selector & 3u) != cpl) {
            soft_raise_error(cpu, insn, EXC_GP, 0);
        }
        null.attributes |= cpl << ATTR_DPL_SHIFT;
        return null;
    }
    return segment_check_ss(cpu, insn, selector, cpl, EXC_GP);
}

void far_return(SoftCpu *cpu, const Insn *insn, unsigned release)
{
    Stack stack = stack_current(cpu);
    uint64_t rip = stack_pop(cpu, insn, &stack, insn->size);
    uint16_t selector = (uint16_t)stack_pop(cpu, insn, &stack, insn->size);
    CpuSegment cs;

    stack.pointer += release;
    if (is_paragraph_mode(cpu)) {
        enter_paragraph(cpu, insn, selector, rip);
        stack_commit(cpu, &stack);
        return;
    }
    cs = return_code(cpu, insn, selector);
    code_check_target(cpu, insn, &cs, rip);
    if ((selector & 3) != cpu->cpl) {
        unsigned cpl = selector & 3;
        uint64_t pointer = stack_pop(cpu, insn, &stack, insn->size);
        CpuSegment ss = return_stack(cpu, insn, (uint16_t)stack_pop(cpu, insn, &stack, insn->size), &cs);
        Stack outer = stack_new(cpu, ss, pointer + release, cpu->long_mode && cs.attributes & ATTR_L, cpl);

        cpu->segment[SEG_SS] = ss;
        stack = outer;
        segments_hide(cpu, cpl);
    }
    stack_commit(cpu, &stack);
    enter_code(cpu, cs, rip, selector & 3);
}

/* IRET ---------------------------------------------------------------------------------------------------------- */

/* The flags that IRET of this operand size may change, at privilege cpl with this IOPL. */
static uint64_t iret_flags_mask(unsigned size, unsigned cpl, unsigned iopl)
{
    uint64_t mask = FLAG_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;

    if (size > 2) {
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
        mask |= cpl == 0 ? FLAG_VIF | FLAG_VIP : 0;
    }
    mask |= cpl <= iopl ? FLAG_IF : 0;
    mask |= cpl == 0 ? FLAG_IOPL : 0;
    return mask;
}

/* RF matters only to instruction breakpoints; kept only then, so that nobody else need clear it. */
static void load_flags(SoftCpu *cpu, uint64_t image, uint64_t mask)
{
    uint64_t flags = (flags_get(cpu) & ~mask) | (image & mask);

    cpu->sys.resume_flag_kept = cpu->dr7 & 0xff;
    flags_set(cpu, cpu->sys.resume_flag_kept ? flags : flags & ~(uint64_t)FLAG_RF);
}

static void iret_paragraph(SoftCpu *cpu, const Insn *insn)
{
    Stack stack = stack_current(cpu);
    uint64_t mask, rip, flags;
    uint16_t selector;

    if (cpu_is_v8086(cpu) && cpu_iopl(cpu) != 3) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
    rip = stack_pop(cpu, insn, &stack, insn->size);
    selector = (uint16_t)stack_pop(cpu, insn, &stack, insn->size);
    flags = stack_pop(cpu, insn, &stack, insn->size);
    mask = iret_flags_mask(insn->size, cpu->cpl, cpu_iopl(cpu)) & ~(uint64_t)(FLAG_VIF | FLAG_VIP);
    enter_paragraph(cpu, insn, selector, rip);
    stack_commit(cpu, &stack);
    load_flags(cpu, flags, mask);
}

static void iret_to_v8086(SoftCpu *cpu, const Insn *insn, Stack *stack, uint64_t rip, uint16_t cs, uint64_t flags)
{
    static const uint8_t order[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    uint16_t selectors[4], ss;
    uint32_t esp;

    esp = (uint32_t)stack_pop(cpu, insn, stack, 4);
    ss = (uint16_t)stack_pop(cpu, insn, stack, 4);
    for (unsigned i = 0; i < 4; i++) {
        selectors[i] = (uint16_t)stack_pop(cpu, insn, stack, 4);
    }
    if (rip > 0xffff) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
    load_flags(cpu, flags, iret_flags_mask(4, 0, 0) | FLAG_VM);
    segment_set_v8086(&cpu->segment[SEG_CS], cs);
    segment_set_v8086(&cpu->segment[SEG_SS], ss);
    for (unsigned i = 0; i < 4; i++) {
        segment_set_v8086(&cpu->segment[order[i]], selectors[i]);
    }
    cpu->gpr[GPR_RSP] = esp;
    cpu->rip = rip;
    cpu->cpl = 3;
}

static void iret_protected(SoftCpu *cpu, const Insn *insn)
{
    Stack stack = stack_current(cpu);
    uint64_t rip = stack_pop(cpu, insn, &stack, insn->size);
    uint16_t selector = (uint16_t)stack_pop(cpu, insn, &stack, insn->size);
    uint64_t flags = stack_pop(cpu, insn, &stack, insn->size);
    uint64_t mask = iret_flags_mask(insn->size, cpu->cpl, cpu_iopl(cpu));
    bool outwards = (selector & 3) > cpu->cpl;
    CpuSegment cs;

    if (flags & FLAG_VM && cpu->cpl == 0 && !cpu->long_mode && insn->size == 4) {
        iret_to_v8086(cpu, insn, &stack, rip, selector, flags);
        return;
    }
    cs = return_code(cpu, insn, selector);
    code_check_target(cpu, insn, &cs, rip);
    if (outwards || cpu_is_64(cpu)) {
        uint64_t pointer = stack_pop(cpu, insn, &stack, insn->size);
        CpuSegment ss = return_stack(cpu, insn, (uint16_t)stack_pop(cpu, insn, &stack, insn->size), &cs);

        stack = stack_new(cpu, ss, pointer, cpu->long_mode && cs.attributes & ATTR_L, selector & 3);
        cpu->segment[SEG_SS] = ss;
    }
    stack_commit(cpu, &stack);
    load_flags(cpu, flags, mask);
    if (outwards) {
        segments_hide(cpu, selector & 3);
    }
    cpu->segment[SEG_CS] = cs;
    cpu->rip = rip;
    cpu->cpl = selector & 3;
}

void far_iret(SoftCpu *cpu, const Insn *insn)
{
    if (is_paragraph_mode(cpu)) {
        iret_paragraph(cpu, insn);
    } else if (cpu->rflags & FLAG_NT) {
        uint16_t back;

        if (cpu->long_mode) {
            soft_raise_error(cpu, insn, EXC_GP, 0);
        }
        back = (uint16_t)mmu_load_system(cpu, insn, (uint32_t)cpu->tr.base, 2);
        task_switch(cpu, insn, back, TASK_IRET, insn_next_rip(cpu, insn), false, 0);
    } else {
        iret_protected(cpu, insn);
    }
    cpu->nmi_masked = false;
    soft_mode_changed(cpu);
}
