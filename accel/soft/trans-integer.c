/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trans-integer.c - arithmetic, moves, shifts, bits: the guest's own instruction with its operands renamed
 *
 * One function puts operands in place (operate()); the rest says how each operation is encoded, always by the same encoding whatever
 * short form the guest used. A byte operand in AH to BH allows no REX prefix, so the other operand then goes through a temporary.
 *
 * Tests    tests/cpu/fuzz.c --translate, tests/cpu/jit.c
 */
#include "accel/soft/trans.h"

typedef struct Shape {
    unsigned what;                         /* E_: map and prefixes, without operand size */
    uint8_t opcode;
    uint8_t extension;                     /* of .reg when there is no register operand */
    bool has_reg, writes_reg, writes_rm;
    uint8_t reg_bytes, rm_bytes;
    uint8_t immediate_bytes;
    uint64_t immediate;
} Shape;

static unsigned size_bits(unsigned bytes) { return bytes == 2 ? E_66 : bytes == 8 ? E_W : 0; }

/* AH to BH: the host's number of it. CH is taken from a copy of the guest's RCX, which its own register does not let one reach. */
static unsigned high_byte(unsigned host) { return host + 4; }

typedef struct Placed { unsigned number, temp; bool spilled; } Placed;

/* A register operand that sits in temp when it cannot be named directly. */
static Placed place(TransBuild *b, unsigned guest, bool high, bool no_rex, unsigned bytes, unsigned temp)
{
    Placed placed = { .temp = temp };
    unsigned host = trans_host[guest];
    bool needs_rex = host >= 8 || (bytes == 1 && !high && host >= 4);

    placed.spilled = host == NOT_PINNED || ((high || no_rex) && needs_rex);
    if (placed.spilled) {
        if (host == NOT_PINNED) {
            emit_load(&b->e, temp, trans_slot(guest));
        } else {
            emit_move(&b->e, temp, host);
        }
        host = temp;
    }
    placed.number = high ? high_byte(host) : host;
    return placed;
}

static void put_back(TransBuild *b, const Placed *placed, unsigned guest, bool written)
{
    if (placed->spilled && written) {
        trans_put(b, guest, placed->temp);
    }
}

static unsigned what_of(const Shape *s, unsigned size, bool high)
{
    return s->what | size_bits(size) | (s->has_reg && s->reg_bytes == 1 && !high ? E_BYTE_REG : 0) | (s->rm_bytes == 1 && !high ? E_BYTE_RM : 0);
}

/* Nobody but this processor stores to RAM by what it read there, so when it is alone the prefix only orders: its stores before its loads, as
 * device threads see them. What guests use for that is kept: xchg (no prefix here), an addition of nothing, a word of the stack. */
static bool needs_lock(const TransBuild *b, const Insn *insn)
{
    return insn->prefixes & PREFIX_LOCK && insn->memory && (!b->alone || insn->base == GPR_RSP || (insn->form == FORM_EI && !insn->imm));
}

static void emit_shape(TransBuild *b, const Insn *insn, const Shape *s, bool high, unsigned reg, Rm rm)
{
    emit_op(&b->e, what_of(s, insn->size, high) | (needs_lock(b, insn) ? E_LOCK : 0), s->opcode, reg, rm, s->immediate_bytes, s->immediate);
}

static bool operate_registers(TransBuild *b, const Insn *insn, const Shape *s)
{
    bool high = insn->high != 0, same = s->has_reg && insn->reg == insn->rm;
    Placed rm, reg = { 0 };

    /* With CH in play RCX is its home; the other operand goes to RBP then. */
    bool reg_is_ch = s->has_reg && insn->high & 1 && insn->reg == GPR_RCX;
    unsigned rm_temp = reg_is_ch && !same ? H_RBP : H_RCX;

    rm = place(b, insn->rm, insn->high & 2, high, s->rm_bytes, rm_temp);
    if (s->has_reg) {
        reg = same && rm.spilled ? (Placed){ .number = insn->high & 1 ? high_byte(rm.temp) : rm.temp }
                                 : place(b, insn->reg, insn->high & 1, high, s->reg_bytes, rm.spilled && rm.temp == H_RCX ? H_RBP : H_RCX);
    }
    if (high && ((s->rm_bytes == 1 && !(insn->high & 2) && rm.number >= 4) || (s->has_reg && s->reg_bytes == 1 && !(insn->high & 1) && reg.number >= 4))) {
        return false;                      /* a low byte of RBP has no name without REX */
    }
    emit_shape(b, insn, s, high, s->has_reg ? reg.number : s->extension, rm_register(rm.number));
    put_back(b, &rm, insn->rm, s->writes_rm || (same && s->writes_reg));
    if (s->has_reg) {
        put_back(b, &reg, insn->reg, s->writes_reg);
    }
    return true;
}

