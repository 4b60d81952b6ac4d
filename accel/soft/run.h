/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run.h - the run loop and the context's life, between run.c, context.c and soft.c
 */
#pragma once
#include "accel/soft/state.h"

typedef enum {
    RUN_AGAIN,                             /* the turn is over, or somebody wants the CPU out */
    RUN_HALTED,                            /* HLT, or waiting for SIPI: has_work() says when to call again */
    RUN_DEAD,                              /* triple fault */
    RUN_RAISED,                            /* without delivery: an exception that was not delivered */
} RunStop;

/* Runs guest code for about turn instructions (INT32_MAX: until something happens). Inside an epoch, after mmu_begin(). */
RunStop soft_loop(SoftCpu *cpu, int32_t turn);
/* Without requests, interrupts and delivery: exactly count instructions; or until HLT or an exception, at full speed. */
RunStop soft_loop_bare(SoftCpu *cpu, uint64_t count, uint64_t *done);
RunStop soft_loop_fast(SoftCpu *cpu);
#define STAMP_NONE UINT64_MAX              /* SoftCpu.stamp: matches no jump cache entry, so blocks do not chain */
/* A halted or waiting CPU should go on. Any thread. */
bool soft_has_work(const SoftCpu *cpu);
/* context.c. Attach and free: machine lock held. */
SoftCpu *soft_context_new(AddressSpace *memory, AddressSpace *ports);      /* NULL: no memory */
bool soft_context_attach(SoftCpu *cpu);    /* false: no memory for its blocks */
void soft_context_free(SoftCpu *cpu);
void soft_state_get(SoftCpu *cpu, CpuState *state);
void soft_state_set(SoftCpu *cpu, const CpuState *state);
void soft_reset(SoftCpu *cpu, bool boot_processor);
/* INIT: the state after it, but for what survives; SIPI: starts. The CPU's own thread. */
void soft_init_signal(SoftCpu *cpu, bool boot_processor);
