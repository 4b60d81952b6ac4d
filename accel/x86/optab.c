/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * optab.c - the integer and system rows of the instruction table, and its index
 *
 * Models   AMD64 APM volume 3, Intel SDM volume 2 (opcode maps of appendix A)
 * Omits    VMX and SVM but VMCALL and VMMCALL, XOP, 3DNow!, MPX, CET: undefined opcodes
 * Vectors  and x87: optab-vector.c, optab-vex.c
 * Tests    tests/cpu/decode.c
 */
#include "accel/x86/optab.h"
#include "accel/x86/cpu-state.h"
#include <glib.h>
#include <stddef.h>

/* Short names for the tables below. */
enum {
    C = FLAG_CF, P = FLAG_PF, A = FLAG_AF, Z = FLAG_ZF, S = FLAG_SF, O = FLAG_OF, D = FLAG_DF,
    ALL = C | P | A | Z | S | O,
    RAX = 1 << GPR_RAX, RCX = 1 << GPR_RCX, RDX = 1 << GPR_RDX, RBX = 1 << GPR_RBX, RSP = 1 << GPR_RSP, RBP = 1 << GPR_RBP,
    RSI = 1 << GPR_RSI, RDI = 1 << GPR_RDI,
    N64 = ROW_NO_64, O64 = ROW_ONLY_64, LOCK = ROW_LOCK, COPY = ROW_COPYABLE, ENDS = ROW_ENDS_BLOCK, PROT = ROW_PROTECTED, NOMODRM = ROW_NO_MODRM,
};