static bool operate_memory(TransBuild *b, const Insn *insn, const Shape *s)
{
    bool high = s->has_reg && insn->high & 1;
    unsigned host = s->has_reg ? trans_host[insn->reg] : s->extension;
    bool spilled = s->has_reg && (host == NOT_PINNED || (high && host >= 8));
    Rm rm;

    if (!trans_memory(b, insn, s->rm_bytes, s->writes_rm, !spilled && !high, &rm)) {
        return false;
    }
    if (spilled) {                         /* the host address to RBP, the register to RCX */
        emit_lea(&b->e, true, TEMP_ADDRESS, (Rm){ .kind = RM_INDEXED, .reg = H_RCX, .index = H_RBP });
        if (host == NOT_PINNED) {
            emit_load(&b->e, H_RCX, trans_slot(insn->reg));
        } else {
            emit_move(&b->e, H_RCX, host);
        }
        rm = rm_at(H_RBP, 0);
        host = H_RCX;
    }
    emit_shape(b, insn, s, high, high ? high_byte(host) : host, rm);
    if (spilled && s->writes_reg) {
        trans_put(b, insn->reg, H_RCX);
    }
    return true;
}

static bool operate(TransBuild *b, const Insn *insn, const Shape *s)
{
    return insn->memory ? operate_memory(b, insn, s) : operate_registers(b, insn, s);
}

/* ---- shapes ----------------------------------------------------------------------------------------------------------------------- */

static Shape reg_and_rm(const Insn *insn, uint8_t opcode, bool to_reg)
{
    return (Shape){ .opcode = (uint8_t)(opcode | (insn->size > 1)), .has_reg = true, .reg_bytes = insn->size, .rm_bytes = insn->size,
                    .writes_reg = to_reg, .writes_rm = !to_reg };
}

static Shape rm_only(const Insn *insn, uint8_t opcode, unsigned extension, bool writes)
{
    return (Shape){ .opcode = (uint8_t)(opcode | (insn->size > 1)), .extension = (uint8_t)extension, .rm_bytes = insn->size, .writes_rm = writes };
}

static bool alu(TransBuild *b, const Insn *insn)
{
    unsigned n = insn->op - OP_ADD;
    bool compares = insn->op == OP_CMP;
    Shape s;

    if (insn->form == FORM_EG) {
        s = reg_and_rm(insn, (uint8_t)(n << 3), false);
        s.writes_rm = !compares;
    } else if (insn->form == FORM_GE) {
        s = reg_and_rm(insn, (uint8_t)(n << 3 | 2), true);
        s.writes_reg = !compares;
    } else {
        s = rm_only(insn, 0x80, n, !compares);
        s.immediate = insn->imm;
        s.immediate_bytes = insn->size > 4 ? 4 : insn->size;
        if (insn->size > 1 && (int64_t)insn->imm == (int8_t)insn->imm) {
            s.opcode = 0x83;
            s.immediate_bytes = 1;
        }
    }
    return operate(b, insn, &s);
}

static bool test(TransBuild *b, const Insn *insn)
{
    Shape s = insn->form == FORM_EG ? reg_and_rm(insn, 0x84, false) : rm_only(insn, 0xf6, 0, false);

    s.writes_rm = false;
    if (insn->form != FORM_EG) {
        s.immediate = insn->imm;
        s.immediate_bytes = insn->size > 4 ? 4 : insn->size;
    }
    return operate(b, insn, &s);
}

