/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block.h - decoded blocks, found by where their bytes lie in host memory and by the mode they were decoded for
 *
 * The key is the host address of the first byte, so aliases, the A20 gate and remapped ROM shadows need no rule of their
 * own. A block ends at a transfer of control, at the end of its page, before an instruction that crosses into the
 * next page (that one is a block by itself, tied to two pages), or at BLOCK_LIMIT instructions.
 *
 * Self-modifying code: a page with code gets no write entry in any TLB (tlb.c asks block_page_has_code()), so
 * stores to it take the slow path, which calls block_written(); a store that hits bytes of a block drops it. The
 * block that is running when it is dropped ends after the storing instruction.
 *
 * Each processor has blocks of its own, so everything here is for its own thread, but for block_page_has_code(): any. What processors
 * tell each other when they write to code is in code-page.c.
 */
#pragma once
#include "accel/memory/ram.h"
#include "accel/soft/handlers.h"

enum { BLOCK_LIMIT = 64 };

typedef struct Trans Trans;

struct Block {
    uint64_t key;                          /* of the hash: host address of the first byte */
    uint32_t mode;                         /* mode_key, perhaps with KEY_SINGLE */
    uint16_t count;                        /* instructions, without the one that ends a block that falls through */
    uint16_t length;                       /* bytes */
    Block *hash_next;
    struct CodePage *page[2];              /* the second: of an instruction that crosses */
    Block *page_next[2];
    const uint8_t *second_host;            /* page[1]'s, compared at every look-up: linear neighbours need not stay neighbours */
    uint8_t *copy;                         /* not NULL: bytes are compared at every entry, the page is not relied on (block.c) */
    Trans *trans;                          /* its host code, one for each RIP that it was hot at */
    int32_t heat;                          /* executions left until it is worth host code; the run loop decides */
    int32_t heat_then;                     /* when block.c looked last for blocks that nobody runs */
    uint8_t group_failures;                /* times that a group of accesses in it (trans-group.c) lay badly */
    bool no_groups;                        /* too many */
    bool dropped;
    bool linked;                           /* its last instructions may hold addresses of blocks */
    _Alignas(64) Insn insns[];
};

/* An ordinary block: it is dropped when its bytes are written. Others (block->copy, and what block_get() made for this once) must
 * come by block_get() at every entry. */
static inline bool block_is_watched(const Block *block) { return block->page[0] != NULL; }

/* The hash of the jump cache. */
static inline unsigned jump_slot(uint64_t rip)
{
    return (unsigned)(rip ^ rip >> JUMP_BITS) & (JUMP_ENTRIES - 1);
}

/* Enters a block, unless something wants the run loop. */
static inline __attribute__((always_inline)) void soft_enter(SoftCpu *cpu, Block *block, uint64_t rip)
{
    if (__builtin_expect(!(__atomic_load_n(&cpu->request, __ATOMIC_RELAXED) & cpu->poll_mask) && (cpu->budget -= block->count) >= 0 && block->heat-- > 0, 1)) {
        cpu->block = block;
        cpu->block_rip = rip;
        block->insns[0].run(cpu, block->insns);
    } else {
        cpu->rip = rip;
    }
}

/* The end of a branch inside its page. The page is executed from here, so it is still where it was: nothing to look up once holder->stub
 * knows the block. A dropped block leaves for the run loop by itself; its address is forgotten before its memory is. */
static inline __attribute__((always_inline)) void soft_link(SoftCpu *cpu, const Insn *holder, uint64_t rip)
{
#if SOFT_THREADED
    if (__builtin_expect(holder->stub != NULL, 1)) {
        soft_enter(cpu, (Block *)holder->stub, rip);
        return;
    }
    cpu->link = (Insn *)holder;
    cpu->link_block = cpu->block;
    cpu->link_rip = rip;
#else
    (void)holder;
#endif
    cpu->rip = rip;
}

/* The end of a branch handler: goes on at rip, in the next block when that is known, else by way of the run loop. */
static inline __attribute__((always_inline)) void soft_goto(SoftCpu *cpu, uint64_t rip)
{
#if SOFT_THREADED
    const JumpEntry *entry = &cpu->jumps[jump_slot(rip)];

    if (__builtin_expect(entry->rip == rip && (entry->stamp == cpu->stamp || entry->stamp == cpu->stamp_local), 1)) {
        soft_enter(cpu, entry->block, rip);
        return;
    }
#endif
    cpu->rip = rip;
}

/* mmu.c, when it fills an entry: no write tag for such a page (the one around offset). */
bool block_page_has_code(const RamBlock *ram, uint64_t offset);
/* mmu.c, after a store to such a page: all processors' code there goes, this one's at once. */
void block_written(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length);
/* This one's only: before a store that others are told of when it is done. */
void block_written_here(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length);

/* The block for cpu->rip in the current mode; decodes it when it is new. Raises what fetching raises. Valid until the next call. */
Block *block_get(SoftCpu *cpu, bool single);
/* The block that block_get() would give, when it is there already and as good; raises what fetching raises. */
Block *block_find(SoftCpu *cpu);
/* cpu->rip's entry of the jump cache: the block that block_get() or block_find() just gave. */
void block_remember(SoftCpu *cpu, Block *block);
void block_run(SoftCpu *cpu, Block *block);                /* and what follows it, until something wants the run loop */
bool block_add_cpu(SoftCpu *cpu);          /* machine lock; false: no memory for its cache */
void block_remove_cpu(SoftCpu *cpu);
size_t block_bytes(const SoftCpu *cpu);    /* of its decoded blocks; for info jit */
/* Out of blocks: drops what others wrote, hears what pages are others' code now, frees what was dropped. */
void block_settle(SoftCpu *cpu);
/* Around everything that may run guest code: between them, others wait for its word (code-page.c). block_enter() settles. */
void block_enter(SoftCpu *cpu);
void block_leave(SoftCpu *cpu);
