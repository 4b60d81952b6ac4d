/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-locked.c - read-modify-write with a LOCK prefix, and the double-width compare and exchange
 *
 * The host's own locked instruction on guest RAM, so that devices, other processes and other processors see what hardware would show,
 * also where the operand crosses a cache line. Of two operands that cross pages of RAM one waits for the other, but ordinary accesses of
 * other processors may come in between; device registers are read and written in two steps, as hardware that forbids it does.
 *
 * Tests    tests/cpu/integer.c, tests/cpu/fuzz.c
 */
#include "accel/soft/alu.h"
#include "accel/soft/operand.h"

#define LOCKED_TWO_(type, before, mnemonic, suffix, constraint)                                                        \
    __asm__ volatile(before "lock " mnemonic suffix " %[b], %[m]" ALU_KEEP                                              \
                     : [m] "+m"(*(type *)host), [f] "+&a"(flags_) : [b] constraint((type)b) : "cc", "memory")
#define LOCKED_TWO(before, mnemonic)                                             \
    do {                                                                         \
        switch (bits) {                                                          \
        case 8: LOCKED_TWO_(uint8_t, before, mnemonic, "b", "q"); break;         \
        case 16: LOCKED_TWO_(uint16_t, before, mnemonic, "w", "r"); break;       \
        case 32: LOCKED_TWO_(uint32_t, before, mnemonic, "l", "r"); break;       \
        default: LOCKED_TWO_(uint64_t, before, mnemonic, "q", "r"); break;       \
        }                                                                        \
    } while (0)
#define LOCKED_ONE_(type, before, mnemonic, suffix) \
    __asm__ volatile(before "lock " mnemonic suffix " %[m]" ALU_KEEP : [m] "+m"(*(type *)host), [f] "+&a"(flags_) : : "cc", "memory")
#define LOCKED_ONE(before, mnemonic)                                             \
    do {                                                                         \
        switch (bits) {                                                          \
        case 8: LOCKED_ONE_(uint8_t, before, mnemonic, "b"); break;              \
        case 16: LOCKED_ONE_(uint16_t, before, mnemonic, "w"); break;            \
        case 32: LOCKED_ONE_(uint32_t, before, mnemonic, "l"); break;            \
        default: LOCKED_ONE_(uint64_t, before, mnemonic, "q"); break;            \
        }                                                                        \
    } while (0)

SOFT_INLINE uint16_t locked_on_host(unsigned op, unsigned bits, uint8_t *host, uint64_t b, uint16_t flags)
{
    uint16_t flags_ = flags;

    switch (op) {
    case OP_ADD: LOCKED_TWO("", "add"); break;
    case OP_OR: LOCKED_TWO("", "or"); break;
    case OP_ADC: LOCKED_TWO(ALU_CARRY_IN, "adc"); break;
    case OP_SBB: LOCKED_TWO(ALU_CARRY_IN, "sbb"); break;
    case OP_AND: LOCKED_TWO("", "and"); break;
    case OP_SUB: LOCKED_TWO("", "sub"); break;
    case OP_XOR: LOCKED_TWO("", "xor"); break;
    case OP_INC: LOCKED_ONE(ALU_CARRY_IN, "inc"); break;
    case OP_DEC: LOCKED_ONE(ALU_CARRY_IN, "dec"); break;
    case OP_NEG: LOCKED_ONE("", "neg"); break;
    default: LOCKED_ONE("", "not"); return flags;
    }
    return flags_;
}

SOFT_INLINE bool has_source(unsigned op) { return op != OP_INC && op != OP_DEC && op != OP_NEG && op != OP_NOT; }

