/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-multiply.c - multiplication, division, and the decimal adjustments
 *
 * Flags that the manuals leave undefined after mul and imul are the host's; div and idiv leave all flags as they were.
 *
 * Tests    tests/cpu/integer.c, tests/cpu/fuzz.c
 */
#include "accel/soft/alu.h"
#include "accel/soft/operand.h"

/* ---- mul, imul -------------------------------------------------------------------------------------------------------- */

SOFT_INLINE void multiply(SoftCpu *cpu, const Insn *insn, unsigned bits, bool is_signed)
{
    uint64_t source = get_rm(cpu, insn, AT_EITHER, bits), low = cpu->gpr[GPR_RAX], high = 0, product, out;

    /* The low half goes to rax and must make room for lahf. */
#define MULTIPLY(mnemonic, type, constraint)                                                                           \
    __asm__(mnemonic " %[s]\n\tmov %%rax, %[low]\n\tlahf\n\tseto %%al"                                               \
            : "=&a"(out), [low] "=&r"(product), "=&d"(high) : "0"(low), [s] constraint((type)source) : "cc")
    switch (bits) {
    case 8: if (is_signed) { MULTIPLY("imulb", uint8_t, "q"); } else { MULTIPLY("mulb", uint8_t, "q"); } break;
    case 16: if (is_signed) { MULTIPLY("imulw", uint16_t, "r"); } else { MULTIPLY("mulw", uint16_t, "r"); } break;
    case 32: if (is_signed) { MULTIPLY("imull", uint32_t, "r"); } else { MULTIPLY("mull", uint32_t, "r"); } break;
    default: if (is_signed) { MULTIPLY("imulq", uint64_t, "r"); } else { MULTIPLY("mulq", uint64_t, "r"); } break;
    }
#undef MULTIPLY
    if (bits == 8) {
        reg_set(cpu, GPR_RAX, 16, 0, product);
    } else {
        reg_set(cpu, GPR_RAX, bits, 0, product);
        reg_set(cpu, GPR_RDX, bits, 0, high);
    }
    cpu->flags_both = (uint16_t)out;
}
SOFT_INLINE void mul(SoftCpu *cpu, const Insn *insn, unsigned bits) { multiply(cpu, insn, bits, false); }
SOFT_INLINE void imul(SoftCpu *cpu, const Insn *insn, unsigned bits) { multiply(cpu, insn, bits, true); }
SOFT_SIZED(mul) SOFT_SIZED(imul)

/* imul reg,r/m and reg,r/m,imm */
SOFT_INLINE void imul_g(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint16_t flags = cpu->flags_both;
    uint64_t source = get_rm(cpu, insn, AT_EITHER, bits);
    uint64_t value = alu_scan(OP_IMUL_G, bits, insn->form == FORM_GEI ? insn->imm : get_reg(cpu, insn, bits), source, &flags);

    set_reg(cpu, insn, bits, value);
    cpu->flags_both = flags;
}
SOFT_SIZED_WIDE(imul_g)

/* ---- div, idiv: #DE before anything changes ----------------------------------------------------------------------------- */

SOFT_INLINE void divide(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint64_t divisor = get_rm(cpu, insn, AT_EITHER, bits), low = reg_get(cpu, GPR_RAX, bits, 0), high = reg_get(cpu, GPR_RDX, bits, 0);
    uint64_t quotient, remainder;

    if (bits == 8) {
        high = reg_get(cpu, GPR_RAX, 8, 1);
    }
    if (high >= divisor) {                 /* zero, or the quotient does not fit */
        soft_raise(cpu, insn, EXC_DE);
    }
    if (bits == 64) {
        __asm__("divq %[d]" : "=a"(quotient), "=d"(remainder) : "a"(low), "d"(high), [d] "r"(divisor) : "cc");
    } else {
        uint64_t dividend = high << bits | low;

        quotient = dividend / divisor;
        remainder = dividend % divisor;
    }
    reg_set(cpu, GPR_RAX, bits, 0, quotient);
    if (bits == 8) {
        reg_set(cpu, GPR_RAX, 8, 1, remainder);
    } else {
        reg_set(cpu, GPR_RDX, bits, 0, remainder);
    }
}

