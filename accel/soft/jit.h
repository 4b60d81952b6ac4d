/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit.h - translated code: the cache of one CPU, its entry, and what the block cache and the TLB tell it
 *
 * A block that was executed often enough gets host code (trans.c): guest registers in host registers, flags in flags, memory through the flat
 * tables. Whatever the code does not do itself it asks a trampoline for, which stores the guest's state into the context
 * and calls one of the jit_c_ functions; those return where to go on, or NULL: the state is complete, the run loop takes over. A fault never
 * starts in translated code: an instruction that cannot go on is executed again by the interpreter, which raises.
 *
 * Registers: docs/decisions/translator.md. Every CPU has a cache of its own, so patching needs no care for other threads.
 *
 * Threads  the CPU's own
 * Tests    tests/cpu/jit.c, tests/cpu/fuzz.c, lockstep (jit-check.c)
 */
#pragma once
#include "accel/soft/block.h"
#include "accel/soft/emit.h"
#include "accel/soft/state.h"

typedef struct Trans Trans;

/* A place in translated code that asks for something: a memory operand, a whole instruction, an exit. There are very many: offsets count
 * from the start of the code of .trans. */
typedef struct JitSite {
    uint32_t trans;                        /* its number */
    uint16_t retry, after, patch;          /* before the access; behind the instruction; exits: displacement of the jump */
    uint8_t insn;                          /* its index in the block */
    uint8_t size;                          /* bytes of the access */
    bool write, crosses_pages;             /* crosses_pages: an exit that may be linked between global pages only */
    int32_t distance;                      /* exits: of the target from the next instruction; groups: the lowest displacement */
    uint32_t to;                           /* exits: the number of what it is linked to, + 1; 0: not linked */
    uint32_t next, previous;               /* exits: among those linked to the same, as index + 1 */
} JitSite;
_Static_assert(sizeof(JitSite) == 32, "two in a cache line");

struct Trans {
    Block *block;
    uint64_t rip;
    Trans *next;                           /* of the same block, for another RIP */
    const uint8_t *start, *indirect, *entry, *end;         /* executable: cold parts lie between entry and end too */
    uint64_t inside_group;                 /* instructions that count on RCX from an earlier one: trans-group.c */
    uint32_t number;                       /* in JitCache.transes */
    uint32_t incoming;                     /* JitSite index + 1 */
    bool dead, uses_x87, uses_image;       /* uses_image: has x87 or vector instructions of its own */
    uint16_t insn_at[];                    /* offset of each instruction's code from start, and of the end */
};

enum { TRAMP_MISS, TRAMP_HELPER, TRAMP_LAST, TRAMP_LINK, TRAMP_POLL, TRAMP_INDIRECT, TRAMP_POLL_INDIRECT, TRAMP_VECTOR, TRAMP_AVX, TRAMP_X87, TRAMP_FAULT, TRAMP_GROUP_MISS, TRAMP_GROUP_CROSSES, TRAMPS };
enum { CONST_INDEX_SUPERVISOR, CONST_INDEX_USER, CONST_JUMP, CONST_CROSS_2, CONST_CROSS_4, CONST_CROSS_8, CONST_CROSS_16, CONST_CROSS_32, CONST_CROSS_64, CONST_CROSS_128, CONST_CROSS_256,
       CONST_NO_IF, CONST_ARITHMETIC, CONST_LOW_THREE, CONSTS };

struct JitCache {
    uint8_t *write, *execute;
    size_t bytes, used, reserved;          /* reserved: constants and trampolines */
    const uint8_t *tramp[TRAMPS], *constant[CONSTS];
    void (*enter)(const uint8_t *host);
    JitSite *sites;
    uint32_t site_count, site_limit;
    Trans **transes;                       /* in the order of their code */
    unsigned trans_count, trans_limit;
    uint32_t *links;                       /* sites that are linked across pages */
    unsigned link_count, link_limit;
};

enum { JIT_HEAT = 40, JIT_REFUSED = 4000 };    /* executions before a block is translated, and before it is looked at again */

/* jit.c */
/* False: the host cannot, *why says what it lacks; the CPU interprets. */
bool jit_open(SoftCpu *cpu, size_t bytes, const char **why);
void jit_close(SoftCpu *cpu);
char *jit_describe(const SoftCpu *cpu);    /* one line of figures; the caller frees it */
bool jit_host_has(unsigned feature);       /* FEATURE_: of the host's processor */
void jit_thread_begin(SoftCpu *cpu);       /* this thread is about to run this CPU: its %gs */
static inline bool jit_stack_is_even(const SoftCpu *cpu) { return cpu->code_size != 8 || !(cpu->gpr[4] & 7); }     /* RSP: trans-operand.c counts on it */
bool jit_may_run(const SoftCpu *cpu);      /* the CPU's mode is one that translated code can be in */
/* The code for the block at cpu->rip, translated now when it is due; NULL: interpret it. */
const uint8_t *jit_entry(SoftCpu *cpu, Block *block);
void jit_run(SoftCpu *cpu, const uint8_t *entry);
void jit_block_dropped(SoftCpu *cpu, Block *block);
void jit_flush(SoftCpu *cpu);              /* forgets all code; not from within it */
void jit_trim(SoftCpu *cpu);               /* gives the host back what is not looked at */
void jit_restamp(SoftCpu *cpu);            /* generations or the mode key changed */
void jit_jumps_clear(SoftCpu *cpu, unsigned level);
void jit_link(SoftCpu *cpu, uint32_t site, Trans *to);     /* the exit jumps there from now on, until either is dropped */
JitSite *jit_site_new(JitCache *cache, uint32_t *index);
Trans *jit_trans_new(JitCache *cache, unsigned insns);
Trans *jit_find_trans(const JitCache *cache, const uint8_t *pc);
unsigned jit_insn_at(const Trans *trans, const uint8_t *pc);
static inline Trans *jit_trans_of(const JitCache *cache, const JitSite *site) { return cache->transes[site->trans]; }
static inline const Insn *jit_insn_of(const JitCache *cache, const JitSite *site) { return &jit_trans_of(cache, site)->block->insns[site->insn]; }

/* jit-calls.c: what the trampolines call. site: an index; operand: the host's RBP, a linear address or a RIP. */
typedef const uint8_t *JitCall(SoftCpu *cpu, uint32_t site, uint64_t operand);
extern JitCall *const jit_calls[TRAMPS];
/* jit-tramp.c */
bool jit_make_trampolines(SoftCpu *cpu, JitCache *cache);
/* The code of a block for one RIP, or NULL. */
static inline Trans *jit_trans_at(const Block *block, uint64_t rip)
{
    Trans *trans = block->trans;

    while (trans && trans->rip != rip) {
        trans = trans->next;
    }
    return trans;
}
/* trans.c. NULL: no room, or nothing to be gained. */
Trans *trans_make(SoftCpu *cpu, Block *block, uint64_t rip);
/* jit-signal.c */
void jit_signals_open(void);
bool jit_signals_of(SoftCpu *cpu);         /* this thread runs this CPU now; false: as before */

static inline unsigned jit_jump_slot(uint64_t rip) { return rip & (JIT_JUMPS - 1); }
static inline unsigned jit_level(const SoftCpu *cpu) { return cpu->cpl == 3 ? JIT_USER : JIT_SUPERVISOR; }
