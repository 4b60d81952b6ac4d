/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmu.h - the interpreter's way to guest memory: linear addresses in, faults out
 *
 * The fast path is inline: one table entry, one compare (an access that crosses a page ends in the next page and so
 * misses). The slow path walks, fills, dispatches devices, splits crossings (translating both pages before
 * touching either), and raises #PF; it never returns on a fault. Linear addresses are already segmented. In 64-bit
 * mode it is the slow path that refuses a non-canonical one, #SS(0) when insn->segment is SEG_SS (or insn has no memory
 * operand and pushes or pops), else #GP(0): such an address misses every entry, so address.h need not look.
 */
#pragma once
#include "accel/soft/kept.h"
#include "accel/soft/state.h"
#include "accel/x86/bits.h"
#include <string.h>

uint64_t mmu_load_slow(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size);
void mmu_store_slow(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, uint64_t value);
/* Host pointer to [linear, linear + size) for a locked or wide access that lies in one page of RAM; NULL when it does not (device,
 * crossing, watched): use the slow calls. write: checks and marks for writing. Raises #PF. */
void *mmu_host(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, bool write);
/* After the write that mmu_host() was asked for. Where other processors have code they are told now; who forgets tells at the end of its block. */
void mmu_tell_late(SoftCpu *cpu);
static inline void mmu_written_late(SoftCpu *cpu)
{
    if (__builtin_expect(cpu->late.length != 0, 0)) {
        mmu_tell_late(cpu);
    }
}
/* Raises now what an access would raise, without doing it. */
void mmu_probe(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, bool write);
/* Any length, either pages of RAM or device registers (vectors, fxsave, far operands). */
void mmu_read(SoftCpu *cpu, const Insn *insn, uint64_t linear, void *data, unsigned length);
void mmu_write(SoftCpu *cpu, const Insn *insn, uint64_t linear, const void *data, unsigned length);
/* As supervisor whatever CPL is (descriptor tables, TSS, IDT, interrupt stacks). */
uint64_t mmu_load_system(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size);
void mmu_store_system(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, uint64_t value);
/* By the rights of one of the TLB_ modes: stacks of another privilege level. */
uint64_t mmu_load_as(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, unsigned mode);
void mmu_store_as(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, uint64_t value, unsigned mode);
void mmu_probe_system(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, bool write);
/* Instruction fetch: the physical page and host bytes that linear's page executes from; raises #PF. host is NULL when not RAM or ROM. */
uint64_t mmu_fetch_page(SoftCpu *cpu, uint64_t linear, const uint8_t **host);

/* Enters the page of a linear address into the flat tables (flat.h), by the current mode's rights, accessed and dirty bits set as an access
 * would. False: it cannot stand there, or the access faults; nothing is raised. */
bool mmu_fill(SoftCpu *cpu, uint64_t linear, bool write);

/* A debugger's translation: no rights, no side effects. False: not mapped. */
bool mmu_peek(SoftCpu *cpu, uint64_t linear, uint64_t *physical);

/* Life: attach once the address space is set (the CPU then hears of new views), begin at every entry into guest code, inside the epoch. */
void mmu_attach(SoftCpu *cpu);
void mmu_detach(SoftCpu *cpu);
void mmu_begin(SoftCpu *cpu);
void mmu_set_a20(SoftCpu *cpu, bool enabled);          /* any thread: at the next poll, or after the access that asked for it */

void tlb_init(SoftCpu *cpu);
void tlb_flush_request(SoftCpu *cpu);      /* any thread: flush everything soon, and take the new view; the CPU leaves guest code for it */
void tlb_flush_take(SoftCpu *cpu);         /* the CPU's own thread: do it now if it is wanted */
/* A block was decoded from this page of RAM (NULL: from any): stores to it go slow from now on. The CPU's own thread. */
void tlb_protect_page(SoftCpu *cpu, const uint8_t *host_page);
void tlb_flush_all(SoftCpu *cpu);
void tlb_flush_page(SoftCpu *cpu, uint64_t linear);
void tlb_flush_non_global(SoftCpu *cpu);
/* Called when CPL, CR0, CR3, CR4, EFER, AC or code segment changed: recomputes tlb, code_size, flat, mode_key. */
void soft_mode_changed(SoftCpu *cpu);

