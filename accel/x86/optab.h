/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * optab.h - the one instruction table: what each opcode is, how its operands stand, where it is valid
 *
 * optab.c holds the integer and system rows, optab-vector.c the x87, MMX, SSE, AES, PCLMUL and SHA rows, optab-vex.c AVX and its kin. A row says
 * everything that decoding needs; decode.c has no opcode of its own but the prefixes. Rows are tried in the order of
 * their table for one (map, opcode); the first whose conditions hold is the instruction, so a special case stands
 * before the general one. Features are not looked at by decode(): an executor refuses (or decodes as the older
 * instruction: see .fallback) what its guest's CPUID lacks.
 *
 * Adding rows (optab-vector.c):
 *
 *   const OptabRow optab_vector[] = {
 *       { .name = "addps", .op = OP_VECTOR, .map = MAP_0F, .opcode = 0x58, .prefix = MANDATORY_NONE, .form = FORM_VEC,
 *         .feature = FEATURE_SSE, .vector = VECTOR_REG(VECTOR_XMM) | ... },
 *       ... };
 *   const unsigned optab_vector_count = ...;
 *
 * FORM_VEC and FORM_M rows have a ModRM byte. VECTOR_REG_ONLY and VECTOR_MEMORY_ONLY in .vector are obeyed as .mod is, and
 * VECTOR_IMM8 as IMM_U8. In MAP_0F and above a row without .prefix takes any mandatory prefix.
 */
#pragma once
#include "accel/x86/bits.h"
#include "accel/x86/cpuid.h"
#include "accel/x86/insn.h"
#include "accel/x86/vector.h"