static bool move_immediate(TransBuild *b, const Insn *insn)
{
    if (!insn->memory && insn->size >= 4) {
        unsigned host = trans_host[insn->rm] == NOT_PINNED ? TEMP_DELTA : trans_host[insn->rm];

        emit_constant(&b->e, host, insn->size == 4 ? (uint32_t)insn->imm : insn->imm);
        trans_put(b, insn->rm, host);
        return true;
    }
    Shape s = rm_only(insn, 0xc6, 0, true);
    s.immediate = insn->imm;
    s.immediate_bytes = insn->size > 4 ? 4 : insn->size;
    return operate(b, insn, &s);
}

/* moffs: the accumulator and an absolute address. */
static bool move_absolute(TransBuild *b, const Insn *insn)
{
    bool store = insn->form == FORM_OA;
    Rm rm;

    if (!trans_memory(b, insn, insn->size, store, false, &rm)) {
        return false;
    }
    emit_op(&b->e, size_bits(insn->size), (uint8_t)((store ? 0x88 : 0x8a) | (insn->size > 1)), H_RAX, rm, 0, 0);
    return true;
}

static bool move(TransBuild *b, const Insn *insn)
{
    Shape s;

    switch (insn->form) {
    case FORM_EG: s = reg_and_rm(insn, 0x88, false); break;
    case FORM_GE: s = reg_and_rm(insn, 0x8a, true); break;
    case FORM_EI: return move_immediate(b, insn);
    case FORM_OA: case FORM_AO: return move_absolute(b, insn);
    default: return false;
    }
    return operate(b, insn, &s);
}

static bool extend(TransBuild *b, const Insn *insn)
{
    unsigned flags = optab_row(insn->row)->flags;
    Shape s = { .what = E_0F, .has_reg = true, .writes_reg = true, .reg_bytes = insn->size };

    if (flags & (ROW_RM_BYTE | ROW_RM_WORD)) {
        s.opcode = (uint8_t)((insn->op == OP_MOVZX ? 0xb6 : 0xbe) | (flags & ROW_RM_WORD ? 1 : 0));
        s.rm_bytes = flags & ROW_RM_WORD ? 2 : 1;
    } else {
        s.what = 0;
        s.opcode = 0x63;
        s.rm_bytes = insn->size == 2 ? 2 : 4;
    }
    return operate(b, insn, &s);
}

static bool lea(TransBuild *b, const Insn *insn)
{
    unsigned host = trans_host[insn->reg] == NOT_PINNED ? TEMP_DELTA : trans_host[insn->reg];
    bool wide = insn->address_size == 8;
    Insn plain = *insn;

    if (insn->address_size == 2 || insn->size == 2) {
        return false;
    }
    plain.segment = SEG_DS;                /* no segment takes part */
    plain.memory = b->long_code ? MEMORY_FLAT64 : MEMORY_FLAT32;
    if (insn->base < 16 && (insn->index == INSN_NO_REG || insn->index < 16)) {
        unsigned base = trans_get(b, insn->base, TEMP_ADDRESS), index = insn->index < 16 ? trans_get(b, insn->index, TEMP_DELTA) : 0;
        Rm rm = insn->index < 16 ? (Rm){ .kind = RM_INDEXED, .reg = (uint8_t)base, .index = (uint8_t)index, .scale = insn->scale, .disp = insn->disp }
                                 : rm_at(base, insn->disp);

        emit_lea(&b->e, wide && insn->size == 8, host, rm);
    } else if (trans_address(b, &plain)) {
        emit_op(&b->e, insn->size == 8 ? E_W : 0, 0x89, TEMP_ADDRESS, rm_register(host), 0, 0);
    } else {
        return false;
    }
    trans_put(b, insn->reg, host);
    return true;
}

