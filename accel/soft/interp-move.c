/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-move.c - the rest of what moves and converts integers, one-operand arithmetic, and flag instructions
 *
 * Tests    tests/cpu/integer.c, tests/cpu/fuzz.c
 */
#include "accel/soft/alu.h"
#include "accel/soft/operand.h"
#include <sched.h>

enum { SPINS = 128 };                      /* PAUSEs before the host may run somebody else */
#include <stdlib.h>

/* ---- movzx, movsx, movslq --------------------------------------------------------------------------------------- */

#define EXTEND(name, from, type)                                                                                      \
    SOFT_INLINE void name(SoftCpu *cpu, const Insn *insn, unsigned bits)                                              \
    {                                                                                                                 \
        set_reg(cpu, insn, bits, (uint64_t)(int64_t)(type)get_rm(cpu, insn, AT_EITHER, from));                        \
    }                                                                                                                 \
    SOFT_SIZED_WIDE(name)
EXTEND(movzx_8, 8, uint8_t) EXTEND(movzx_16, 16, uint16_t) EXTEND(movsx_8, 8, int8_t) EXTEND(movsx_16, 16, int16_t)
EXTEND(movsx_32, 32, int32_t)

#define EXTEND_FAST(name, from, type, bits)                                                                           \
    SOFT_HANDLER(name##_r) { set_reg(cpu, insn, bits, (uint64_t)(int64_t)(type)get_rm(cpu, insn, AT_REGISTER, from)); } \
    SOFT_HANDLER(name##_m) { set_reg(cpu, insn, bits, (uint64_t)(int64_t)(type)get_rm(cpu, insn, AT_FLAT64, from)); }
EXTEND_FAST(fast_movzx_8, 8, uint8_t, 32) EXTEND_FAST(fast_movzx_16, 16, uint16_t, 32) EXTEND_FAST(fast_movsx_8, 8, int8_t, 32)
EXTEND_FAST(fast_movsx_16, 16, int16_t, 32) EXTEND_FAST(fast_movslq, 32, int32_t, 64)

static unsigned source_bytes(const Insn *insn)
{
    return insn->opcode == 0x63 ? 4 : insn->opcode & 1 ? 2 : 1;
}

static InsnRun *bind_extend(const Insn *insn)
{
    static InsnRun *const zero[2][3] = { { movzx_8_16, movzx_8_32, movzx_8_64 }, { movzx_16_16, movzx_16_32, movzx_16_64 } };
    static InsnRun *const sign[3][3] = { { movsx_8_16, movsx_8_32, movsx_8_64 }, { movsx_16_16, movsx_16_32, movsx_16_64 }, { movsx_32_16, movsx_32_32, movsx_32_64 } };
    unsigned from = source_bytes(insn), width = insn->size == 2 ? 0 : insn->size == 4 ? 1 : 2;
    bool zero_extend = insn->op == OP_MOVZX, flat = insn->memory == MEMORY_FLAT64;

    if (!insn->memory || flat) {
        if (zero_extend && width) {        /* 32 bits of zero extension are 64 */
            return from == 1 ? (flat ? fast_movzx_8_m : fast_movzx_8_r) : flat ? fast_movzx_16_m : fast_movzx_16_r;
        }
        if (!zero_extend && width == 1 && from < 4) {
            return from == 1 ? (flat ? fast_movsx_8_m : fast_movsx_8_r) : flat ? fast_movsx_16_m : fast_movsx_16_r;
        }
        if (from == 4 && width == 2) {
            return flat ? fast_movslq_m : fast_movslq_r;
        }
    }
    return zero_extend ? zero[from - 1][width] : sign[from == 4 ? 2 : from - 1][width];
}

/* ---- mov to and from an absolute offset --------------------------------------------------------------------------- */

SOFT_INLINE void mov_load_offset(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint64_t linear = soft_linear(cpu, insn, insn->segment, insn->imm, bits / 8, false);

    reg_set(cpu, GPR_RAX, bits, 0, mem_load(cpu, insn, linear, bits));
}
SOFT_SIZED(mov_load_offset)

SOFT_INLINE void mov_store_offset(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint64_t linear = soft_linear(cpu, insn, insn->segment, insn->imm, bits / 8, true);

    mem_store(cpu, insn, linear, bits, reg_get(cpu, GPR_RAX, bits, 0));
}
SOFT_SIZED(mov_store_offset)

/* ---- inc, dec, not, neg ------------------------------------------------------------------------------------------- */

SOFT_INLINE void one_operand(SoftCpu *cpu, const Insn *insn, unsigned op, unsigned bits, At at)
{
    uint16_t flags = cpu->flags_both;
    Modify modify = { 0 };
    uint64_t value = modify_begin(cpu, insn, at, bits, &modify);

    value = op == OP_NOT ? ~value : alu_one(op, bits, value, &flags);
    modify_end(cpu, insn, at, bits, &modify, value);
    if (op != OP_NOT) {
        cpu->flags_both = flags;
    }
}
#define ONE_OPERAND(name, op)                                                                                  \
    SOFT_INLINE void name(SoftCpu *cpu, const Insn *insn, unsigned bits) { one_operand(cpu, insn, op, bits, AT_EITHER); } \
    SOFT_SIZED(name)
ONE_OPERAND(inc, OP_INC) ONE_OPERAND(dec, OP_DEC) ONE_OPERAND(not, OP_NOT) ONE_OPERAND(neg, OP_NEG)

/* ---- exchanges ------------------------------------------------------------------------------------------------------ */

/* With memory it is locked, prefix or not. */
SOFT_INLINE void xchg(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint64_t value = get_reg(cpu, insn, bits), old;

    if (!insn->memory) {
        old = get_rm_reg(cpu, insn, bits);
        set_rm_reg(cpu, insn, bits, value);
    } else {
        uint64_t linear = operand_linear(cpu, insn, AT_ANY, bits / 8, true);
        uint8_t *host = locked_host(cpu, insn, linear, bits / 8);

        if (!host) {
            Split split;

            old = two_steps_begin(cpu, insn, linear, bits, &split);
            two_steps_end(cpu, insn, linear, bits, &split, value);
        } else {
            switch (bits) {
            case 8: old = __atomic_exchange_n(host, (uint8_t)value, __ATOMIC_SEQ_CST); break;
            case 16: old = __atomic_exchange_n((uint16_t *)host, (uint16_t)value, __ATOMIC_SEQ_CST); break;
            case 32: old = __atomic_exchange_n((uint32_t *)host, (uint32_t)value, __ATOMIC_SEQ_CST); break;
            default: old = __atomic_exchange_n((uint64_t *)host, value, __ATOMIC_SEQ_CST); break;
            }
            mmu_written_late(cpu);
        }
    }
    set_reg(cpu, insn, bits, old);
}
SOFT_SIZED(xchg)

SOFT_INLINE void xadd(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint16_t flags = cpu->flags_both;
    Modify modify = { 0 };
    uint64_t old = modify_begin(cpu, insn, AT_EITHER, bits, &modify);
    uint64_t sum = alu_two(OP_ADD, bits, old, get_reg(cpu, insn, bits), &flags);

    if (insn->memory) {
        modify_end(cpu, insn, AT_EITHER, bits, &modify, sum);
        set_reg(cpu, insn, bits, old);
    } else {
        set_reg(cpu, insn, bits, old);     /* the same register twice: the sum stays */
        set_rm_reg(cpu, insn, bits, sum);
    }
    cpu->flags_both = flags;
}
SOFT_SIZED(xadd)

SOFT_INLINE void cmpxchg(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint16_t flags = cpu->flags_both;
    Modify modify = { 0 };
    uint64_t old = modify_begin(cpu, insn, AT_EITHER, bits, &modify), wanted = reg_get(cpu, GPR_RAX, bits, 0);

    alu_two(OP_CMP, bits, wanted, old, &flags);
    if (wanted == old) {
        modify_end(cpu, insn, AT_EITHER, bits, &modify, get_reg(cpu, insn, bits));
    } else {
        if (insn->memory) {                /* memory is always written; a register not even its upper half */
            modify_end(cpu, insn, AT_EITHER, bits, &modify, old);
        }
        reg_set(cpu, GPR_RAX, bits, 0, old);
    }
    cpu->flags_both = flags;
}
SOFT_SIZED(cmpxchg)

SOFT_INLINE void bswap(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint64_t value = get_rm_reg(cpu, insn, bits);

    /* 16 bits: undefined; processors give zero. */
    set_rm_reg(cpu, insn, bits, bits == 64 ? __builtin_bswap64(value) : bits == 32 ? __builtin_bswap32((uint32_t)value) : 0);
}
SOFT_SIZED_WIDE(bswap)

SOFT_INLINE void movbe(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    bool store = insn->form == FORM_EG;
    uint64_t value = store ? get_reg(cpu, insn, bits) : get_rm(cpu, insn, AT_EITHER, bits);

    value = bits == 64 ? __builtin_bswap64(value) : bits == 32 ? __builtin_bswap32((uint32_t)value) : __builtin_bswap16((uint16_t)value);
    if (store) {
        set_rm(cpu, insn, AT_EITHER, bits, value);
    } else {
        set_reg(cpu, insn, bits, value);
    }
}
SOFT_SIZED_WIDE(movbe)

SOFT_INLINE void movnti(SoftCpu *cpu, const Insn *insn, unsigned bits) { set_rm(cpu, insn, AT_EITHER, bits, get_reg(cpu, insn, bits)); }
SOFT_SIZED_WIDE(movnti)

/* ---- by condition ---------------------------------------------------------------------------------------------------- */

SOFT_INLINE void cmovcc(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint64_t value = get_rm(cpu, insn, AT_EITHER, bits);

    if (!flags_condition(cpu, insn->opcode & 15)) {
        value = get_reg(cpu, insn, bits);  /* written back all the same: 32 bits clear the upper half */
    }
    set_reg(cpu, insn, bits, value);
}
SOFT_SIZED_WIDE(cmovcc)

SOFT_HANDLER(setcc) { set_rm(cpu, insn, AT_EITHER, 8, flags_condition(cpu, insn->opcode & 15)); }

/* ---- sign extension into the accumulator's other half ------------------------------------------------------------------ */

SOFT_HANDLER(cbw_16) { reg_set(cpu, GPR_RAX, 16, 0, (uint64_t)(int8_t)cpu->gpr[GPR_RAX]); }
SOFT_HANDLER(cbw_32) { (void)insn; reg_set(cpu, GPR_RAX, 32, 0, (uint64_t)(int16_t)cpu->gpr[GPR_RAX]); }
SOFT_HANDLER(cbw_64) { (void)insn; cpu->gpr[GPR_RAX] = (uint64_t)(int64_t)(int32_t)cpu->gpr[GPR_RAX]; }
SOFT_HANDLER(cwd_16) { reg_set(cpu, GPR_RDX, 16, 0, (uint64_t)((int16_t)cpu->gpr[GPR_RAX] >> 15)); }
SOFT_HANDLER(cwd_32) { reg_set(cpu, GPR_RDX, 32, 0, (uint64_t)((int32_t)cpu->gpr[GPR_RAX] >> 31)); }
SOFT_HANDLER(cwd_64) { cpu->gpr[GPR_RDX] = (uint64_t)((int64_t)cpu->gpr[GPR_RAX] >> 63); }

/* ---- flags ----------------------------------------------------------------------------------------------------------------- */

SOFT_HANDLER(clc) { flags_set_cf(cpu, false); }
SOFT_HANDLER(stc) { flags_set_cf(cpu, true); }
SOFT_HANDLER(cmc) { cpu->flags_low ^= FLAG_CF; }
SOFT_HANDLER(cld) { cpu->rflags &= ~(uint64_t)FLAG_DF; }
SOFT_HANDLER(std) { cpu->rflags |= FLAG_DF; }
SOFT_HANDLER(nop) { (void)cpu; }

/* Who waits for another CPU waits in vain while their one thread is here. The block ends with it: a lock that was opened for the others
 * just before must not be taken again before they had their turn. With a thread for each, the other's may be waiting for a host processor. */
static void spin_hint(SoftCpu *cpu, const Insn *insn)
{
    (void)insn;
    if (cpu->shares) {
        soft_request(cpu, REQUEST_YIELD);
    } else if (++cpu->spins % SPINS == 0) {
        sched_yield();
    }
}

InsnRun *move_bind(const Insn *insn)
{
    if (insn->op == OP_XCHG && insn->opcode == 0x90 && insn->reg == 0) {
        return nop;                        /* 90 is no exchange: it does not clear the upper half of rax */
    }
    return insn->op == OP_MOVZX || insn->op == OP_MOVSX ? bind_extend(insn) : NULL;
}

static uint8_t *ah(SoftCpu *cpu) { return &((uint8_t *)&cpu->gpr[GPR_RAX])[1]; }

/* In 64-bit mode these two have a CPUID bit of their own. */
static void require_lahf(SoftCpu *cpu, const Insn *insn)
{
    if (cpu->code_size == 8 && !cpuid_has(cpu->features, FEATURE_LAHF_LM)) {
        soft_raise(cpu, insn, EXC_UD);
    }
}

SOFT_HANDLER(lahf)
{
    require_lahf(cpu, insn);
    *ah(cpu) = (uint8_t)((cpu->flags_low & FLAGS_LOW) | FLAG_FIXED);
}

SOFT_HANDLER(sahf)
{
    require_lahf(cpu, insn);
    cpu->flags_low = (uint8_t)((*ah(cpu) & FLAGS_LOW) | FLAG_FIXED);
}

SOFT_HANDLER(salc) { reg_set(cpu, GPR_RAX, 8, 0, flags_cf(cpu) ? 0xff : 0); }

SOFT_HANDLER(xlat)
{
    uint64_t offset = cpu->gpr[GPR_RBX] + (uint8_t)cpu->gpr[GPR_RAX];

    offset = insn->address_size == 8 ? offset : insn->address_size == 4 ? (uint32_t)offset : (uint16_t)offset;
    reg_set(cpu, GPR_RAX, 8, 0, mmu_load8(cpu, insn, soft_linear(cpu, insn, insn->segment, offset, 1, false)));
}

/* ---- rdrand, rdseed: the host's -------------------------------------------------------------------------------------------- */

static void hardware_random(SoftCpu *cpu, const Insn *insn)
{
    unsigned long long value = 0;
    unsigned char carry;

    if (insn->op == OP_RDRAND) {
        __asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(value), "=q"(carry) : : "cc");
    } else {
        __asm__ volatile("rdseed %0\n\tsetc %1" : "=r"(value), "=q"(carry) : : "cc");
    }
    reg_set(cpu, insn->rm, insn->size * 8u, 0, carry ? value : 0);
    cpu->flags_both = 0;
    flags_set_cf(cpu, carry);
}

const SoftHandler move_handlers[] = {
    { .op = OP_MOV, .form = FORM_ONLY(FORM_AO), .size = 1, .run = mov_load_offset_8 }, { .op = OP_MOV, .form = FORM_ONLY(FORM_AO), .size = 2, .run = mov_load_offset_16 },
    { .op = OP_MOV, .form = FORM_ONLY(FORM_AO), .size = 4, .run = mov_load_offset_32 }, { .op = OP_MOV, .form = FORM_ONLY(FORM_AO), .size = 8, .run = mov_load_offset_64 },
    { .op = OP_MOV, .form = FORM_ONLY(FORM_OA), .size = 1, .run = mov_store_offset_8 }, { .op = OP_MOV, .form = FORM_ONLY(FORM_OA), .size = 2, .run = mov_store_offset_16 },
    { .op = OP_MOV, .form = FORM_ONLY(FORM_OA), .size = 4, .run = mov_store_offset_32 }, { .op = OP_MOV, .form = FORM_ONLY(FORM_OA), .size = 8, .run = mov_store_offset_64 },
    ROWS_SIZED(INC, inc), ROWS_SIZED(DEC, dec), ROWS_SIZED(NOT, not), ROWS_SIZED(NEG, neg), ROWS_SIZED(XCHG, xchg), ROWS_SIZED(XADD, xadd),
    ROWS_SIZED(CMPXCHG, cmpxchg), ROWS_SIZED_WIDE(BSWAP, bswap), ROWS_SIZED_WIDE(MOVBE, movbe), ROWS_SIZED_WIDE(MOVNTI, movnti),
    ROWS_SIZED_WIDE(CMOVCC, cmovcc), { .op = OP_SETCC, .run = setcc },
    ROWS_SIZED_WIDE(CBW, cbw), ROWS_SIZED_WIDE(CWD, cwd),
    { .op = OP_CLC, .run = clc }, { .op = OP_STC, .run = stc }, { .op = OP_CMC, .run = cmc }, { .op = OP_CLD, .run = cld }, { .op = OP_STD, .run = std },
    { .op = OP_NOP, .run = nop }, { .op = OP_PAUSE, .call = spin_hint }, { .op = OP_LAHF, .run = lahf }, { .op = OP_SAHF, .run = sahf },
    { .op = OP_SALC, .run = salc }, { .op = OP_XLAT, .run = xlat }, { .op = OP_RDRAND, .call = hardware_random }, { .op = OP_RDSEED, .call = hardware_random },
    { .op = 0 } };