typedef enum {
    OP_INVALID,
    /* the eight of group 1, in its order; then what shares their handlers */
    OP_ADD, OP_OR, OP_ADC, OP_SBB, OP_AND, OP_SUB, OP_XOR, OP_CMP, OP_TEST,
    /* the eight of group 2, in its order */
    OP_ROL, OP_ROR, OP_RCL, OP_RCR, OP_SHL, OP_SHR, OP_SAL, OP_SAR,
    OP_MOV, OP_XCHG, OP_LEA, OP_INC, OP_DEC, OP_NOT, OP_NEG, OP_MUL, OP_IMUL, OP_DIV, OP_IDIV, OP_IMUL_G, OP_MOVZX, OP_MOVSX,
    OP_CMPXCHG, OP_XADD, OP_CMPXCHG8B, OP_BSWAP, OP_MOVBE, OP_CRC32, OP_SHLD, OP_SHRD,
    OP_BT, OP_BTS, OP_BTR, OP_BTC, OP_BSF, OP_BSR, OP_TZCNT, OP_LZCNT, OP_POPCNT,
    OP_ADCX, OP_ADOX, OP_ANDN, OP_BEXTR, OP_BLSR, OP_BLSMSK, OP_BLSI, OP_BZHI, OP_MULX, OP_PDEP, OP_PEXT, OP_RORX, OP_SARX, OP_SHLX, OP_SHRX,
    OP_CBW, OP_CWD,                        /* by size: cbw cwde cdqe; cwd cdq cqo */
    OP_DAA, OP_DAS, OP_AAA, OP_AAS, OP_AAM, OP_AAD, OP_XLAT, OP_LAHF, OP_SAHF, OP_SALC, OP_CMC, OP_CLC, OP_STC, OP_CLD, OP_STD,
    OP_SETCC, OP_CMOVCC, OP_JCC, OP_JMP, OP_CALL, OP_RET, OP_LOOPNE, OP_LOOPE, OP_LOOP, OP_JCXZ,       /* condition: opcode & 15 */
    OP_PUSH, OP_POP, OP_PUSHA, OP_POPA, OP_PUSHF, OP_POPF, OP_ENTER, OP_LEAVE,
    OP_BOUND, OP_NOP, OP_PAUSE, OP_CLI, OP_STI, OP_RDRAND, OP_RDSEED, OP_MOVNTI,
    OP_MOVS, OP_CMPS, OP_STOS, OP_LODS, OP_SCAS, OP_INS, OP_OUTS, OP_IN, OP_OUT,
    OP_UD,                                 /* ud0, ud1, ud2: #UD by definition */
    /* segments and far transfers (interp-segment.c) */
    OP_MOV_FROM_SREG, OP_MOV_TO_SREG, OP_PUSH_SREG, OP_POP_SREG,       /* .reg: SEG_* */
    OP_LOAD_FAR,                           /* les lds lss lfs lgs: .imm2 is SEG_* */
    OP_JMP_FAR, OP_CALL_FAR, OP_RET_FAR,   /* FORM_FAR or FORM_M; ret: FORM_I, .imm bytes to drop */
    OP_IRET, OP_INT, OP_INT3, OP_INTO, OP_ICEBP, OP_ARPL, OP_LAR, OP_LSL, OP_VERR, OP_VERW, OP_LLDT, OP_LTR, OP_SLDT, OP_STR,
    /* system (interp-system.c) */
    OP_LGDT, OP_LIDT, OP_SGDT, OP_SIDT, OP_LMSW, OP_SMSW, OP_CLTS, OP_INVLPG, OP_INVPCID, OP_INVD, OP_WBINVD,
    OP_MOV_FROM_CR, OP_MOV_TO_CR, OP_MOV_FROM_DR, OP_MOV_TO_DR,
    OP_WRMSR, OP_RDMSR, OP_RDTSC, OP_RDTSCP, OP_RDPMC, OP_RDPID, OP_CPUID, OP_HLT, OP_SYSCALL, OP_SYSRET, OP_SYSENTER, OP_SYSEXIT,
    OP_SWAPGS, OP_RDFSBASE, OP_RDGSBASE, OP_WRFSBASE, OP_WRGSBASE, OP_CLAC, OP_STAC, OP_MONITOR, OP_MWAIT, OP_XGETBV, OP_XSETBV,
    OP_RSM, OP_VMCALL, OP_VMMCALL, OP_SERIALIZE,
    /* x87 and vectors (interp-x87.c, interp-vector.c); names beyond these come with optab-vector.c */
    OP_X87, OP_FWAIT, OP_VECTOR, OP_EMMS, OP_LDMXCSR, OP_STMXCSR, OP_FXSAVE, OP_FXRSTOR, OP_XSAVE, OP_XSAVEOPT, OP_XSAVEC, OP_XSAVES,
    OP_XRSTOR, OP_XRSTORS, OP_FENCE, OP_CLFLUSH, OP_PREFETCH, OP_MASKMOV, OP_MOVNT_VECTOR, OP_PCMPSTR, OP_SHA,
    OP_X87_LOAD, OP_X87_STORE, OP_X87_LOAD80, OP_X87_STORE80, OP_X87_NOP, OP_FCMOV, OP_FCOMI, OP_FLDCW, OP_FNSTCW, OP_FNSTSW, OP_FNSTSW_AX,
    OP_VECTOR_VEX,                         /* what OP_VECTOR is, with a VEX prefix */
    OP_VZERO, OP_GATHER, OP_VMASKMOV,      /* vzeroupper and (L=1) vzeroall; .constant of vmaskmov: bytes of an element */
    OP_FNCLEX, OP_FNINIT, OP_FLDENV, OP_FNSTENV, OP_FRSTOR, OP_FNSAVE,      /* OP_X87: everything that touches x87 registers only */
    OP_COUNT,
} Op;

enum { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_VEX_0F, MAP_VEX_0F38, MAP_VEX_0F3A, MAP_COUNT };
/* Mandatory prefix: the last of F2 and F3, or else 66. NO_REP takes 66 as an operand size and refuses F2 and F3. */
enum { MANDATORY_ANY, MANDATORY_NONE, MANDATORY_66, MANDATORY_F3, MANDATORY_F2, MANDATORY_NO_REP };
enum { MOD_ANY, MOD_MEMORY, MOD_REGISTER };
#define EXT(n) (8 | (n))                   /* ModRM.reg (or .rm) must be n; 0 when it need not be anything */

typedef enum {                             /* Insn.size */
    SIZE_NONE,                             /* 0 */
    SIZE_1, SIZE_2, SIZE_4, SIZE_8, SIZE_16,
    SIZE_V,                                /* 2, 4 or 8: by mode, 66 and REX.W */
    SIZE_V64,                              /* the same, but 8 without REX.W in 64-bit mode (push, pop, near branches) */
    SIZE_Y,                                /* 4, or 8 with REX.W; 66 is ignored */
    SIZE_NATIVE,                           /* 8 in 64-bit mode, else 4 (mov cr, invlpg) */
} SizeRule;

