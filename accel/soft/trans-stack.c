/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trans-stack.c - push, pop, leave, pushf, and the system instructions that are worth having without a call
 *
 * RSP is written last, so an access that goes the slow way finds it as it was. Outside 64-bit mode only for 32-bit stacks of a flat SS.
 *
 * Tests    tests/cpu/fuzz.c --translate, tests/cpu/jit.c
 */
#include "accel/soft/trans.h"

/* Size 8 in 64-bit mode, 4 outside: the others are rare. */
static bool usual(const TransBuild *b, const Insn *insn)
{
    return b->long_code ? insn->size == 8 : insn->size == 4 && b->block->mode & KEY_FLAT && b->block->mode & KEY_STACK_32;
}

static unsigned word(const TransBuild *b) { return b->long_code ? 8 : 4; }

/* RBP = RSP - a word, as it wraps. */
static void below_to_temp(TransBuild *b)
{
    emit_lea(&b->e, b->long_code, TEMP_ADDRESS, rm_at(trans_host[GPR_RSP], -(int)word(b)));
}

static void move_pointer(TransBuild *b, int bytes)
{
    emit_lea(&b->e, b->long_code, trans_host[GPR_RSP], rm_at(trans_host[GPR_RSP], bytes));
}

static unsigned word_bits(const TransBuild *b) { return b->long_code ? E_W : 0; }

/* The host address of the new top to RBP, RCX free. */
static void push_place(TransBuild *b)
{
    below_to_temp(b);
    trans_lookup(b, TEMP_ADDRESS, word(b), true, b->long_code);
    emit_lea(&b->e, true, TEMP_ADDRESS, (Rm){ .kind = RM_INDEXED, .reg = H_RCX, .index = H_RBP });
}

static void push_constant(TransBuild *b, uint64_t value)
{
    Rm rm;

    if (!b->long_code || (int64_t)value == (int32_t)value) {
        if (!trans_shared(b, GPR_RSP, -(int)word(b), &rm)) {
            below_to_temp(b);
            rm = trans_lookup(b, TEMP_ADDRESS, word(b), true, b->long_code);
        }
        emit_op(&b->e, word_bits(b), 0xc7, 0, rm, 4, value);
    } else {
        push_place(b);
        emit_constant(&b->e, H_RCX, value);
        emit_op(&b->e, word_bits(b), 0x89, H_RCX, rm_at(H_RBP, 0), 0, 0);
    }
    move_pointer(b, -(int)word(b));
}

static void push_register(TransBuild *b, unsigned guest)
{
    Rm rm;

    if (trans_host[guest] != NOT_PINNED) {
        if (!trans_shared(b, GPR_RSP, -(int)word(b), &rm)) {
            below_to_temp(b);
            rm = trans_lookup(b, TEMP_ADDRESS, word(b), true, b->long_code);
        }
        emit_op(&b->e, word_bits(b), 0x89, trans_host[guest], rm, 0, 0);
    } else {
        push_place(b);
        emit_load(&b->e, H_RCX, trans_slot(guest));
        emit_store(&b->e, rm_at(H_RBP, 0), H_RCX);
    }
    move_pointer(b, -(int)word(b));
}

/* What is in the context's scratch word. */
static void push_scratch(TransBuild *b)
{
    push_place(b);
    emit_load(&b->e, H_RCX, rm_context(offsetof(SoftCpu, jit.scratch)));
    emit_op(&b->e, word_bits(b), 0x89, H_RCX, rm_at(H_RBP, 0), 0, 0);
    move_pointer(b, -(int)word(b));
}

static bool push(TransBuild *b, const Insn *insn)
{
    Rm rm;

    if (insn->form == FORM_I) {
        push_constant(b, b->long_code ? insn->imm : (uint32_t)insn->imm);
    } else if (!insn->memory) {
        push_register(b, insn->rm);
    } else {
        if (!trans_memory(b, insn, word(b), false, true, &rm)) {
            return false;
        }
        emit_op(&b->e, word_bits(b), 0x8b, H_RCX, rm, 0, 0);
        emit_store(&b->e, rm_context(offsetof(SoftCpu, jit.scratch)), H_RCX);
        trans_make_room(b);
        push_scratch(b);
    }
    return true;
}