/* The count in CL: the guest's RCX goes to the host's, once the operand's address is in one register. */
static bool shift_by_cl(TransBuild *b, const Insn *insn, unsigned what, uint8_t opcode, unsigned extension, bool has_reg)
{
    Emit *e = &b->e;
    unsigned reg = extension;
    Rm rm;

    if (insn->high || (has_reg && (trans_host[insn->reg] == NOT_PINNED || insn->reg == GPR_RCX))) {
        return false;
    }
    if (has_reg) {
        reg = trans_host[insn->reg];
    }
    if (insn->memory) {
        if (!trans_memory(b, insn, insn->size, true, false, &rm)) {
            return false;
        }
        emit_lea(e, true, TEMP_ADDRESS, (Rm){ .kind = RM_INDEXED, .reg = H_RCX, .index = H_RBP });
        rm = rm_at(H_RBP, 0);
    } else {
        rm = rm_register(trans_get(b, insn->rm, TEMP_ADDRESS));
    }
    emit_op(e, 0, 0x89, trans_host[GPR_RCX], rm_register(H_RCX), 0, 0);
    emit_op(e, what | size_bits(insn->size) | (insn->size == 1 ? E_BYTE_RM : 0), opcode, reg, rm, 0, 0);
    if (!insn->memory && trans_host[insn->rm] == NOT_PINNED) {
        trans_put(b, insn->rm, TEMP_ADDRESS);
    }
    return true;
}

static bool shift(TransBuild *b, const Insn *insn)
{
    unsigned n = insn->op == OP_SAL ? 4 : insn->op - OP_ROL;
    Shape s;

    if (insn->form == FORM_EC) {
        return shift_by_cl(b, insn, 0, (uint8_t)(0xd2 | (insn->size > 1)), n, false);
    }
    s = rm_only(insn, insn->form == FORM_E1 ? 0xd0 : 0xc0, n, true);
    if (insn->form == FORM_EI) {
        s.immediate = insn->imm;
        s.immediate_bytes = 1;
    }
    return operate(b, insn, &s);
}

static bool double_shift(TransBuild *b, const Insn *insn)
{
    uint8_t opcode = insn->op == OP_SHLD ? 0xa4 : 0xac;
    Shape s;

    if (insn->size == 2) {
        return false;                      /* counts above 16: processors differ from their manuals */
    }
    if (insn->form == FORM_EGC) {
        return shift_by_cl(b, insn, E_0F, (uint8_t)(opcode | 1), 0, true);
    }
    s = (Shape){ .what = E_0F, .opcode = opcode, .has_reg = true, .reg_bytes = insn->size, .rm_bytes = insn->size, .writes_rm = true,
                 .immediate_bytes = 1, .immediate = insn->imm };
    return operate(b, insn, &s);
}

static bool bit(TransBuild *b, const Insn *insn)
{
    unsigned n = insn->op - OP_BT;
    Shape s = { .what = E_0F, .rm_bytes = insn->size, .writes_rm = insn->op != OP_BT };

    if (insn->form == FORM_EG) {
        if (insn->memory) {
            return false;                  /* the offset reaches beyond the operand */
        }
        s.opcode = (uint8_t)(0xa3 | n << 3);
        s.has_reg = true;
        s.reg_bytes = insn->size;
    } else {
        s.opcode = 0xba;
        s.extension = (uint8_t)(4 + n);
        s.immediate_bytes = 1;
        s.immediate = insn->imm;
    }
    return operate(b, insn, &s);
}

static bool to_reg(TransBuild *b, const Insn *insn, unsigned what, uint8_t opcode)
{
    Shape s = { .what = what, .opcode = opcode, .has_reg = true, .reg_bytes = insn->size, .rm_bytes = insn->size, .writes_reg = true };

    return operate(b, insn, &s);
}

static bool multiply_to_reg(TransBuild *b, const Insn *insn)
{
    Shape s = { .what = E_0F, .opcode = 0xaf, .has_reg = true, .reg_bytes = insn->size, .rm_bytes = insn->size, .writes_reg = true };

    if (insn->form == FORM_GEI) {
        bool near = (int64_t)insn->imm == (int8_t)insn->imm;

        s.what = 0;
        s.opcode = near ? 0x6b : 0x69;
        s.immediate_bytes = near ? 1 : insn->size == 2 ? 2 : 4;
        s.immediate = insn->imm;
    }
    return operate(b, insn, &s);
}

static bool exchange(TransBuild *b, const Insn *insn, unsigned what, uint8_t opcode)
{
    Shape s = reg_and_rm(insn, opcode, true);

    s.what = what;
    s.writes_rm = true;
    return operate(b, insn, &s);
}

static bool compare_exchange(TransBuild *b, const Insn *insn)
{
    Shape s = reg_and_rm(insn, 0xb0, false);

    s.what = E_0F;
    return operate(b, insn, &s);
}

