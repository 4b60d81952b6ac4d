/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-integer.c - the eight arithmetic operations, test, mov and lea: what programs are made of
 *
 * Each is made for every width and for each way to its operands (registers; memory by flat 64-bit, flat 32-bit or any address), so
 * that the function decides nothing at run time. The rest of the integer instructions: interp-move.c, interp-shift.c, interp-bit.c,
 * interp-multiply.c, interp-stack.c, interp-branch.c, interp-string.c, interp-locked.c.
 *
 * Tests    tests/cpu/integer.c, tests/cpu/fuzz.c
 */
#include "accel/soft/alu.h"
#include "accel/soft/operand.h"

/* The order is that of the tables. */
enum { KIND_RR, KIND_RI, KIND_MR64, KIND_MR32, KIND_MR, KIND_RM64, KIND_RM32, KIND_RM, KIND_MI64, KIND_MI32, KIND_MI, KINDS };

SOFT_INLINE bool writes_back(unsigned op)
{
    return op != OP_CMP && op != OP_TEST;
}

SOFT_INLINE void alu_rm(SoftCpu *cpu, const Insn *insn, unsigned op, unsigned bits, At at, bool immediate)
{
    uint16_t flags = cpu->flags_both;
    uint64_t source = immediate ? insn->imm : get_reg(cpu, insn, bits);

    if (!writes_back(op)) {
        alu_two(op, bits, get_rm(cpu, insn, at, bits), source, &flags);
    } else {
        Modify modify = { 0 };
        uint64_t value = modify_begin(cpu, insn, at, bits, &modify);

        value = alu_two(op, bits, value, source, &flags);
        modify_end(cpu, insn, at, bits, &modify, value);
    }
    cpu->flags_both = flags;
}

SOFT_INLINE void alu_reg_mem(SoftCpu *cpu, const Insn *insn, unsigned op, unsigned bits, At at)
{
    uint16_t flags = cpu->flags_both;
    uint64_t source = get_rm(cpu, insn, at, bits);
    uint64_t value = alu_two(op, bits, get_reg(cpu, insn, bits), source, &flags);

    if (writes_back(op)) {
        set_reg(cpu, insn, bits, value);
    }
    cpu->flags_both = flags;
}