SOFT_INLINE int64_t sign_extend(uint64_t value, unsigned bits)
{
    return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

static void divide_wide(SoftCpu *cpu, const Insn *insn, int64_t divisor)
{
    __int128 dividend = (__int128)((unsigned __int128)cpu->gpr[GPR_RDX] << 64 | cpu->gpr[GPR_RAX]);

    /* The one quotient of 128 bits that overflows in C. */
    if (divisor == 0 || (divisor == -1 && dividend == (__int128)((unsigned __int128)1 << 127))) {
        soft_raise(cpu, insn, EXC_DE);
    }
    __int128 quotient = dividend / divisor;
    if (quotient != (int64_t)quotient) {
        soft_raise(cpu, insn, EXC_DE);
    }
    cpu->gpr[GPR_RAX] = (uint64_t)quotient;
    cpu->gpr[GPR_RDX] = (uint64_t)(dividend % divisor);
}

SOFT_INLINE void divide_signed(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    int64_t divisor = sign_extend(get_rm(cpu, insn, AT_EITHER, bits), bits), dividend, quotient, remainder;

    if (bits == 64) {
        divide_wide(cpu, insn, divisor);
        return;
    }
    if (bits == 8) {
        dividend = (int16_t)cpu->gpr[GPR_RAX];
    } else {
        dividend = sign_extend(reg_get(cpu, GPR_RDX, bits, 0) << bits | reg_get(cpu, GPR_RAX, bits, 0), bits * 2);
    }
    if (divisor == 0 || (divisor == -1 && dividend == INT64_MIN)) {
        soft_raise(cpu, insn, EXC_DE);
    }
    quotient = dividend / divisor;
    remainder = dividend % divisor;
    if (quotient != sign_extend((uint64_t)quotient, bits)) {
        soft_raise(cpu, insn, EXC_DE);
    }
    reg_set(cpu, GPR_RAX, bits, 0, (uint64_t)quotient);
    if (bits == 8) {
        reg_set(cpu, GPR_RAX, 8, 1, (uint64_t)remainder);
    } else {
        reg_set(cpu, GPR_RDX, bits, 0, (uint64_t)remainder);
    }
}
SOFT_SIZED(divide) SOFT_SIZED(divide_signed)

/* ---- decimal and ASCII adjustments --------------------------------------------------------------------------------------- */

static uint8_t al(const SoftCpu *cpu) { return (uint8_t)cpu->gpr[GPR_RAX]; }
static bool af(const SoftCpu *cpu) { return cpu->flags_low & FLAG_AF; }

/* SF, ZF and PF of a byte, the others as told. */
static void set_byte_flags(SoftCpu *cpu, uint8_t value, bool carry, bool adjust)
{
    uint16_t flags = cpu->flags_both;

    alu_two(OP_OR, 8, value, value, &flags);
    cpu->flags_both = flags;
    cpu->flags_low = (uint8_t)((cpu->flags_low & ~(FLAG_CF | FLAG_AF)) | (carry ? FLAG_CF : 0) | (adjust ? FLAG_AF : 0));
}

static void decimal_adjust(SoftCpu *cpu, const Insn *insn)
{
    uint8_t value = al(cpu), old = value;
    bool carry = flags_cf(cpu), adjust = (value & 15) > 9 || af(cpu), subtract = insn->op == OP_DAS, borrow = false;

    if (adjust) {
        borrow = subtract ? old < 6 : old > 0xff - 6;
        value = (uint8_t)(subtract ? value - 6 : value + 6);
    }
    if (old > 0x99 || carry) {
        value = (uint8_t)(subtract ? value - 0x60 : value + 0x60);
        carry = true;
    } else {
        carry = borrow;
    }
    reg_set(cpu, GPR_RAX, 8, 0, value);
    set_byte_flags(cpu, value, carry, adjust);
}

static void ascii_adjust(SoftCpu *cpu, const Insn *insn)
{
    uint16_t ax = (uint16_t)cpu->gpr[GPR_RAX];
    bool adjust = (ax & 15) > 9 || af(cpu);

    if (adjust) {
        ax = (uint16_t)(insn->op == OP_AAA ? ax + 0x106 : ax - 0x106);
    }
    ax &= 0xff0f;
    reg_set(cpu, GPR_RAX, 16, 0, ax);
    set_byte_flags(cpu, (uint8_t)ax, adjust, adjust);
}

static void aam(SoftCpu *cpu, const Insn *insn)
{
    uint8_t base = (uint8_t)insn->imm, value = al(cpu);

    if (!base) {
        soft_raise(cpu, insn, EXC_DE);
    }
    reg_set(cpu, GPR_RAX, 16, 0, (uint64_t)(value / base) << 8 | value % base);
    set_byte_flags(cpu, value % base, false, false);
}

static void aad(SoftCpu *cpu, const Insn *insn)
{
    uint8_t value = (uint8_t)(al(cpu) + (uint8_t)(cpu->gpr[GPR_RAX] >> 8) * (uint8_t)insn->imm);

    reg_set(cpu, GPR_RAX, 16, 0, value);
    set_byte_flags(cpu, value, false, false);
}

const SoftHandler multiply_handlers[] = {
    ROWS_SIZED(MUL, mul), ROWS_SIZED(IMUL, imul), ROWS_SIZED_WIDE(IMUL_G, imul_g), ROWS_SIZED(DIV, divide), ROWS_SIZED(IDIV, divide_signed),
    { .op = OP_DAA, .call = decimal_adjust }, { .op = OP_DAS, .call = decimal_adjust }, { .op = OP_AAA, .call = ascii_adjust },
    { .op = OP_AAS, .call = ascii_adjust }, { .op = OP_AAM, .call = aam }, { .op = OP_AAD, .call = aad },
    { .op = 0 } };
