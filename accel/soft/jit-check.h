/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit-check.h - the translator under watch: -accel tcg,check=lockstep and check=audit, for hunting a bug
 *
 * Lockstep: each translated block runs by itself; what it did is put aside and undone, the interpreter runs the same instructions from the
 * same state, and registers, flags and stores are compared. An instruction that the translator gives to the interpreter anyhow (a system
 * instruction, an access to a device, whatever faults) ends the comparison before it, so nothing that cannot be repeated is.
 * The interpreter's result is the one that counts. For one processor: another's stores between the two runs would look like mistakes.
 *
 * Audit: a second book of what the flat tables may hold, kept by the sequence of fills and flushes alone; at each flush, and now and then,
 * every entry is compared with the book.
 *
 * Both   report on stderr (the first few), and count: info jit, -d accel
 * Threads  the CPU's own
 * Tests    tests/cpu/check.c, tests/guest/lockstep.py
 */
#pragma once
#include "accel/soft/flat.h"
#include "accel/soft/jit.h"

enum { CHECK_LOCKSTEP = 1, CHECK_AUDIT = 2 };

/* jit-check.c. After jit_open(); kinds: CHECK_ bits. jit_close() calls the other. */
void jit_check_open(SoftCpu *cpu, unsigned kinds);
void jit_check_close(SoftCpu *cpu);
uint64_t jit_check_differences(const SoftCpu *cpu);        /* of both kinds, since it was opened */
char *jit_check_describe(const SoftCpu *cpu);      /* figures for people; "" when nothing is checked; the caller frees it */
/* Runs block's translation at cpu->rip, checked, and then the instruction that could not be compared, if that came. */
void jit_check_run(SoftCpu *cpu, Block *block, const uint8_t *entry);
/* Translated code wants this instruction done: not while it is compared. */
void jit_check_cut(SoftCpu *cpu, const Trans *trans, const Insn *insn);
/* Translated code is about to store to this page, just filled. False: too many pages, cut. */
bool jit_check_will_store(SoftCpu *cpu, uint64_t linear);
/* The interpreter's accesses, while it repeats a block: to a page of RAM, or (NULL) a device, which ends the comparison as a difference. */
void jit_check_access(SoftCpu *cpu, const uint8_t *host, bool write);

/* jit-audit.c */
typedef struct JitAudit JitAudit;
JitAudit *audit_new(void);
void audit_free(JitAudit *audit);
void audit_filled(SoftCpu *cpu, const FlatFill *fill, unsigned shift);
/* What was flushed, when it is done: tlb.c. */
enum { AUDIT_ALL, AUDIT_LOCAL, AUDIT_PAGE };
void audit_flushed(SoftCpu *cpu, unsigned what, uint64_t linear);
void audit_now_and_then(SoftCpu *cpu);
uint64_t audit_differences(const JitAudit *audit);
char *audit_describe(const JitAudit *audit);
