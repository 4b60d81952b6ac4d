/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-vendor.c - where Intel's processors do otherwise than AMD's, which the software CPU was compared with first
 *
 * Each rule is as narrow as the case allows: one operation, one condition. On a host of AMD's nothing here has an effect.
 */
#include "accel/x86/cpu-state.h"
#include "accel/x86/decode.h"
#include "tests/cpu/fuzz.h"
#include <string.h>

static bool is_intel;

void vendor_open(void)
{
    CpuidConfig host;

    cpuid_of_host(&host);
    is_intel = strcmp(host.vendor, "GenuineIntel") == 0;
}

enum { ALIGNMENT = 17, PAGE_FAULT = 14, PROTECTION = 13, STACK_FAULT = 12, SEGMENTS = 1 << STACK_FAULT | 1 << PROTECTION, MEMORY_FAULTS = SEGMENTS | 1 << PAGE_FAULT | 1 << ALIGNMENT };

static bool is_one_of(int vector, uint64_t set) { return vector >= 0 && (set >> vector & 1); }

/* A 66 prefix on a near branch in 64-bit code: AMD cuts the target to 16 bits, Intel ignores the prefix. */
static bool is_short_branch(const FuzzCase *fuzz, const Insn *insn)
{
    if (fuzz->mode != MODE_64 || !(insn->prefixes & PREFIX_66)) {
        return false;
    }
    switch (insn->op) {
    case OP_JCC: case OP_LOOP: case OP_LOOPE: case OP_LOOPNE: case OP_JCXZ: case OP_CALL: case OP_JMP: case OP_RET:
        return true;
    default:
        return false;
    }
}

/* Operands that lie nowhere special for one of the two under EFLAGS.AC: 16 bytes of an instruction that takes them unaligned, a
 * segment register's image, movslq with 66; half-precision numbers; elements of masked moves and, now and then,
 * of gathers. */
static bool alignment_differs(const FuzzCase *fuzz, const Insn *insn, const OptabRow *row)
{
    if (!(fuzz->in.rflags & FLAG_AC) || (fuzz->native.vector == ALIGNMENT) == (fuzz->soft.vector == ALIGNMENT)) {
        return false;
    }
    return insn->op == OP_POP_SREG || insn->op == OP_VMASKMOV || insn->op == OP_GATHER || row->feature == FEATURE_F16C || (insn->op == OP_MOVSX && row->opcode == 0x63) || insn->op == OP_X87_STORE ||
           (row->form == FORM_VEC && insn->memory && !insn->vex && !(row->vector & VECTOR_ALIGNED));
}

/* An operand across 4 GiB in a segment without a limit: for Intel it wraps. */
static bool wraps(const FuzzCase *fuzz)
{
    const FuzzOutcome *native = &fuzz->native;

    return fuzz->mode == MODE_32 && is_one_of(fuzz->soft.vector, SEGMENTS) &&
           ((native->vector == PAGE_FAULT && native->cr2 >= 0xffffffe0 && native->cr2 <= UINT32_MAX) || native->vector == ALIGNMENT);
}

static bool is_state(unsigned op)
{
    return op == OP_XSAVE || op == OP_XSAVEOPT || op == OP_XSAVEC || op == OP_XRSTOR;
}