static bool set_byte(TransBuild *b, const Insn *insn)
{
    Shape s = { .what = E_0F, .opcode = (uint8_t)(0x90 | (insn->opcode & 15)), .rm_bytes = 1, .writes_rm = true };

    return operate(b, insn, &s);
}

/* A false condition still clears the upper half of a 32-bit destination. */
static bool conditional_move(TransBuild *b, const Insn *insn) { return to_reg(b, insn, E_0F, (uint8_t)(0x40 | (insn->opcode & 15))); }

static bool swap_bytes(TransBuild *b, const Insn *insn)
{
    unsigned host = trans_get(b, insn->rm, TEMP_DELTA);

    if (insn->size == 2) {
        return false;
    }
    emit_bytes(&b->e, 3, (0x40 | (insn->size == 8 ? 8u : 0) | host >> 3) | 0x0f << 8 | (uint64_t)(0xc8 | (host & 7)) << 16);
    trans_put(b, insn->rm, host);
    return true;
}

static bool crc(TransBuild *b, const Insn *insn)
{
    bool byte = optab_row(insn->row)->flags & ROW_RM_BYTE;
    Shape s = { .what = E_0F38 | E_F2, .opcode = byte ? 0xf0 : 0xf1, .has_reg = true, .reg_bytes = 4, .rm_bytes = byte ? 1 : insn->size,
                .writes_reg = true };

    return operate(b, insn, &s);
}

/* ---- VEX: three registers -------------------------------------------------------------------------------------------------------- */

typedef struct VexForm { uint8_t pp, map, opcode, extension; bool vvvv_written, has_reg, reg_written, uses_vvvv, immediate; } VexForm;

static bool vex_form(const Insn *insn, VexForm *form)
{
    switch (insn->op) {
    case OP_ANDN: *form = (VexForm){ 0, 2, 0xf2, 0, false, true, true, true, false }; return true;
    case OP_BLSR: *form = (VexForm){ 0, 2, 0xf3, 1, true, false, false, true, false }; return true;
    case OP_BLSMSK: *form = (VexForm){ 0, 2, 0xf3, 2, true, false, false, true, false }; return true;
    case OP_BLSI: *form = (VexForm){ 0, 2, 0xf3, 3, true, false, false, true, false }; return true;
    case OP_BZHI: *form = (VexForm){ 0, 2, 0xf5, 0, false, true, true, true, false }; return true;
    case OP_PEXT: *form = (VexForm){ 2, 2, 0xf5, 0, false, true, true, true, false }; return true;
    case OP_PDEP: *form = (VexForm){ 3, 2, 0xf5, 0, false, true, true, true, false }; return true;
    case OP_BEXTR: *form = (VexForm){ 0, 2, 0xf7, 0, false, true, true, true, false }; return true;
    case OP_SHLX: *form = (VexForm){ 1, 2, 0xf7, 0, false, true, true, true, false }; return true;
    case OP_SARX: *form = (VexForm){ 2, 2, 0xf7, 0, false, true, true, true, false }; return true;
    case OP_SHRX: *form = (VexForm){ 3, 2, 0xf7, 0, false, true, true, true, false }; return true;
    case OP_MULX: *form = (VexForm){ 3, 2, 0xf6, 0, true, true, true, true, false }; return true;
    case OP_RORX: *form = (VexForm){ 3, 3, 0xf0, 0, false, true, true, false, true }; return true;
    default: return false;
    }
}

static bool vex(TransBuild *b, const Insn *insn)
{
    VexForm form;
    unsigned reg, vvvv = 0;
    Rm rm;

    if (!vex_form(insn, &form) || (form.has_reg && trans_host[insn->reg] == NOT_PINNED) || (form.uses_vvvv && trans_host[insn->vvvv] == NOT_PINNED)) {
        return false;
    }
    reg = form.has_reg ? trans_host[insn->reg] : form.extension;
    vvvv = form.uses_vvvv ? trans_host[insn->vvvv] : 0;
    if (!insn->memory) {
        rm = rm_register(trans_get(b, insn->rm, TEMP_DELTA));
    } else if (!trans_memory(b, insn, insn->size, false, true, &rm)) {
        return false;
    }
    emit_vex(&b->e, form.pp, form.map, insn->size == 8, false, form.opcode, reg, vvvv, rm, form.immediate ? (int)(insn->imm & 0xff) : -1);
    return true;
}

