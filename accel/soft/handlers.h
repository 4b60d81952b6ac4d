/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handlers.h - how a decoded instruction finds the function that does it
 *
 * A file of handlers exports one table of SoftHandler, ended by a row with .op 0. Two kinds of function:
 *
 *   .call   a plain InsnRun that does its work and returns. The loop goes on with the next instruction.
 *   .run    one made with SOFT_HANDLER(name) { ... }: in optimized builds it ends by jumping to the next instruction's
 *           function, which saves the way back to the loop. Needed by handlers that use Insn.stub for themselves (vector, x87):
 *           Insn.stub holds the .call function otherwise.
 *
 * Rules for both: commit only after everything that can raise was done; never return after soft_raise(). Leave by
 *   - returning (the next instruction of the block follows);
 *   - soft_jump(cpu, rip) and returning, in the last instruction of a block (rows with ROW_ENDS_BLOCK: always last);
 *   - soft_restart(cpu, insn): gives up in the middle, RIP stays at this instruction (a rep that is interrupted).
 * A handler that changed what KEY_* describe calls soft_mode_changed(); its row must have ROW_ENDS_BLOCK.
 */
#pragma once
#include "accel/soft/state.h"

typedef struct SoftHandler {
    uint16_t op;                           /* Op */
    uint8_t form;                          /* Form + 1, or 0 for any: write FORM_ONLY(FORM_M) */
    uint8_t size;                          /* or 0 for any */
    InsnRun *call, *run;                   /* one of them */
} SoftHandler;
#define FORM_ONLY(form) ((form) + 1)

extern const SoftHandler move_handlers[], shift_handlers[], bit_handlers[], multiply_handlers[];   /* interp-move.c and so on */
extern const SoftHandler branch_handlers[], stack_handlers[], string_handlers[], port_handlers[], locked_handlers[];
extern const SoftHandler system_handlers[], segment_handlers[];           /* interp-system.c, interp-segment.c */
extern const SoftHandler x87_handlers[], vector_handlers[];               /* interp-x87.c, interp-vector.c */

/* Sets insn->run (and .stub): the function for this instruction on a CPU with these features; one that raises #UD when there is none. */
void soft_bind(const SoftCpu *cpu, Insn *insn);
void soft_bind_too_long(Insn *insn);       /* one that raises #GP(0) */

bool soft_ends_block(const Insn *insn);    /* nothing is decoded after it in its block */

/* The fast ones by table of form, size and memory kind; NULL: look in the tables above. */
InsnRun *move_bind(const Insn *insn);
InsnRun *shift_bind(const Insn *insn);
InsnRun *stack_bind(const SoftCpu *cpu, const Insn *insn);
InsnRun *integer_bind(Insn *insn);        /* may swap the operands of reg,reg */
InsnRun *branch_bind(const SoftCpu *cpu, Insn *insn);
/* For the last instruction of a block, offset in its page: NULL, or the function for a direct branch that stays in the page (uses .stub). */
InsnRun *branch_bind_linked(const SoftCpu *cpu, const Insn *insn, unsigned offset);

/* Continues at rip (already cut to the operand size and checked against the limit of CS where there is one). */
static inline void soft_jump(SoftCpu *cpu, uint64_t rip) { cpu->rip = rip; }
_Noreturn void soft_restart(SoftCpu *cpu, const Insn *insn);

/* Threaded dispatch: a handler's tail is a jump to the next one. Sanitizers want a plain loop (their frames would pile up). */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(SOFT_LOOP)
#define SOFT_THREADED 1
#define SOFT_NEXT(cpu, insn) (insn)[1].run((cpu), (insn) + 1)
#else
#define SOFT_THREADED 0
#define SOFT_NEXT(cpu, insn) ((void)(cpu), (void)(insn))
#endif

#define SOFT_HANDLER(name)                                                                             \
    static inline __attribute__((always_inline)) void name##_body(SoftCpu *, const Insn *);            \
    static void name(SoftCpu *cpu, const Insn *insn)                                                   \
    {                                                                                                  \
        name##_body(cpu, insn);                                                                        \
        SOFT_NEXT(cpu, insn);                                                                          \
    }                                                                                                  \
    static inline __attribute__((always_inline)) void name##_body(__attribute__((unused)) SoftCpu *cpu, __attribute__((unused)) const Insn *insn)
