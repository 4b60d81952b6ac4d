/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk.c - page tables: from a linear address to a physical one and the rights that the tables give
 *
 * Models   no paging, 32-bit with 4 MiB pages and PSE-36, PAE, and 4-level paging with 2 MiB and 1 GiB pages; Intel SDM
 *          volume 3, chapter 4 (253668). Accessed and dirty bits are set by compare-and-exchange on the guest's entries
 *          once the access is allowed; an entry that changed meanwhile is walked again.
 * Omits    5-level paging, protection keys (neither is in CPUID)
 * Threads  the CPU's own; other CPUs may write the same tables
 * Tests    tests/cpu/paging.c
 */
#include "accel/soft/walk.h"
#include "accel/soft/mmu.h"
#include "base/lock.h"

enum {
    PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100,
    WALK_ATTEMPTS = 16,                    /* races lost to other CPUs before the bits are left unset */
};
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

/* One step of a walk: the entry and where it lies. */
typedef struct Step { uint64_t entry, physical; } Step;

const FlatRange *mmu_range(SoftCpu *cpu, uint64_t physical)
{
    const FlatRange *range = cpu->sys.last_range;

    if (range && physical - range->start < range->size) {
        return range;
    }
    range = flat_find(cpu->view, physical);
    if (range && range->host) {
        cpu->sys.last_range = range;
    }
    return range;
}

static uint64_t entry_load(SoftCpu *cpu, uint64_t physical, unsigned size)
{
    const FlatRange *range = mmu_range(cpu, physical);
    uint64_t value = UINT64_MAX;

    if (range && range->host && physical - range->start <= range->size - size) {
        const void *host = range->host + (physical - range->start);

        return size == 8 ? __atomic_load_n((const uint64_t *)host, __ATOMIC_RELAXED)
                         : __atomic_load_n((const uint32_t *)host, __ATOMIC_RELAXED);
    }
    if (!machine_lock_held()) {            /* else PDPTRs of a state that is being set, or lockstep: no device is asked */
        space_load(cpu->memory, physical, size, &value);   /* tables in device registers: legal, useless */
    }
    return size == 8 ? value : (uint32_t)value;
}

/* Sets bits in an entry; false when it is no longer what the walk saw. Tables in ROM and devices keep their bits. */
static bool entry_set(SoftCpu *cpu, const Step *step, unsigned size, uint64_t bits)
{
    const FlatRange *range = mmu_range(cpu, step->physical);
    uint64_t offset;
    void *host;

    if (!range || !range->host || range->readonly || step->physical - range->start > range->size - size) {
        return true;
    }
    offset = range->ram_offset + (step->physical - range->start);
    host = range->host + (step->physical - range->start);
    if (size == 8) {
        uint64_t seen = step->entry;

        if (!__atomic_compare_exchange_n((uint64_t *)host, &seen, seen | bits, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            return false;
        }
    } else {
        uint32_t seen = (uint32_t)step->entry;

        if (!__atomic_compare_exchange_n((uint32_t *)host, &seen, seen | (uint32_t)bits, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            return false;
        }
    }
    mmu_ram_written(cpu, range->ram, offset, size);
    return true;
}

/* The rules of SDM volume 3, 4.6: may this access use a page with these rights? */
static bool access_allowed(const SoftCpu *cpu, const Walk *walk, unsigned access)
{
    if (access & ACCESS_FETCH) {
        if (!walk->executable) {
            return false;
        }
        return access & ACCESS_USER ? walk->user : !(walk->user && cpu->cr4 & CR4_SMEP);
    }
    if (access & ACCESS_USER) {
        return walk->user && (walk->writable || !(access & ACCESS_WRITE));
    }
    if (walk->user && cpu->cr4 & CR4_SMAP && !(access & ACCESS_THROUGH_SMAP)) {
        return false;
    }
    return walk->writable || !(access & ACCESS_WRITE) || !(cpu->cr0 & CR0_WP);
}

static uint32_t fault_code(const SoftCpu *cpu, unsigned access, uint32_t reason)
{
    bool tells_fetch = cpu->cr4 & CR4_SMEP || (cpu->cr4 & CR4_PAE && cpu->efer & EFER_NXE);

    return reason | (access & (PF_WRITE | PF_USER)) | (access & ACCESS_FETCH && tells_fetch ? PF_FETCH : 0);
}

/* Accessed and dirty bits of all levels. False: something changed under the walk. */
static bool set_accessed(SoftCpu *cpu, const Step *steps, unsigned count, unsigned size, unsigned access, Walk *walk)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t bits = PTE_A;

        if (i == count - 1 && access & ACCESS_WRITE) {
            bits |= PTE_D;
            walk->dirty = true;
        }
        if ((steps[i].entry & bits) != bits && !entry_set(cpu, &steps[i], size, bits)) {
            return false;
        }
    }
    return true;
}