static bool pop(TransBuild *b, const Insn *insn)
{
    if (insn->memory) {
        return false;
    }
    unsigned host = trans_host[insn->rm] == NOT_PINNED ? H_RBP : trans_host[insn->rm];
    Rm rm;

    if (!trans_shared(b, GPR_RSP, 0, &rm)) {
        rm = trans_lookup(b, trans_host[GPR_RSP], word(b), false, b->long_code);
    }
    emit_op(&b->e, word_bits(b), 0x8b, host, rm, 0, 0);
    trans_put(b, insn->rm, host);
    if (insn->rm != GPR_RSP) {             /* each system call of Linux ends with pop %rsp */
        move_pointer(b, (int)word(b));
    }
    return true;
}

static bool leave(TransBuild *b)
{
    Rm rm = trans_lookup(b, trans_host[GPR_RBP], word(b), false, false);

    emit_op(&b->e, word_bits(b), 0x8b, H_RCX, rm, 0, 0);
    emit_lea(&b->e, b->long_code, trans_host[GPR_RSP], rm_at(trans_host[GPR_RBP], (int)word(b)));
    emit_move(&b->e, trans_host[GPR_RBP], H_RCX);
    return true;
}

/* The arithmetic flags out of the host's, the others from the context, where their places are zero. */
static bool push_flags(TransBuild *b)
{
    Emit *e = &b->e;
    const uint8_t *mask = b->cache->constant[CONST_ARITHMETIC];

    emit_bytes(e, 2, 0x5d9c);              /* pushfq; pop rbp */
    emit_vex(e, 2, 2, true, false, 0xf5, H_RBP, H_RBP, rm_constant(mask), -1);
    emit_vex(e, 3, 2, true, false, 0xf5, H_RBP, H_RBP, rm_constant(mask), -1);
    emit_load(e, H_RCX, rm_context(offsetof(SoftCpu, rflags)));
    emit_lea(e, true, H_RBP, (Rm){ .kind = RM_INDEXED, .reg = H_RCX, .index = H_RBP });
    emit_store(e, rm_context(offsetof(SoftCpu, jit.scratch)), H_RBP);
    push_scratch(b);
    return true;
}

static bool keeps_multiple(const Insn *insn)
{
    if (insn->size != 8) {
        return false;
    }
    if (insn->op == OP_ADD || insn->op == OP_SUB || insn->op == OP_AND || insn->op == OP_MOV) {
        return insn->form == FORM_EI && !(insn->imm & 7);
    }
    return insn->op == OP_LEA && insn->base == GPR_RSP && insn->index == INSN_NO_REG && insn->address_size == 8 && !(insn->disp & 7);
}

static bool writes_stack_pointer(const Insn *insn)
{
    unsigned access = optab_row(insn->row)->access;

    return (access & WRITE_RM && !insn->memory && insn->rm == GPR_RSP) || (access & WRITE_REG && insn->reg == GPR_RSP) || insn->op == OP_LEAVE ||
           insn->vvvv == GPR_RSP;
}

/* The run loop finds it and goes on with the interpreter until RSP is one again. */
void trans_check_stack(TransBuild *b, const Insn *insn)
{
    uint32_t site;

    if (!b->long_code || !writes_stack_pointer(insn) || keeps_multiple(insn)) {
        return;
    }
    site = trans_site(b, 0, false);
    emit_vex(&b->e, 2, 2, true, false, 0xf5, H_RCX, trans_host[GPR_RSP], rm_constant(b->cache->constant[CONST_LOW_THREE]), -1);
    emit_bytes(&b->e, 2, 0x05e3);
    trans_cold(b, emit_jump_open(&b->e), site, TRAMP_POLL);
}

bool trans_stack(TransBuild *b, const Insn *insn)
{
    trans_make_room(b);
    switch (insn->op) {
    case OP_PUSH: return usual(b, insn) && push(b, insn);
    case OP_POP: return usual(b, insn) && pop(b, insn);
    case OP_LEAVE: return usual(b, insn) && leave(b);
    case OP_PUSHF: return usual(b, insn) && !(b->block->mode & KEY_V8086) && push_flags(b);
    default: return false;
    }
}

/* ---- near calls and returns --------------------------------------------------------------------------------------------------------- */

static void target_from_register(TransBuild *b, unsigned guest)
{
    if (trans_host[guest] == NOT_PINNED) {
        emit_load(&b->e, H_RBP, trans_slot(guest));
    } else {
        emit_op(&b->e, word_bits(b), 0x89, trans_host[guest], rm_register(H_RBP), 0, 0);
    }
}

