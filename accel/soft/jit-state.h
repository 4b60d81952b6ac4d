/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit-state.h - the translator's part of a CPU's context: what translated code itself reads and writes, through %gs
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SoftCpu SoftCpu;
typedef struct JitCache JitCache;

enum { JIT_JUMP_BITS = 14, JIT_JUMPS = 1 << JIT_JUMP_BITS };
enum { JIT_SUPERVISOR, JIT_USER, JIT_LEVELS };

enum { JIT_LIVE_NONE, JIT_LIVE_XMM, JIT_LIVE_YMM };

/* Where indirect jumps go, by the low bits of the target; an empty slot goes to the trampoline that looks it up. */
typedef struct JitJumps {
    const uint8_t *slot[JIT_JUMPS];
    uint16_t used[JIT_JUMPS];
    unsigned count;
    bool local;                            /* holds code from pages that are not global */
    uint64_t stamp, stamp_local;           /* that they were filled for */
} JitJumps;

typedef struct JitState {
    uint32_t calm;                         /* atomic: 0 when .request may want the run loop: translated code leaves at its next poll */
    uint32_t live;                         /* JIT_LIVE_: which of the vector registers are the host's */
    SoftCpu *self;
    const uint8_t *resume;
    uint64_t scratch, fault_pc;
    uint32_t mxcsr_default;
    uint32_t from;                         /* the site of the last indirect jump */
    JitCache *cache;                       /* NULL: this CPU interprets only */
    bool unlocked;                         /* some code lacks the guest's lock prefixes: it was made while this CPU was the only one */
    bool interpret_once;                   /* the next block is the interpreter's */
    bool force;                            /* translate at the first execution: tests, lockstep */
    struct JitCheck *check;                /* NULL but in lockstep, .audit but while the tables are audited: jit-check.h */
    struct JitAudit *audit;
    JitJumps jumps[JIT_LEVELS];
    uint64_t misses, fills, helpers, lasts, lookups, leaves, translated, translated_bytes, flushes, faults, emptied, undone;        /* info jit */
} JitState;