/* The entries from the top down, PAE and 4-level. Returns 0, or the reason bits of the error code (P clear: not present). */
static bool steps_64(SoftCpu *cpu, uint64_t linear, Step *steps, unsigned *count, Walk *walk, uint32_t *reason)
{
    uint64_t reserved = cpu->sys.physical_limit | (cpu->efer & EFER_NXE ? 0 : PTE_NX);
    uint64_t table, together = PTE_W | PTE_U, entry = 0, never = 0;
    int level;

    *count = 0;
    if (cpu->sys.paging == PAGING_4LEVEL) {
        table = cpu->cr3 & PTE_ADDRESS;
        level = 4;
    } else {
        uint64_t pointer = cpu->sys.pdptr[linear >> 30 & 3];

        *reason = 0;
        if (!(pointer & PTE_P)) {
            return false;
        }
        table = pointer & PTE_ADDRESS;
        level = 2;
        reserved |= UINT64_C(0x7ff) << 52;                  /* bits 62-52 are ignored in 4-level paging only */
    }
    for (;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        Step *step = &steps[(*count)++];
        bool large;

        step->physical = (table + (linear >> shift & 511) * 8) & cpu->sys.physical_mask;
        step->entry = entry = entry_load(cpu, step->physical, 8);
        *reason = 0;
        if (!(entry & PTE_P)) {
            return false;
        }
        large = level > 1 && level < 4 && entry & PTE_PS;
        *reason = PF_PRESENT | PF_RESERVED;
        if (entry & reserved || (level == 4 && entry & PTE_PS) ||
            (level == 3 && large && !cpuid_has(cpu->features, FEATURE_PDPE1GB)) ||
            (large && entry & ((UINT64_C(1) << shift) - 1) & ~UINT64_C(0x1fff))) {
            return false;
        }
        together &= entry;
        never |= entry & PTE_NX;
        if (level == 1 || large) {
            uint64_t offset = linear & ((UINT64_C(1) << shift) - 1);

            walk->shift = (uint8_t)shift;
            walk->physical = ((entry & PTE_ADDRESS & ~((UINT64_C(1) << shift) - 1)) | offset) & ~UINT64_C(0xfff);
            break;
        }
        table = entry & PTE_ADDRESS;
    }
    walk->writable = together & PTE_W;
    walk->user = together & PTE_U;
    walk->executable = !never;
    walk->dirty = entry & PTE_D;
    walk->global = entry & PTE_G && cpu->cr4 & CR4_PGE;
    return true;
}