static bool call_indirect(TransBuild *b, const Insn *insn)
{
    Rm rm;

    if (!insn->memory && insn->rm == GPR_RSP) {
        return false;
    }
    if (insn->memory) {
        if (!trans_memory(b, insn, word(b), false, true, &rm)) {
            return false;
        }
        emit_op(&b->e, word_bits(b), 0x8b, H_RCX, rm, 0, 0);
        emit_store(&b->e, rm_context(offsetof(SoftCpu, jit.scratch)), H_RCX);
        trans_make_room(b);
    }
    push_constant(b, trans_next_rip(b, insn));
    if (insn->memory) {
        emit_load(&b->e, H_RBP, rm_context(offsetof(SoftCpu, jit.scratch)));
    } else {
        target_from_register(b, insn->rm);
    }
    trans_exit_indirect(b);
    return true;
}

static bool jump_indirect(TransBuild *b, const Insn *insn)
{
    Rm rm;

    if (insn->memory) {
        if (!trans_memory(b, insn, word(b), false, true, &rm)) {
            return false;
        }
        emit_op(&b->e, word_bits(b), 0x8b, H_RBP, rm, 0, 0);
    } else {
        target_from_register(b, insn->rm);
    }
    trans_exit_indirect(b);
    return true;
}

static bool near_return(TransBuild *b, const Insn *insn)
{
    if (insn->imm & 7) {
        return false;
    }
    Rm rm = trans_lookup(b, trans_host[GPR_RSP], word(b), false, b->long_code);

    emit_op(&b->e, word_bits(b), 0x8b, H_RBP, rm, 0, 0);
    move_pointer(b, (int)(word(b) + insn->imm));
    trans_exit_indirect(b);
    return true;
}

/* The block cache has put a 64-bit target's distance from the start of the block into .imm; elsewhere it counts from what follows. */
static uint64_t direct_target(const TransBuild *b, const Insn *insn)
{
    return b->long_code ? b->trans->rip + insn->imm : (uint32_t)(trans_next_rip(b, insn) + insn->imm);
}

static bool conditional(TransBuild *b, const Insn *insn)
{
    uint8_t *taken = emit_jcc_open(&b->e, insn->opcode & 15);
    uint64_t target = direct_target(b, insn);

    trans_exit(b, trans_next_rip(b, insn), false);
    if (!b->e.full) {
        emit_patch(taken, b->e.shift, emit_here(&b->e));
    }
    trans_exit(b, target, target <= b->trans->rip + insn->start);
    return true;
}

bool trans_branch(TransBuild *b, const Insn *insn)
{
    uint64_t target;

    if (!usual(b, insn)) {
        return false;
    }
    trans_make_room(b);
    switch (insn->op) {
    case OP_JCC:
        return conditional(b, insn);
    case OP_JMP:
        if (insn->form != FORM_J) {
            return jump_indirect(b, insn);
        }
        target = direct_target(b, insn);
        trans_exit(b, target, target <= b->trans->rip + insn->start);
        return true;
    case OP_CALL:
        if (insn->form != FORM_J) {
            return call_indirect(b, insn);
        }
        push_constant(b, trans_next_rip(b, insn));
        trans_exit(b, direct_target(b, insn), false);
        return true;
    case OP_RET:
        return near_return(b, insn);
    default:
        return false;
    }
}

/* ---- system -------------------------------------------------------------------------------------------------------------------------- */

/* IF is bit 9 of the context's word; taken out by gathering the other bits and spreading them again. */
static void interrupts_off_to_temp(TransBuild *b)
{
    const uint8_t *mask = b->cache->constant[CONST_NO_IF];

    emit_load(&b->e, H_RCX, rm_context(offsetof(SoftCpu, rflags)));
    emit_vex(&b->e, 2, 2, true, false, 0xf5, H_RCX, H_RCX, rm_constant(mask), -1);
    emit_vex(&b->e, 3, 2, true, false, 0xf5, H_RCX, H_RCX, rm_constant(mask), -1);
}

static bool clear_interrupts(TransBuild *b)
{
    if (b->block->mode & (KEY_CPL | KEY_V8086)) {
        return false;
    }
    interrupts_off_to_temp(b);
    emit_store(&b->e, rm_context(offsetof(SoftCpu, rflags)), H_RCX);
    return true;
}

