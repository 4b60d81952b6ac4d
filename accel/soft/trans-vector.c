/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trans-vector.c - SSE and x87 instructions, the guest's own with their memory operand renamed
 *
 * The vector registers are the host's while SoftCpu.jit.live is set; a block with native ones makes sure of that at its start. A guest
 * that unmasks SIMD exceptions has its blocks interpreted. x87 is the host's by the same rules as in the interpreter (fpu.h): a block with
 * native ones starts only with X87_READY. MMX goes to the interpreter's functions.
 *
 * Tests    tests/cpu/fuzz.c --translate
 */
#include "accel/soft/trans.h"
#include "accel/x86/vector.h"

static bool state_allows(const TransBuild *b)
{
    return !(b->block->mode & (KEY_TS | KEY_EM));
}

static bool is_group(uint32_t word) { return vector_rm_file(word) == VECTOR_NONE && word & VECTOR_IMM8; }

static bool is_native_vector(const TransBuild *b, const Insn *insn)
{
    const OptabRow *row = optab_row(insn->row);
    uint32_t word = row->vector;

    if (insn->op != OP_VECTOR || !state_allows(b) || !(b->block->mode & KEY_OSFXSR) || insn->vex || row->map > MAP_0F3A || word & VECTOR_UNCHECKED) {
        return false;
    }
    if (vector_reg_file(word) == VECTOR_MMX || vector_rm_file(word) == VECTOR_MMX) {
        return false;
    }
    /* General registers that live in the context. */
    if (vector_reg_file(word) == VECTOR_GPR && trans_host[insn->reg] == NOT_PINNED) {
        return false;
    }
    return !(vector_rm_file(word) == VECTOR_GPR && !insn->memory && trans_host[insn->rm] == NOT_PINNED);
}

static bool is_native_vex(const TransBuild *b, const Insn *insn)
{
    const OptabRow *row = optab_row(insn->row);
    uint32_t word = row->vector;

    if ((insn->op != OP_VECTOR_VEX && insn->op != OP_VZERO) || b->block->mode & KEY_TS || !(b->block->mode & KEY_AVX) || !(b->block->mode & KEY_OSXSAVE) ||
        row->vex & VEX_VSIB) {
        return false;
    }
    return !(vector_reg_file(word) == VECTOR_GPR && trans_host[insn->reg] == NOT_PINNED) &&
           !(vector_rm_file(word) == VECTOR_GPR && !insn->memory && trans_host[insn->rm] == NOT_PINNED);
}

bool trans_needs_vectors(const TransBuild *b, const Insn *insn) { return is_native_vector(b, insn); }
bool trans_needs_avx(const TransBuild *b, const Insn *insn) { return is_native_vex(b, insn); }

static bool vex(TransBuild *b, const Insn *insn)
{
    const OptabRow *row = optab_row(insn->row);
    uint32_t word = row->vector;
    bool w = insn->vex & VEX_W, group = row->extension != 0;
    unsigned reg = group ? row->extension & 7u : vector_reg_file(word) == VECTOR_GPR ? trans_host[insn->reg] : insn->reg;
    uint64_t immediate = row->vex & VEX_IS4 && !b->long_code ? insn->imm & 0x7f : insn->imm & 0xff;
    Rm rm;

    if (insn->op == OP_VZERO) {
        emit_bytes(&b->e, 3, insn->vex & VEX_L ? 0x77fcc5 : 0x77f8c5);
        return true;
    }
    if (insn->memory) {
        if (!trans_memory(b, insn, vector_memory_bytes(word, w), word & VECTOR_WRITES_RM, true, &rm)) {
            return false;
        }
    } else {
        rm = rm_register(vector_rm_file(word) == VECTOR_GPR ? trans_host[insn->rm] : insn->rm);
    }
    emit_vex(&b->e, (unsigned)(row->prefix - MANDATORY_NONE), row->map - MAP_VEX_0F + 1u, w, insn->vex & VEX_L, row->opcode, reg, row->vex & VVVV_RULE ? insn->vvvv : 0, rm,
             word & VECTOR_IMM8 ? (int)immediate : -1);
    if (word & VECTOR_COMPARES && row->opcode & 1) {
        trans_put(b, GPR_RCX, H_RCX);
    }
    return true;
}