/* Alignment checks concern explicit accesses of user code only. */
static inline bool mmu_alignment_checked(const SoftCpu *cpu)
{
    return cpu->cpl == 3 && cpu->cr0 & CR0_AM && cpu->rflags & FLAG_AC;
}

/* Guest memory, which other processors and devices write meanwhile: an aligned access is one access, made where it stands. */
typedef uint16_t __attribute__((aligned(1), may_alias)) Guest16;
typedef uint32_t __attribute__((aligned(1), may_alias)) Guest32;
typedef uint64_t __attribute__((aligned(1), may_alias)) Guest64;
typedef uint8_t Guest8;
#ifdef __SANITIZE_THREAD__
/* Races there are the guest's own. */
#define GUEST_LOAD(bits, host) __atomic_load_n((const Guest##bits *)(host), __ATOMIC_RELAXED)
#define GUEST_STORE(bits, host, value) __atomic_store_n((Guest##bits *)(host), (uint##bits##_t)(value), __ATOMIC_RELAXED)
#else
#define GUEST_LOAD(bits, host) (*(const volatile Guest##bits *)(host))
#define GUEST_STORE(bits, host, value) (*(volatile Guest##bits *)(host) = (uint##bits##_t)(value))
#endif

static inline __attribute__((always_inline)) uint64_t host_load(const void *host, unsigned bits)
{
    switch (bits) {
    case 8: return GUEST_LOAD(8, host);
    case 16: return GUEST_LOAD(16, host);
    case 32: return GUEST_LOAD(32, host);
    default: return GUEST_LOAD(64, host);
    }
}

static inline __attribute__((always_inline)) void host_store(void *host, unsigned bits, uint64_t value)
{
    switch (bits) {
    case 8: GUEST_STORE(8, host, value); break;
    case 16: GUEST_STORE(16, host, value); break;
    case 32: GUEST_STORE(32, host, value); break;
    default: GUEST_STORE(64, host, value); break;
    }
}

/* A locked operand over two pages of RAM: mmu_split_begin() loads it and keeps out all others of its kind until mmu_split_end(), between
 * which nothing may raise. False: it is not that. Ordinary accesses of other processors are not kept out. */
typedef struct Split {
    uint8_t *host[2];
    RamBlock *ram[2];                      /* to be told of the store, or NULL */
    uint64_t offset[2];
    unsigned bytes[2];
} Split;
bool mmu_split_begin(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, Split *split, uint64_t *value);
void mmu_split_end(SoftCpu *cpu, const Split *split, uint64_t value);

#define MMU_ACCESS(bits)                                                                                           \
    static inline uint##bits##_t mmu_load##bits(SoftCpu *cpu, const Insn *insn, uint64_t linear)                   \
    {                                                                                                              \
        const TlbEntry *entry = &cpu->tlb[tlb_slot(linear)];                                                       \
        if (__builtin_expect(((linear + bits / 8 - 1) & ~UINT64_C(0xfff)) == entry->read, 1)) {                    \
            return GUEST_LOAD(bits, linear + (uint64_t)entry->delta);                                              \
        }                                                                                                          \
        return (uint##bits##_t)mmu_load_kept(cpu, insn, linear, bits / 8);                                         \
    }                                                                                                              \
    static inline void mmu_store##bits(SoftCpu *cpu, const Insn *insn, uint64_t linear, uint##bits##_t value)      \
    {                                                                                                              \
        const TlbEntry *entry = &cpu->tlb[tlb_slot(linear)];                                                       \
        if (__builtin_expect(((linear + bits / 8 - 1) & ~UINT64_C(0xfff)) == entry->write, 1)) {                   \
            GUEST_STORE(bits, linear + (uint64_t)entry->delta, value);                                             \
        } else {                                                                                                   \
            mmu_store_kept(cpu, insn, linear, bits / 8, value);                                                    \
        }                                                                                                          \
    }
MMU_ACCESS(8) MMU_ACCESS(16) MMU_ACCESS(32) MMU_ACCESS(64)
#undef MMU_ACCESS
