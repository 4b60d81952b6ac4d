/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-segment.c - instructions on segment registers and descriptors, far transfers, software interrupts
 *
 * The work is in segment.c, far.c and exception.c; here operands are fetched and results stored.
 *
 * Tests    tests/cpu/segments.c
 */
#include "accel/soft/address.h"
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/registers.h"
#include "accel/soft/segment.h"
#include "accel/x86/optab.h"

/* Segment registers --------------------------------------------------------------------------------------------- */

static void set_shadow(SoftCpu *cpu)
{
    cpu->interrupt_shadow = true;
    cpu->sys.shadow_of_ss = true;
}

static void load_register(SoftCpu *cpu, const Insn *insn, unsigned which, uint16_t selector)
{
    if (which > SEG_GS || which == SEG_CS) {
        soft_raise(cpu, insn, EXC_UD);
    }
    segment_load(cpu, insn, which, selector);
}

static void mov_from_sreg(SoftCpu *cpu, const Insn *insn)
{
    if (insn->reg > SEG_GS) {
        soft_raise(cpu, insn, EXC_UD);
    }
    selector_store(cpu, insn, cpu->segment[insn->reg].selector);
}

static void mov_to_sreg(SoftCpu *cpu, const Insn *insn)
{
    if (insn->reg > SEG_GS || insn->reg == SEG_CS) {
        soft_raise(cpu, insn, EXC_UD);     /* before the operand can fault */
    }
    load_register(cpu, insn, insn->reg, selector_operand(cpu, insn));
    if (insn->reg == SEG_SS) {
        set_shadow(cpu);
    }
}

static void push_sreg(SoftCpu *cpu, const Insn *insn)
{
    Stack stack = stack_current(cpu);

    stack_push(cpu, insn, &stack, insn->size, cpu->segment[insn->reg].selector);
    stack_commit(cpu, &stack);
}

static void pop_sreg(SoftCpu *cpu, const Insn *insn)
{
    Stack stack = stack_current(cpu);
    uint16_t selector = (uint16_t)stack_peek(cpu, insn, &stack, 0, insn->size);

    stack.pointer += insn->size;
    load_register(cpu, insn, insn->reg, selector);
    stack_commit(cpu, &stack);
    if (insn->reg == SEG_SS) {
        set_shadow(cpu);
    }
}

/* Only Intel has 64-bit offsets in far pointers: elsewhere REX.W changes nothing. */
static unsigned far_size(const SoftCpu *cpu, const Insn *insn)
{
    return insn->size == 8 && !soft_vendor_is_intel(cpu) ? 4 : insn->size;
}

/* A far pointer in memory: offset, then selector. */
static uint64_t far_operand(SoftCpu *cpu, const Insn *insn, uint16_t *selector)
{
    unsigned size = far_size(cpu, insn);
    uint64_t linear = soft_address(cpu, insn, size, false);
    uint64_t offset = load_sized(cpu, insn, linear, size);

    (void)soft_address(cpu, insn, size + 2, false);        /* the limit may end before the selector */
    *selector = mmu_load16(cpu, insn, linear_plus(cpu, linear, size));
    return offset;
}

static void load_far(SoftCpu *cpu, const Insn *insn)
{
    uint16_t selector;
    uint64_t offset = far_operand(cpu, insn, &selector);

    load_register(cpu, insn, insn->imm2, selector);
    register_write(cpu, insn->reg, far_size(cpu, insn), offset);
}

/* Far transfers ------------------------------------------------------------------------------------------------- */

static uint64_t far_target(SoftCpu *cpu, const Insn *insn, uint16_t *selector)
{
    if (insn->form == FORM_FAR) {
        *selector = insn->imm2;
        return insn->size == 2 ? (uint16_t)insn->imm : (uint32_t)insn->imm;
    }
    return far_operand(cpu, insn, selector);
}

static void jmp_far(SoftCpu *cpu, const Insn *insn)
{
    uint16_t selector;
    uint64_t offset = far_target(cpu, insn, &selector);

    far_jump(cpu, insn, selector, offset);
}