bool trans_vector(TransBuild *b, const Insn *insn)
{
    static const unsigned prefixes[] = { 0, E_66, E_F3, E_F2 };
    static const unsigned maps[] = { 0, E_0F, E_0F38, E_0F3A };
    const OptabRow *row = optab_row(insn->row);
    uint32_t word = row->vector;
    bool w = insn->prefixes & PREFIX_REX_W;
    unsigned what, reg, bytes = word & VECTOR_IMM8 ? 1 : 0;
    Rm rm;

    if (is_native_vex(b, insn)) {
        return vex(b, insn);
    }
    if (!is_native_vector(b, insn)) {
        return false;
    }
    what = maps[row->map] | prefixes[row->prefix >= MANDATORY_NONE ? row->prefix - MANDATORY_NONE : 0] | (w ? E_W : 0);
    reg = row->extension ? row->extension & 7u : vector_reg_file(word) == VECTOR_GPR ? trans_host[insn->reg] : insn->reg;
    if (insn->memory) {
        if (!trans_memory(b, insn, vector_memory_bytes(word, w), word & VECTOR_WRITES_RM, true, &rm)) {
            return false;
        }
    } else {
        rm = rm_register(!is_group(word) && vector_rm_file(word) == VECTOR_GPR ? trans_host[insn->rm] : insn->rm);
    }
    emit_op(&b->e, what, row->opcode, reg, rm, bytes, insn->imm & 0xff);
    if (word & VECTOR_COMPARES && row->opcode & 1) {
        trans_put(b, GPR_RCX, H_RCX);      /* pcmpXstri */
    }
    return true;
}

/* ---- x87 ---------------------------------------------------------------------------------------------------------------------------- */

static unsigned x87_bytes(const Insn *insn)
{
    return insn->op == OP_X87_LOAD80 || insn->op == OP_X87_STORE80 ? 10 : insn->op == OP_FNSTCW || insn->op == OP_FNSTSW ? 2 : insn->size;
}

static bool is_native_x87(const TransBuild *b, const Insn *insn)
{
    if (insn->form != FORM_X87 || !state_allows(b)) {
        return false;
    }
    switch (insn->op) {
    case OP_X87: case OP_X87_NOP: case OP_FCMOV: case OP_FCOMI: case OP_FNSTSW_AX: return true;
    case OP_X87_LOAD: case OP_X87_STORE: case OP_X87_LOAD80: case OP_X87_STORE80: case OP_FNSTCW: case OP_FNSTSW: return insn->memory != MEMORY_NONE;
    default: return false;
    }
}

bool trans_needs_x87(const TransBuild *b, const Insn *insn) { return is_native_x87(b, insn); }

bool trans_x87(TransBuild *b, const Insn *insn)
{
    bool store = insn->op == OP_X87_STORE || insn->op == OP_X87_STORE80 || insn->op == OP_FNSTCW || insn->op == OP_FNSTSW;
    uint8_t opcode = (uint8_t)(0xd8 | insn->escape >> 8);
    Rm rm;

    if (!is_native_x87(b, insn)) {
        return insn->op == OP_FWAIT && b->x87;
    }
    if (!insn->memory) {
        emit_bytes(&b->e, 2, opcode | (uint64_t)(insn->escape & 0xff) << 8);
        return true;
    }
    if (!trans_memory(b, insn, x87_bytes(insn), store, true, &rm)) {
        return false;
    }
    emit_op(&b->e, 0, opcode, insn->escape >> 3 & 7, rm, 0, 0);
    return true;
}
