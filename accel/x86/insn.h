/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * insn.h - one decoded x86 instruction, and the table row that says what it is
 *
 * Decoded once (decode.c) from one table (optab*.c); interpreter, translator, tracer and tests all consume it.
 * accel/x86 knows nothing of any accelerator: an executor finds its function for an Insn by row and form.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SoftCpu SoftCpu;
typedef struct Insn Insn;
typedef void InsnRun(SoftCpu *cpu, const Insn *insn);

/* How operands stand; the decoder normalises (opcode 05h "add eax, imm" decodes as FORM_EI with rm = RAX). */
typedef enum {
    FORM_NONE,
    FORM_EG, FORM_GE,                      /* destination first: r/m,reg and reg,r/m */
    FORM_EI, FORM_GEI,                     /* r/m,imm; reg,r/m,imm (imul, shld, pshufd) */
    FORM_E, FORM_G,                        /* one operand: r/m (also push rax, bswap: the register is in .rm); a register in .reg */
    FORM_EGI, FORM_EGC,                    /* r/m,reg,imm8 and r/m,reg,cl (shld, shrd) */
    FORM_E1, FORM_EC,                      /* shift by one, by cl */
    FORM_I,                                /* immediate only (push imm, int n, ret n) */
    FORM_J,                                /* relative branch; .imm is the sign-extended displacement */
    FORM_FAR,                              /* ptr16:16/32: .imm offset, .imm2 selector */
    FORM_M,                                /* memory operand only (lea, lgdt, fld m) */
    FORM_OA, FORM_AO,                      /* moffs: accumulator and [disp]; direction moffs<-acc, acc<-moffs */
    FORM_STRING,                           /* movs, stos, ... ins, outs */
    FORM_SG, FORM_GS, FORM_SYS,            /* sreg<-r/m16, r/m<-sreg; mov cr/dr: .reg control register, .rm general */
    FORM_X87,                              /* D8h-DFh: escape byte and modrm in .escape */
    FORM_VEC,                              /* MMX, SSE, AVX: the row's vector fields say which registers */
} Form;

enum { PREFIX_LOCK = 1, PREFIX_REP = 2, PREFIX_REPNE = 4, PREFIX_66 = 8, PREFIX_67 = 16, PREFIX_REX = 32, PREFIX_SEGMENT = 64, PREFIX_REX_W = 128 };

/* Numbers in .base and .index beyond the 16 registers: a zero, and the address that RIP-relative operands count from. */
enum { INSN_NO_REG = 16, INSN_RIP = 17 };

/* Values of Insn.memory. decode() gives MEMORY_NONE or MEMORY_ANY; an executor may refine it. */
enum { MEMORY_NONE, MEMORY_ANY, MEMORY_FLAT64, MEMORY_FLAT32 };

struct Insn {
    InsnRun *run;                          /* filled in by the executor */
    uint64_t imm;                          /* immediate, sign-extended as the instruction says; moffs address */
    int32_t disp;                          /* displacement of the memory operand */
    uint16_t row;                          /* index into the table: optab_row(row) */
    uint16_t op;                           /* enum Op of the row */
    uint16_t start;                        /* offset of the first byte from the start of the block */
    uint16_t imm2;                         /* second immediate: far selector, enter level; the row's constant (les: 0, lds: 3, ...) */
    uint8_t length;                        /* 1 to 15 bytes */
    uint8_t form;                          /* Form */
    uint8_t size;                          /* operand bytes: 1, 2, 4, 8 (16, 32 for vectors) */
    uint8_t address_size;                  /* 2, 4, 8 */
    uint8_t prefixes;
    uint8_t memory;                        /* not 0: the r/m operand is memory: base, index, scale, disp, segment hold */
    uint8_t reg, rm;                       /* register numbers 0-15; byte registers 4-7 without REX are ah ch dh bh: see high */
    uint8_t high;                          /* bit 0: .reg is a high byte register (number less 4 holds it), bit 1: .rm is */
    uint8_t base, index, scale;            /* GPR numbers, INSN_NO_REG or INSN_RIP; scale is a shift 0-3 */
    uint8_t segment;                       /* SEG_*: the effective segment of the memory operand */
    uint8_t vvvv, vex;                     /* VEX register; VEX_* bits, 0 without a VEX prefix */
    uint16_t escape;                       /* x87: low 3 bits of the opcode << 8 | modrm */
    uint8_t opcode;                        /* last opcode byte */
    uint32_t vector;                       /* FORM_VEC, FORM_X87: the executor's note on its operands */
    const void *stub;                      /* and the host code that does it; both filled in by the executor */
};
enum { VEX_PRESENT = 1, VEX_L = 2, VEX_W = 4, INSN_FAR_RIP = 8 /* executor: .disp could not take .start and .length in */ };
_Static_assert(sizeof(Insn) == 64, "one cache line each");
/* The environment that changes decoding. */
typedef struct DecodeMode {
    uint8_t code_size;                     /* 2, 4, 8: default operand size class of CS; 8 is 64-bit mode */
    bool protected_mode, v8086;
} DecodeMode;

typedef enum {
    DECODE_OK,
    DECODE_INVALID,                        /* #UD: what an undefined opcode does */
    DECODE_TOO_LONG,                       /* #GP(0): more than 15 bytes */
    DECODE_SHORT,                          /* ran into the end of the given bytes: fetch more */
} DecodeResult;

/* Decodes the instruction at bytes[0..available). Never reads beyond, never allocates. On DECODE_INVALID .length is valid. */
DecodeResult decode(Insn *insn, const uint8_t *bytes, size_t available, DecodeMode mode);
