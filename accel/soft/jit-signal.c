/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit-signal.c - faults of the host's processor inside translated code
 *
 * The handler notes where it happened and continues in a trampoline, with all registers as they were: the guest's state at the instruction
 * that faulted, since none of its own code writes guest registers before its access. Anything else goes to whoever handled it before.
 *
 * Tests    tests/cpu/jit.c
 */
#include "accel/soft/jit.h"
#include <glib.h>
#include <signal.h>
#include <ucontext.h>

static __thread SoftCpu *running;
static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE };
static struct sigaction previous[G_N_ELEMENTS(signals)];

bool jit_signals_of(SoftCpu *cpu)
{
    bool changes = running != cpu;

    running = cpu;
    return changes;
}

static void pass_on(unsigned which, int number, siginfo_t *info, void *frame)
{
    const struct sigaction *before = &previous[which];

    if (before->sa_flags & SA_SIGINFO && before->sa_sigaction) {
        before->sa_sigaction(number, info, frame);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
    } else {
        signal(number, SIG_DFL);           /* happens again on return */
    }
}

static void handle(int number, siginfo_t *info, void *frame)
{
    ucontext_t *context = frame;
    const uint8_t *pc = (const uint8_t *)(uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    SoftCpu *cpu = running;
    const JitCache *cache = cpu ? cpu->jit.cache : NULL;
    unsigned which = 0;

    if (cache && pc >= cache->execute + cache->reserved && pc < cache->execute + cache->used) {
        cpu->jit.fault_pc = (uint64_t)(uintptr_t)pc;
        context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)cache->tramp[TRAMP_FAULT];
        return;
    }
    while (which + 1 < G_N_ELEMENTS(signals) && signals[which] != number) {
        which++;
    }
    pass_on(which, number, info, frame);
}

void jit_signals_open(void)
{
    static gsize opened;

    if (g_once_init_enter(&opened)) {
        struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };

        for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
            sigaction(signals[i], &action, &previous[i]);
        }
        g_once_init_leave(&opened, 1);
    }
}