static void call_far(SoftCpu *cpu, const Insn *insn)
{
    uint16_t selector;
    uint64_t offset = far_target(cpu, insn, &selector);

    far_call(cpu, insn, selector, offset);
}

static void ret_far(SoftCpu *cpu, const Insn *insn)
{
    far_return(cpu, insn, insn->form == FORM_I ? (uint16_t)insn->imm : 0);
}

static void iret(SoftCpu *cpu, const Insn *insn)
{
    soft_fence();
    far_iret(cpu, insn);
}

static void software_interrupt(SoftCpu *cpu, const Insn *insn, unsigned vector, DeliverKind kind)
{
    cpu->sys.return_rip = insn_next_rip(cpu, insn);
    cpu->rip = insn_rip(cpu, insn);        /* what a fault on the way goes back to */
    soft_deliver(cpu, vector, false, 0, kind);
}

static void int_n(SoftCpu *cpu, const Insn *insn) { software_interrupt(cpu, insn, (uint8_t)insn->imm, DELIVER_INT_N); }
static void int3(SoftCpu *cpu, const Insn *insn) { software_interrupt(cpu, insn, EXC_BP, DELIVER_INT3); }
static void icebp(SoftCpu *cpu, const Insn *insn) { software_interrupt(cpu, insn, EXC_DB, DELIVER_ICEBP); }

static void into(SoftCpu *cpu, const Insn *insn)
{
    if (flags_of(cpu)) {
        software_interrupt(cpu, insn, EXC_OF, DELIVER_INT3);
    }
}

/* Looking at descriptors ---------------------------------------------------------------------------------------- */

static void arpl(SoftCpu *cpu, const Insn *insn)
{
    uint16_t other = (uint16_t)cpu->gpr[insn->reg] & 3, selector;
    bool raise;

    if (insn->memory) {
        selector = mmu_load16(cpu, insn, soft_address(cpu, insn, 2, false));
    } else {
        selector = (uint16_t)cpu->gpr[insn->rm];
    }
    raise = (selector & 3) < other;
    if (raise) {
        selector = (uint16_t)((selector & 0xfffc) | other);
        if (insn->memory) {
            mmu_store16(cpu, insn, soft_address(cpu, insn, 2, true), selector);
        } else {
            register_write(cpu, insn->rm, 2, selector);
        }
    }
    flags_set_zf(cpu, raise);
}

/* Bit n: system descriptor type n is one that the instruction knows. */
enum {
    LAR_LEGACY = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 11 | 1 << 12,
    LAR_LONG = 1 << 2 | 1 << 9 | 1 << 11 | 1 << 12,
    LSL_LEGACY = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 11,
    LSL_LONG = 1 << 2 | 1 << 9 | 1 << 11,
};

/* May the program see this descriptor? */
static bool visible(SoftCpu *cpu, const Insn *insn, uint16_t selector, unsigned system_types, Descriptor *d)
{
    if (selector_is_null(selector) || !descriptor_read(cpu, insn, selector, d)) {
        return false;
    }
    if (!descriptor_is_segment(*d) && !(system_types >> descriptor_type(*d) & 1)) {
        return false;
    }
    return descriptor_is_conforming(*d) || (cpu->cpl <= descriptor_dpl(*d) && (selector & 3u) <= descriptor_dpl(*d));
}

static void lar(SoftCpu *cpu, const Insn *insn)
{
    Descriptor d;
    bool found = visible(cpu, insn, selector_operand(cpu, insn), cpu->long_mode ? LAR_LONG : LAR_LEGACY, &d);

    if (found) {
        register_write(cpu, insn->reg, insn->size, d.high & (insn->size == 2 ? 0xff00 : 0x00ffff00));
    }
    flags_set_zf(cpu, found);
}

