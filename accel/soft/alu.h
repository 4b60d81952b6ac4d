/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alu.h - the host's own arithmetic, with its flags: one function per kind of operation, folded by constant op and bits
 *
 * flags is flags_both of the context: lahf's byte above, seto's below. lahf wants AH, so that is where it lives.
 */
#pragma once
#include "accel/x86/optab.h"
#include <stdint.h>

#define ALU_INLINE static inline __attribute__((always_inline))
#define ALU_KEEP "\n\tlahf\n\tseto %%al"

/* op a, b: a is the destination. in: "=" or "+", whether old flags go in; before: what brings them into the host's. */
#define ALU_TWO_(type, in, before, mnemonic, suffix, constraint)                                          \
    do {                                                                                                  \
        type a_ = (type)a;                                                                                \
        __asm__(before mnemonic suffix " %[b], %[a]" ALU_KEEP                                              \
                : [a] "+" constraint(a_), [f] in "&a"(flags_) : [b] constraint((type)b) : "cc");           \
        a = a_;                                                                                           \
    } while (0)
#define ALU_TWO(in, before, mnemonic)                                                                     \
    do {                                                                                                  \
        switch (bits) {                                                                                   \
        case 8: ALU_TWO_(uint8_t, in, before, mnemonic, "b", "q"); break;                                 \
        case 16: ALU_TWO_(uint16_t, in, before, mnemonic, "w", "r"); break;                               \
        case 32: ALU_TWO_(uint32_t, in, before, mnemonic, "l", "r"); break;                               \
        default: ALU_TWO_(uint64_t, in, before, mnemonic, "q", "r"); break;                               \
        }                                                                                                 \
    } while (0)
#define ALU_CARRY_IN "btw $8, %w[f]\n\t"
#define ALU_FLAGS_IN "sahf\n\t"

/* Returns what the destination becomes (cmp and test: anything). */
ALU_INLINE uint64_t alu_two(unsigned op, unsigned bits, uint64_t a, uint64_t b, uint16_t *flags)
{
    uint16_t flags_ = *flags;

    switch (op) {
    case OP_ADD: ALU_TWO("=", "", "add"); break;
    case OP_OR: ALU_TWO("=", "", "or"); break;
    case OP_ADC: ALU_TWO("+", ALU_CARRY_IN, "adc"); break;
    case OP_SBB: ALU_TWO("+", ALU_CARRY_IN, "sbb"); break;
    case OP_AND: ALU_TWO("=", "", "and"); break;
    case OP_SUB: ALU_TWO("=", "", "sub"); break;
    case OP_XOR: ALU_TWO("=", "", "xor"); break;
    case OP_CMP: ALU_TWO("=", "", "cmp"); break;
    default: ALU_TWO("=", "", "test"); break;
    }
    *flags = flags_;
    return a;
}

#define ALU_ONE_(type, before, mnemonic, suffix, constraint) \
    do { type a_ = (type)a; __asm__(before mnemonic suffix " %[a]" ALU_KEEP : [a] "+" constraint(a_), [f] "+&a"(flags_) : : "cc"); a = a_; } while (0)
#define ALU_ONE(before, mnemonic)                                         \
    do {                                                                  \
        switch (bits) {                                                   \
        case 8: ALU_ONE_(uint8_t, before, mnemonic, "b", "q"); break;     \
        case 16: ALU_ONE_(uint16_t, before, mnemonic, "w", "r"); break;   \
        case 32: ALU_ONE_(uint32_t, before, mnemonic, "l", "r"); break;   \
        default: ALU_ONE_(uint64_t, before, mnemonic, "q", "r"); break;   \
        }                                                                 \
    } while (0)

ALU_INLINE uint64_t alu_one(unsigned op, unsigned bits, uint64_t a, uint16_t *flags)
{
    uint16_t flags_ = *flags;

    switch (op) {
    case OP_INC: ALU_ONE(ALU_CARRY_IN, "inc"); break;
    case OP_DEC: ALU_ONE(ALU_CARRY_IN, "dec"); break;
    default: ALU_ONE("", "neg"); break;
    }
    *flags = flags_;
    return a;
}

