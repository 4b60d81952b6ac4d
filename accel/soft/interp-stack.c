/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-stack.c - push, pop and their kin, the flags on the stack, cli and sti, bound
 *
 * RSP is written last, so that a fault leaves it. A pop into memory addresses with the RSP after the pop.
 *
 * Models   Intel SDM volume 2; PUSHF, POPF, CLI and STI with IOPL, virtual-8086 mode, CR4.VME and CR4.PVI
 * Tests    tests/cpu/integer.c, tests/cpu/system.c
 */
#include "accel/soft/block.h"
#include "accel/soft/operand.h"
#include "accel/x86/optab.h"

/* ---- push, pop: 64-bit mode first ---------------------------------------------------------------------------------------- */

SOFT_HANDLER(push_64_reg)
{
    uint64_t pointer = cpu->gpr[GPR_RSP] - 8;

    mmu_store64(cpu, insn, pointer, cpu->gpr[insn->rm]);
    cpu->gpr[GPR_RSP] = pointer;
}

SOFT_HANDLER(push_64_imm)
{
    uint64_t pointer = cpu->gpr[GPR_RSP] - 8;

    mmu_store64(cpu, insn, pointer, insn->imm);
    cpu->gpr[GPR_RSP] = pointer;
}

SOFT_HANDLER(pop_64_reg)
{
    uint64_t value = mmu_load64(cpu, insn, cpu->gpr[GPR_RSP]);

    cpu->gpr[GPR_RSP] += 8;
    cpu->gpr[insn->rm] = value;            /* pop rsp: the value wins */
}

SOFT_INLINE void push_rm(SoftCpu *cpu, const Insn *insn, unsigned bits) { stack_push(cpu, insn, bits, get_rm(cpu, insn, AT_EITHER, bits)); }
SOFT_SIZED_WIDE(push_rm)
SOFT_INLINE void push_imm(SoftCpu *cpu, const Insn *insn, unsigned bits) { stack_push(cpu, insn, bits, insn->imm); }
SOFT_SIZED_WIDE(push_imm)

SOFT_INLINE void pop_rm(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint64_t value = stack_peek(cpu, insn, bits, 0), before = cpu->gpr[GPR_RSP], linear;

    if (!insn->memory) {
        set_stack_pointer(cpu, before + bits / 8);
        set_rm_reg(cpu, insn, bits, value);
        return;
    }
    set_stack_pointer(cpu, before + bits / 8);
    uint64_t after = cpu->gpr[GPR_RSP], offset = soft_offset(cpu, insn);
    cpu->gpr[GPR_RSP] = before;            /* a fault from here on leaves it */
    linear = insn->memory != MEMORY_ANY ? offset : soft_linear(cpu, insn, insn->segment, offset, bits / 8, true);
    mem_store(cpu, insn, linear, bits, value);
    cpu->gpr[GPR_RSP] = after;
}
SOFT_SIZED_WIDE(pop_rm)

InsnRun *stack_bind(const SoftCpu *cpu, const Insn *insn)
{
    if (cpu->code_size != 8 || insn->size != 8) {
        return NULL;
    }
    if (insn->op == OP_PUSH) {
        return insn->form == FORM_I ? push_64_imm : insn->memory ? NULL : push_64_reg;
    }
    return insn->op == OP_POP && !insn->memory ? pop_64_reg : NULL;
}

/* ---- pusha, popa ------------------------------------------------------------------------------------------------------------ */

static uint64_t load_sized(SoftCpu *cpu, const Insn *insn, uint64_t linear)
{
    return insn->size == 2 ? mmu_load16(cpu, insn, linear) : insn->size == 4 ? mmu_load32(cpu, insn, linear) : mmu_load64(cpu, insn, linear);
}

static void store_sized(SoftCpu *cpu, const Insn *insn, uint64_t linear, uint64_t value)
{
    if (insn->size == 2) {
        mmu_store16(cpu, insn, linear, (uint16_t)value);
    } else if (insn->size == 4) {
        mmu_store32(cpu, insn, linear, (uint32_t)value);
    } else {
        mmu_store64(cpu, insn, linear, value);
    }
}

/* The last slot first: whatever is wrong with the range shows before anything is stored there. */
static void pusha(SoftCpu *cpu, const Insn *insn)
{
    unsigned size = insn->size;
    uint64_t pointer = cpu->gpr[GPR_RSP];

    for (unsigned i = 1; i <= 8; i++) {
        mmu_probe(cpu, insn, stack_linear(cpu, insn, pointer - i * size, size, true), size, true);
    }
    for (unsigned i = 0; i < 8; i++) {
        store_sized(cpu, insn, stack_linear(cpu, insn, pointer - (i + 1) * size, size, true), cpu->gpr[i]);
    }
    set_stack_pointer(cpu, pointer - 8 * size);
}

