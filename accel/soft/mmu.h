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

/* A debugger's translation: no rights, no side effects. False: not mapped. */
bool mmu_peek(SoftCpu *cpu, uint64_t linear, uint64_t *physical);

/* Life: attach once the address space is set (the CPU then hears of new views), begin at every entry into guest code, inside the epoch. */
void mmu_attach(SoftCpu *cpu);
void mmu_detach(SoftCpu *cpu);
void mmu_begin(SoftCpu *cpu);
void mmu_set_a20(SoftCpu *cpu, bool enabled);          /* the CPU's own thread, or paused */

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

#define MMU_ACCESS(bits)                                                                                           \
    static inline uint##bits##_t mmu_load##bits(SoftCpu *cpu, const Insn *insn, uint64_t linear)                   \
    {                                                                                                              \
        const TlbEntry *entry = &cpu->tlb[tlb_slot(linear)];                                                       \
        if (__builtin_expect(((linear + bits / 8 - 1) & ~UINT64_C(0xfff)) == entry->read, 1)) {                    \
            uint##bits##_t value;                                                                                  \
            memcpy(&value, (const void *)(linear + (uint64_t)entry->delta), sizeof value);                         \
            return value;                                                                                          \
        }                                                                                                          \
        return (uint##bits##_t)mmu_load_kept(cpu, insn, linear, bits / 8);                                         \
    }                                                                                                              \
    static inline void mmu_store##bits(SoftCpu *cpu, const Insn *insn, uint64_t linear, uint##bits##_t value)      \
    {                                                                                                              \
        const TlbEntry *entry = &cpu->tlb[tlb_slot(linear)];                                                       \
        if (__builtin_expect(((linear + bits / 8 - 1) & ~UINT64_C(0xfff)) == entry->write, 1)) {                   \
            memcpy((void *)(linear + (uint64_t)entry->delta), &value, sizeof value);                               \
        } else {                                                                                                   \
            mmu_store_kept(cpu, insn, linear, bits / 8, value);                                                    \
        }                                                                                                          \
    }
MMU_ACCESS(8) MMU_ACCESS(16) MMU_ACCESS(32) MMU_ACCESS(64)
#undef MMU_ACCESS