/* Shifts and rotates by a count that is not zero after masking. */
#define ALU_SHIFT_(type, mnemonic, suffix, constraint)                                                             \
    do {                                                                                                           \
        type a_ = (type)a;                                                                                         \
        __asm__(ALU_FLAGS_IN mnemonic suffix " %%cl, %[a]" ALU_KEEP : [a] "+" constraint(a_), [f] "+&a"(flags_) : "c"(count) : "cc"); \
        a = a_;                                                                                                    \
    } while (0)
#define ALU_SHIFT(mnemonic)                                       \
    do {                                                          \
        switch (bits) {                                           \
        case 8: ALU_SHIFT_(uint8_t, mnemonic, "b", "q"); break;   \
        case 16: ALU_SHIFT_(uint16_t, mnemonic, "w", "r"); break; \
        case 32: ALU_SHIFT_(uint32_t, mnemonic, "l", "r"); break; \
        default: ALU_SHIFT_(uint64_t, mnemonic, "q", "r"); break; \
        }                                                         \
    } while (0)

ALU_INLINE uint64_t alu_shift(unsigned op, unsigned bits, uint64_t a, uint8_t count, uint16_t *flags)
{
    uint16_t flags_ = *flags;

    switch (op) {
    case OP_ROL: ALU_SHIFT("rol"); break;
    case OP_ROR: ALU_SHIFT("ror"); break;
    case OP_RCL: ALU_SHIFT("rcl"); break;
    case OP_RCR: ALU_SHIFT("rcr"); break;
    case OP_SHR: ALU_SHIFT("shr"); break;
    case OP_SAR: ALU_SHIFT("sar"); break;
    default: ALU_SHIFT("shl"); break;
    }
    *flags = flags_;
    return a;
}

#define ALU_DOUBLE_(type, mnemonic, suffix)                                                                        \
    do {                                                                                                           \
        type a_ = (type)a;                                                                                         \
        __asm__(ALU_FLAGS_IN mnemonic suffix " %%cl, %[b], %[a]" ALU_KEEP : [a] "+r"(a_), [f] "+&a"(flags_) : [b] "r"((type)b), "c"(count) : "cc"); \
        a = a_;                                                                                                    \
    } while (0)
ALU_INLINE uint64_t alu_shift_double(bool left, unsigned bits, uint64_t a, uint64_t b, uint8_t count, uint16_t *flags)
{
    uint16_t flags_ = *flags;

    switch (bits) {
    case 16: if (left) { ALU_DOUBLE_(uint16_t, "shld", "w"); } else { ALU_DOUBLE_(uint16_t, "shrd", "w"); } break;
    case 32: if (left) { ALU_DOUBLE_(uint32_t, "shld", "l"); } else { ALU_DOUBLE_(uint32_t, "shrd", "l"); } break;
    default: if (left) { ALU_DOUBLE_(uint64_t, "shld", "q"); } else { ALU_DOUBLE_(uint64_t, "shrd", "q"); } break;
    }
    *flags = flags_;
    return a;
}

/* op reg, r/m with the flags that the host makes; the destination's old value goes in (bsf and bsr may keep it, upper half too). */
#define ALU_SCAN_(mnemonic, modifier)                                                                              \
    __asm__(ALU_FLAGS_IN mnemonic " %" modifier "[b], %" modifier "[a]" ALU_KEEP : [a] "+r"(a), [f] "+&a"(flags_) : [b] "r"(b) : "cc")
#define ALU_SCAN(mnemonic)                             \
    do {                                               \
        switch (bits) {                                \
        case 16: ALU_SCAN_(mnemonic, "w"); break;      \
        case 32: ALU_SCAN_(mnemonic, "k"); break;      \
        default: ALU_SCAN_(mnemonic, "q"); break;      \
        }                                              \
    } while (0)

ALU_INLINE uint64_t alu_scan(unsigned op, unsigned bits, uint64_t a, uint64_t b, uint16_t *flags)
{
    uint16_t flags_ = *flags;

    switch (op) {
    case OP_BSF: ALU_SCAN("bsf"); break;
    case OP_BSR: ALU_SCAN("bsr"); break;
    case OP_TZCNT: ALU_SCAN("tzcnt"); break;
    case OP_LZCNT: ALU_SCAN("lzcnt"); break;
    case OP_POPCNT: ALU_SCAN("popcnt"); break;
    default: ALU_SCAN("imul"); break;
    }
    *flags = flags_;
    return a;
}