static void popa(SoftCpu *cpu, const Insn *insn)
{
    unsigned size = insn->size;
    uint64_t pointer = cpu->gpr[GPR_RSP], value[8];

    for (unsigned i = 0; i < 8; i++) {
        value[7 - i] = load_sized(cpu, insn, stack_linear(cpu, insn, pointer + i * size, size, false));
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i != GPR_RSP) {
            reg_set(cpu, i, size * 8, 0, value[i]);
        }
    }
    set_stack_pointer(cpu, pointer + 8 * size);
}

/* ---- enter, leave -------------------------------------------------------------------------------------------------------------- */

static void enter(SoftCpu *cpu, const Insn *insn)
{
    unsigned size = insn->size, level = insn->imm2 & 31;
    uint64_t pointer = cpu->gpr[GPR_RSP], frame = cpu->gpr[GPR_RBP], frame_pointer;

    for (unsigned i = 1; i < level; i++) {
        mmu_probe(cpu, insn, stack_linear(cpu, insn, frame - i * size, size, false), size, false);
    }
    pointer -= size;
    frame_pointer = pointer;
    /* Everything that will be written, and the byte below the new frame, before anything is. */
    for (unsigned i = 0; i <= level; i++) {
        mmu_probe(cpu, insn, stack_linear(cpu, insn, frame_pointer - i * size, size, true), size, true);
    }
    uint64_t final = frame_pointer - level * size - (uint16_t)insn->imm;
    mmu_probe(cpu, insn, stack_linear(cpu, insn, final, size, true), size, true);
    store_sized(cpu, insn, stack_linear(cpu, insn, frame_pointer, size, true), frame);
    for (unsigned i = 1; i < level; i++) {
        /* one after the other: the old chain may lie where the new one goes */
        uint64_t link = load_sized(cpu, insn, stack_linear(cpu, insn, frame - i * size, size, false));
        store_sized(cpu, insn, stack_linear(cpu, insn, frame_pointer - i * size, size, true), link);
    }
    if (level) {
        store_sized(cpu, insn, stack_linear(cpu, insn, frame_pointer - level * size, size, true), frame_pointer);
    }
    reg_set(cpu, GPR_RBP, size * 8, 0, frame_pointer);
    set_stack_pointer(cpu, final);
}

static void leave(SoftCpu *cpu, const Insn *insn)
{
    uint64_t pointer = cpu->gpr[GPR_RBP], value = load_sized(cpu, insn, stack_linear(cpu, insn, pointer, insn->size, false));

    set_stack_pointer(cpu, (pointer & stack_mask(cpu)) + insn->size);
    reg_set(cpu, GPR_RBP, insn->size * 8u, 0, value);
}

SOFT_HANDLER(leave_64)
{
    uint64_t pointer = cpu->gpr[GPR_RBP], value = mmu_load64(cpu, insn, pointer);

    cpu->gpr[GPR_RSP] = pointer + 8;
    cpu->gpr[GPR_RBP] = value;
}

/* ---- flags ------------------------------------------------------------------------------------------------------------------------ */

static bool in_v8086(const SoftCpu *cpu) { return cpu->rflags & FLAG_VM; }
static unsigned iopl(const SoftCpu *cpu) { return cpu->rflags >> FLAG_IOPL_SHIFT & 3; }

/* Real mode has CPL 0, so this is never true there. */
static bool interrupts_are_virtual(const SoftCpu *cpu)
{
    return in_v8086(cpu) ? cpu->cr4 & CR4_VME : cpu->cr4 & CR4_PVI && cpu->cpl == 3;
}

SOFT_HANDLER(pushf)
{
    uint64_t value = flags_get(cpu) & ~(uint64_t)(FLAG_VM | FLAG_RF);

    if (in_v8086(cpu) && iopl(cpu) < 3) {
        if (!(cpu->cr4 & CR4_VME) || insn->size != 2) {
            soft_raise_error(cpu, insn, EXC_GP, 0);
        }
        /* IF reads as VIF, IOPL as 3 */
        value = (value & ~(uint64_t)FLAG_IF) | FLAG_IOPL | (cpu->rflags & FLAG_VIF ? FLAG_IF : 0);
    }
    if (insn->size == 2) {
        stack_push(cpu, insn, 16, value);
    } else if (insn->size == 4) {
        stack_push(cpu, insn, 32, value);
    } else {
        stack_push(cpu, insn, 64, value);
    }
}

/* A 16-bit POPF in virtual-8086 mode under VME writes VIF for IF. */
static void popf_vme(SoftCpu *cpu, const Insn *insn, uint64_t value)
{
    uint64_t keep = FLAG_IOPL | FLAG_IF | FLAG_VM | FLAG_RF | FLAG_VIF | FLAG_VIP | ~UINT64_C(0xffff);

    if (insn->size != 2 || value & FLAG_TF || (value & FLAG_IF && cpu->rflags & FLAG_VIP)) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
    uint64_t flags = (flags_get(cpu) & keep) | (value & ~keep);
    flags_set(cpu, (flags & ~(uint64_t)FLAG_VIF) | (value & FLAG_IF ? FLAG_VIF : 0));
}