/* ---- which ------------------------------------------------------------------------------------------------------------------------ */

static bool plain_bytes(TransBuild *b, unsigned count, uint64_t bytes)
{
    emit_bytes(&b->e, count, bytes);
    return true;
}

static bool convert(TransBuild *b, const Insn *insn)
{
    uint8_t opcode = insn->op == OP_CBW ? 0x98 : 0x99;

    return insn->size == 4 ? plain_bytes(b, 1, opcode) : plain_bytes(b, 2, (insn->size == 2 ? 0x66u : 0x48u) | (unsigned)opcode << 8);
}

static bool unary(TransBuild *b, const Insn *insn)
{
    static const uint8_t extensions[] = { [OP_NOT - OP_NOT] = 2, [OP_NEG - OP_NOT] = 3, [OP_MUL - OP_NOT] = 4, [OP_IMUL - OP_NOT] = 5, [OP_DIV - OP_NOT] = 6,
                                          [OP_IDIV - OP_NOT] = 7 };
    Shape s = rm_only(insn, 0xf6, extensions[insn->op - OP_NOT], insn->op == OP_NOT || insn->op == OP_NEG);

    return operate(b, insn, &s);
}

bool trans_integer(TransBuild *b, const Insn *insn)
{
    Shape s;

    if (insn->op >= OP_ADD && insn->op <= OP_CMP) {
        return alu(b, insn);
    }
    if (insn->op >= OP_ROL && insn->op <= OP_SAR) {
        return shift(b, insn);
    }
    switch (insn->op) {
    case OP_TEST: return test(b, insn);
    case OP_MOV: return move(b, insn);
    case OP_MOVZX: case OP_MOVSX: return extend(b, insn);
    case OP_LEA: return lea(b, insn);
    case OP_INC: case OP_DEC:
        s = rm_only(insn, 0xfe, insn->op == OP_DEC, true);
        return operate(b, insn, &s);
    case OP_NOT: case OP_NEG: case OP_MUL: case OP_IMUL: case OP_DIV: case OP_IDIV: return unary(b, insn);
    case OP_IMUL_G: return multiply_to_reg(b, insn);
    case OP_XCHG: return exchange(b, insn, 0, 0x86);
    case OP_XADD: return exchange(b, insn, E_0F, 0xc0);
    case OP_CMPXCHG: return compare_exchange(b, insn);
    case OP_BSWAP: return swap_bytes(b, insn);
    case OP_SHLD: case OP_SHRD: return double_shift(b, insn);
    case OP_BT: case OP_BTS: case OP_BTR: case OP_BTC: return bit(b, insn);
    case OP_BSF: return to_reg(b, insn, E_0F, 0xbc);
    case OP_BSR: return to_reg(b, insn, E_0F, 0xbd);
    case OP_TZCNT: return to_reg(b, insn, E_0F | E_F3, 0xbc);
    case OP_LZCNT: return to_reg(b, insn, E_0F | E_F3, 0xbd);
    case OP_POPCNT: return to_reg(b, insn, E_0F | E_F3, 0xb8);
    case OP_SETCC: return set_byte(b, insn);
    case OP_CMOVCC: return conditional_move(b, insn);
    case OP_CBW: case OP_CWD: return convert(b, insn);
    case OP_CRC32: return crc(b, insn);
    case OP_ADCX: return to_reg(b, insn, E_0F38 | E_66, 0xf6);
    case OP_ADOX: return to_reg(b, insn, E_0F38 | E_F3, 0xf6);
    case OP_NOP: case OP_PREFETCH: return true;
    case OP_LAHF: return plain_bytes(b, 1, 0x9f);
    case OP_SAHF: return plain_bytes(b, 1, 0x9e);
    case OP_CMC: return plain_bytes(b, 1, 0xf5);
    case OP_CLC: return plain_bytes(b, 1, 0xf8);
    case OP_STC: return plain_bytes(b, 1, 0xf9);
    default: return vex(b, insn);
    }
}