static bool skipped(const FuzzCase *fuzz, const Insn *insn, const OptabRow *row)
{
    const FuzzOutcome *native = &fuzz->native, *soft = &fuzz->soft;

    if (is_short_branch(fuzz, insn) || alignment_differs(fuzz, insn, row) || wraps(fuzz)) {
        return true;
    }
    /* SHA: Intel wants its operands aligned. */
    if (row->feature == FEATURE_SHA && insn->memory && native->vector == PROTECTION) {
        return true;
    }
    /* A store by x87 that raises an unmasked exception does not look at its memory operand. */
    if ((insn->op == OP_X87_STORE || insn->op == OP_X87_STORE80) && native->vector < 0 && is_one_of(soft->vector, MEMORY_FAULTS)) {
        return true;
    }
    /* Parts of the area that are neither saved nor restored are not touched. */
    if (is_state(insn->op) && (native->vector < 0) != (soft->vector < 0) && is_one_of(native->vector < 0 ? soft->vector : native->vector, MEMORY_FAULTS)) {
        return true;
    }
    /* PUSH and POP of a segment register touch two bytes. */
    if ((insn->op == OP_PUSH_SREG || (insn->op == OP_POP_SREG && is_one_of(soft->vector, MEMORY_FAULTS))) && native->vector != soft->vector) {
        return true;
    }
    /* Either operand may come first. */
    if (insn->op == OP_CMPS && is_one_of(native->vector, MEMORY_FAULTS) && is_one_of(soft->vector, MEMORY_FAULTS) && native->vector != soft->vector) {
        return true;
    }
    /* F3 41 90: PAUSE, whatever REX.B says. */
    return insn->op == OP_XCHG && insn->opcode == 0x90 && insn->prefixes & PREFIX_REP;
}

/* Makes the host's outcome the software CPU's where only this one thing differs. */
static void forget(FuzzCase *fuzz, const Insn *insn, const OptabRow *row)
{
    FuzzOutcome *native = &fuzz->native;
    const FuzzOutcome *soft = &fuzz->soft;
    bool same_fault = native->vector >= 0 && native->vector == soft->vector;

    /* An MMX store that faults has not turned the stack. */
    if (same_fault && row->form == FORM_VEC && (row->vector & VECTOR_WRITES_RM) && vector_reg_file(row->vector) == VECTOR_MMX) {
        memcpy(native->state.fx + 2, soft->state.fx + 2, 3);
        memcpy(native->state.fx + 32, soft->state.fx + 32, 128);
    }
    /* What XRSTOR had loaded before it found a fault stays. */
    if (insn->op == OP_XRSTOR && native->vector >= 0 && soft->vector >= 0) {
        memcpy(native->state.fx, soft->state.fx, sizeof native->state.fx);
        memcpy(native->state.ymm, soft->state.ymm, sizeof native->state.ymm);
    }
    /* A repeated string instruction of 32-bit addresses that faults or has nothing to do: ECX was written, if with the same. */
    if (fuzz->repeats && row->form == FORM_STRING && fuzz->mode == MODE_64 && insn->address_size == 4) {
        native->state.gpr[GPR_RCX] = (native->state.gpr[GPR_RCX] & UINT32_MAX) | (soft->state.gpr[GPR_RCX] & ~UINT64_C(0xffffffff));
    }
    /* The flags of the last pass that was done. */
    if (same_fault && fuzz->repeats && (insn->op == OP_SCAS || insn->op == OP_CMPS)) {
        native->state.rflags = (native->state.rflags & ~(uint64_t)FLAG_ARITHMETIC) | (soft->state.rflags & FLAG_ARITHMETIC);
    }
    if (same_fault && insn->op == OP_CMPS) {               /* the same: whose fault it is */
        native->cr2 = soft->cr2;
        native->error = soft->error;
    }
    /* PUSH of a segment register writes two bytes, and a CALL whose target is refused has pushed. */
    if (insn->op == OP_PUSH_SREG || (insn->op == OP_CALL && same_fault) || insn->op == OP_CALL_FAR) {
        native->changes = soft->changes;
        memcpy(native->change, soft->change, sizeof native->change);
    }
}

bool vendor_differs(FuzzCase *fuzz)
{
    DecodeMode mode = { .code_size = fuzz->mode == MODE_64 ? 8 : fuzz->mode == MODE_32 ? 4 : 2, .protected_mode = true };
    Insn insn;

    if (!is_intel || decode(&insn, fuzz->bytes, fuzz->length, mode) != DECODE_OK) {
        return false;
    }
    const OptabRow *row = optab_row(insn.row);
    if (skipped(fuzz, &insn, row)) {
        return true;
    }
    forget(fuzz, &insn, row);
    return false;
}
