/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run.c - the run loop: requests, interrupts, blocks, single steps, and the landing of every exception
 *
 * Blocks chain by themselves (soft_goto() in block.h) until a request that concerns this CPU now is set, an instruction changed
 * the mode, a new block is met, or the turn is over; all of that is sorted out here.
 *
 * Models   Intel SDM volume 3, 6.8-6.9: priorities between instructions: INIT, traps, NMI, interrupts, faults of the fetch;
 *          the shadow of STI and MOV SS
 * Tests    tests/cpu/integer.c, tests/cpu/system.c
 */
#include "accel/soft/run.h"
#include "accel/accel-ops.h"
#include "accel/soft/block.h"
#include "accel/soft/flags.h"
#include "accel/soft/fpu.h"
#include "accel/soft/jit-check.h"
#include "accel/soft/mmu.h"
#include "accel/soft/walk.h"
#include "base/log.h"
#include <inttypes.h>

enum { LANDED_FAULT = 1, LANDED_RESTART = 2 };

_Noreturn void soft_restart(SoftCpu *cpu, const Insn *insn)
{
    cpu->rip = insn_rip(cpu, insn);
    longjmp(cpu->unwind, LANDED_RESTART);
}

static uint32_t requests(const SoftCpu *cpu)
{
    return __atomic_load_n(&cpu->request, __ATOMIC_SEQ_CST);
}

static void clear_request(SoftCpu *cpu, uint32_t bits)
{
    __atomic_fetch_and(&cpu->request, ~bits, __ATOMIC_SEQ_CST);
}

bool soft_has_work(const SoftCpu *cpu)
{
    uint32_t pending = requests(cpu);

    switch (cpu->activity) {
    case CPU_WAIT_SIPI: return pending & (REQUEST_INIT | REQUEST_SIPI | REQUEST_CODE);
    case CPU_HALTED: return pending & (REQUEST_INIT | REQUEST_NMI | REQUEST_CODE) || (pending & REQUEST_INTR && cpu->rflags & FLAG_IF);
    case CPU_SHUTDOWN: return pending & REQUEST_INIT;
    default: return true;
    }
}

/* ---- between blocks -------------------------------------------------------------------------------------------------- */

/* Which requests end a chain of blocks. */
static uint32_t wanted(const SoftCpu *cpu)
{
    uint32_t mask = REQUEST_EXIT | REQUEST_YIELD | REQUEST_INIT | REQUEST_CODE | REQUEST_PROTECT | REQUEST_SIPI;

    mask |= cpu->rflags & FLAG_IF ? REQUEST_INTR : 0;
    return mask | (cpu->nmi_masked ? 0 : REQUEST_NMI);
}

static void start_at_vector(SoftCpu *cpu)
{
    clear_request(cpu, REQUEST_SIPI);
    if (cpu->activity == CPU_WAIT_SIPI) {
        CpuSegment *cs = &cpu->segment[SEG_CS];

        cs->selector = (uint16_t)(cpu->sipi_vector << 8);
        cs->base = (uint64_t)cpu->sipi_vector << 12;
        cpu->rip = 0;
        cpu->activity = CPU_RUNNABLE;
        soft_mode_changed(cpu);
    }
}

/* True: an interrupt or NMI was delivered. */
static bool deliver_pending(SoftCpu *cpu, uint32_t pending)
{
    if (pending & REQUEST_NMI && !cpu->nmi_masked) {
        clear_request(cpu, REQUEST_NMI);
        cpu->activity = CPU_RUNNABLE;
        cpu->nmi_masked = true;
        soft_deliver(cpu, EXC_NMI, false, 0, DELIVER_NMI);
        return true;
    }
    if (pending & REQUEST_INTR && cpu->rflags & FLAG_IF && cpu->source.acknowledge) {
        int vector = cpu->source.acknowledge(cpu->source.opaque);

        if (vector >= 0) {
            cpu->activity = CPU_RUNNABLE;
            soft_deliver(cpu, (unsigned)vector, false, 0, DELIVER_INTERRUPT);
            return true;
        }
    }
    return false;
}