/* The end of POPF and STI: an interrupt that waits is noticed by soft_goto(). */
SOFT_INLINE void follow(SoftCpu *cpu, const Insn *insn)
{
    uint64_t next = insn_next_rip(cpu, insn);

    if (cpu->rflags & FLAG_IF) {
        cpu->poll_mask |= REQUEST_INTR;
    }
    soft_goto(cpu, cpu->code_size == 8 ? next : (uint32_t)next);
}

static void popf(SoftCpu *cpu, const Insn *insn)
{
    uint64_t value = insn->size == 2 ? stack_peek(cpu, insn, 16, 0) : insn->size == 4 ? stack_peek(cpu, insn, 32, 0) : stack_peek(cpu, insn, 64, 0);
    uint64_t writable = FLAG_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID, old = cpu->rflags;

    if (in_v8086(cpu) && iopl(cpu) < 3) {
        if (!(cpu->cr4 & CR4_VME)) {
            soft_raise_error(cpu, insn, EXC_GP, 0);
        }
        popf_vme(cpu, insn, value);
    } else {
        if (cpu->cpl == 0) {
            writable |= FLAG_IOPL;
        }
        if (cpu->cpl <= iopl(cpu)) {
            writable |= FLAG_IF;
        }
        if (insn->size == 2) {
            writable &= 0xffff;
        } else {
            old &= ~(uint64_t)FLAG_RF;
        }
        flags_set(cpu, (((flags_get(cpu) & ~(uint64_t)FLAG_RF) | (old & FLAG_RF)) & ~writable) | (value & writable));
    }
    set_stack_pointer(cpu, cpu->gpr[GPR_RSP] + insn->size);
    if ((old ^ cpu->rflags) & (FLAG_TF | FLAG_AC)) {
        uint64_t next = insn_next_rip(cpu, insn);

        soft_mode_changed(cpu);
        cpu->rip = cpu->code_size == 8 ? next : (uint32_t)next;
        return;
    }
    follow(cpu, insn);
}

/* The interrupts that poll_mask still lets through find IF clear in the run loop. */
SOFT_HANDLER(cli)
{
    if (cpu->cpl <= iopl(cpu)) {
        cpu->rflags &= ~(uint64_t)FLAG_IF;
    } else if (interrupts_are_virtual(cpu)) {
        cpu->rflags &= ~(uint64_t)FLAG_VIF;
    } else {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
}

/* The shadow may stay set over several blocks: the run loop gives it one instruction more before an interrupt, which nobody can tell. */
static void sti(SoftCpu *cpu, const Insn *insn)
{
    if (cpu->cpl <= iopl(cpu)) {
        if (!(cpu->rflags & FLAG_IF)) {
            cpu->rflags |= FLAG_IF;
            cpu->interrupt_shadow = true;
            cpu->sys.shadow_of_ss = false;
        }
    } else if (interrupts_are_virtual(cpu) && !(cpu->rflags & FLAG_VIP)) {
        cpu->rflags |= FLAG_VIF;
    } else {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
    follow(cpu, insn);
}

/* ---- bound, ud ----------------------------------------------------------------------------------------------------------------------- */

static void bound(SoftCpu *cpu, const Insn *insn)
{
    uint64_t low = load_sized(cpu, insn, soft_address(cpu, insn, insn->size, false));
    uint64_t linear = soft_address(cpu, insn, insn->size * 2u, false), high = load_sized(cpu, insn, linear + insn->size);
    uint64_t index = reg_get(cpu, insn->reg, insn->size * 8u, 0);
    bool outside = insn->size == 2 ? (int16_t)index < (int16_t)low || (int16_t)index > (int16_t)high
                                   : (int32_t)index < (int32_t)low || (int32_t)index > (int32_t)high;

    if (outside) {
        soft_raise(cpu, insn, EXC_BR);
    }
}

static void undefined(SoftCpu *cpu, const Insn *insn) { soft_raise(cpu, insn, EXC_UD); }

const SoftHandler stack_handlers[] = {
    { .op = OP_PUSH, .form = FORM_ONLY(FORM_I), .size = 2, .run = push_imm_16 }, { .op = OP_PUSH, .form = FORM_ONLY(FORM_I), .size = 4, .run = push_imm_32 },
    { .op = OP_PUSH, .form = FORM_ONLY(FORM_I), .size = 8, .run = push_imm_64 }, ROWS_SIZED_WIDE(PUSH, push_rm), ROWS_SIZED_WIDE(POP, pop_rm),
    { .op = OP_PUSHA, .call = pusha }, { .op = OP_POPA, .call = popa }, { .op = OP_ENTER, .call = enter },
    { .op = OP_LEAVE, .size = 8, .run = leave_64 }, { .op = OP_LEAVE, .call = leave }, { .op = OP_PUSHF, .run = pushf }, { .op = OP_POPF, .run = popf },
    { .op = OP_CLI, .run = cli }, { .op = OP_STI, .run = sti }, { .op = OP_BOUND, .call = bound }, { .op = OP_UD, .call = undefined },
    { .op = 0 } };
