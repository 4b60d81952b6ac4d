/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trans-group.c - one look-up for several accesses from the same base register
 *
 * Compilers reach a structure, a frame or an array's element by one register and small displacements, several times in a row. The first such access
 * makes sure that everything from the lowest to the highest byte of the group lies in one page, looks that page up once (for writing, if any of them
 * writes), and the word stays in RCX for the others, which then cost nothing. In between stand only instructions that are known to leave RCX and
 * the base register alone; pushes and pops move RSP by what they say.
 *
 * When the group might lie in two pages, or its page has no entry, the rest of the block is interpreted; a block that this happens to often is
 * translated again without groups.
 *
 * Tests    tests/cpu/jit.c
 */
#include "accel/soft/flat.h"
#include "accel/soft/handlers.h"
#include "accel/soft/trans.h"

enum { WIDEST = 256, LONGEST = 24, FARTHEST = 1 << 30 };

typedef struct Access { uint8_t base; bool write; int32_t disp; unsigned size; int moves; } Access;

static bool pinned(unsigned guest) { return guest < 16 && trans_host[guest] != NOT_PINNED; }

static bool is_plain_op(const Insn *insn)
{
    switch (insn->op) {
    case OP_ADD: case OP_OR: case OP_ADC: case OP_SBB: case OP_AND: case OP_SUB: case OP_XOR: case OP_CMP: case OP_TEST: case OP_MOV: case OP_MOVZX: case OP_MOVSX:
    case OP_INC: case OP_DEC: case OP_NOT: case OP_NEG: case OP_IMUL_G: case OP_SETCC: case OP_CMOVCC:
        return true;
    case OP_ROL: case OP_ROR: case OP_RCL: case OP_RCR: case OP_SHL: case OP_SHR: case OP_SAL: case OP_SAR:
        return insn->form != FORM_EC;
    case OP_BT: case OP_BTS: case OP_BTR: case OP_BTC:
        return insn->form == FORM_EI;
    default:
        return false;
    }
}

/* Its general registers, beside the memory operand's, can be named directly. */
static bool registers_are_plain(const Insn *insn)
{
    unsigned access = optab_row(insn->row)->access;

    if (insn->high || insn->form == FORM_OA || insn->form == FORM_AO || insn->prefixes & PREFIX_LOCK) {
        return false;
    }
    if (access & MODIFY_REG && (insn->form == FORM_EG || insn->form == FORM_GE || insn->form == FORM_GEI) && !pinned(insn->reg)) {
        return false;
    }
    return insn->memory || !(access & MODIFY_RM) || pinned(insn->rm);
}

static bool is_vector(const TransBuild *b, const Insn *insn)
{
    return trans_needs_vectors(b, insn) || (trans_needs_avx(b, insn) && insn->op == OP_VECTOR_VEX);
}

static unsigned access_bytes(const TransBuild *b, const Insn *insn)
{
    const OptabRow *row = optab_row(insn->row);

    if (is_vector(b, insn)) {
        return vector_memory_bytes(row->vector, insn->op == OP_VECTOR_VEX ? insn->vex & VEX_W : insn->prefixes & PREFIX_REX_W);
    }
    return row->flags & ROW_RM_BYTE ? 1 : row->flags & ROW_RM_WORD ? 2 : insn->op == OP_MOVSX ? (insn->size == 2 ? 2 : 4) : insn->size;
}

static bool writes_memory(const TransBuild *b, const Insn *insn)
{
    const OptabRow *row = optab_row(insn->row);

    return is_vector(b, insn) ? row->vector & VECTOR_WRITES_RM : row->access & WRITE_RM;
}

static bool find_access(const TransBuild *b, const Insn *insn, Access *access)
{
    if (insn->op == OP_PUSH && insn->size == 8 && !insn->memory && (insn->form == FORM_I ? (int64_t)insn->imm == (int32_t)insn->imm : pinned(insn->rm))) {
        *access = (Access){ .base = GPR_RSP, .write = true, .disp = -8, .size = 8, .moves = -8 };
        return true;
    }
    if (insn->op == OP_POP && insn->size == 8 && !insn->memory && pinned(insn->rm) && insn->rm != GPR_RSP) {
        *access = (Access){ .base = GPR_RSP, .write = false, .disp = 0, .size = 8, .moves = 8 };
        return true;
    }
    if (insn->memory != MEMORY_FLAT64 || insn->disp > FARTHEST || insn->disp < -FARTHEST || !pinned(insn->base) || insn->index != INSN_NO_REG || insn->op == OP_LEA ||
        !((is_plain_op(insn) && registers_are_plain(insn)) || is_vector(b, insn))) {
        return false;
    }
    if (is_vector(b, insn) && (optab_row(insn->row)->vector & VECTOR_COMPARES)) {
        return false;
    }
    *access = (Access){ .base = insn->base, .write = writes_memory(b, insn), .disp = insn->disp, .size = access_bytes(b, insn) };
    return access->size != 0;
}

