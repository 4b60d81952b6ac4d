/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit.c - encodes what emit.h offers
 *
 * Tests    tests/cpu/fuzz.c --translate 
 */
#include "accel/soft/emit.h"

static void emit_modrm(Emit *e, unsigned reg, Rm rm, unsigned immediate_bytes)
{
    unsigned r = (reg & 7) << 3;

    switch (rm.kind) {
    case RM_REGISTER:
        emit_bytes(e, 1, 0xc0 | r | (rm.reg & 7));
        break;
    case RM_SUM:                           /* base rcx: never needs a displacement */
        emit_bytes(e, 2, (4 | r) | (uint64_t)((rm.reg & 7) << 3 | H_RCX) << 8);
        break;
    case RM_AT:
    case RM_INDEXED: {
        bool sib = rm.kind == RM_INDEXED || (rm.reg & 7) == H_RSP;
        bool none = !rm.disp && (rm.reg & 7) != H_RBP, near = rm.disp == (int8_t)rm.disp;
        unsigned mod = none ? 0 : near ? 0x40 : 0x80;

        emit_bytes(e, 1, mod | r | (sib ? 4 : rm.reg & 7));
        if (sib) {
            emit_bytes(e, 1, rm.kind == RM_INDEXED ? (unsigned)rm.scale << 6 | (rm.index & 7) << 3 | (rm.reg & 7) : 0x20 | (rm.reg & 7));
        }
        if (!none) {
            emit_bytes(e, near ? 1 : 4, (uint32_t)rm.disp);
        }
        break;
    }
    case RM_SCALED:
    case RM_CONTEXT_SCALED:
        emit_bytes(e, 6, (4 | r) | (uint64_t)((unsigned)rm.scale << 6 | (rm.index & 7) << 3 | 5) << 8 | (uint64_t)(uint32_t)rm.disp << 16);
        break;
    case RM_CONTEXT:
        emit_bytes(e, 6, (4 | r) | (uint64_t)0x25 << 8 | (uint64_t)(uint32_t)rm.disp << 16);
        break;
    default:
        emit_bytes(e, 1, 5 | r);
        emit_bytes(e, 4, (uint32_t)(rm.address - (emit_here(e) + 4 + immediate_bytes)));
        break;
    }
}

static bool has_index(Rm rm) { return rm.kind == RM_INDEXED || rm.kind == RM_SCALED || rm.kind == RM_CONTEXT_SCALED; }
static bool is_context(Rm rm) { return rm.kind == RM_CONTEXT || rm.kind == RM_CONTEXT_SCALED; }

/* The R, X, B bits in REX's order. */
static unsigned extension_bits(unsigned reg, Rm rm)
{
    unsigned bits = reg & 8 ? 4 : 0;

    if (rm.kind == RM_SUM) {
        return bits | (rm.reg & 8 ? 2 : 0);
    }
    if (has_index(rm)) {
        bits |= rm.index & 8 ? 2 : 0;
    }
    if (rm.kind == RM_REGISTER || rm.kind == RM_AT || rm.kind == RM_INDEXED) {
        bits |= rm.reg & 8 ? 1 : 0;
    }
    return bits;
}

void emit_op(Emit *e, unsigned what, uint8_t opcode, unsigned reg, Rm rm, unsigned immediate_bytes, uint64_t immediate)
{
    unsigned rex = extension_bits(reg, rm) | (what & E_W ? 8 : 0);
    bool byte = (what & E_BYTE_REG && reg >= 4) || (what & E_BYTE_RM && rm.kind == RM_REGISTER && rm.reg >= 4);

    if (what & E_LOCK) {
        emit_bytes(e, 1, 0xf0);
    }
    if (is_context(rm)) {
        emit_bytes(e, 1, 0x65);
    }
    if (what & E_66) {
        emit_bytes(e, 1, 0x66);
    }
    if (what & (E_F2 | E_F3)) {
        emit_bytes(e, 1, what & E_F2 ? 0xf2 : 0xf3);
    }
    if (rex || byte) {
        emit_bytes(e, 1, 0x40 | rex);
    }
    if (what & (E_0F | E_0F38 | E_0F3A)) {
        emit_bytes(e, 1, 0x0f);
        if (!(what & E_0F)) {
            emit_bytes(e, 1, what & E_0F38 ? 0x38 : 0x3a);
        }
    }
    emit_bytes(e, 1, opcode);
    emit_modrm(e, reg, rm, immediate_bytes);
    emit_bytes(e, immediate_bytes, immediate);
}

void emit_vex(Emit *e, unsigned pp, unsigned map, bool w, bool l, uint8_t opcode, unsigned reg, unsigned vvvv, Rm rm, int immediate)
{
    unsigned bits = extension_bits(reg, rm);

    if (is_context(rm)) {
        emit_bytes(e, 1, 0x65);
    }
    emit_bytes(e, 3, 0xc4 | (uint64_t)((~bits & 7) << 5 | map) << 8 | (uint64_t)((w ? 0x80u : 0) | (~vvvv & 15) << 3 | (l ? 4u : 0) | pp) << 16);
    emit_bytes(e, 1, opcode);
    emit_modrm(e, reg, rm, immediate >= 0 ? 1 : 0);
    if (immediate >= 0) {
        emit_bytes(e, 1, (unsigned)immediate);
    }
}

void emit_constant(Emit *e, unsigned reg, uint64_t value)
{
    if (value == (uint32_t)value) {
        emit_bytes(e, 1 + (reg >= 8), reg >= 8 ? 0x41 | (uint64_t)(0xb8 | (reg & 7)) << 8 : 0xb8 | reg);
        emit_bytes(e, 4, value);
    } else if ((int64_t)value == (int32_t)value) {
        emit_op(e, E_W, 0xc7, 0, rm_register(reg), 4, value);
    } else {
        emit_bytes(e, 2, (0x48 | reg >> 3) | (uint64_t)(0xb8 | (reg & 7)) << 8);
        emit_bytes(e, 8, value);
    }
}

static void emit_relative(Emit *e, uint8_t opcode, const uint8_t *target)
{
    emit_bytes(e, 1, opcode);
    emit_bytes(e, 4, (uint32_t)(target - (emit_here(e) + 4)));
}

void emit_jump(Emit *e, const uint8_t *target) { emit_relative(e, 0xe9, target); }
void emit_call(Emit *e, const uint8_t *target) { emit_relative(e, 0xe8, target); }
void emit_jump_context(Emit *e, size_t offset) { emit_op(e, 0, 0xff, 4, rm_context(offset), 0, 0); }

uint8_t *emit_jump_open(Emit *e)
{
    emit_bytes(e, 5, 0xe9);
    return e->at - 4;
}

uint8_t *emit_jcc_open(Emit *e, unsigned condition)
{
    emit_bytes(e, 6, 0x0f | (uint64_t)(0x80 | condition) << 8);
    return e->at - 4;
}

uint8_t *emit_jrcxz_open(Emit *e)
{
    emit_bytes(e, 2, 0xe3);
    return e->at - 1;
}
