/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flat.h - the translated code's translation tables: one word a page, for the whole 48-bit address space
 *
 * Two sparse arrays lie behind the context in one reservation of address space: what to add to a linear address to get the host
 * address, for reads and for writes; 0 is "not filled". A page is filled by a miss (mmu_fill), and dropped by whatever drops it from
 * the TLB of mmu.h: tlb.c calls both. Code of CPL 3 looks up with bit 47 cut off, so that an upper-half address gives a
 * host address that faults; supervisor pages in the lower half are dropped before code of CPL 3 runs.
 *
 * Threads  the CPU's own
 */
#pragma once
#include "accel/soft/state.h"

enum { FLAT_INDEX_BITS = 36 };
#define FLAT_BYTES (UINT64_C(8) << FLAT_INDEX_BITS)        /* of one table */
#define FLAT_CONTEXT ((sizeof(SoftCpu) + 4095) & ~(size_t)4095)        /* the read table's distance from the context */

/* A zeroed context with its tables behind it, or (cpu->pages.tables false) without when the host does not give the address space. */
SoftCpu *flat_context_new(void);
void flat_context_free(void *cpu);          /* void *: epoch_retire() calls it */

static inline intptr_t *flat_read_table(SoftCpu *cpu) { return (intptr_t *)((uint8_t *)cpu + FLAT_CONTEXT); }
static inline intptr_t *flat_write_table(SoftCpu *cpu) { return (intptr_t *)((uint8_t *)cpu + FLAT_CONTEXT + FLAT_BYTES); }
static inline uint64_t flat_index(uint64_t linear) { return linear >> 12 & ((UINT64_C(1) << FLAT_INDEX_BITS) - 1); }
/* The other way: the page's first address, canonical. */
static inline uint64_t flat_linear(uint64_t index) { return (uint64_t)((int64_t)(index << (64 - FLAT_INDEX_BITS)) >> (64 - FLAT_INDEX_BITS - 12)); }

static inline bool flat_is_filled(SoftCpu *cpu, uint64_t linear, bool write)
{
    return (write ? flat_write_table(cpu) : flat_read_table(cpu))[flat_index(linear)] != 0;
}

typedef struct FlatFill { uint64_t linear; const uint8_t *host; bool write, global, user; } FlatFill;
void flat_fill(SoftCpu *cpu, const FlatFill *fill);
void flat_flush_all(SoftCpu *cpu);
void flat_flush_local(SoftCpu *cpu);
void flat_drop_page(SoftCpu *cpu, uint64_t linear);
void flat_drop_region(SoftCpu *cpu, uint64_t linear, unsigned shift);
void flat_protect(SoftCpu *cpu, const uint8_t *host_page);  /* NULL: all pages */
void flat_hide_supervisor(SoftCpu *cpu);   /* CPL 3 comes */
