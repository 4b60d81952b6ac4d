/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-branch.c - near jumps, calls and returns
 *
 * Models   in 64-bit mode a 66 prefix cuts the new RIP to 16 bits, as AMD has it
 * Tests    tests/cpu/integer.c, tests/cpu/fuzz.c
 */
#include "accel/soft/block.h"
#include "accel/soft/operand.h"
#include "accel/x86/optab.h"

/* A handler that ends its block: no next instruction in it. */
#define BRANCH(name) static void name(SoftCpu *cpu, const Insn *insn)

/* ---- 64-bit mode: what compilers write ----------------------------------------------------------------------------------- */

/* The block cache has put the target's distance from the start of the block into .imm. */
SOFT_INLINE uint64_t direct_target(const SoftCpu *cpu, const Insn *insn) { return cpu->block_rip + insn->imm; }

#define JCC_64(n)                                                                                    \
    BRANCH(jcc_64_##n)                                                                               \
    {                                                                                                \
        if (flags_condition(cpu, n)) {                                                               \
            soft_goto(cpu, direct_target(cpu, insn));                                                \
        } else {                                                                                     \
            soft_goto(cpu, insn_next_rip(cpu, insn));                                                \
        }                                                                                            \
    }
JCC_64(0) JCC_64(1) JCC_64(2) JCC_64(3) JCC_64(4) JCC_64(5) JCC_64(6) JCC_64(7)
JCC_64(8) JCC_64(9) JCC_64(10) JCC_64(11) JCC_64(12) JCC_64(13) JCC_64(14) JCC_64(15)

#define JCC_LINKED(n)                                                                                \
    BRANCH(jcc_linked_##n)                                                                           \
    {                                                                                                \
        if (flags_condition(cpu, n)) {                                                               \
            soft_link(cpu, insn, direct_target(cpu, insn));                                          \
        } else {                                                                                     \
            soft_link(cpu, insn + 1, insn_next_rip(cpu, insn));                                      \
        }                                                                                            \
    }
JCC_LINKED(0) JCC_LINKED(1) JCC_LINKED(2) JCC_LINKED(3) JCC_LINKED(4) JCC_LINKED(5) JCC_LINKED(6) JCC_LINKED(7)
JCC_LINKED(8) JCC_LINKED(9) JCC_LINKED(10) JCC_LINKED(11) JCC_LINKED(12) JCC_LINKED(13) JCC_LINKED(14) JCC_LINKED(15)

BRANCH(jmp_linked) { soft_link(cpu, insn, direct_target(cpu, insn)); }

BRANCH(jmp_64) { soft_goto(cpu, direct_target(cpu, insn)); }

SOFT_INLINE bool is_canonical(uint64_t address) { return (uint64_t)((int64_t)(address << 16) >> 16) == address; }

SOFT_INLINE void check_canonical(SoftCpu *cpu, const Insn *insn, uint64_t rip)
{
    if (__builtin_expect(!is_canonical(rip), 0)) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
}

BRANCH(jmp_64_reg)
{
    uint64_t target = cpu->gpr[insn->rm];

    check_canonical(cpu, insn, target);
    soft_goto(cpu, target);
}

BRANCH(jmp_64_mem)
{
    uint64_t target = get_rm(cpu, insn, AT_ANY, 64);

    check_canonical(cpu, insn, target);
    soft_goto(cpu, target);
}

SOFT_INLINE void push_64(SoftCpu *cpu, const Insn *insn, uint64_t value)
{
    uint64_t pointer = cpu->gpr[GPR_RSP] - 8;

    mmu_store64(cpu, insn, pointer, value);
    cpu->gpr[GPR_RSP] = pointer;
}

/* The push faults before the target is looked at. */
SOFT_INLINE void check_call_target(SoftCpu *cpu, const Insn *insn, uint64_t rip)
{
    if (__builtin_expect(!is_canonical(rip), 0)) {
        mmu_probe(cpu, insn, cpu->gpr[GPR_RSP] - 8, 8, true);
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
}

BRANCH(call_64)
{
    push_64(cpu, insn, insn_next_rip(cpu, insn));
    soft_goto(cpu, direct_target(cpu, insn));
}

BRANCH(call_64_reg)
{
    uint64_t target = cpu->gpr[insn->rm];

    check_call_target(cpu, insn, target);
    push_64(cpu, insn, insn_next_rip(cpu, insn));
    soft_goto(cpu, target);
}

BRANCH(call_64_mem)
{
    uint64_t target = get_rm(cpu, insn, AT_ANY, 64);

    if (__builtin_expect(!is_canonical(cpu->gpr[GPR_RSP] - 8), 0)) {
        soft_raise_error(cpu, insn, EXC_SS, 0);
    }
    check_call_target(cpu, insn, target);
    push_64(cpu, insn, insn_next_rip(cpu, insn));
    soft_goto(cpu, target);
}

BRANCH(ret_64)
{
    uint64_t target = mmu_load64(cpu, insn, cpu->gpr[GPR_RSP]);

    check_canonical(cpu, insn, target);
    cpu->gpr[GPR_RSP] += 8 + insn->imm;    /* .imm is 0 for the form without */
    soft_goto(cpu, target);
}

/* ---- any mode -------------------------------------------------------------------------------------------------------------- */

/* The new RIP: cut to the operand size, inside CS. */
static uint64_t checked_target(SoftCpu *cpu, const Insn *insn, uint64_t rip)
{
    if (insn->size == 2) {
        rip = (uint16_t)rip;
    } else if (cpu->code_size != 8) {
        rip = (uint32_t)rip;
    }
    if (cpu->code_size == 8) {
        check_canonical(cpu, insn, rip);
    } else if (rip > cpu->segment[SEG_CS].limit) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
    return rip;
}

static uint64_t relative_target(SoftCpu *cpu, const Insn *insn)
{
    return checked_target(cpu, insn, insn_next_rip(cpu, insn) + insn->imm);
}

/* What follows an untaken branch: IP wraps in no mode, beyond the limit the fetch refuses. */
SOFT_INLINE uint64_t next_rip(const SoftCpu *cpu, const Insn *insn)
{
    uint64_t rip = insn_next_rip(cpu, insn);

    return cpu->code_size == 8 ? rip : (uint32_t)rip;
}

BRANCH(jcc_any) { soft_goto(cpu, flags_condition(cpu, insn->opcode & 15) ? relative_target(cpu, insn) : next_rip(cpu, insn)); }
BRANCH(jmp_any) { soft_goto(cpu, relative_target(cpu, insn)); }

SOFT_INLINE uint64_t operand_by_size(SoftCpu *cpu, const Insn *insn)
{
    return insn->size == 2 ? get_rm(cpu, insn, AT_EITHER, 16) : insn->size == 4 ? get_rm(cpu, insn, AT_EITHER, 32) : get_rm(cpu, insn, AT_EITHER, 64);
}

BRANCH(jmp_indirect) { soft_goto(cpu, checked_target(cpu, insn, operand_by_size(cpu, insn))); }

SOFT_INLINE void push_by_size(SoftCpu *cpu, const Insn *insn, uint64_t value)
{
    if (insn->size == 2) {
        stack_push(cpu, insn, 16, value);
    } else if (insn->size == 4) {
        stack_push(cpu, insn, 32, value);
    } else {
        stack_push(cpu, insn, 64, value);
    }
}

BRANCH(call_any)
{
    uint64_t target = insn->form == FORM_J ? insn_next_rip(cpu, insn) + insn->imm : operand_by_size(cpu, insn);

    /* The push faults before the target is looked at. */
    mmu_probe(cpu, insn, stack_linear(cpu, insn, cpu->gpr[GPR_RSP] - insn->size, insn->size, true), insn->size, true);
    target = checked_target(cpu, insn, target);
    push_by_size(cpu, insn, insn_next_rip(cpu, insn));
    soft_goto(cpu, target);
}

BRANCH(ret_any)
{
    uint64_t target = insn->size == 2 ? stack_peek(cpu, insn, 16, 0) : insn->size == 4 ? stack_peek(cpu, insn, 32, 0) : stack_peek(cpu, insn, 64, 0);

    target = checked_target(cpu, insn, target);
    set_stack_pointer(cpu, cpu->gpr[GPR_RSP] + insn->size + insn->imm);
    soft_goto(cpu, target);
}

/* ---- loop, jcxz: the counter has the address size ------------------------------------------------------------------------------ */

static uint64_t counter(const SoftCpu *cpu, const Insn *insn)
{
    return reg_get(cpu, GPR_RCX, insn->address_size == 8 ? 64 : insn->address_size == 4 ? 32 : 16, 0);
}

BRANCH(loop)
{
    unsigned bits = insn->address_size * 8u;
    uint64_t count = counter(cpu, insn) - 1;
    bool taken = (bits == 64 ? count : count & ((UINT64_C(1) << bits) - 1)) != 0;

    if (insn->op != OP_LOOP && flags_zf(cpu) != (insn->op == OP_LOOPE)) {
        taken = false;
    }
    uint64_t target = taken ? relative_target(cpu, insn) : next_rip(cpu, insn);
    reg_set(cpu, GPR_RCX, bits, 0, count);
    soft_goto(cpu, target);
}

BRANCH(jcxz) { soft_goto(cpu, counter(cpu, insn) ? next_rip(cpu, insn) : relative_target(cpu, insn)); }

InsnRun *branch_bind_linked(const SoftCpu *cpu, const Insn *insn, unsigned offset)
{
    static InsnRun *const conditions[] = {
        jcc_linked_0, jcc_linked_1, jcc_linked_2, jcc_linked_3, jcc_linked_4, jcc_linked_5, jcc_linked_6, jcc_linked_7,
        jcc_linked_8, jcc_linked_9, jcc_linked_10, jcc_linked_11, jcc_linked_12, jcc_linked_13, jcc_linked_14, jcc_linked_15 };
    enum { PAGE_BYTES = 4096 };

    if (cpu->code_size != 8 || insn->size != 8 || insn->form != FORM_J || (insn->op != OP_JCC && insn->op != OP_JMP) ||
        offset + insn->imm >= PAGE_BYTES || offset + insn->start + insn->length >= PAGE_BYTES) {       /* .imm counts from the block's start */
        return NULL;
    }
    return insn->op == OP_JCC ? conditions[insn->opcode & 15] : jmp_linked;
}

/* ---- choosing -------------------------------------------------------------------------------------------------------------------- */

InsnRun *branch_bind(const SoftCpu *cpu, Insn *insn)
{
    static InsnRun *const conditions[] = {
        jcc_64_0, jcc_64_1, jcc_64_2, jcc_64_3, jcc_64_4, jcc_64_5, jcc_64_6, jcc_64_7,
        jcc_64_8, jcc_64_9, jcc_64_10, jcc_64_11, jcc_64_12, jcc_64_13, jcc_64_14, jcc_64_15 };
    bool fast = cpu->code_size == 8 && insn->size == 8;

    if (fast && insn->form == FORM_J && (insn->op == OP_JCC || insn->op == OP_JMP || insn->op == OP_CALL)) {
        insn->imm += insn->start + insn->length;
        return insn->op == OP_JCC ? conditions[insn->opcode & 15] : insn->op == OP_JMP ? jmp_64 : call_64;
    }
    switch (insn->op) {
    case OP_JCC: return jcc_any;
    case OP_JMP: return insn->form == FORM_J ? jmp_any : !fast ? jmp_indirect : insn->memory ? jmp_64_mem : jmp_64_reg;
    case OP_CALL: return !fast || insn->form == FORM_J ? call_any : insn->memory ? call_64_mem : call_64_reg;
    case OP_RET: return fast ? ret_64 : ret_any;
    case OP_LOOP: case OP_LOOPE: case OP_LOOPNE: return loop;
    case OP_JCXZ: return jcxz;
    default: return NULL;
    }
}