/* The counter and its offset, flags kept. */
static bool time_stamp(TransBuild *b, bool with_number)
{
    Emit *e = &b->e;

    if (b->block->mode & KEY_NO_TSC || b->cpu->jit.check) {    /* in lockstep: two readings differ */
        return false;
    }
    if (with_number) {
        emit_bytes(e, 3, 0xf9010f);
        emit_load32(e, trans_host[GPR_RCX], rm_context(offsetof(SoftCpu, tsc_aux)));
    } else {
        emit_bytes(e, 2, 0x310f);
    }
    emit_vex(e, 3, 3, true, false, 0xf0, H_RDX, 0, rm_register(H_RDX), 32);    /* rorx */
    emit_load(e, H_RCX, rm_context(offsetof(SoftCpu, tsc_offset)));
    emit_lea(e, true, H_RAX, (Rm){ .kind = RM_INDEXED, .reg = H_RAX, .index = H_RDX });
    emit_lea(e, true, H_RAX, (Rm){ .kind = RM_INDEXED, .reg = H_RAX, .index = H_RCX });
    emit_vex(e, 3, 3, true, false, 0xf0, H_RDX, 0, rm_register(H_RAX), 32);
    emit_op(e, 0, 0x89, H_RDX, rm_register(H_RDX), 0, 0);
    emit_op(e, 0, 0x89, H_RAX, rm_register(H_RAX), 0, 0);
    return true;
}

/* With nothing asked for: else the interpreter's function, which knows of the shadow and of what waits. The way to the next instruction has no
 * poll on it, and call_link() casts the shadow when it cannot go on. */
static bool set_interrupts(TransBuild *b, const Insn *insn)
{
    Emit *e = &b->e;
    uint32_t site;
    bool crosses;

    if (b->block->mode & (KEY_CPL | KEY_V8086) || !trans_can_link(b, trans_next_rip(b, insn), &crosses)) {
        return false;
    }
    site = trans_site(b, 0, false);
    emit_load32(e, H_RCX, rm_context(offsetof(SoftCpu, request)));
    emit_bytes(e, 2, 0x05e3);
    trans_cold(b, emit_jump_open(e), site, TRAMP_LAST);
    interrupts_off_to_temp(b);
    emit_lea(e, true, H_RCX, rm_at(H_RCX, FLAG_IF));
    emit_store(e, rm_context(offsetof(SoftCpu, rflags)), H_RCX);
    trans_exit(b, trans_next_rip(b, insn), false);
    return true;
}

static bool swap_gs(TransBuild *b, const Insn *insn)
{
    Rm base = rm_context(offsetof(SoftCpu, segment) + SEG_GS * sizeof(CpuSegment) + offsetof(CpuSegment, base));
    Rm other = rm_context(offsetof(SoftCpu, kernel_gs_base));

    if (b->block->mode & KEY_CPL || !b->long_code) {
        return false;
    }
    emit_load(&b->e, H_RCX, base);
    emit_load(&b->e, H_RBP, other);
    emit_store(&b->e, base, H_RBP);
    emit_store(&b->e, other, H_RCX);
    trans_exit(b, trans_next_rip(b, insn), false);
    return true;
}

bool trans_system_end(TransBuild *b, const Insn *insn)
{
    return insn->op == OP_STI ? set_interrupts(b, insn) : insn->op == OP_SWAPGS && swap_gs(b, insn);
}

static bool read_selector(TransBuild *b, const Insn *insn)
{
    unsigned host = trans_host[insn->rm] == NOT_PINNED ? H_RCX : trans_host[insn->rm];

    if (insn->memory || insn->size == 2) {
        return false;
    }
    emit_op(&b->e, E_0F, 0xb7, host, rm_context(offsetof(SoftCpu, segment) + insn->reg * sizeof(CpuSegment) + offsetof(CpuSegment, selector)), 0, 0);
    trans_put(b, insn->rm, host);
    return true;
}

bool trans_system(TransBuild *b, const Insn *insn)
{
    switch (insn->op) {
    case OP_MOV_FROM_SREG: return read_selector(b, insn);
    case OP_CLI: return clear_interrupts(b);
    case OP_RDTSC: return time_stamp(b, false);
    case OP_RDTSCP: return time_stamp(b, true);
    case OP_FENCE:
        emit_bytes(&b->e, 3, 0x0f | 0xae << 8 | (uint64_t)(0xc0 | (insn->reg & 7) << 3) << 16);
        return true;
    default: return false;
    }
}