static void take_requests(SoftCpu *cpu, uint32_t pending)
{
    if (pending & (REQUEST_CODE | REQUEST_PROTECT)) {
        block_settle(cpu);
    }
    if (pending & REQUEST_EXIT) {
        clear_request(cpu, REQUEST_EXIT);
        tlb_flush_take(cpu);
    }
    if (pending & REQUEST_INIT) {
        clear_request(cpu, REQUEST_INIT);
        soft_init_signal(cpu, cpu->cpu ? cpu->cpu->index == 0 : true);
    }
    if (pending & REQUEST_SIPI) {
        start_at_vector(cpu);
    }
}

/* ---- one instruction at a time ------------------------------------------------------------------------------------------ */

static void step(SoftCpu *cpu)
{
    if (debug_before(cpu)) {
        soft_deliver(cpu, EXC_DB, false, 0, DELIVER_FAULT);
        return;
    }
    cpu->interrupt_shadow = false;
    block_run(cpu, block_get(cpu, true));
    if (debug_after(cpu)) {
        soft_deliver(cpu, EXC_DB, false, 0, DELIVER_TRAP);
    }
}

/* ---- the loop --------------------------------------------------------------------------------------------------------------- */

/* -d exec, -d cpu: every block comes by here then. */
static void log_block(SoftCpu *cpu)
{
    cpu->stamp = cpu->stamp_local = STAMP_NONE;
    if (log_enabled(LOG_EXEC)) {
        log_line(LOG_EXEC, "CPU %u: %04x:%016" PRIx64, cpu->cpu ? cpu->cpu->index : 0, cpu->segment[SEG_CS].selector, cpu->rip);
    }
    if (log_enabled(LOG_CPU)) {
        CpuState state;
        g_autofree char *text = NULL;

        soft_state_get(cpu, &state);
        text = cpu_state_describe(&state);
        log_line(LOG_CPU, "%s", text);
    }
}

/* As host code when it has some, or is worth some. */
static void run_block(SoftCpu *cpu, Block *block)
{
    const uint8_t *entry = jit_entry(cpu, block);

    if (cpu->jit.audit) {
        audit_now_and_then(cpu);
    }
    if (entry && cpu->jit.check) {
        jit_check_run(cpu, block, entry);
    } else if (entry) {
        jit_run(cpu, entry);
    } else {
        block_run(cpu, block);
    }
}

static void run_blocks(SoftCpu *cpu)
{
    bool shadow = cpu->interrupt_shadow;

    tlb_stamp(cpu);
    cpu->poll_mask = wanted(cpu);
    if (log_enabled(LOG_EXEC | LOG_CPU)) {
        log_block(cpu);
    }
    if (cpu->sys.stepping) {
        cpu->stamp = cpu->stamp_local = STAMP_NONE;          /* no chaining */
        step(cpu);
    } else if (shadow && requests(cpu) & (REQUEST_INTR | REQUEST_NMI)) {
        cpu->interrupt_shadow = false;     /* exactly one instruction, then the interrupt */
        cpu->stamp = cpu->stamp_local = STAMP_NONE;
        block_run(cpu, block_get(cpu, true));
    } else {
        cpu->interrupt_shadow = false;
        cpu->rflags &= ~(uint64_t)FLAG_RF;
        run_block(cpu, block_get(cpu, false));
    }
}

