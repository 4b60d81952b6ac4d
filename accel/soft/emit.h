/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit.h - host instructions into the code cache: an x86-64 assembler as small as the translator needs
 *
 * Code is written through one mapping of the cache and executed through another; Emit.shift is the distance. Running out of room
 * is noted in .full and nothing more is written, so callers look once, at the end.
 *
 * Models   Intel SDM volume 2, chapter 2: prefixes, REX, ModRM, SIB, VEX
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct Emit {
    uint8_t *at, *end;
    intptr_t shift;                        /* executable address minus writable address */
    bool full;
} Emit;

enum { H_RAX, H_RCX, H_RDX, H_RBX, H_RSP, H_RBP, H_RSI, H_RDI, H_R8, H_R9, H_R10, H_R11, H_R12, H_R13, H_R14, H_R15 };

/* An r/m operand of the host. */
typedef enum {
    RM_REGISTER,
    RM_SUM,                                /* [rcx + reg]: delta plus linear address */
    RM_AT,                                 /* [reg + disp] */
    RM_INDEXED,                            /* [reg + index * 2^scale + disp] */
    RM_SCALED,                             /* [index * 2^scale + disp], no base */
    RM_CONTEXT,                            /* gs:[disp]: a field of SoftCpu */
    RM_CONTEXT_SCALED,                     /* gs:[index * 8 + disp] */
    RM_CONSTANT,                           /* [rip + ...]: a constant in the code cache, by its executable address */
} RmKind;
typedef struct Rm { uint8_t kind, reg, index, scale; int32_t disp; const uint8_t *address; } Rm;

static inline Rm rm_register(unsigned reg) { return (Rm){ .kind = RM_REGISTER, .reg = (uint8_t)reg }; }
static inline Rm rm_sum(unsigned reg) { return (Rm){ .kind = RM_SUM, .reg = (uint8_t)reg }; }
static inline Rm rm_at(unsigned reg, int32_t disp) { return (Rm){ .kind = RM_AT, .reg = (uint8_t)reg, .disp = disp }; }
static inline Rm rm_context(size_t offset) { return (Rm){ .kind = RM_CONTEXT, .disp = (int32_t)offset }; }
static inline Rm rm_constant(const uint8_t *address) { return (Rm){ .kind = RM_CONSTANT, .address = address }; }

enum {                                     /* what an instruction has beside opcode and operands */
    E_66 = 1, E_F2 = 2, E_F3 = 4, E_W = 8, E_LOCK = 16,
    E_BYTE_REG = 32, E_BYTE_RM = 64,       /* a low byte register: SPL to DIL need a REX prefix */
    E_0F = 256, E_0F38 = 512, E_0F3A = 1024,
};

/* reg is a register or an opcode extension; immediate bytes (0, 1, 2, 4, 8) follow. */
void emit_op(Emit *e, unsigned what, uint8_t opcode, unsigned reg, Rm rm, unsigned immediate_bytes, uint64_t immediate);
/* pp 0 none, 1 66, 2 F3, 3 F2; map 1 0F, 2 0F38, 3 0F3A. */
void emit_vex(Emit *e, unsigned pp, unsigned map, bool w, bool l, uint8_t opcode, unsigned reg, unsigned vvvv, Rm rm, int immediate);

static inline void emit_bytes(Emit *e, unsigned count, uint64_t bytes)         /* first byte lowest */
{
    if (e->at + 8 > e->end) {
        e->full = true;
        return;
    }
    memcpy(e->at, &bytes, 8);
    e->at += count;
}
static inline const uint8_t *emit_here(const Emit *e) { return e->at + e->shift; }

static inline void emit_load(Emit *e, unsigned reg, Rm rm) { emit_op(e, E_W, 0x8b, reg, rm, 0, 0); }
static inline void emit_load32(Emit *e, unsigned reg, Rm rm) { emit_op(e, 0, 0x8b, reg, rm, 0, 0); }
static inline void emit_store(Emit *e, Rm rm, unsigned reg) { emit_op(e, E_W, 0x89, reg, rm, 0, 0); }
static inline void emit_move(Emit *e, unsigned to, unsigned from) { emit_op(e, E_W, 0x89, from, rm_register(to), 0, 0); }
static inline void emit_lea(Emit *e, bool wide, unsigned reg, Rm rm) { emit_op(e, wide ? E_W : 0, 0x8d, reg, rm, 0, 0); }
void emit_constant(Emit *e, unsigned reg, uint64_t value);                      /* mov reg, value: the shortest form; flags stay */
void emit_jump(Emit *e, const uint8_t *target);                                 /* jmp rel32; target executable */
void emit_call(Emit *e, const uint8_t *target);
void emit_jump_context(Emit *e, size_t offset);                                 /* jmp gs:[offset] */
/* A jump whose distance is not known yet: the address (writable) of its displacement, for emit_patch. */
uint8_t *emit_jump_open(Emit *e);
uint8_t *emit_jcc_open(Emit *e, unsigned condition);                            /* rel32 */
uint8_t *emit_jrcxz_open(Emit *e);                                              /* rel8 */
/* The distance of an rel32 at writable where, to the executable target. */
static inline void emit_patch(uint8_t *where, intptr_t shift, const uint8_t *target)
{
    int32_t distance = (int32_t)(target - (where + shift + 4));
    memcpy(where, &distance, 4);
}