typedef enum {
    IMM_NONE,
    IMM_U8, IMM_S8,                        /* one byte, kept or sign-extended */
    IMM_Z,                                 /* operand size, at most 4 bytes, sign-extended */
    IMM_V,                                 /* operand size, up to 8 bytes (mov r,imm) */
    IMM_16, IMM_16_8,                      /* ret; enter: .imm size, .imm2 level */
    IMM_FAR,                               /* ptr16:16, ptr16:32 */
    IMM_MOFFS,                             /* address size */
} ImmRule;

enum {                                     /* OptabRow.flags */
    ROW_NO_MODRM = 1 << 0,                 /* a form that would have a ModRM byte stands without: rm (and reg) are 0: RAX */
    ROW_PLUS_R = 1 << 1,                   /* opcode bits 0-2 are a register: .rm, or .reg of FORM_EG (xchg rax,r) */
    ROW_NO_64 = 1 << 2,                    /* #UD in 64-bit mode */
    ROW_ONLY_64 = 1 << 3,
    ROW_PROTECTED = 1 << 4,                /* #UD in real and virtual-8086 mode */
    ROW_LOCK = 1 << 5,                     /* LOCK allowed with a memory destination */
    ROW_COPYABLE = 1 << 6,                 /* no memory, RIP, RSP, segment or hidden state: a translator may copy it with registers renamed */
    ROW_ENDS_BLOCK = 1 << 7,               /* transfers control or changes the mode: nothing after it is decoded with it */
    ROW_RM16 = 1 << 8,                     /* a memory operand is 2 bytes whatever .size is (mov sreg, lldt) */
    ROW_SREG = 1 << 9,                     /* opcode bits 3-5 name a segment register: .reg (push es, push fs) */
    ROW_RM_BYTE = 1 << 10, ROW_RM_WORD = 1 << 11,          /* r/m is 1 or 2 bytes (movzx, movsx, crc32), .size is the other operand's */
    ROW_REG_IS_NOT_GPR = 1 << 12,          /* .reg is a control, debug or segment register: REX.R extends all but the last */
    ROW_NO_REX_B = 1 << 14,                /* with REX.B it is another instruction (nop, pause: xchg) */
    ROW_NO_VVVV = 1 << 13,                 /* VEX.vvvv must be 1111b */
};

enum {                                     /* OptabRow.access: what happens to the explicit operands */
    READ_RM = 1, WRITE_RM = 2, READ_REG = 4, WRITE_REG = 8, MODIFY_RM = READ_RM | WRITE_RM, MODIFY_REG = READ_REG | WRITE_REG,
    STACK = 16,                            /* pushes or pops: reads and writes RSP and SS memory */
};

typedef struct OptabRow {
    const char *name;                      /* mnemonic, AT&T's without size suffix; conditions are printed as "jcc" */
    uint16_t op;                           /* Op */
    uint8_t map, opcode;
    uint8_t prefix, extension, rm_extension, mod;          /* MANDATORY_*, EXT(n), EXT(n), MOD_* */
    uint8_t form, size, imm;               /* Form, SizeRule, ImmRule */
    uint8_t access;
    uint16_t flags;                        /* ROW_* */
    uint16_t constant;                     /* goes to Insn.imm2 */
    uint16_t feature;                      /* FEATURE_*, 0: FPU's own or always there */
    uint16_t fallback;                     /* Op that this opcode is on a CPU without the feature (tzcnt: bsf); 0: #UD */
    uint16_t flags_read, flags_written, flags_undefined;   /* of RFLAGS; undefined ones are written too, with anything */
    uint16_t implicit_read, implicit_write;                /* general registers by number: 1 << GPR_RAX ... */
    uint32_t vector;                       /* FORM_VEC: VECTOR_* */
    uint32_t vex;                          /* in the VEX maps: VEX_*, VVVV_* */
} OptabRow;

extern const OptabRow optab_vector[], optab_vex[];         /* optab-vector.c, optab-vex.c */
extern const unsigned optab_vector_count, optab_vex_count;

/* Rows are numbered: first optab.c's, then optab-vector.c's, then optab-vex.c's. */
const OptabRow *optab_row(unsigned row);
unsigned optab_count(void);
/* The first row of a (map, opcode), and the one to try after row; OPTAB_END when there is none. */
enum { OPTAB_END = 0xffff };
unsigned optab_first(unsigned map, uint8_t opcode);
unsigned optab_next(unsigned row);