/* Nothing raises in here but what lands in soft_loop(). Returns when the caller of soft_loop() is to hear of it. */
static RunStop go_on(SoftCpu *cpu)
{
    for (;;) {
        __atomic_store_n(&cpu->jit.calm, 1, __ATOMIC_SEQ_CST);       /* before the look: who asks later makes it 0 again */
        uint32_t pending = requests(cpu);

        if (cpu->activity != CPU_RUNNABLE) {
            cpu->interrupt_shadow = false; /* HLT was the instruction after STI */
        }
        if (pending & (REQUEST_EXIT | REQUEST_CODE | REQUEST_PROTECT | REQUEST_INIT | REQUEST_SIPI)) {
            take_requests(cpu, pending);
            if (pending & REQUEST_EXIT || (cpu->cpu && cpu_leave_wanted(cpu->cpu))) {
                return RUN_AGAIN;          /* also after a flush: the old view goes when all have left their epochs */
            }
        }
        if (pending & (REQUEST_INTR | REQUEST_NMI) && !cpu->interrupt_shadow && cpu->activity != CPU_WAIT_SIPI && cpu->activity != CPU_SHUTDOWN) {
            deliver_pending(cpu, pending);
        }
        if (cpu->activity != CPU_RUNNABLE) {
            return cpu->activity == CPU_SHUTDOWN ? RUN_DEAD : RUN_HALTED;
        }
        if (pending & REQUEST_YIELD) {
            clear_request(cpu, REQUEST_YIELD);
            return RUN_AGAIN;
        }
        if (cpu->budget < 0) {
            return RUN_AGAIN;
        }
        run_blocks(cpu);
    }
}

RunStop soft_loop(SoftCpu *cpu, int32_t turn)
{
    volatile int32_t start = turn;
    RunStop stop;

    cpu->budget = turn;
    block_enter(cpu);
    jit_thread_begin(cpu);
    switch (setjmp(cpu->unwind)) {
    case LANDED_FAULT:
        soft_fault(cpu);
        __attribute__((fallthrough));
    default:
        stop = go_on(cpu);
        break;
    }
    cpu->instructions += (uint64_t)(start - cpu->budget);
    fpu_park(cpu);
    block_leave(cpu);
    return stop;
}

/* ---- without delivery: soft.h ---------------------------------------------------------------------------------------------- */

RunStop soft_loop_bare(SoftCpu *cpu, uint64_t count, uint64_t *done)
{
    volatile uint64_t left = count;
    RunStop stop = RUN_AGAIN;

    block_enter(cpu);
    jit_thread_begin(cpu);
    cpu->poll_mask = 0;
    cpu->stamp = cpu->stamp_local = STAMP_NONE;
    if (setjmp(cpu->unwind) == LANDED_FAULT) {
        stop = RUN_RAISED;
    } else {
        while (left && cpu->activity == CPU_RUNNABLE) {
            cpu->budget = INT32_MAX;
            cpu->interrupt_shadow = false;
            run_block(cpu, block_get(cpu, true));
            if (cpu->jit.interpret_once) { /* it was not run yet */
                run_block(cpu, block_get(cpu, true));
            }
            left--;
        }
        stop = cpu->activity == CPU_RUNNABLE ? RUN_AGAIN : RUN_HALTED;
    }
    fpu_park(cpu);
    block_leave(cpu);
    *done = count - left;
    return stop;
}

RunStop soft_loop_fast(SoftCpu *cpu)
{
    RunStop stop;

    block_enter(cpu);
    jit_thread_begin(cpu);
    cpu->budget = INT32_MAX;
    __atomic_store_n(&cpu->jit.calm, 1, __ATOMIC_SEQ_CST);
    if (setjmp(cpu->unwind) == LANDED_FAULT) {
        stop = RUN_RAISED;
    } else {
        while (cpu->activity == CPU_RUNNABLE && cpu->budget >= 0) {
            take_requests(cpu, requests(cpu) & (REQUEST_EXIT | REQUEST_CODE | REQUEST_PROTECT));
            run_blocks(cpu);
        }
        stop = cpu->activity == CPU_RUNNABLE ? RUN_AGAIN : RUN_HALTED;
    }
    cpu->instructions += (uint64_t)(INT32_MAX - cpu->budget);
    fpu_park(cpu);
    block_leave(cpu);
    return stop;
}
