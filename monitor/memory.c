/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.c - page tables walked from outside: no access rights, no accessed bits, nothing changes
 *
 * Models   paging with 32-bit, PAE, 4-level and 5-level tables, large pages in each (Intel SDM volume 3, chapter 4)
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/memory.py
 */
#include "monitor/memory.h"

#define CR0_PG (UINT64_C(1) << 31)
#define CR4_PSE (UINT64_C(1) << 4)
#define CR4_PAE (UINT64_C(1) << 5)
#define CR4_LA57 (UINT64_C(1) << 12)
#define EFER_LMA (UINT64_C(1) << 10)
#define ENTRY_FRAME UINT64_C(0x000ffffffffff000)
enum { ENTRY_PRESENT = 1, ENTRY_LARGE = 0x80, PAGE = 4096 };

void monitor_registers(Machine *machine, Cpu *cpu, CpuState *state)
{
    accel_pause(machine->accel);
    cpu_get_state(cpu, state);
    if (machine->state == RUN_RUNNING) {
        accel_resume(machine->accel);
    }
}

bool monitor_read_physical(Machine *machine, uint64_t address, void *data, size_t length)
{
    return space_read(machine->memory, address, data, length) == MEM_OK;
}

static bool entry_at(Machine *machine, uint64_t address, unsigned size, uint64_t *entry)
{
    *entry = 0;
    return monitor_read_physical(machine, address, entry, size) && (*entry & ENTRY_PRESENT);
}

static bool walk_32(Machine *machine, const CpuState *state, uint32_t address, uint64_t *physical)
{
    uint64_t entry;

    if (!entry_at(machine, (state->cr3 & 0xfffff000) + (address >> 22) * 4, 4, &entry)) {
        return false;
    }
    if ((entry & ENTRY_LARGE) && (state->cr4 & CR4_PSE)) {
        *physical = (entry & 0xffc00000) | (entry & 0x1fe000) << 19 | (address & 0x3fffff);
        return true;
    }
    if (!entry_at(machine, (entry & 0xfffff000) + (address >> 12 & 1023) * 4, 4, &entry)) {
        return false;
    }
    *physical = (entry & 0xfffff000) | (address & (PAGE - 1));
    return true;
}

static bool walk_64(Machine *machine, uint64_t table, int levels, uint64_t address, uint64_t *physical)
{
    for (int level = levels - 1; level >= 0; level--) {
        unsigned shift = 12 + 9 * (unsigned)level;
        uint64_t entry, index = address >> shift & 511;
        if (!entry_at(machine, table + index * 8, 8, &entry)) {
            return false;
        }
        if (level == 0 || ((entry & ENTRY_LARGE) && level <= 2)) {
            uint64_t within = (UINT64_C(1) << shift) - 1;
            *physical = (entry & ENTRY_FRAME & ~within) | (address & within);
            return true;
        }
        table = entry & ENTRY_FRAME;
    }
    return false;
}

PagingMode monitor_paging(const CpuState *state)
{
    if (!(state->cr0 & CR0_PG)) {
        return PAGING_OFF;
    }
    if (state->efer & EFER_LMA) {
        return state->cr4 & CR4_LA57 ? PAGING_5_LEVELS : PAGING_4_LEVELS;
    }
    return state->cr4 & CR4_PAE ? PAGING_PAE : PAGING_32;
}

bool monitor_has_large_pages(const CpuState *state)
{
    return state->cr4 & CR4_PSE;
}

bool monitor_translate(Machine *machine, const CpuState *state, uint64_t address, uint64_t *physical)
{
    PagingMode mode = monitor_paging(state);
    uint64_t entry;

    if (mode == PAGING_OFF) {
        *physical = address;
        return true;
    }
    if (mode >= PAGING_4_LEVELS) {
        return walk_64(machine, state->cr3 & ENTRY_FRAME, mode == PAGING_5_LEVELS ? 5 : 4, address, physical);
    }
    if (mode == PAGING_32) {
        return walk_32(machine, state, (uint32_t)address, physical);
    }
    address &= UINT32_MAX;
    return entry_at(machine, (state->cr3 & 0xffffffe0) + (address >> 30) * 8, 8, &entry) &&
           walk_64(machine, entry & ENTRY_FRAME, 2, address, physical);
}

bool monitor_read_virtual(Machine *machine, const CpuState *state, uint64_t address, void *data, size_t length)
{
    uint8_t *to = data;

    while (length) {
        size_t part = MIN(length, PAGE - (address & (PAGE - 1)));
        uint64_t physical;
        if (!monitor_translate(machine, state, address, &physical) || !monitor_read_physical(machine, physical, to, part)) {
            return false;
        }
        to += part;
        address += part;
        length -= part;
    }
    return true;
}
