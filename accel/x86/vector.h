/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vector.h - what an MMX, SSE or AVX row does with its operands, in one word, and in a second one with a VEX prefix
 *
 * The words live in the row (OptabRow.vector, OptabRow.vex); optab-vector.c and optab-vex.c fill them, the software CPU's vector
 * handlers, the translator and the fuzzer read them. "reg" is the ModRM.reg operand (or ModRM.rm for the shift-by-immediate groups of
 * MMX and SSE, where ModRM.reg is part of the opcode), "rm" is ModRM.rm, "vvvv" the register that only VEX has.
 */
#pragma once
#include <stdint.h>

/* Register file of an operand. */
enum {
    VECTOR_NONE, VECTOR_XMM, VECTOR_MMX,           /* XMM: with VEX and L=1 the whole YMM register, but for VEX_REG_128, VEX_RM_128 */
    VECTOR_GPR,                                    /* 32 bits, 64 with REX.W */
};
#define VECTOR_REG(file)    ((uint32_t)(file))             /* bits 0-1 */
#define VECTOR_RM(file)     ((uint32_t)(file) << 2)        /* bits 2-3: when ModRM.mod is 3 */
#define VECTOR_MEMORY(n)    ((uint32_t)(n) << 4)           /* bits 4-9: bytes touched when ModRM.mod is not 3 (0-32) */
enum {
    VECTOR_MEMORY_W      = 1 << 10,                /* memory operand is 4 bytes, 8 with REX.W */
    VECTOR_ALIGNED       = 1 << 11,                /* the memory operand must be aligned to its size, 16 or 32 bytes: #GP(0) */
    VECTOR_WRITES_REG    = 1 << 12,
    VECTOR_WRITES_RM     = 1 << 13,
    VECTOR_FP            = 1 << 14,                /* reads MXCSR, may raise #XM */
    VECTOR_XMM0          = 1 << 15,                /* XMM0 is an implicit source */
    VECTOR_FLAGS         = 1 << 16,                /* writes the six arithmetic flags */
    VECTOR_IMM8          = 1 << 17,                /* an 8-bit immediate follows */
    VECTOR_COMPARES      = 1 << 18,                /* pcmpXstrX: EAX, EDX in; ECX or XMM0 out */
    VECTOR_NO_MMX_STATE  = 1 << 19,                /* a memory source leaves the x87 tag word alone (cvtpi2pd m64) */
    VECTOR_REG_ONLY      = 1 << 20,                /* #UD with a memory operand */
    VECTOR_MEMORY_ONLY   = 1 << 21,                /* #UD with a register operand */
    VECTOR_UNCHECKED     = 1 << 22,                /* works whatever CR0.EM, CR0.TS and CR4.OSFXSR say (fences, movnti, hints) */
    VECTOR_MOVE          = 1 << 23,                /* copies its operand unchanged: executors may do it without the host's instruction */
    VECTOR_CLEARS        = 1 << 24,                /* a register with itself: zero, whatever it held */
};

/*
 * OptabRow.vex, for rows of the VEX maps. Zero: VEX.L must be 0, W is ignored or chooses the size of general registers, vvvv is a
 * general register or what ROW_NO_VVVV says. A row holds for one value of L, so VECTOR_MEMORY is exact; a vector instruction with
 * VVVV_UNUSED has ROW_NO_VVVV.
 *
 * Of vector registers: with L=0 (and for scalars, whose L is ignored and had best be 0) nothing beyond 16 bytes is read; a register
 * that is written is always written whole: what the operation does not give is zero up to bit 255. reg is read unless it is only written:
 * see vector_reads_reg(). Shifts by an immediate have no reg: rm is read, vvvv written.
 */
enum {
    VEX_L_0 = 0, VEX_L_1 = 1, VEX_L_ANY = 2, VEX_L_RULE = 3,
    VEX_W_ANY = 0, VEX_W_0 = 4, VEX_W_1 = 8, VEX_W_RULE = 12,
    VVVV_UNUSED = 0, VVVV_READ = 0x10, VVVV_WRITTEN = 0x20, VVVV_MODIFIED = 0x30, VVVV_RULE = 0x30,    /* always an XMM or YMM register */
    VEX_IS4              = 0x40,                   /* bits 4-7 of the immediate name one more register that is read; the rest of it is ignored */
    VEX_VSIB             = 0x80,                   /* the memory operand's index is a vector: Insn.imm2 its number, Insn.index INSN_NO_REG */
    VEX_INDEX_256        = 0x100,                  /* VSIB: the whole index YMM register is read, not its lower half */
    VEX_READS_REG        = 0x200,                  /* reg is a source too: FMA, gathers */
    VEX_REG_128          = 0x400, VEX_RM_128 = 0x800,      /* this register operand is 16 bytes (or less) whatever L says */
};

static inline _Bool vector_reads_reg(uint32_t word, uint32_t vex) { return !(word & VECTOR_WRITES_REG) || vex & VEX_READS_REG; }

static inline unsigned vector_reg_file(uint32_t word) { return word & 3; }
static inline unsigned vector_rm_file(uint32_t word) { return word >> 2 & 3; }
static inline unsigned vector_memory_bytes(uint32_t word, _Bool w)
{
    return word & VECTOR_MEMORY_W ? (w ? 8 : 4) : word >> 4 & 63;
}
