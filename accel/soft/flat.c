/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flat.c - fills and drops of the flat tables
 *
 * Every filled page stands in one of two logs, global and other pages apart, so that a flush costs what was filled. A log that is
 * full, or tables that have touched too much host memory (a guest that strides through its address space), are given back whole.
 *
 * Tests    tests/cpu/paging.c, and the audit of jit-check.c
 */
#include "accel/soft/flat.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { TOUCHED_LIMIT = 4096 };             /* table pages of 4 KiB before everything is given back: 2 of them, 32 MiB at most */

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

SoftCpu *flat_context_new(void)
{
    size_t bytes = FLAT_CONTEXT + 2 * FLAT_BYTES;
    SoftCpu *cpu = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (cpu != MAP_FAILED) {
        madvise((uint8_t *)cpu + FLAT_CONTEXT, 2 * FLAT_BYTES, MADV_NOHUGEPAGE);
        madvise((uint8_t *)cpu + FLAT_CONTEXT, 2 * FLAT_BYTES, MADV_DONTDUMP);
        cpu->pages.tables = true;
        return cpu;
    }
    cpu = mmap(NULL, FLAT_CONTEXT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return cpu == MAP_FAILED ? NULL : cpu;
}

void flat_context_free(void *opaque)
{
    SoftCpu *cpu = opaque;

    munmap(cpu, FLAT_CONTEXT + (cpu->pages.tables ? 2 * FLAT_BYTES : 0));
}

static void give_back(SoftCpu *cpu)
{
    madvise(flat_read_table(cpu), 2 * FLAT_BYTES, MADV_DONTNEED);
    cpu->pages.local.count = cpu->pages.global.count = cpu->pages.low_supervisor = 0;
    cpu->pages.touched = 0;
    memset(cpu->pages.seen, 0, sizeof cpu->pages.seen);
    cpu->pages.resets++;
}

/* ---- filling ---------------------------------------------------------------------------------------------------------------- */

/* The bit of an entry's table page among those that were touched; by a hash, so that two may share one. */
static uint64_t *seen_word(SoftCpu *cpu, uint64_t index, uint64_t *bit)
{
    unsigned hash = (unsigned)((index >> 9) * UINT64_C(0x9e3779b97f4a7c15) >> 48);

    *bit = UINT64_C(1) << (hash & 63);
    return &cpu->pages.seen[hash >> 6];
}

/* Too few rather than too many, by little. */
static void count_touched(SoftCpu *cpu, uint64_t index)
{
    uint64_t bit, *word = seen_word(cpu, index, &bit);

    if (!(*word & bit)) {
        *word |= bit;
        cpu->pages.touched++;
    }
}

void flat_fill(SoftCpu *cpu, const FlatFill *fill)
{
    uint64_t index = flat_index(fill->linear);
    intptr_t delta = (intptr_t)fill->host - (intptr_t)(fill->linear & ~UINT64_C(0xfff));
    FlatLog *log = fill->global ? &cpu->pages.global : &cpu->pages.local;

    if (log->count == FLAT_LOG || cpu->pages.touched >= TOUCHED_LIMIT) {
        give_back(cpu);
    }
    count_touched(cpu, index);
    if (!flat_read_table(cpu)[index]) {
        log->index[log->count++] = index;
        if (!fill->user && !(fill->linear >> 47 & 1)) {
            cpu->pages.low_supervisor++;
        }
    }
    flat_read_table(cpu)[index] = delta;
    if (fill->write) {
        flat_write_table(cpu)[index] = delta;
    }
    cpu->pages.fills++;
}

/* ---- dropping --------------------------------------------------------------------------------------------------------------- */

static void drop(SoftCpu *cpu, uint64_t index)
{
    flat_read_table(cpu)[index] = 0;
    flat_write_table(cpu)[index] = 0;
}

static void flush_log(SoftCpu *cpu, FlatLog *log)
{
    for (unsigned i = 0; i < log->count; i++) {
        drop(cpu, log->index[i]);
    }
    log->count = 0;
}

void flat_flush_all(SoftCpu *cpu)
{
    if (cpu->pages.tables) {
        flush_log(cpu, &cpu->pages.local);
        flush_log(cpu, &cpu->pages.global);
        cpu->pages.low_supervisor = 0;
    }
}

void flat_flush_local(SoftCpu *cpu)
{
    if (cpu->pages.tables) {
        flush_log(cpu, &cpu->pages.local);
    }
}

void flat_hide_supervisor(SoftCpu *cpu)
{
    if (cpu->pages.low_supervisor) {
        flat_flush_all(cpu);
    }
}

/* Reading an entry of a table page that was never touched would make the host map it: look only where something was filled. */
void flat_drop_page(SoftCpu *cpu, uint64_t linear)
{
    uint64_t index = flat_index(linear), bit, *word = seen_word(cpu, index, &bit);

    if (cpu->pages.tables && *word & bit) {
        drop(cpu, index);
    }
}

void flat_drop_region(SoftCpu *cpu, uint64_t linear, unsigned shift)
{
    const FlatLog *logs[] = { &cpu->pages.local, &cpu->pages.global };
    uint64_t region = flat_index(linear) >> (shift - 12);

    for (unsigned which = 0; cpu->pages.tables && which < 2; which++) {
        for (unsigned i = 0; i < logs[which]->count; i++) {
            if (logs[which]->index[i] >> (shift - 12) == region) {
                drop(cpu, logs[which]->index[i]);
            }
        }
    }
}

void flat_protect(SoftCpu *cpu, const uint8_t *host_page)
{
    const FlatLog *logs[] = { &cpu->pages.local, &cpu->pages.global };

    for (unsigned which = 0; cpu->pages.tables && which < 2; which++) {
        for (unsigned i = 0; i < logs[which]->count; i++) {
            uint64_t index = logs[which]->index[i];
            intptr_t delta = flat_read_table(cpu)[index];

            if (!host_page || (delta && (const uint8_t *)(uintptr_t)(flat_linear(index) + (uint64_t)delta) == host_page)) {
                flat_write_table(cpu)[index] = 0;
            }
        }
    }
}