SOFT_INLINE void locked(SoftCpu *cpu, const Insn *insn, unsigned op, unsigned bits)
{
    uint64_t source = insn->form == FORM_EI ? insn->imm : has_source(op) ? get_reg(cpu, insn, bits) : 0;
    uint64_t linear = operand_linear(cpu, insn, AT_ANY, bits / 8, true);
    uint8_t *host = locked_host(cpu, insn, linear, bits / 8);
    uint16_t flags = cpu->flags_both;

    if (__builtin_expect(host != NULL, 1)) {
        cpu->flags_both = locked_on_host(op, bits, host, source, flags);
        mmu_written_late(cpu);
        return;
    }
    Split split;
    uint64_t value = two_steps_begin(cpu, insn, linear, bits, &split);
    value = op == OP_NOT ? ~value : has_source(op) ? alu_two(op, bits, value, source, &flags) : alu_one(op, bits, value, &flags);
    two_steps_end(cpu, insn, linear, bits, &split, value);
    if (op != OP_NOT) {
        cpu->flags_both = flags;
    }
}
#define LOCKED(name, op)                                                                                       \
    SOFT_INLINE void name(SoftCpu *cpu, const Insn *insn, unsigned bits) { locked(cpu, insn, op, bits); }      \
    SOFT_SIZED(name)
LOCKED(lock_add, OP_ADD) LOCKED(lock_or, OP_OR) LOCKED(lock_adc, OP_ADC) LOCKED(lock_sbb, OP_SBB) LOCKED(lock_and, OP_AND)
LOCKED(lock_sub, OP_SUB) LOCKED(lock_xor, OP_XOR) LOCKED(lock_inc, OP_INC) LOCKED(lock_dec, OP_DEC) LOCKED(lock_neg, OP_NEG) LOCKED(lock_not, OP_NOT)

/* ---- xadd, cmpxchg ------------------------------------------------------------------------------------------------------ */

#define BY_WIDTH(result, call_)                                  \
    do {                                                         \
        switch (bits) {                                          \
        case 8: result = call_(uint8_t); break;                  \
        case 16: result = call_(uint16_t); break;                \
        case 32: result = call_(uint32_t); break;                \
        default: result = call_(uint64_t); break;                \
        }                                                        \
    } while (0)

SOFT_INLINE void lock_xadd(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint64_t source = get_reg(cpu, insn, bits), old, linear = operand_linear(cpu, insn, AT_ANY, bits / 8, true);
    uint8_t *host = locked_host(cpu, insn, linear, bits / 8);
    uint16_t flags = cpu->flags_both;

    if (host) {
#define FETCH_ADD(type) __atomic_fetch_add((type *)host, (type)source, __ATOMIC_SEQ_CST)
        BY_WIDTH(old, FETCH_ADD);
#undef FETCH_ADD
        mmu_written_late(cpu);
        alu_two(OP_ADD, bits, old, source, &flags);
    } else {
        Split split;

        old = two_steps_begin(cpu, insn, linear, bits, &split);
        two_steps_end(cpu, insn, linear, bits, &split, alu_two(OP_ADD, bits, old, source, &flags));
    }
    set_reg(cpu, insn, bits, old);
    cpu->flags_both = flags;
}
SOFT_SIZED(lock_xadd)

SOFT_INLINE void lock_cmpxchg(SoftCpu *cpu, const Insn *insn, unsigned bits)
{
    uint64_t wanted = reg_get(cpu, GPR_RAX, bits, 0), source = get_reg(cpu, insn, bits), old, linear = operand_linear(cpu, insn, AT_ANY, bits / 8, true);
    uint8_t *host = locked_host(cpu, insn, linear, bits / 8);
    uint16_t flags = cpu->flags_both;

    if (host) {
#define COMPARE(type) __sync_val_compare_and_swap((type *)host, (type)wanted, (type)source)
        BY_WIDTH(old, COMPARE);
#undef COMPARE
        mmu_written_late(cpu);
    } else {
        Split split;

        old = two_steps_begin(cpu, insn, linear, bits, &split);
        two_steps_end(cpu, insn, linear, bits, &split, old == wanted ? source : old);
    }
    alu_two(OP_CMP, bits, wanted, old, &flags);
    if (old != wanted) {
        reg_set(cpu, GPR_RAX, bits, 0, old);
    }
    cpu->flags_both = flags;
}
SOFT_SIZED(lock_cmpxchg)