#define ALU_WIDTH(op, b)                                                                                   \
    SOFT_HANDLER(op##_##b##_rr) { alu_rm(cpu, insn, OP_##op, b, AT_REGISTER, false); }                     \
    SOFT_HANDLER(op##_##b##_ri) { alu_rm(cpu, insn, OP_##op, b, AT_REGISTER, true); }                      \
    SOFT_HANDLER(op##_##b##_mr64) { alu_rm(cpu, insn, OP_##op, b, AT_FLAT64, false); }                     \
    SOFT_HANDLER(op##_##b##_mr32) { alu_rm(cpu, insn, OP_##op, b, AT_FLAT32, false); }                     \
    SOFT_HANDLER(op##_##b##_mr) { alu_rm(cpu, insn, OP_##op, b, AT_ANY, false); }                          \
    SOFT_HANDLER(op##_##b##_rm64) { alu_reg_mem(cpu, insn, OP_##op, b, AT_FLAT64); }                       \
    SOFT_HANDLER(op##_##b##_rm32) { alu_reg_mem(cpu, insn, OP_##op, b, AT_FLAT32); }                       \
    SOFT_HANDLER(op##_##b##_rm) { alu_reg_mem(cpu, insn, OP_##op, b, AT_ANY); }                            \
    SOFT_HANDLER(op##_##b##_mi64) { alu_rm(cpu, insn, OP_##op, b, AT_FLAT64, true); }                      \
    SOFT_HANDLER(op##_##b##_mi32) { alu_rm(cpu, insn, OP_##op, b, AT_FLAT32, true); }                      \
    SOFT_HANDLER(op##_##b##_mi) { alu_rm(cpu, insn, OP_##op, b, AT_ANY, true); }
#define KINDS_OF(op, b)                                                                                    \
    { op##_##b##_rr, op##_##b##_ri, op##_##b##_mr64, op##_##b##_mr32, op##_##b##_mr, op##_##b##_rm64,       \
      op##_##b##_rm32, op##_##b##_rm, op##_##b##_mi64, op##_##b##_mi32, op##_##b##_mi }
#define ALU(op) ALU_WIDTH(op, 8) ALU_WIDTH(op, 16) ALU_WIDTH(op, 32) ALU_WIDTH(op, 64)
#define WIDTHS_OF(op) { KINDS_OF(op, 8), KINDS_OF(op, 16), KINDS_OF(op, 32), KINDS_OF(op, 64) }

ALU(ADD) ALU(OR) ALU(ADC) ALU(SBB) ALU(AND) ALU(SUB) ALU(XOR) ALU(CMP) ALU(TEST)

/* xor r,r and sub r,r: zero, and flags that are always the same. */
SOFT_INLINE void zero_register(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    set_reg(cpu, insn, bits, 0);
    cpu->flags_low = FLAG_ZF | FLAG_PF | FLAG_FIXED;
    cpu->flags_of = 0;
}
SOFT_SIZED(zero_register)

/* ---- mov -------------------------------------------------------------------------------------------------------- */

SOFT_INLINE void mov_to_rm(SoftCpu *cpu, const Insn *insn, unsigned bits, At at, bool immediate)
{
    set_rm(cpu, insn, at, bits, immediate ? insn->imm : get_reg(cpu, insn, bits));
}

SOFT_INLINE void mov_to_reg(SoftCpu *cpu, const Insn *insn, unsigned bits, At at)
{
    set_reg(cpu, insn, bits, get_rm(cpu, insn, at, bits));
}

#define MOV_WIDTH(b)                                                                                       \
    SOFT_HANDLER(MOV_##b##_rr) { mov_to_rm(cpu, insn, b, AT_REGISTER, false); }                            \
    SOFT_HANDLER(MOV_##b##_ri) { mov_to_rm(cpu, insn, b, AT_REGISTER, true); }                             \
    SOFT_HANDLER(MOV_##b##_mr64) { mov_to_rm(cpu, insn, b, AT_FLAT64, false); }                            \
    SOFT_HANDLER(MOV_##b##_mr32) { mov_to_rm(cpu, insn, b, AT_FLAT32, false); }                            \
    SOFT_HANDLER(MOV_##b##_mr) { mov_to_rm(cpu, insn, b, AT_ANY, false); }                                 \
    SOFT_HANDLER(MOV_##b##_rm64) { mov_to_reg(cpu, insn, b, AT_FLAT64); }                                  \
    SOFT_HANDLER(MOV_##b##_rm32) { mov_to_reg(cpu, insn, b, AT_FLAT32); }                                  \
    SOFT_HANDLER(MOV_##b##_rm) { mov_to_reg(cpu, insn, b, AT_ANY); }                                       \
    SOFT_HANDLER(MOV_##b##_mi64) { mov_to_rm(cpu, insn, b, AT_FLAT64, true); }                             \
    SOFT_HANDLER(MOV_##b##_mi32) { mov_to_rm(cpu, insn, b, AT_FLAT32, true); }                             \
    SOFT_HANDLER(MOV_##b##_mi) { mov_to_rm(cpu, insn, b, AT_ANY, true); }
MOV_WIDTH(8) MOV_WIDTH(16) MOV_WIDTH(32) MOV_WIDTH(64)

/* lea: no segment, no access. 64-bit operand and address is what compilers write. */
SOFT_HANDLER(lea_64) { cpu->gpr[insn->reg] = operand_linear(cpu, insn, AT_FLAT64, 0, false); }
SOFT_HANDLER(lea_32) { cpu->gpr[insn->reg] = operand_linear(cpu, insn, AT_FLAT32, 0, false); }
SOFT_INLINE void lea_any(SoftCpu *cpu, const Insn *insn, unsigned bits) { set_reg(cpu, insn, bits, soft_offset(cpu, insn)); }
SOFT_SIZED_WIDE(lea_any)

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static InsnRun *const alu_table[][4][KINDS] = {
    WIDTHS_OF(ADD), WIDTHS_OF(OR), WIDTHS_OF(ADC), WIDTHS_OF(SBB), WIDTHS_OF(AND), WIDTHS_OF(SUB), WIDTHS_OF(XOR), WIDTHS_OF(CMP), WIDTHS_OF(TEST) };
static InsnRun *const mov_table[4][KINDS] = WIDTHS_OF(MOV);

static unsigned width_index(const Insn *insn)
{
    return insn->size == 1 ? 0 : insn->size == 2 ? 1 : insn->size == 4 ? 2 : 3;
}

/* KINDS: none of these forms. */
static unsigned kind_of(const Insn *insn)
{
    unsigned way = insn->memory == MEMORY_FLAT64 ? 0 : insn->memory == MEMORY_FLAT32 ? 1 : 2;

    switch (insn->form) {
    case FORM_EG: return insn->memory ? KIND_MR64 + way : KIND_RR;
    case FORM_GE: return insn->memory ? KIND_RM64 + way : KIND_RR;
    case FORM_EI: return insn->memory ? KIND_MI64 + way : KIND_RI;
    default: return KINDS;
    }
}

/* op reg,reg has two encodings: one function for both. */
static void swap_registers(Insn *insn)
{
    uint8_t reg = insn->reg;

    insn->reg = insn->rm;
    insn->rm = reg;
    insn->high = (uint8_t)((insn->high >> 1 & 1) | (insn->high & 1) << 1);
    insn->form = FORM_EG;
}

static InsnRun *bind_lea(const Insn *insn)
{
    static InsnRun *const any[] = { NULL, lea_any_16, lea_any_32, lea_any_64 };

    if (insn->vex & INSN_FAR_RIP || insn->size == 2 || insn->address_size == 2) {
        return any[width_index(insn)];
    }
    return insn->size == 8 && insn->address_size == 8 ? lea_64 : lea_32;       /* cut to 32 bits by either */
}

InsnRun *integer_bind(Insn *insn)
{
    static InsnRun *const zero[] = { zero_register_8, zero_register_16, zero_register_32, zero_register_64 };
    unsigned kind;

    if (insn->op == OP_LEA) {
        return bind_lea(insn);
    }
    if ((insn->op > OP_TEST && insn->op != OP_MOV) || insn->op < OP_ADD || insn->prefixes & PREFIX_LOCK || (kind = kind_of(insn)) == KINDS) {
        return NULL;
    }
    if (insn->form == FORM_GE && !insn->memory) {
        swap_registers(insn);
    }
    if (insn->op == OP_MOV) {
        return mov_table[width_index(insn)][kind];
    }
    if ((insn->op == OP_XOR || insn->op == OP_SUB) && kind == KIND_RR && insn->reg == insn->rm && insn->high != 1 && insn->high != 2) {
        return zero[width_index(insn)];
    }
    return alu_table[insn->op - OP_ADD][width_index(insn)][kind];
}