/* name, op, opcode, form, size, then designated rest */
#define ONE(n, o, code, f, s, ...) { .name = n, .op = OP_##o, .map = MAP_ONE, .opcode = code, .form = FORM_##f, .size = SIZE_##s, ##__VA_ARGS__ }
#define TWO(n, o, code, f, s, ...) { .name = n, .op = OP_##o, .map = MAP_0F, .opcode = code, .form = FORM_##f, .size = SIZE_##s, ##__VA_ARGS__ }
#define T38(n, o, code, f, s, ...) { .name = n, .op = OP_##o, .map = MAP_0F38, .opcode = code, .form = FORM_##f, .size = SIZE_##s, ##__VA_ARGS__ }
#define VEX(n, o, m, code, f, pfx, ...)                                                                                       \
    { .name = n, .op = OP_##o, .map = MAP_VEX_##m, .opcode = code, .form = FORM_##f, .size = SIZE_Y, .prefix = MANDATORY_##pfx, ##__VA_ARGS__ }

/* The six encodings of one of the eight: op r/m,reg; op reg,r/m; op acc,imm. */
#define ARITHMETIC(n, o, base, access_rm, access_reg, lock, in, undef)                                                           \
    ONE(n, o, (base) + 0, EG, 1, .access = (access_rm) | READ_REG, .flags = COPY | (lock), .flags_read = in, .flags_written = ALL, .flags_undefined = undef), \
    ONE(n, o, (base) + 1, EG, V, .access = (access_rm) | READ_REG, .flags = COPY | (lock), .flags_read = in, .flags_written = ALL, .flags_undefined = undef), \
    ONE(n, o, (base) + 2, GE, 1, .access = READ_RM | (access_reg), .flags = COPY, .flags_read = in, .flags_written = ALL, .flags_undefined = undef), \
    ONE(n, o, (base) + 3, GE, V, .access = READ_RM | (access_reg), .flags = COPY, .flags_read = in, .flags_written = ALL, .flags_undefined = undef), \
    ONE(n, o, (base) + 4, EI, 1, .imm = IMM_Z, .access = access_rm, .flags = COPY | NOMODRM, .flags_read = in, .flags_written = ALL, .flags_undefined = undef), \
    ONE(n, o, (base) + 5, EI, V, .imm = IMM_Z, .access = access_rm, .flags = COPY | NOMODRM, .flags_read = in, .flags_written = ALL, .flags_undefined = undef)

/* Group 1: 80, 81, 82 (not in 64-bit mode), 83. */
#define GROUP_1(n, o, ext, access_rm, lock, in, undef)                                                                           \
    ONE(n, o, 0x80, EI, 1, .imm = IMM_Z, .extension = EXT(ext), .access = access_rm, .flags = COPY | (lock), .flags_read = in, .flags_written = ALL, .flags_undefined = undef), \
    ONE(n, o, 0x81, EI, V, .imm = IMM_Z, .extension = EXT(ext), .access = access_rm, .flags = COPY | (lock), .flags_read = in, .flags_written = ALL, .flags_undefined = undef), \
    ONE(n, o, 0x82, EI, 1, .imm = IMM_Z, .extension = EXT(ext), .access = access_rm, .flags = N64 | (lock), .flags_read = in, .flags_written = ALL, .flags_undefined = undef), \
    ONE(n, o, 0x83, EI, V, .imm = IMM_S8, .extension = EXT(ext), .access = access_rm, .flags = COPY | (lock), .flags_read = in, .flags_written = ALL, .flags_undefined = undef)

/* Group 2: rotates and shifts. The undefined flags are those of counts above one; executors know more. */
#define GROUP_2(n, o, ext, in, out, undef)                                                                                       \
    ONE(n, o, 0xc0, EI, 1, .imm = IMM_U8, .extension = EXT(ext), .access = MODIFY_RM, .flags = COPY, .flags_read = in, .flags_written = out, .flags_undefined = undef), \
    ONE(n, o, 0xc1, EI, V, .imm = IMM_U8, .extension = EXT(ext), .access = MODIFY_RM, .flags = COPY, .flags_read = in, .flags_written = out, .flags_undefined = undef), \
    ONE(n, o, 0xd0, E1, 1, .extension = EXT(ext), .access = MODIFY_RM, .flags = COPY, .flags_read = in, .flags_written = out, .flags_undefined = (undef) & ~O), \
    ONE(n, o, 0xd1, E1, V, .extension = EXT(ext), .access = MODIFY_RM, .flags = COPY, .flags_read = in, .flags_written = out, .flags_undefined = (undef) & ~O), \
    ONE(n, o, 0xd2, EC, 1, .extension = EXT(ext), .access = MODIFY_RM, .flags = COPY, .implicit_read = RCX, .flags_read = in, .flags_written = out, .flags_undefined = undef), \
    ONE(n, o, 0xd3, EC, V, .extension = EXT(ext), .access = MODIFY_RM, .flags = COPY, .implicit_read = RCX, .flags_read = in, .flags_written = out, .flags_undefined = undef)

#define BYTE_AND_WORD(n, o, code, f, ...) ONE(n, o, code, f, 1, ##__VA_ARGS__), ONE(n, o, (code) + 1, f, V, ##__VA_ARGS__)

#define JCC(low, flags_in) \
    ONE("jcc", JCC, 0x70 + (low), J, V64, .imm = IMM_S8, .flags = ENDS, .flags_read = flags_in), \
    ONE("jcc", JCC, 0x71 + (low), J, V64, .imm = IMM_S8, .flags = ENDS, .flags_read = flags_in), \
    TWO("jcc", JCC, 0x80 + (low), J, V64, .imm = IMM_Z, .flags = ENDS, .flags_read = flags_in), \
    TWO("jcc", JCC, 0x81 + (low), J, V64, .imm = IMM_Z, .flags = ENDS, .flags_read = flags_in), \
    TWO("setcc", SETCC, 0x90 + (low), E, 1, .access = WRITE_RM, .flags = COPY, .flags_read = flags_in), \
    TWO("setcc", SETCC, 0x91 + (low), E, 1, .access = WRITE_RM, .flags = COPY, .flags_read = flags_in), \
    TWO("cmovcc", CMOVCC, 0x40 + (low), GE, V, .access = READ_RM | MODIFY_REG, .flags = COPY, .feature = FEATURE_CMOV, .flags_read = flags_in), \
    TWO("cmovcc", CMOVCC, 0x41 + (low), GE, V, .access = READ_RM | MODIFY_REG, .flags = COPY, .feature = FEATURE_CMOV, .flags_read = flags_in)

#define PLUS_8(row) row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)
#define INC_R(i) ONE("inc", INC, 0x40 + i, E, V, .access = MODIFY_RM, .flags = N64 | ROW_PLUS_R | COPY, .flags_written = ALL & ~C)
#define DEC_R(i) ONE("dec", DEC, 0x48 + i, E, V, .access = MODIFY_RM, .flags = N64 | ROW_PLUS_R | COPY, .flags_written = ALL & ~C)
#define PUSH_R(i) ONE("push", PUSH, 0x50 + i, E, V64, .access = READ_RM | STACK, .flags = ROW_PLUS_R)
#define POP_R(i) ONE("pop", POP, 0x58 + i, E, V64, .access = WRITE_RM | STACK, .flags = ROW_PLUS_R)
#define XCHG_R(i) ONE("xchg", XCHG, 0x90 + i, EG, V, .access = MODIFY_RM | MODIFY_REG, .flags = ROW_PLUS_R | NOMODRM | COPY)
#define MOV_R8(i) ONE("mov", MOV, 0xb0 + i, EI, 1, .imm = IMM_V, .access = WRITE_RM, .flags = ROW_PLUS_R | COPY)
#define MOV_RV(i) ONE("mov", MOV, 0xb8 + i, EI, V, .imm = IMM_V, .access = WRITE_RM, .flags = ROW_PLUS_R | COPY)
#define BSWAP_R(i) TWO("bswap", BSWAP, 0xc8 + i, E, V, .access = MODIFY_RM, .flags = ROW_PLUS_R | COPY)
#define NOP_E(i) TWO("nop", NOP, 0x18 + i, E, V)

static const OptabRow rows[] = {
    ARITHMETIC("add", ADD, 0x00, MODIFY_RM, MODIFY_REG, LOCK, 0, 0),
    ARITHMETIC("or", OR, 0x08, MODIFY_RM, MODIFY_REG, LOCK, 0, A),
    ARITHMETIC("adc", ADC, 0x10, MODIFY_RM, MODIFY_REG, LOCK, C, 0),
    ARITHMETIC("sbb", SBB, 0x18, MODIFY_RM, MODIFY_REG, LOCK, C, 0),
    ARITHMETIC("and", AND, 0x20, MODIFY_RM, MODIFY_REG, LOCK, 0, A),
    ARITHMETIC("sub", SUB, 0x28, MODIFY_RM, MODIFY_REG, LOCK, 0, 0),
    ARITHMETIC("xor", XOR, 0x30, MODIFY_RM, MODIFY_REG, LOCK, 0, A),
    ARITHMETIC("cmp", CMP, 0x38, READ_RM, READ_REG, 0, 0, 0),
    GROUP_1("add", ADD, 0, MODIFY_RM, LOCK, 0, 0), GROUP_1("or", OR, 1, MODIFY_RM, LOCK, 0, A),
    GROUP_1("adc", ADC, 2, MODIFY_RM, LOCK, C, 0), GROUP_1("sbb", SBB, 3, MODIFY_RM, LOCK, C, 0),
    GROUP_1("and", AND, 4, MODIFY_RM, LOCK, 0, A), GROUP_1("sub", SUB, 5, MODIFY_RM, LOCK, 0, 0),
    GROUP_1("xor", XOR, 6, MODIFY_RM, LOCK, 0, A), GROUP_1("cmp", CMP, 7, READ_RM, 0, 0, 0),
    ONE("push", PUSH_SREG, 0x06, NONE, V64, .access = STACK, .flags = N64 | ROW_SREG), ONE("pop", POP_SREG, 0x07, NONE, V64, .access = STACK, .flags = N64 | ROW_SREG | ENDS),
    ONE("push", PUSH_SREG, 0x0e, NONE, V64, .access = STACK, .flags = N64 | ROW_SREG),
    ONE("push", PUSH_SREG, 0x16, NONE, V64, .access = STACK, .flags = N64 | ROW_SREG), ONE("pop", POP_SREG, 0x17, NONE, V64, .access = STACK, .flags = N64 | ROW_SREG | ENDS),
    ONE("push", PUSH_SREG, 0x1e, NONE, V64, .access = STACK, .flags = N64 | ROW_SREG), ONE("pop", POP_SREG, 0x1f, NONE, V64, .access = STACK, .flags = N64 | ROW_SREG | ENDS),
    ONE("daa", DAA, 0x27, NONE, 1, .flags = N64, .implicit_read = RAX, .implicit_write = RAX, .flags_read = C | A, .flags_written = ALL, .flags_undefined = O),
    ONE("das", DAS, 0x2f, NONE, 1, .flags = N64, .implicit_read = RAX, .implicit_write = RAX, .flags_read = C | A, .flags_written = ALL, .flags_undefined = O),
    ONE("aaa", AAA, 0x37, NONE, 1, .flags = N64, .implicit_read = RAX, .implicit_write = RAX, .flags_read = A, .flags_written = ALL, .flags_undefined = O | S | Z | P),
    ONE("aas", AAS, 0x3f, NONE, 1, .flags = N64, .implicit_read = RAX, .implicit_write = RAX, .flags_read = A, .flags_written = ALL, .flags_undefined = O | S | Z | P),
    PLUS_8(INC_R), PLUS_8(DEC_R), PLUS_8(PUSH_R), PLUS_8(POP_R),
    ONE("pusha", PUSHA, 0x60, NONE, V, .access = STACK, .flags = N64, .implicit_read = 0xff), ONE("popa", POPA, 0x61, NONE, V, .access = STACK, .flags = N64, .implicit_write = 0xef),
    ONE("bound", BOUND, 0x62, GE, V, .mod = MOD_MEMORY, .access = READ_REG | READ_RM, .flags = N64),
    ONE("arpl", ARPL, 0x63, EG, 2, .access = MODIFY_RM | READ_REG, .flags = N64 | PROT, .flags_written = Z),
    ONE("movslq", MOVSX, 0x63, GE, V, .access = READ_RM | WRITE_REG, .flags = O64 | COPY),
    ONE("push", PUSH, 0x68, I, V64, .imm = IMM_Z, .access = STACK), ONE("push", PUSH, 0x6a, I, V64, .imm = IMM_S8, .access = STACK),
    ONE("imul", IMUL_G, 0x69, GEI, V, .imm = IMM_Z, .access = READ_RM | WRITE_REG, .flags = COPY, .flags_written = ALL, .flags_undefined = S | Z | A | P),
    ONE("imul", IMUL_G, 0x6b, GEI, V, .imm = IMM_S8, .access = READ_RM | WRITE_REG, .flags = COPY, .flags_written = ALL, .flags_undefined = S | Z | A | P),
    BYTE_AND_WORD("ins", INS, 0x6c, STRING, .implicit_read = RDX | RDI | RCX, .implicit_write = RDI | RCX, .flags_read = D),
    BYTE_AND_WORD("outs", OUTS, 0x6e, STRING, .implicit_read = RDX | RSI | RCX, .implicit_write = RSI | RCX, .flags_read = D),
    JCC(0x0, O), JCC(0x2, C), JCC(0x4, Z), JCC(0x6, C | Z), JCC(0x8, S), JCC(0xa, P), JCC(0xc, S | O), JCC(0xe, Z | S | O),
    BYTE_AND_WORD("test", TEST, 0x84, EG, .access = READ_RM | READ_REG, .flags = COPY, .flags_written = ALL, .flags_undefined = A),
    BYTE_AND_WORD("xchg", XCHG, 0x86, EG, .access = MODIFY_RM | MODIFY_REG, .flags = COPY | LOCK),
    BYTE_AND_WORD("mov", MOV, 0x88, EG, .access = WRITE_RM | READ_REG, .flags = COPY),
    BYTE_AND_WORD("mov", MOV, 0x8a, GE, .access = READ_RM | WRITE_REG, .flags = COPY),
    ONE("mov", MOV_FROM_SREG, 0x8c, GS, V, .access = WRITE_RM, .flags = ROW_RM16 | ROW_REG_IS_NOT_GPR),
    ONE("lea", LEA, 0x8d, GE, V, .mod = MOD_MEMORY, .access = WRITE_REG),
    ONE("mov", MOV_TO_SREG, 0x8e, SG, V, .access = READ_RM, .flags = ROW_RM16 | ROW_REG_IS_NOT_GPR | ENDS),
    ONE("pop", POP, 0x8f, E, V64, .extension = EXT(0), .access = WRITE_RM | STACK),
    ONE("pause", PAUSE, 0x90, NONE, NONE, .prefix = MANDATORY_F3, .flags = ROW_NO_REX_B), ONE("nop", NOP, 0x90, NONE, NONE, .flags = ROW_NO_REX_B),
    PLUS_8(XCHG_R),
    ONE("cbw", CBW, 0x98, NONE, V, .flags = COPY, .implicit_read = RAX, .implicit_write = RAX),
    ONE("cwd", CWD, 0x99, NONE, V, .flags = COPY, .implicit_read = RAX, .implicit_write = RDX),
    ONE("lcall", CALL_FAR, 0x9a, FAR, V, .imm = IMM_FAR, .access = STACK, .flags = N64 | ENDS),
    ONE("fwait", FWAIT, 0x9b, NONE, NONE, .feature = FEATURE_FPU),
    ONE("pushf", PUSHF, 0x9c, NONE, V64, .access = STACK, .flags_read = ALL | D), ONE("popf", POPF, 0x9d, NONE, V64, .access = STACK, .flags = ENDS, .flags_written = ALL | D),
    ONE("sahf", SAHF, 0x9e, NONE, 1, .implicit_read = RAX, .flags_written = S | Z | A | P | C), ONE("lahf", LAHF, 0x9f, NONE, 1, .implicit_write = RAX, .flags_read = S | Z | A | P | C),
    ONE("mov", MOV, 0xa0, AO, 1, .imm = IMM_MOFFS, .implicit_write = RAX), ONE("mov", MOV, 0xa1, AO, V, .imm = IMM_MOFFS, .implicit_write = RAX),
    ONE("mov", MOV, 0xa2, OA, 1, .imm = IMM_MOFFS, .implicit_read = RAX), ONE("mov", MOV, 0xa3, OA, V, .imm = IMM_MOFFS, .implicit_read = RAX),
    BYTE_AND_WORD("movs", MOVS, 0xa4, STRING, .implicit_read = RSI | RDI | RCX, .implicit_write = RSI | RDI | RCX, .flags_read = D),
    BYTE_AND_WORD("cmps", CMPS, 0xa6, STRING, .implicit_read = RSI | RDI | RCX, .implicit_write = RSI | RDI | RCX, .flags_read = D, .flags_written = ALL),
    ONE("test", TEST, 0xa8, EI, 1, .imm = IMM_Z, .access = READ_RM, .flags = NOMODRM | COPY, .flags_written = ALL, .flags_undefined = A),
    ONE("test", TEST, 0xa9, EI, V, .imm = IMM_Z, .access = READ_RM, .flags = NOMODRM | COPY, .flags_written = ALL, .flags_undefined = A),
    BYTE_AND_WORD("stos", STOS, 0xaa, STRING, .implicit_read = RAX | RDI | RCX, .implicit_write = RDI | RCX, .flags_read = D),
    BYTE_AND_WORD("lods", LODS, 0xac, STRING, .implicit_read = RAX | RSI | RCX, .implicit_write = RAX | RSI | RCX, .flags_read = D),
    BYTE_AND_WORD("scas", SCAS, 0xae, STRING, .implicit_read = RAX | RDI | RCX, .implicit_write = RDI | RCX, .flags_read = D, .flags_written = ALL),
    PLUS_8(MOV_R8), PLUS_8(MOV_RV),
    GROUP_2("rol", ROL, 0, 0, C | O, O), GROUP_2("ror", ROR, 1, 0, C | O, O), GROUP_2("rcl", RCL, 2, C, C | O, O), GROUP_2("rcr", RCR, 3, C, C | O, O),
    GROUP_2("shl", SHL, 4, 0, ALL, A | O), GROUP_2("shr", SHR, 5, 0, ALL, A | O), GROUP_2("sal", SAL, 6, 0, ALL, A | O), GROUP_2("sar", SAR, 7, 0, ALL, A | O),
    ONE("ret", RET, 0xc2, I, V64, .imm = IMM_16, .access = STACK, .flags = ENDS), ONE("ret", RET, 0xc3, NONE, V64, .access = STACK, .flags = ENDS),
    ONE("les", LOAD_FAR, 0xc4, GE, V, .mod = MOD_MEMORY, .access = READ_RM | WRITE_REG, .flags = N64 | ENDS, .constant = SEG_ES),
    ONE("lds", LOAD_FAR, 0xc5, GE, V, .mod = MOD_MEMORY, .access = READ_RM | WRITE_REG, .flags = N64 | ENDS, .constant = SEG_DS),
    ONE("mov", MOV, 0xc6, EI, 1, .imm = IMM_Z, .extension = EXT(0), .access = WRITE_RM, .flags = COPY),
    ONE("mov", MOV, 0xc7, EI, V, .imm = IMM_Z, .extension = EXT(0), .access = WRITE_RM, .flags = COPY),
    ONE("enter", ENTER, 0xc8, I, V64, .imm = IMM_16_8, .access = STACK, .implicit_read = RBP, .implicit_write = RBP),
    ONE("leave", LEAVE, 0xc9, NONE, V64, .access = STACK, .implicit_read = RBP, .implicit_write = RBP),
    ONE("lret", RET_FAR, 0xca, I, V, .imm = IMM_16, .access = STACK, .flags = ENDS), ONE("lret", RET_FAR, 0xcb, NONE, V, .access = STACK, .flags = ENDS),
    ONE("int3", INT3, 0xcc, NONE, V, .flags = ENDS), ONE("int", INT, 0xcd, I, V, .imm = IMM_U8, .flags = ENDS), ONE("into", INTO, 0xce, NONE, V, .flags = N64 | ENDS, .flags_read = O),
    ONE("iret", IRET, 0xcf, NONE, V, .access = STACK, .flags = ENDS, .flags_written = ALL | D),
    ONE("aam", AAM, 0xd4, I, 1, .imm = IMM_U8, .flags = N64, .implicit_read = RAX, .implicit_write = RAX, .flags_written = ALL, .flags_undefined = O | A | C),
    ONE("aad", AAD, 0xd5, I, 1, .imm = IMM_U8, .flags = N64, .implicit_read = RAX, .implicit_write = RAX, .flags_written = ALL, .flags_undefined = O | A | C),
    ONE("salc", SALC, 0xd6, NONE, 1, .flags = N64, .implicit_write = RAX, .flags_read = C), ONE("xlat", XLAT, 0xd7, NONE, 1, .implicit_read = RAX | RBX, .implicit_write = RAX),
    ONE("loopne", LOOPNE, 0xe0, J, V64, .imm = IMM_S8, .flags = ENDS, .implicit_read = RCX, .implicit_write = RCX, .flags_read = Z),
    ONE("loope", LOOPE, 0xe1, J, V64, .imm = IMM_S8, .flags = ENDS, .implicit_read = RCX, .implicit_write = RCX, .flags_read = Z),
    ONE("loop", LOOP, 0xe2, J, V64, .imm = IMM_S8, .flags = ENDS, .implicit_read = RCX, .implicit_write = RCX),
    ONE("jcxz", JCXZ, 0xe3, J, V64, .imm = IMM_S8, .flags = ENDS, .implicit_read = RCX),
    ONE("in", IN, 0xe4, I, 1, .imm = IMM_U8, .implicit_write = RAX), ONE("in", IN, 0xe5, I, V, .imm = IMM_U8, .implicit_write = RAX),
    ONE("out", OUT, 0xe6, I, 1, .imm = IMM_U8, .implicit_read = RAX), ONE("out", OUT, 0xe7, I, V, .imm = IMM_U8, .implicit_read = RAX),
    ONE("call", CALL, 0xe8, J, V64, .imm = IMM_Z, .access = STACK, .flags = ENDS), ONE("jmp", JMP, 0xe9, J, V64, .imm = IMM_Z, .flags = ENDS),
    ONE("ljmp", JMP_FAR, 0xea, FAR, V, .imm = IMM_FAR, .flags = N64 | ENDS), ONE("jmp", JMP, 0xeb, J, V64, .imm = IMM_S8, .flags = ENDS),
    ONE("in", IN, 0xec, NONE, 1, .implicit_read = RDX, .implicit_write = RAX), ONE("in", IN, 0xed, NONE, V, .implicit_read = RDX, .implicit_write = RAX),
    ONE("out", OUT, 0xee, NONE, 1, .implicit_read = RAX | RDX), ONE("out", OUT, 0xef, NONE, V, .implicit_read = RAX | RDX),
    ONE("icebp", ICEBP, 0xf1, NONE, V, .flags = ENDS), ONE("hlt", HLT, 0xf4, NONE, NONE, .flags = ENDS), ONE("cmc", CMC, 0xf5, NONE, NONE, .flags_read = C, .flags_written = C),
    BYTE_AND_WORD("test", TEST, 0xf6, EI, .imm = IMM_Z, .extension = EXT(0), .access = READ_RM, .flags = COPY, .flags_written = ALL, .flags_undefined = A),
    BYTE_AND_WORD("test", TEST, 0xf6, EI, .imm = IMM_Z, .extension = EXT(1), .access = READ_RM, .flags = COPY, .flags_written = ALL, .flags_undefined = A),
    BYTE_AND_WORD("not", NOT, 0xf6, E, .extension = EXT(2), .access = MODIFY_RM, .flags = COPY | LOCK),
    BYTE_AND_WORD("neg", NEG, 0xf6, E, .extension = EXT(3), .access = MODIFY_RM, .flags = COPY | LOCK, .flags_written = ALL),
    BYTE_AND_WORD("mul", MUL, 0xf6, E, .extension = EXT(4), .access = READ_RM, .implicit_read = RAX, .implicit_write = RAX | RDX, .flags_written = ALL, .flags_undefined = S | Z | A | P),
    BYTE_AND_WORD("imul", IMUL, 0xf6, E, .extension = EXT(5), .access = READ_RM, .implicit_read = RAX, .implicit_write = RAX | RDX, .flags_written = ALL, .flags_undefined = S | Z | A | P),
    BYTE_AND_WORD("div", DIV, 0xf6, E, .extension = EXT(6), .access = READ_RM, .implicit_read = RAX | RDX, .implicit_write = RAX | RDX, .flags_written = ALL, .flags_undefined = ALL),
    BYTE_AND_WORD("idiv", IDIV, 0xf6, E, .extension = EXT(7), .access = READ_RM, .implicit_read = RAX | RDX, .implicit_write = RAX | RDX, .flags_written = ALL, .flags_undefined = ALL),
    ONE("clc", CLC, 0xf8, NONE, NONE, .flags_written = C), ONE("stc", STC, 0xf9, NONE, NONE, .flags_written = C), ONE("cli", CLI, 0xfa, NONE, NONE),
    ONE("sti", STI, 0xfb, NONE, NONE, .flags = ENDS), ONE("cld", CLD, 0xfc, NONE, NONE, .flags_written = D), ONE("std", STD, 0xfd, NONE, NONE, .flags_written = D),
    BYTE_AND_WORD("inc", INC, 0xfe, E, .extension = EXT(0), .access = MODIFY_RM, .flags = COPY | LOCK, .flags_written = ALL & ~C),
    BYTE_AND_WORD("dec", DEC, 0xfe, E, .extension = EXT(1), .access = MODIFY_RM, .flags = COPY | LOCK, .flags_written = ALL & ~C),
    ONE("call", CALL, 0xff, E, V64, .extension = EXT(2), .access = READ_RM | STACK, .flags = ENDS), ONE("lcall", CALL_FAR, 0xff, M, V, .extension = EXT(3), .mod = MOD_MEMORY, .access = READ_RM | STACK, .flags = ENDS),
    ONE("jmp", JMP, 0xff, E, V64, .extension = EXT(4), .access = READ_RM, .flags = ENDS), ONE("ljmp", JMP_FAR, 0xff, M, V, .extension = EXT(5), .mod = MOD_MEMORY, .access = READ_RM, .flags = ENDS),
    ONE("push", PUSH, 0xff, E, V64, .extension = EXT(6), .access = READ_RM | STACK),

    /* 0F: groups 6 and 7 */
    TWO("sldt", SLDT, 0x00, E, V, .extension = EXT(0), .access = WRITE_RM, .flags = PROT | ROW_RM16), TWO("str", STR, 0x00, E, V, .extension = EXT(1), .access = WRITE_RM, .flags = PROT | ROW_RM16),
    TWO("lldt", LLDT, 0x00, E, 2, .extension = EXT(2), .access = READ_RM, .flags = PROT), TWO("ltr", LTR, 0x00, E, 2, .extension = EXT(3), .access = READ_RM, .flags = PROT),
    TWO("verr", VERR, 0x00, E, 2, .extension = EXT(4), .access = READ_RM, .flags = PROT, .flags_written = Z), TWO("verw", VERW, 0x00, E, 2, .extension = EXT(5), .access = READ_RM, .flags = PROT, .flags_written = Z),
    TWO("sgdt", SGDT, 0x01, M, NATIVE, .extension = EXT(0), .mod = MOD_MEMORY), TWO("sidt", SIDT, 0x01, M, NATIVE, .extension = EXT(1), .mod = MOD_MEMORY),
    TWO("lgdt", LGDT, 0x01, M, NATIVE, .extension = EXT(2), .mod = MOD_MEMORY, .flags = ENDS), TWO("lidt", LIDT, 0x01, M, NATIVE, .extension = EXT(3), .mod = MOD_MEMORY, .flags = ENDS),
    TWO("smsw", SMSW, 0x01, E, V, .extension = EXT(4), .access = WRITE_RM, .flags = ROW_RM16), TWO("lmsw", LMSW, 0x01, E, 2, .extension = EXT(6), .access = READ_RM, .flags = ENDS),
    TWO("invlpg", INVLPG, 0x01, M, NATIVE, .extension = EXT(7), .mod = MOD_MEMORY, .flags = ENDS),
    TWO("vmcall", VMCALL, 0x01, NONE, NONE, .extension = EXT(0), .mod = MOD_REGISTER, .rm_extension = EXT(1), .flags = ENDS),
    TWO("monitor", MONITOR, 0x01, NONE, NONE, .extension = EXT(1), .mod = MOD_REGISTER, .rm_extension = EXT(0), .feature = FEATURE_MONITOR),
    TWO("mwait", MWAIT, 0x01, NONE, NONE, .extension = EXT(1), .mod = MOD_REGISTER, .rm_extension = EXT(1), .feature = FEATURE_MONITOR, .flags = ENDS),
    TWO("clac", CLAC, 0x01, NONE, NONE, .extension = EXT(1), .mod = MOD_REGISTER, .rm_extension = EXT(2), .prefix = MANDATORY_NONE, .feature = FEATURE_SMAP, .flags = ENDS),
    TWO("stac", STAC, 0x01, NONE, NONE, .extension = EXT(1), .mod = MOD_REGISTER, .rm_extension = EXT(3), .prefix = MANDATORY_NONE, .feature = FEATURE_SMAP, .flags = ENDS),
    TWO("xgetbv", XGETBV, 0x01, NONE, NONE, .extension = EXT(2), .mod = MOD_REGISTER, .rm_extension = EXT(0), .prefix = MANDATORY_NONE, .feature = FEATURE_XSAVE, .implicit_read = RCX, .implicit_write = RAX | RDX),
    TWO("xsetbv", XSETBV, 0x01, NONE, NONE, .extension = EXT(2), .mod = MOD_REGISTER, .rm_extension = EXT(1), .prefix = MANDATORY_NONE, .feature = FEATURE_XSAVE, .flags = ENDS),
    TWO("vmmcall", VMMCALL, 0x01, NONE, NONE, .extension = EXT(3), .mod = MOD_REGISTER, .rm_extension = EXT(1), .flags = ENDS),
    TWO("serialize", SERIALIZE, 0x01, NONE, NONE, .extension = EXT(5), .mod = MOD_REGISTER, .rm_extension = EXT(0), .prefix = MANDATORY_NONE, .feature = FEATURE_SERIALIZE, .flags = ENDS),
    TWO("swapgs", SWAPGS, 0x01, NONE, NONE, .extension = EXT(7), .mod = MOD_REGISTER, .rm_extension = EXT(0), .flags = O64 | ENDS),
    TWO("rdtscp", RDTSCP, 0x01, NONE, NONE, .extension = EXT(7), .mod = MOD_REGISTER, .rm_extension = EXT(1), .feature = FEATURE_RDTSCP, .implicit_write = RAX | RDX | RCX),
    TWO("lar", LAR, 0x02, GE, V, .access = READ_RM | MODIFY_REG, .flags = PROT | ROW_RM16, .flags_written = Z), TWO("lsl", LSL, 0x03, GE, V, .access = READ_RM | MODIFY_REG, .flags = PROT | ROW_RM16, .flags_written = Z),
    TWO("syscall", SYSCALL, 0x05, NONE, NONE, .feature = FEATURE_SYSCALL, .flags = ENDS), TWO("clts", CLTS, 0x06, NONE, NONE, .flags = ENDS),
    TWO("sysret", SYSRET, 0x07, NONE, Y, .feature = FEATURE_SYSCALL, .flags = ENDS),
    TWO("invd", INVD, 0x08, NONE, NONE), TWO("wbinvd", WBINVD, 0x09, NONE, NONE), TWO("ud2", UD, 0x0b, NONE, NONE, .flags = ENDS),
    NOP_E(0), NOP_E(1), NOP_E(2), NOP_E(3), NOP_E(4), NOP_E(5), NOP_E(6), NOP_E(7),
    TWO("mov", MOV_FROM_CR, 0x20, SYS, NATIVE, .access = WRITE_RM, .flags = ROW_REG_IS_NOT_GPR), TWO("mov", MOV_FROM_DR, 0x21, SYS, NATIVE, .access = WRITE_RM, .flags = ROW_REG_IS_NOT_GPR),
    TWO("mov", MOV_TO_CR, 0x22, SYS, NATIVE, .access = READ_RM, .flags = ROW_REG_IS_NOT_GPR | ENDS), TWO("mov", MOV_TO_DR, 0x23, SYS, NATIVE, .access = READ_RM, .flags = ROW_REG_IS_NOT_GPR | ENDS),
    TWO("wrmsr", WRMSR, 0x30, NONE, NONE, .feature = FEATURE_MSR, .implicit_read = RAX | RDX | RCX, .flags = ENDS), TWO("rdtsc", RDTSC, 0x31, NONE, NONE, .feature = FEATURE_TSC, .implicit_write = RAX | RDX),
    TWO("rdmsr", RDMSR, 0x32, NONE, NONE, .feature = FEATURE_MSR, .implicit_read = RCX, .implicit_write = RAX | RDX), TWO("rdpmc", RDPMC, 0x33, NONE, NONE, .implicit_read = RCX, .implicit_write = RAX | RDX),
    TWO("sysenter", SYSENTER, 0x34, NONE, NONE, .feature = FEATURE_SEP, .flags = ENDS), TWO("sysexit", SYSEXIT, 0x35, NONE, Y, .feature = FEATURE_SEP, .flags = ENDS),
    TWO("push", PUSH_SREG, 0xa0, NONE, V64, .access = STACK, .flags = ROW_SREG), TWO("pop", POP_SREG, 0xa1, NONE, V64, .access = STACK, .flags = ROW_SREG | ENDS),
    TWO("push", PUSH_SREG, 0xa8, NONE, V64, .access = STACK, .flags = ROW_SREG), TWO("pop", POP_SREG, 0xa9, NONE, V64, .access = STACK, .flags = ROW_SREG | ENDS),
    TWO("cpuid", CPUID, 0xa2, NONE, NONE, .implicit_read = RAX | RCX, .implicit_write = RAX | RBX | RCX | RDX),
    TWO("bt", BT, 0xa3, EG, V, .access = READ_RM | READ_REG, .flags_written = C, .flags_undefined = O | S | A | P), TWO("bts", BTS, 0xab, EG, V, .access = MODIFY_RM | READ_REG, .flags = LOCK, .flags_written = C, .flags_undefined = O | S | A | P),
    TWO("btr", BTR, 0xb3, EG, V, .access = MODIFY_RM | READ_REG, .flags = LOCK, .flags_written = C, .flags_undefined = O | S | A | P), TWO("btc", BTC, 0xbb, EG, V, .access = MODIFY_RM | READ_REG, .flags = LOCK, .flags_written = C, .flags_undefined = O | S | A | P),
    TWO("bt", BT, 0xba, EI, V, .imm = IMM_U8, .extension = EXT(4), .access = READ_RM, .flags_written = C, .flags_undefined = O | S | A | P), TWO("bts", BTS, 0xba, EI, V, .imm = IMM_U8, .extension = EXT(5), .access = MODIFY_RM, .flags = LOCK, .flags_written = C, .flags_undefined = O | S | A | P),
    TWO("btr", BTR, 0xba, EI, V, .imm = IMM_U8, .extension = EXT(6), .access = MODIFY_RM, .flags = LOCK, .flags_written = C, .flags_undefined = O | S | A | P), TWO("btc", BTC, 0xba, EI, V, .imm = IMM_U8, .extension = EXT(7), .access = MODIFY_RM, .flags = LOCK, .flags_written = C, .flags_undefined = O | S | A | P),
    TWO("shld", SHLD, 0xa4, EGI, V, .imm = IMM_U8, .access = MODIFY_RM | READ_REG, .flags_written = ALL, .flags_undefined = A | O), TWO("shld", SHLD, 0xa5, EGC, V, .access = MODIFY_RM | READ_REG, .implicit_read = RCX, .flags_written = ALL, .flags_undefined = A | O),
    TWO("shrd", SHRD, 0xac, EGI, V, .imm = IMM_U8, .access = MODIFY_RM | READ_REG, .flags_written = ALL, .flags_undefined = A | O), TWO("shrd", SHRD, 0xad, EGC, V, .access = MODIFY_RM | READ_REG, .implicit_read = RCX, .flags_written = ALL, .flags_undefined = A | O),
    TWO("rsm", RSM, 0xaa, NONE, NONE, .flags = ENDS),
    TWO("imul", IMUL_G, 0xaf, GE, V, .access = READ_RM | MODIFY_REG, .flags = COPY, .flags_written = ALL, .flags_undefined = S | Z | A | P),
    TWO("cmpxchg", CMPXCHG, 0xb0, EG, 1, .access = MODIFY_RM | READ_REG, .flags = LOCK, .implicit_read = RAX, .implicit_write = RAX, .flags_written = ALL), TWO("cmpxchg", CMPXCHG, 0xb1, EG, V, .access = MODIFY_RM | READ_REG, .flags = LOCK, .implicit_read = RAX, .implicit_write = RAX, .flags_written = ALL),
    TWO("lss", LOAD_FAR, 0xb2, GE, V, .mod = MOD_MEMORY, .access = READ_RM | WRITE_REG, .flags = ENDS, .constant = SEG_SS),
    TWO("lfs", LOAD_FAR, 0xb4, GE, V, .mod = MOD_MEMORY, .access = READ_RM | WRITE_REG, .flags = ENDS, .constant = SEG_FS), TWO("lgs", LOAD_FAR, 0xb5, GE, V, .mod = MOD_MEMORY, .access = READ_RM | WRITE_REG, .flags = ENDS, .constant = SEG_GS),
    TWO("movzb", MOVZX, 0xb6, GE, V, .access = READ_RM | WRITE_REG, .flags = ROW_RM_BYTE | COPY), TWO("movzw", MOVZX, 0xb7, GE, V, .access = READ_RM | WRITE_REG, .flags = ROW_RM_WORD | COPY),
    TWO("movsb", MOVSX, 0xbe, GE, V, .access = READ_RM | WRITE_REG, .flags = ROW_RM_BYTE | COPY), TWO("movsw", MOVSX, 0xbf, GE, V, .access = READ_RM | WRITE_REG, .flags = ROW_RM_WORD | COPY),
    TWO("popcnt", POPCNT, 0xb8, GE, V, .prefix = MANDATORY_F3, .access = READ_RM | WRITE_REG, .flags = COPY, .feature = FEATURE_POPCNT, .flags_written = ALL),
    TWO("ud1", UD, 0xb9, GE, V, .flags = ENDS), TWO("ud0", UD, 0xff, GE, V, .flags = ENDS),
    TWO("tzcnt", TZCNT, 0xbc, GE, V, .prefix = MANDATORY_F3, .access = READ_RM | WRITE_REG, .flags = COPY, .feature = FEATURE_BMI1, .fallback = OP_BSF, .flags_written = ALL, .flags_undefined = O | S | A | P),
    TWO("lzcnt", LZCNT, 0xbd, GE, V, .prefix = MANDATORY_F3, .access = READ_RM | WRITE_REG, .flags = COPY, .feature = FEATURE_ABM, .fallback = OP_BSR, .flags_written = ALL, .flags_undefined = O | S | A | P),
    TWO("bsf", BSF, 0xbc, GE, V, .access = READ_RM | MODIFY_REG, .flags = COPY, .flags_written = ALL, .flags_undefined = C | O | S | A | P), TWO("bsr", BSR, 0xbd, GE, V, .access = READ_RM | MODIFY_REG, .flags = COPY, .flags_written = ALL, .flags_undefined = C | O | S | A | P),
    TWO("xadd", XADD, 0xc0, EG, 1, .access = MODIFY_RM | MODIFY_REG, .flags = LOCK, .flags_written = ALL), TWO("xadd", XADD, 0xc1, EG, V, .access = MODIFY_RM | MODIFY_REG, .flags = LOCK, .flags_written = ALL),
    TWO("movnti", MOVNTI, 0xc3, EG, Y, .mod = MOD_MEMORY, .prefix = MANDATORY_NONE, .access = WRITE_RM | READ_REG, .feature = FEATURE_SSE2),
    TWO("cmpxchg8b", CMPXCHG8B, 0xc7, M, Y, .extension = EXT(1), .mod = MOD_MEMORY, .access = MODIFY_RM, .flags = LOCK, .feature = FEATURE_CX8, .implicit_read = RAX | RDX | RBX | RCX, .implicit_write = RAX | RDX, .flags_written = Z),
    TWO("rdpid", RDPID, 0xc7, E, NATIVE, .extension = EXT(7), .mod = MOD_REGISTER, .prefix = MANDATORY_F3, .access = WRITE_RM, .feature = FEATURE_RDPID),
    TWO("rdrand", RDRAND, 0xc7, E, V, .extension = EXT(6), .mod = MOD_REGISTER, .prefix = MANDATORY_NO_REP, .access = WRITE_RM, .feature = FEATURE_RDRAND, .flags_written = ALL),
    TWO("rdseed", RDSEED, 0xc7, E, V, .extension = EXT(7), .mod = MOD_REGISTER, .prefix = MANDATORY_NO_REP, .access = WRITE_RM, .feature = FEATURE_RDSEED, .flags_written = ALL),
    PLUS_8(BSWAP_R),
    TWO("rdfsbase", RDFSBASE, 0xae, E, Y, .extension = EXT(0), .mod = MOD_REGISTER, .prefix = MANDATORY_F3, .flags = O64, .access = WRITE_RM, .feature = FEATURE_FSGSBASE),
    TWO("rdgsbase", RDGSBASE, 0xae, E, Y, .extension = EXT(1), .mod = MOD_REGISTER, .prefix = MANDATORY_F3, .flags = O64, .access = WRITE_RM, .feature = FEATURE_FSGSBASE),
    TWO("wrfsbase", WRFSBASE, 0xae, E, Y, .extension = EXT(2), .mod = MOD_REGISTER, .prefix = MANDATORY_F3, .flags = O64, .access = READ_RM, .feature = FEATURE_FSGSBASE),
    TWO("wrgsbase", WRGSBASE, 0xae, E, Y, .extension = EXT(3), .mod = MOD_REGISTER, .prefix = MANDATORY_F3, .flags = O64, .access = READ_RM, .feature = FEATURE_FSGSBASE),

    /* 0F 38 */
    T38("invpcid", INVPCID, 0x82, GE, NATIVE, .mod = MOD_MEMORY, .prefix = MANDATORY_66, .access = READ_REG | READ_RM, .feature = FEATURE_INVPCID, .flags = ENDS),
    T38("crc32", CRC32, 0xf0, GE, Y, .prefix = MANDATORY_F2, .access = READ_RM | MODIFY_REG, .flags = ROW_RM_BYTE, .feature = FEATURE_SSE42),
    T38("crc32", CRC32, 0xf1, GE, V, .prefix = MANDATORY_F2, .access = READ_RM | MODIFY_REG, .feature = FEATURE_SSE42),
    T38("movbe", MOVBE, 0xf0, GE, V, .mod = MOD_MEMORY, .prefix = MANDATORY_NO_REP, .access = READ_RM | WRITE_REG, .feature = FEATURE_MOVBE),
    T38("movbe", MOVBE, 0xf1, EG, V, .mod = MOD_MEMORY, .prefix = MANDATORY_NO_REP, .access = WRITE_RM | READ_REG, .feature = FEATURE_MOVBE),
    T38("adcx", ADCX, 0xf6, GE, Y, .prefix = MANDATORY_66, .access = READ_RM | MODIFY_REG, .feature = FEATURE_ADX, .flags_read = C, .flags_written = C),
    T38("adox", ADOX, 0xf6, GE, Y, .prefix = MANDATORY_F3, .access = READ_RM | MODIFY_REG, .feature = FEATURE_ADX, .flags_read = O, .flags_written = O),

    /* VEX: BMI1 and BMI2. vvvv is the first source, or the destination of the blsr group */
    VEX("andn", ANDN, 0F38, 0xf2, GE, NONE, .access = READ_RM | WRITE_REG, .feature = FEATURE_BMI1, .flags_written = ALL, .flags_undefined = A | P),
    VEX("blsr", BLSR, 0F38, 0xf3, E, NONE, .extension = EXT(1), .access = READ_RM, .feature = FEATURE_BMI1, .flags_written = ALL, .flags_undefined = A | P),
    VEX("blsmsk", BLSMSK, 0F38, 0xf3, E, NONE, .extension = EXT(2), .access = READ_RM, .feature = FEATURE_BMI1, .flags_written = ALL, .flags_undefined = A | P),
    VEX("blsi", BLSI, 0F38, 0xf3, E, NONE, .extension = EXT(3), .access = READ_RM, .feature = FEATURE_BMI1, .flags_written = ALL, .flags_undefined = A | P),
    VEX("bzhi", BZHI, 0F38, 0xf5, GE, NONE, .access = READ_RM | WRITE_REG, .feature = FEATURE_BMI2, .flags_written = ALL, .flags_undefined = A | P),
    VEX("pext", PEXT, 0F38, 0xf5, GE, F3, .access = READ_RM | WRITE_REG, .feature = FEATURE_BMI2), VEX("pdep", PDEP, 0F38, 0xf5, GE, F2, .access = READ_RM | WRITE_REG, .feature = FEATURE_BMI2),
    VEX("mulx", MULX, 0F38, 0xf6, GE, F2, .access = READ_RM | WRITE_REG, .feature = FEATURE_BMI2, .implicit_read = RDX),
    VEX("bextr", BEXTR, 0F38, 0xf7, GE, NONE, .access = READ_RM | WRITE_REG, .feature = FEATURE_BMI1, .flags_written = ALL, .flags_undefined = A | S | P),
    VEX("shlx", SHLX, 0F38, 0xf7, GE, 66, .access = READ_RM | WRITE_REG, .feature = FEATURE_BMI2), VEX("sarx", SARX, 0F38, 0xf7, GE, F3, .access = READ_RM | WRITE_REG, .feature = FEATURE_BMI2),
    VEX("shrx", SHRX, 0F38, 0xf7, GE, F2, .access = READ_RM | WRITE_REG, .feature = FEATURE_BMI2),
    VEX("rorx", RORX, 0F3A, 0xf0, GEI, F2, .imm = IMM_U8, .access = READ_RM | WRITE_REG, .feature = FEATURE_BMI2, .flags = ROW_NO_VVVV),
};

/* ---- the index ------------------------------------------------------------------------------------------------- */

enum { ROW_LIMIT = 4096 };
static uint16_t first_row[MAP_COUNT][256], next_row[ROW_LIMIT];

const OptabRow *optab_row(unsigned row)
{
    const unsigned before = G_N_ELEMENTS(rows);

    if (row < before) {
        return &rows[row];
    }
    return row - before < optab_vector_count ? &optab_vector[row - before] : &optab_vex[row - before - optab_vector_count];
}

unsigned optab_count(void)
{
    return G_N_ELEMENTS(rows) + optab_vector_count + optab_vex_count;
}

/* Vector rows come first in a chain: they are the ones with a mandatory prefix where a map is shared (rdfsbase, fxsave). */
static void build_index(void)
{
    unsigned count = MIN(optab_count(), (unsigned)ROW_LIMIT);        /* tests/cpu/decode.c sees that they fit */

    memset(first_row, 0xff, sizeof first_row);
    for (unsigned row = count; row-- > 0;) {
        const OptabRow *r = optab_row(row);

        next_row[row] = first_row[r->map][r->opcode];
        first_row[r->map][r->opcode] = (uint16_t)row;
    }
}

unsigned optab_first(unsigned map, uint8_t opcode)
{
    static gsize built;

    if (g_once_init_enter(&built)) {
        build_index();
        g_once_init_leave(&built, 1);
    }
    return first_row[map][opcode];
}

unsigned optab_next(unsigned row)
{
    return next_row[row];
}