static bool writes_register(const Insn *insn, unsigned guest)
{
    const OptabRow *row = optab_row(insn->row);
    unsigned access = row->access;

    if (insn->op == OP_VECTOR || insn->op == OP_VECTOR_VEX) {
        return (vector_reg_file(row->vector) == VECTOR_GPR && insn->reg == guest) || (vector_rm_file(row->vector) == VECTOR_GPR && !insn->memory && insn->rm == guest) ||
               row->vector & VECTOR_COMPARES;
    }
    return (access & WRITE_RM && !insn->memory && insn->rm == guest) || (access & WRITE_REG && insn->reg == guest) || row->implicit_write >> guest & 1;
}

/* Between two accesses: nothing of the translator's own is needed for it. */
static bool is_quiet(const TransBuild *b, const Insn *insn)
{
    if (insn->memory || writes_register(insn, GPR_RSP)) {
        return false;
    }
    return insn->op == OP_NOP || (is_plain_op(insn) && registers_are_plain(insn)) || is_vector(b, insn);
}

typedef struct Plan { unsigned last, members; int32_t low, high; bool write; } Plan;

static void extend(Plan *plan, const Access *access, int moved, unsigned index)
{
    int32_t low = access->disp + moved, high = low + (int32_t)access->size;

    plan->low = plan->members && plan->low < low ? plan->low : low;
    plan->high = plan->members && plan->high > high ? plan->high : high;
    plan->write |= access->write;
    plan->members++;
    plan->last = index;
}

static Plan make_plan(const TransBuild *b, unsigned first, const Access *head)
{
    Plan plan = { 0 };
    int moved = 0;

    for (unsigned i = first; i < b->block->count && i < first + LONGEST; i++) {
        const Insn *insn = &b->block->insns[i];
        Plan wider = plan;
        Access access;

        if (soft_ends_block(insn) || !trans_is_there(b, insn)) {
            break;
        }
        if (find_access(b, insn, &access) && access.base == head->base) {
            extend(&wider, &access, moved, i);
            if (wider.high - wider.low > WIDEST) {
                break;
            }
            plan = wider;
            moved += access.moves;
            if (!access.moves && writes_register(insn, head->base)) {
                break;                     /* the last of them may load the base itself */
            }
        } else if (!is_quiet(b, insn) || writes_register(insn, head->base)) {
            break;
        }
    }
    return plan;
}

static unsigned rounded(unsigned bytes)
{
    unsigned size = 2;

    while (size < bytes) {
        size *= 2;
    }
    return size;
}

static void emit_group_head(TransBuild *b, const Plan *plan, unsigned host)
{
    static const uint8_t constants[] = { CONST_CROSS_2, CONST_CROSS_4, CONST_CROSS_8, CONST_CROSS_16, CONST_CROSS_32, CONST_CROSS_64, CONST_CROSS_128, CONST_CROSS_256 };
    Emit *e = &b->e;
    unsigned size = rounded((unsigned)(plan->high - plan->low)), which = 0;
    uint32_t site = trans_site(b, 1, plan->write);

    while (2u << which < size) {
        which++;
    }
    trans_make_room(b);
    if (e->full) {
        return;
    }
    b->cache->sites[site].distance = plan->low;
    emit_lea(e, true, H_RCX, rm_at(host, plan->low + (int32_t)size - 1));
    emit_vex(e, 2, 2, true, false, 0xf5, H_RCX, H_RCX, rm_constant(b->cache->constant[constants[which]]), -1);
    trans_island(b, emit_jrcxz_open(e), site, TRAMP_GROUP_CROSSES, host);
    b->cache->sites[site].retry = trans_offset(b);
    if (plan->low) {
        emit_lea(e, true, H_RBP, rm_at(host, plan->low));
        host = H_RBP;
    }
    emit_vex(e, 2, 2, true, false, 0xf5, H_RCX, host, rm_constant(b->cache->constant[b->user ? CONST_INDEX_USER : CONST_INDEX_SUPERVISOR]), -1);
    if (plan->write) {
        emit_load(e, H_RCX, (Rm){ .kind = RM_INDEXED, .reg = WRITE_TABLE, .index = H_RCX, .scale = 3 });
    } else {
        emit_load(e, H_RCX, (Rm){ .kind = RM_CONTEXT_SCALED, .index = H_RCX, .scale = 3, .disp = (int32_t)FLAT_CONTEXT });
    }
    trans_island(b, emit_jrcxz_open(e), site, TRAMP_GROUP_MISS, trans_host[b->group.base]);
}

void trans_group_begin(TransBuild *b, unsigned index)
{
    const Insn *insn = &b->block->insns[index];
    Access access;
    Plan plan;

    if (b->group.live && index > b->group.last) {
        b->group.live = false;
    }
    if (b->group.live || !b->long_code || b->block->no_groups || !find_access(b, insn, &access)) {
        return;
    }
    plan = make_plan(b, index, &access);
    if (plan.members < 2) {
        return;
    }
    b->group.base = access.base;
    b->group.last = plan.last;
    emit_group_head(b, &plan, trans_host[access.base]);
    b->group.live = true;
    for (unsigned i = index + 1; i <= plan.last; i++) {
        b->trans->inside_group |= UINT64_C(1) << i;
    }
}

bool trans_shared(const TransBuild *b, unsigned base, int32_t disp, Rm *rm)
{
    if (!b->group.live || base != b->group.base) {
        return false;
    }
    *rm = (Rm){ .kind = RM_INDEXED, .reg = H_RCX, .index = trans_host[base], .disp = disp };
    return true;
}
