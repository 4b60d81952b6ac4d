/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vector.h - what an MMX or SSE row does with its operands, in one word
 *
 * The word lives in the row (OptabRow.vector); optab-vector.c fills it, the software CPU's vector handlers, the
 * translator and the fuzzer read it. "reg" is the ModRM.reg operand (or ModRM.rm for the shift-by-immediate groups,
 * where ModRM.reg is part of the opcode), "rm" is ModRM.rm.
 */
#pragma once
#include <stdint.h>

/* Register file of an operand. */
enum {
    VECTOR_NONE, VECTOR_XMM, VECTOR_MMX,
    VECTOR_GPR,                                    /* 32 bits, 64 with REX.W */
};
#define VECTOR_REG(file)    ((uint32_t)(file))             /* bits 0-1 */
#define VECTOR_RM(file)     ((uint32_t)(file) << 2)        /* bits 2-3: when ModRM.mod is 3 */
#define VECTOR_MEMORY(n)    ((uint32_t)(n) << 4)           /* bits 4-9: bytes touched when ModRM.mod is not 3 (0-32) */
enum {
    VECTOR_MEMORY_W      = 1 << 10,                /* memory operand is 4 bytes, 8 with REX.W */
    VECTOR_ALIGNED       = 1 << 11,                /* the memory operand must be 16-byte aligned: #GP(0) */
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

static inline unsigned vector_reg_file(uint32_t word) { return word & 3; }
static inline unsigned vector_rm_file(uint32_t word) { return word >> 2 & 3; }
static inline unsigned vector_memory_bytes(uint32_t word, _Bool w)
{
    return word & VECTOR_MEMORY_W ? (w ? 8 : 4) : word >> 4 & 63;
}
