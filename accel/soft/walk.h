/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk.h - between mmu.c (accesses), walk.c (page tables) and tlb.c (the tables): the system side only
 */
#pragma once
#include "accel/memory/ram.h"
#include "accel/memory/space.h"
#include "accel/soft/state.h"
#include "accel/x86/bits.h"

/* The kind of an access; the low bits are those of the page-fault error code. */
enum {
    ACCESS_WRITE = 2, ACCESS_USER = 4, ACCESS_FETCH = 16,
    ACCESS_THROUGH_SMAP = 0x100,           /* explicit supervisor access with EFLAGS.AC set */
};
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_RESERVED = 8, PF_FETCH = 16 };

typedef struct Walk {
    uint64_t physical;                     /* of the 4 KiB page around the address; A20 applied */
    bool user, writable, executable;       /* what all levels together allow (writable: without CR0.WP) */
    bool dirty, global;
    uint8_t shift;                         /* page size: 12, 21, 22, 30 */
} Walk;

/* Translates; sets accessed and dirty bits. False: *error is the page-fault error code. */
bool walk_page(SoftCpu *cpu, uint64_t linear, unsigned access, Walk *walk, uint32_t *error);
/* The same for a debugger: touches nothing, checks nothing but presence and reserved bits. */
bool walk_peek(SoftCpu *cpu, uint64_t linear, Walk *walk);
/* PAE: reads the four entries that CR3 points to; false: one has reserved bits set (#GP), nothing changed. */
bool walk_load_pdptrs(SoftCpu *cpu, uint64_t cr3);
/* Recomputes sys.paging from CR0, CR4 and EFER. */
void walk_update_mode(SoftCpu *cpu);

/* The range around a physical address and, for RAM and ROM, the host address of its page; NULL for nothing. */
const FlatRange *mmu_range(SoftCpu *cpu, uint64_t physical);

/* A store to RAM went past the fast path: dirty logs and decoded code hear of it. */
void mmu_ram_written(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length);
static inline bool mmu_ram_logged(const RamBlock *ram)
{
    return __atomic_load_n(&ram->dirty[DIRTY_DISPLAY], __ATOMIC_RELAXED) || __atomic_load_n(&ram->dirty[DIRTY_MIGRATION], __ATOMIC_RELAXED) ||
           __atomic_load_n(&ram->dirty[DIRTY_CODE], __ATOMIC_RELAXED);
}

/* tlb.c: enters a page; read and write say which tags it may have. */
void tlb_fill(SoftCpu *cpu, unsigned mode, uint64_t linear, const Walk *walk, uint8_t *host_page, bool write);
void tlb_stamp(SoftCpu *cpu);              /* of the jump cache: the generation or the mode key changed */
void tlb_drop_page(SoftCpu *cpu, uint64_t linear);
void tlb_fetch_fill(SoftCpu *cpu, bool user, uint64_t linear, const Walk *walk, const uint8_t *host);
FetchEntry *tlb_fetch_entry(SoftCpu *cpu, bool user, uint64_t linear);
