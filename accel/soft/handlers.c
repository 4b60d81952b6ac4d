/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handlers.c - from a decoded instruction to the function that does it
 *
 * Who does what:
 *   interp-integer.c   arithmetic, mov, lea by table      interp-move.c      extensions, exchanges, conditions, flag bits
 *   interp-shift.c, interp-bit.c, interp-multiply.c, interp-locked.c, interp-string.c (and ports)
 *   interp-branch.c    near transfers                     interp-stack.c     push, pop, enter, pushf, popf, cli, sti, bound
 *   interp-segment.c   segment registers, far transfers, int, iret, descriptor tables
 *   interp-system.c    control and debug registers, MSRs, cpuid, syscall, TLB, hlt
 *   interp-x87.c, interp-vector.c, xsave.c
 *
 * Threads  the index is built once; any
 * Tests    tests/cpu/integer.c
 */
#include "accel/soft/handlers.h"
#include "accel/soft/block.h"
#include "accel/x86/optab.h"
#include <glib.h>

static void raise_undefined(SoftCpu *cpu, const Insn *insn) { soft_raise(cpu, insn, EXC_UD); }
static void raise_too_long(SoftCpu *cpu, const Insn *insn) { soft_raise_error(cpu, insn, EXC_GP, 0); }

/* ---- functions that return ------------------------------------------------------------------------------------------- */

SOFT_HANDLER(run_call) { ((InsnRun *)insn->stub)(cpu, insn); }

/* The last of its block: RIP is the next instruction's before it runs, and what it makes of it afterwards. */
static void run_call_last(SoftCpu *cpu, const Insn *insn)
{
    uint64_t next = insn_next_rip(cpu, insn);

    cpu->rip = cpu->code_size == 8 ? next : (uint32_t)next;
    ((InsnRun *)insn->stub)(cpu, insn);
}

/* Repeated strings, port accesses, PAUSE, and CPUID, after which code that another processor wrote must be seen: the last too, but nothing of the mode has changed, so the next block may follow at once. */
static void run_call_chain(SoftCpu *cpu, const Insn *insn)
{
    run_call_last(cpu, insn);
    soft_goto(cpu, cpu->rip);
}

static bool ends_and_chains(const Insn *insn)
{
    return insn->op == OP_IN || insn->op == OP_OUT || insn->op == OP_INS || insn->op == OP_OUTS || insn->op == OP_PAUSE || insn->op == OP_CPUID ||
           (insn->form == FORM_STRING && insn->prefixes & (PREFIX_REP | PREFIX_REPNE));
}

bool soft_ends_block(const Insn *insn)
{
    return optab_row(insn->row)->flags & ROW_ENDS_BLOCK || ends_and_chains(insn);
}

/* ---- the index ----------------------------------------------------------------------------------------------------------- */

enum { HANDLER_LIMIT = 1024 };
static const SoftHandler *sorted[HANDLER_LIMIT];
static uint16_t first_of[OP_COUNT + 1];

static const SoftHandler *const tables[] = {
    move_handlers, shift_handlers, bit_handlers, multiply_handlers, stack_handlers, string_handlers, port_handlers,
    system_handlers, segment_handlers, x87_handlers, vector_handlers };

static void build_index(void)
{
    unsigned count = 0;

    for (unsigned op = 0; op < OP_COUNT; op++) {
        first_of[op] = (uint16_t)count;
        for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++) {
            for (const SoftHandler *row = tables[t]; row->op; row++) {
                if (row->op == op && count < HANDLER_LIMIT) {
                    sorted[count++] = row;
                }
            }
        }
    }
    first_of[OP_COUNT] = (uint16_t)count;
}

static bool row_matches(const SoftHandler *row, const Insn *insn)
{
    return row->op == insn->op && (!row->form || row->form == insn->form + 1) && (!row->size || row->size == insn->size);
}

static const SoftHandler *find_handler(const Insn *insn)
{
    static gsize built;

    if (g_once_init_enter(&built)) {
        build_index();
        g_once_init_leave(&built, 1);
    }
    if (insn->prefixes & PREFIX_LOCK || insn->op == OP_CMPXCHG8B) {
        for (const SoftHandler *row = locked_handlers; row->op; row++) {
            if (row_matches(row, insn)) {
                return row;
            }
        }
    }
    for (unsigned i = first_of[insn->op]; i < first_of[insn->op + 1]; i++) {
        if (row_matches(sorted[i], insn)) {
            return sorted[i];
        }
    }
    return NULL;
}

/* ---- binding ------------------------------------------------------------------------------------------------------------- */

/* False: this CPU does not have it. An opcode with an older meaning gets that. */
static bool apply_feature(const SoftCpu *cpu, Insn *insn)
{
    const OptabRow *row = optab_row(insn->row);

    if (!row->feature || cpuid_has(cpu->features, row->feature)) {
        return true;
    }
    insn->op = row->fallback;
    return row->fallback != 0;
}

static InsnRun *bind_fast(const SoftCpu *cpu, Insn *insn)
{
    InsnRun *run = integer_bind(insn);

    run = run ? run : move_bind(insn);
    run = run ? run : shift_bind(insn);
    run = run ? run : stack_bind(cpu, insn);
    return run ? run : branch_bind(cpu, insn);
}

void soft_bind(const SoftCpu *cpu, Insn *insn)
{
    const SoftHandler *handler;

    if (insn->op == OP_INVALID || !apply_feature(cpu, insn)) {
        insn->run = raise_undefined;
        return;
    }
    if ((insn->run = bind_fast(cpu, insn)) != NULL) {
        return;
    }
    handler = find_handler(insn);
    if (!handler) {
        insn->run = raise_undefined;
    } else if (handler->run) {
        insn->run = handler->run;
    } else {
        insn->stub = (const void *)handler->call;
        insn->run = ends_and_chains(insn) ? run_call_chain : soft_ends_block(insn) ? run_call_last : run_call;
    }
}

void soft_bind_too_long(Insn *insn) { insn->run = raise_too_long; }