static bool steps_32(SoftCpu *cpu, uint64_t linear, Step *steps, unsigned *count, Walk *walk, uint32_t *reason)
{
    uint64_t table = cpu->cr3 & 0xfffff000, together, entry;

    *count = 1;
    steps[0].physical = (table + (linear >> 22 & 1023) * 4) & cpu->sys.physical_mask;
    steps[0].entry = entry = together = entry_load(cpu, steps[0].physical, 4);
    *reason = 0;
    if (!(entry & PTE_P)) {
        return false;
    }
    if (entry & PTE_PS && cpu->cr4 & CR4_PSE) {
        bool wide = cpuid_has(cpu->features, FEATURE_PSE36);
        uint64_t base = (entry & 0xffc00000) | (wide ? (entry & 0x1fe000) << 19 : 0);

        *reason = PF_PRESENT | PF_RESERVED;
        if (entry & (wide ? 0x200000 : 0x3fe000) || base & cpu->sys.physical_limit) {
            return false;
        }
        walk->shift = 22;
        walk->physical = base | (linear & 0x3ff000);
    } else {
        *count = 2;
        steps[1].physical = ((entry & 0xfffff000) + (linear >> 12 & 1023) * 4) & cpu->sys.physical_mask;
        steps[1].entry = entry = entry_load(cpu, steps[1].physical, 4);
        if (!(entry & PTE_P)) {
            return false;
        }
        together &= entry;
        walk->shift = 12;
        walk->physical = entry & 0xfffff000;
    }
    walk->writable = together & PTE_W;
    walk->user = together & PTE_U;
    walk->executable = true;
    walk->dirty = entry & PTE_D;
    walk->global = entry & PTE_G && cpu->cr4 & CR4_PGE;
    return true;
}

static bool steps_any(SoftCpu *cpu, uint64_t linear, Step *steps, unsigned *count, Walk *walk, uint32_t *reason)
{
    return cpu->sys.paging == PAGING_32 ? steps_32(cpu, linear, steps, count, walk, reason)
                                        : steps_64(cpu, linear, steps, count, walk, reason);
}

static void walk_unpaged(SoftCpu *cpu, uint64_t linear, Walk *walk)
{
    *walk = (Walk){ .physical = linear & 0xfffff000 & cpu->sys.physical_mask, .user = true, .writable = true,
                    .executable = true, .dirty = true, .global = false, .shift = 12 };
}

bool walk_page(SoftCpu *cpu, uint64_t linear, unsigned access, Walk *walk, uint32_t *error)
{
    Step steps[4];
    unsigned count, size = cpu->sys.paging == PAGING_32 ? 4 : 8;
    uint32_t reason;

    if (cpu->sys.paging == PAGING_OFF) {
        walk_unpaged(cpu, linear, walk);
        return true;
    }
    for (unsigned attempt = 0; attempt < WALK_ATTEMPTS; attempt++) {
        if (!steps_any(cpu, linear, steps, &count, walk, &reason)) {
            *error = fault_code(cpu, access, reason);
            return false;
        }
        if (!access_allowed(cpu, walk, access)) {
            *error = fault_code(cpu, access, PF_PRESENT);
            return false;
        }
        if (set_accessed(cpu, steps, count, size, access, walk)) {
            break;
        }
        walk->dirty = false;               /* should this have been the last attempt: the next store walks again */
    }
    walk->physical &= cpu->sys.physical_mask;
    return true;
}

bool walk_peek(SoftCpu *cpu, uint64_t linear, Walk *walk)
{
    Step steps[4];
    unsigned count;
    uint32_t reason;

    if (cpu->sys.paging == PAGING_OFF) {
        walk_unpaged(cpu, linear, walk);
        return true;
    }
    if (!steps_any(cpu, linear, steps, &count, walk, &reason)) {
        return false;
    }
    walk->physical &= cpu->sys.physical_mask;
    return true;
}

bool walk_load_pdptrs(SoftCpu *cpu, uint64_t cr3)
{
    uint64_t reserved = cpu->sys.physical_limit | UINT64_C(0xfff0000000000000) | 0x1e6;
    uint64_t loaded[4];

    for (unsigned i = 0; i < 4; i++) {
        loaded[i] = entry_load(cpu, ((cr3 & 0xffffffe0) + i * 8) & cpu->sys.physical_mask, 8);
        if (loaded[i] & PTE_P && loaded[i] & reserved) {
            return false;
        }
    }
    memcpy(cpu->sys.pdptr, loaded, sizeof loaded);
    return true;
}

void walk_update_mode(SoftCpu *cpu)
{
    if (!(cpu->cr0 & CR0_PG)) {
        cpu->sys.paging = PAGING_OFF;
    } else if (cpu->efer & EFER_LMA) {
        cpu->sys.paging = PAGING_4LEVEL;
    } else {
        cpu->sys.paging = cpu->cr4 & CR4_PAE ? PAGING_PAE : PAGING_32;
    }
}
