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
 * Threads: everything on the CPU thread, but block_dma_written(), which any thread may call.
 */
#pragma once
#include "accel/memory/ram.h"
#include "accel/soft/state.h"

enum { BLOCK_LIMIT = 64 };

/* mmu.c, when it fills an entry: no write tag for such a page (the one around offset). */
bool block_page_has_code(const RamBlock *ram, uint64_t offset);
/* mmu.c, after (or just before) a store to such a page. */
void block_written(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length);

/* The block for cpu->rip in the current mode; decodes it when it is new. Raises what fetching raises. */
Block *block_get(SoftCpu *cpu, bool single);
void block_flush_all(void);                /* forgets every block: no CPU is inside one */
void block_add_cpu(SoftCpu *cpu);
void block_remove_cpu(SoftCpu *cpu);
/* On the CPU thread, out of blocks: carries out what block_dma_written() noted, frees what was dropped. */
void block_settle(void);