/* ---- cmpxchg8b, cmpxchg16b: with or without the prefix -------------------------------------------------------------------- */

static void cmpxchg8b(SoftCpu *cpu, const Insn *insn)
{
    uint64_t linear = soft_address(cpu, insn, 8, true), wanted = cpu->gpr[GPR_RDX] << 32 | (uint32_t)cpu->gpr[GPR_RAX];
    uint64_t source = cpu->gpr[GPR_RCX] << 32 | (uint32_t)cpu->gpr[GPR_RBX], old;
    uint8_t *host = locked_host(cpu, insn, linear, 8);

    if (host) {
        old = __sync_val_compare_and_swap((uint64_t *)host, wanted, source);
        mmu_written_late(cpu);
    } else {
        Split split;

        old = two_steps_begin(cpu, insn, linear, 64, &split);
        two_steps_end(cpu, insn, linear, 64, &split, old == wanted ? source : old);
    }
    if (old != wanted) {
        cpu->gpr[GPR_RAX] = (uint32_t)old;
        cpu->gpr[GPR_RDX] = old >> 32;
    }
    flags_set_zf(cpu, old == wanted);
}

static bool compare_16_bytes(void *host, uint64_t old[2], uint64_t low, uint64_t high)
{
    bool equal;

    __asm__ volatile("lock cmpxchg16b %[m]\n\tsete %[e]"
                     : [m] "+m"(*(unsigned __int128 *)host), [e] "=q"(equal), "+a"(old[0]), "+d"(old[1]) : "b"(low), "c"(high) : "cc", "memory");
    return equal;
}

static void cmpxchg16b(SoftCpu *cpu, const Insn *insn)
{
    if (!cpuid_has(cpu->features, FEATURE_CX16)) {
        soft_raise(cpu, insn, EXC_UD);
    }
    uint64_t linear = soft_address(cpu, insn, 16, true), old[2] = { cpu->gpr[GPR_RAX], cpu->gpr[GPR_RDX] };
    if (linear & 15) {
        soft_raise_error(cpu, insn, EXC_GP, 0);
    }
    uint8_t *host = locked_host(cpu, insn, linear, 16);
    bool equal;

    if (host) {
        equal = compare_16_bytes(host, old, cpu->gpr[GPR_RBX], cpu->gpr[GPR_RCX]);
        mmu_written_late(cpu);
    } else {
        mmu_probe(cpu, insn, linear, 16, true);
        uint64_t now[2] = { mmu_load_slow(cpu, insn, linear, 8), mmu_load_slow(cpu, insn, linear + 8, 8) };

        equal = now[0] == old[0] && now[1] == old[1];
        mmu_store_slow(cpu, insn, linear, 8, equal ? cpu->gpr[GPR_RBX] : now[0]);
        mmu_store_slow(cpu, insn, linear + 8, 8, equal ? cpu->gpr[GPR_RCX] : now[1]);
        old[0] = now[0], old[1] = now[1];
    }
    if (!equal) {
        cpu->gpr[GPR_RAX] = old[0];
        cpu->gpr[GPR_RDX] = old[1];
    }
    flags_set_zf(cpu, equal);
}

const SoftHandler locked_handlers[] = {
    ROWS_SIZED(ADD, lock_add), ROWS_SIZED(OR, lock_or), ROWS_SIZED(ADC, lock_adc), ROWS_SIZED(SBB, lock_sbb), ROWS_SIZED(AND, lock_and),
    ROWS_SIZED(SUB, lock_sub), ROWS_SIZED(XOR, lock_xor), ROWS_SIZED(INC, lock_inc), ROWS_SIZED(DEC, lock_dec), ROWS_SIZED(NEG, lock_neg),
    ROWS_SIZED(NOT, lock_not), ROWS_SIZED(XADD, lock_xadd), ROWS_SIZED(CMPXCHG, lock_cmpxchg),
    { .op = OP_CMPXCHG8B, .size = 4, .call = cmpxchg8b }, { .op = OP_CMPXCHG8B, .size = 8, .call = cmpxchg16b },
    { .op = 0 } };