static void lsl(SoftCpu *cpu, const Insn *insn)
{
    Descriptor d;
    bool found = visible(cpu, insn, selector_operand(cpu, insn), cpu->long_mode ? LSL_LONG : LSL_LEGACY, &d);

    if (found) {
        register_write(cpu, insn->reg, insn->size, descriptor_to_segment(d, 0).limit);
    }
    flags_set_zf(cpu, found);
}

static void verr(SoftCpu *cpu, const Insn *insn)
{
    Descriptor d;
    bool good = visible(cpu, insn, selector_operand(cpu, insn), 0, &d);

    flags_set_zf(cpu, good && (!descriptor_is_code(d) || descriptor_type(d) & TYPE_READ_WRITE));
}

static void verw(SoftCpu *cpu, const Insn *insn)
{
    Descriptor d;
    bool good = visible(cpu, insn, selector_operand(cpu, insn), 0, &d);

    flags_set_zf(cpu, good && !descriptor_is_code(d) && descriptor_type(d) & TYPE_READ_WRITE);
}

/* LDTR and TR --------------------------------------------------------------------------------------------------- */

static void lldt(SoftCpu *cpu, const Insn *insn)
{
    require_cpl0(cpu, insn);
    cpu->ldt = segment_check_ldt(cpu, insn, selector_operand(cpu, insn), EXC_GP);
}

static void ltr(SoftCpu *cpu, const Insn *insn)
{
    uint16_t selector;
    uint32_t error;
    uint64_t upper = 0;
    CpuSegment tr;
    Descriptor d;
    unsigned type;
    bool found;

    require_cpl0(cpu, insn);
    selector = selector_operand(cpu, insn);
    error = selector_error(selector);
    found = !selector_is_null(selector) && !(selector & 4) &&
            (cpu->long_mode ? descriptor_read_wide(cpu, insn, selector, &d, &upper) : descriptor_read(cpu, insn, selector, &d));
    if (!found || descriptor_is_segment(d)) {
        soft_raise_error(cpu, insn, EXC_GP, error);
    }
    type = descriptor_type(d);
    if (type != SYS_TSS32 && (type != SYS_TSS16 || cpu->long_mode)) {
        soft_raise_error(cpu, insn, EXC_GP, error);
    }
    if (!descriptor_present(d)) {
        soft_raise_error(cpu, insn, EXC_NP, error);
    }
    d.high |= 2 << 8;                      /* busy */
    tr = descriptor_to_segment(d, selector);
    tr.base |= upper << 32;
    if (!linear_is_canonical(tr.base)) {
        soft_raise_error(cpu, insn, EXC_GP, error);
    }
    descriptor_write_high(cpu, insn, selector, d.high);
    cpu->tr = tr;
}

static void sldt(SoftCpu *cpu, const Insn *insn)
{
    require_no_umip(cpu, insn);
    selector_store(cpu, insn, cpu->ldt.selector);
}

static void str(SoftCpu *cpu, const Insn *insn)
{
    require_no_umip(cpu, insn);
    selector_store(cpu, insn, cpu->tr.selector);
}

const SoftHandler segment_handlers[] = {
    { OP_MOV_FROM_SREG, .call = mov_from_sreg }, { OP_MOV_TO_SREG, .call = mov_to_sreg },
    { OP_PUSH_SREG, .call = push_sreg }, { OP_POP_SREG, .call = pop_sreg }, { OP_LOAD_FAR, .call = load_far },
    { OP_JMP_FAR, .call = jmp_far }, { OP_CALL_FAR, .call = call_far }, { OP_RET_FAR, .call = ret_far }, { OP_IRET, .call = iret },
    { OP_INT, .call = int_n }, { OP_INT3, .call = int3 }, { OP_INTO, .call = into }, { OP_ICEBP, .call = icebp },
    { OP_ARPL, .call = arpl }, { OP_LAR, .call = lar }, { OP_LSL, .call = lsl }, { OP_VERR, .call = verr }, { OP_VERW, .call = verw },
    { OP_LLDT, .call = lldt }, { OP_LTR, .call = ltr }, { OP_SLDT, .call = sldt }, { OP_STR, .call = str },
    { 0 },
};
