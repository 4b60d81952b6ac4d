/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soft.h - the software CPU by itself: what tests, the fuzzer and soft.c's AccelOps stand on
 *
 * A bare CPU runs on the calling thread over an AddressSpace; it needs no Accel and no machine. Its context is SoftCpu of
 * state.h: set registers there, then soft_mode_changed() (soft_set_flat() does both).
 */
#pragma once
#include "accel/soft/state.h"

/* features: CPUID words to expose, NULL for all that this software CPU has. Power-on state. NULL when memory is short. */
SoftCpu *soft_new(AddressSpace *memory, AddressSpace *ports, const uint32_t *features);
void soft_free(SoftCpu *cpu);
void soft_reset(SoftCpu *cpu, bool boot_processor);        /* power-on state */

/* Flat segments without paging tricks for a program of code_size 2, 4 or 8 bytes at CPL 0 or 3: 16-bit code is protected mode with
 * 64 KiB segments, 64-bit code needs page tables: identity tables of 1 GiB pages are written at tables (12 KiB of RAM).
 * x87 and SSE enabled, all exceptions masked, IF clear. An exception shuts the CPU down (there is no IDT): see .exception. */
void soft_set_flat(SoftCpu *cpu, unsigned code_size, unsigned cpl, uint64_t tables);

/* Runs exactly count instructions, or until one raises, halts or is refused. Returns how many were done. */
typedef enum { SOFT_DONE, SOFT_RAISED, SOFT_HALTED } SoftStop;
/* From now on every block is translated at its first execution. False: this host cannot. */
bool soft_translate(SoftCpu *cpu);
SoftStop soft_run(SoftCpu *cpu, uint64_t count, uint64_t *done);
/* The same at full speed, until HLT, an exception, or some 2 billion instructions: SoftCpu.instructions counts roughly. */
SoftStop soft_run_fast(SoftCpu *cpu);
/* After SOFT_RAISED: nothing was delivered; RIP is at the instruction (CR2 set for a page fault). */
typedef struct SoftException { uint8_t vector; bool has_error; uint32_t error; } SoftException;
SoftException soft_exception(const SoftCpu *cpu);
