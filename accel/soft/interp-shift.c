/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-shift.c - shifts, rotates, double shifts, and the flagless ones of BMI2
 *
 * A count of zero after masking leaves every flag and, but for the upper half of a 32-bit register, the destination.
 *
 * Tests    tests/cpu/integer.c, tests/cpu/fuzz.c
 */
#include "accel/soft/alu.h"
#include "accel/soft/operand.h"

SOFT_INLINE void shift(SoftCpu *cpu, const Insn *insn, unsigned op, unsigned bits, At at, uint8_t count)
{
    uint16_t flags = cpu->flags_both;
    Modify modify = { 0 };
    uint64_t value = modify_begin(cpu, insn, at, bits, &modify);

    count &= bits == 64 ? 63 : 31;
    if (count) {
        value = alu_shift(op, bits, value, count, &flags);
        cpu->flags_both = flags;
    }
    modify_end(cpu, insn, at, bits, &modify, value);
}

SOFT_INLINE uint8_t count_of(const SoftCpu *cpu, const Insn *insn)
{
    return insn->form == FORM_EC ? (uint8_t)cpu->gpr[GPR_RCX] : insn->form == FORM_E1 ? 1 : (uint8_t)insn->imm;
}

#define SHIFT(name, op)                                                                                                   \
    SOFT_INLINE void name(SoftCpu *cpu, const Insn *insn, unsigned bits)                                                  \
    {                                                                                                                     \
        shift(cpu, insn, op, bits, AT_EITHER, count_of(cpu, insn));                                                       \
    }                                                                                                                     \
    SOFT_SIZED(name)                                                                                                      \
    SOFT_HANDLER(name##_reg_imm_32) { shift(cpu, insn, op, 32, AT_REGISTER, (uint8_t)insn->imm); }                        \
    SOFT_HANDLER(name##_reg_imm_64) { shift(cpu, insn, op, 64, AT_REGISTER, (uint8_t)insn->imm); }                        \
    SOFT_HANDLER(name##_reg_cl_32) { shift(cpu, insn, op, 32, AT_REGISTER, (uint8_t)cpu->gpr[GPR_RCX]); }                 \
    SOFT_HANDLER(name##_reg_cl_64) { shift(cpu, insn, op, 64, AT_REGISTER, (uint8_t)cpu->gpr[GPR_RCX]); }
SHIFT(rol, OP_ROL) SHIFT(ror, OP_ROR) SHIFT(rcl, OP_RCL) SHIFT(rcr, OP_RCR) SHIFT(shl, OP_SHL) SHIFT(shr, OP_SHR) SHIFT(sar, OP_SAR)

InsnRun *shift_bind(const Insn *insn)
{
#define FAST(name) { name##_reg_imm_32, name##_reg_imm_64, name##_reg_cl_32, name##_reg_cl_64 }
    static InsnRun *const fast[][4] = { FAST(rol), FAST(ror), FAST(rcl), FAST(rcr), FAST(shl), FAST(shr), FAST(shl), FAST(sar) };
#undef FAST

    if (insn->op < OP_ROL || insn->op > OP_SAR || insn->memory || insn->size < 4 || (insn->form != FORM_EI && insn->form != FORM_EC)) {
        return NULL;
    }
    return fast[insn->op - OP_ROL][(insn->form == FORM_EC) * 2 + (insn->size == 8)];
}

SOFT_INLINE void shift_double(SoftCpu *cpu, const Insn *insn, unsigned bits, bool left)
{
    uint16_t flags = cpu->flags_both;
    uint8_t count = insn->form == FORM_EGC ? (uint8_t)cpu->gpr[GPR_RCX] : (uint8_t)insn->imm;
    Modify modify = { 0 };
    uint64_t value = modify_begin(cpu, insn, AT_EITHER, bits, &modify);

    count &= bits == 64 ? 63 : 31;
    if (count) {
        value = alu_shift_double(left, bits, value, get_reg(cpu, insn, bits), count, &flags);
        cpu->flags_both = flags;
    }
    modify_end(cpu, insn, AT_EITHER, bits, &modify, value);
}
SOFT_INLINE void shld(SoftCpu *cpu, const Insn *insn, unsigned bits) { shift_double(cpu, insn, bits, true); }
SOFT_INLINE void shrd(SoftCpu *cpu, const Insn *insn, unsigned bits) { shift_double(cpu, insn, bits, false); }
SOFT_SIZED_WIDE(shld) SOFT_SIZED_WIDE(shrd)

/* ---- BMI2: the count is in vvvv, no flags ------------------------------------------------------------------------------ */

static void shift_without_flags(SoftCpu *cpu, const Insn *insn)
{
    unsigned bits = insn->size * 8u;
    uint64_t value = insn->size == 8 ? get_rm(cpu, insn, AT_EITHER, 64) : get_rm(cpu, insn, AT_EITHER, 32);
    unsigned count = (unsigned)(insn->op == OP_RORX ? insn->imm : cpu->gpr[insn->vvvv]) & (bits - 1);

    switch (insn->op) {
    case OP_SHLX: value <<= count; break;
    case OP_SHRX: value >>= count; break;
    case OP_SARX: value = bits == 64 ? (uint64_t)((int64_t)value >> count) : (uint64_t)((int32_t)value >> count); break;
    default: value = count ? value >> count | value << (bits - count) : value; break;
    }
    reg_set(cpu, insn->reg, bits, 0, value);
}

const SoftHandler shift_handlers[] = {
    ROWS_SIZED(ROL, rol), ROWS_SIZED(ROR, ror), ROWS_SIZED(RCL, rcl), ROWS_SIZED(RCR, rcr), ROWS_SIZED(SHL, shl), ROWS_SIZED(SHR, shr), ROWS_SIZED(SAL, shl),
    ROWS_SIZED(SAR, sar), ROWS_SIZED_WIDE(SHLD, shld), ROWS_SIZED_WIDE(SHRD, shrd),
    { .op = OP_SHLX, .call = shift_without_flags }, { .op = OP_SHRX, .call = shift_without_flags }, { .op = OP_SARX, .call = shift_without_flags },
    { .op = OP_RORX, .call = shift_without_flags },
    { .op = 0 } };
