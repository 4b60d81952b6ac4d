/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmu.c - the slow path of every memory access: translation, devices, page crossings, watched data
 *
 * The inline path of mmu.h hits when a page's tag matches; all else comes here. A page gets a write tag only when
 * nothing needs to see its writes: it is writable RAM, its dirty bit is set in the guest's tables, no block was decoded from it,
 * and no client logs its dirtiness. Otherwise each store comes here and is told on.
 *
 * An access that touches two pages has both translated before either is touched, so a fault leaves nothing half done.
 *
 * Threads  the CPU's own, without the machine lock; device accesses take it inside space_load() and space_store()
 * Tests    tests/cpu/paging.c
 */
#include "accel/soft/mmu.h"
#include "accel/soft/block.h"
#include "accel/soft/flat.h"
#include "accel/soft/jit-check.h"
#include "accel/soft/walk.h"
#include "accel/x86/optab.h"

enum { PAGE_BYTES = 4096, PAGE_MASK = PAGE_BYTES - 1 };

/* One page, translated for one access. host is NULL when the access must go through the address space. */
typedef struct Page {
    uint64_t physical;
    uint8_t *host;
    RamBlock *ram;
    uint64_t ram_offset;
    bool plain_write;                      /* stores to it need not be told on */
} Page;

void mmu_ram_written(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length)
{
    if (mmu_ram_logged(ram)) {
        ram_mark_dirty(ram, offset, length);
    }
    block_written(cpu, ram, offset, length);
}

/* Faults ------------------------------------------------------------------------------------------------------- */

static _Noreturn void raise_page_fault(SoftCpu *cpu, const Insn *insn, uint64_t linear, uint32_t error)
{
    cpu->cr2 = linear;
    soft_raise_error(cpu, insn, EXC_PF, error);
}

static bool is_canonical(uint64_t linear)
{
    return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}

static _Noreturn void raise_not_canonical(SoftCpu *cpu, const Insn *insn)
{
    bool stack = insn && (insn->memory ? insn->segment == SEG_SS : (optab_row(insn->row)->access & STACK) != 0);

    soft_raise_error(cpu, insn, stack ? EXC_SS : EXC_GP, 0);
}

/* Flat 32-bit segments were not looked at; an operand that does not end within 4 GiB is beyond their limit all the same. */
static inline void check_end(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size)
{
    if (linear + (size - 1) > UINT32_MAX && cpu->code_size != 8 && cpu->flat) {
        raise_not_canonical(cpu, insn);
    }
}

/* The second page of an access that starts in the last page before the hole, or at the end of a 32-bit space. */
static uint64_t next_page(SoftCpu *cpu, const Insn *insn, uint64_t linear, bool system)
{
    uint64_t next = (linear & ~(uint64_t)PAGE_MASK) + PAGE_BYTES;

    if (cpu->code_size != 8 && !(system && cpu->long_mode)) {
        return (uint32_t)next;
    }
    if (!is_canonical(next)) {
        raise_not_canonical(cpu, insn);
    }
    return next;
}

/* Translation -------------------------------------------------------------------------------------------------- */

static unsigned access_of_mode(const SoftCpu *cpu, unsigned mode)
{
    (void)cpu;
    return mode == TLB_USER ? ACCESS_USER : mode == TLB_SUPERVISOR_AC ? ACCESS_THROUGH_SMAP : 0;
}

/* May stores to this page go past us? */
static bool write_is_plain(SoftCpu *cpu, const FlatRange *range, uint64_t offset)
{
    (void)cpu;
    return !range->readonly && !mmu_ram_logged(range->ram) && !block_page_has_code(range->ram, offset);
}

static void describe(SoftCpu *cpu, Page *page, uint64_t physical, bool write)
{
    const FlatRange *range = mmu_range(cpu, physical);

    *page = (Page){ .physical = physical };
    /* A range that does not cover its whole page (odd devices, tiny ROMs) is reached through the address space. */
    if (!range || !range->host || range->start > physical || range->size - (physical - range->start) < PAGE_BYTES) {
        return;
    }
    if (write && range->readonly) {
        return;
    }
    page->host = range->host + (physical - range->start);
    page->ram = range->ram;
    page->ram_offset = range->ram_offset + (physical - range->start);
    page->plain_write = write_is_plain(cpu, range, page->ram_offset);
}

static void translate(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned mode, bool write, Page *page)
{
    unsigned access = access_of_mode(cpu, mode) | (write ? ACCESS_WRITE : 0);
    uint32_t error;
    Walk walk;

    if (cpu->sys.paging == PAGING_4LEVEL && !is_canonical(linear)) {
        raise_not_canonical(cpu, insn);
    }
    if (!walk_page(cpu, linear, access, &walk, &error)) {
        tlb_drop_page(cpu, linear);
        raise_page_fault(cpu, insn, linear, error);
    }
    describe(cpu, page, walk.physical, write);
    if (cpu->jit.check) {
        jit_check_access(cpu, page->host, write);
    }
    if (page->host) {
        bool may_write = walk.dirty && page->plain_write && !cpu->jit.check &&
                         (walk.writable || (mode != TLB_USER && !(cpu->cr0 & CR0_WP)));

        tlb_fill(cpu, mode, linear, &walk, page->host, may_write);
    }
}

bool mmu_fill(SoftCpu *cpu, uint64_t linear, bool write)
{
    unsigned mode = cpu->sys.tlb_mode;
    uint32_t error;
    Walk walk;
    Page page;

    if ((cpu->sys.paging == PAGING_4LEVEL && !is_canonical(linear)) ||
        !walk_page(cpu, linear, access_of_mode(cpu, mode) | (write ? ACCESS_WRITE : 0), &walk, &error)) {
        return false;
    }
    describe(cpu, &page, walk.physical, write);
    bool may_write = page.host && walk.dirty && page.plain_write && walk.writable;
    if (!page.host || (write && !may_write)) {
        return false;
    }
    FlatFill fill = { .linear = linear, .host = page.host, .write = may_write && (write || !cpu->jit.check), .global = walk.global, .user = walk.user };
    flat_fill(cpu, &fill);
    if (cpu->jit.audit) {
        audit_filled(cpu, &fill, walk.shift);
    }
    return true;
}

/* The current mode's table, or, for a page that has its tags already, the answer without a walk. */
static void lookup(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned mode, bool write, Page *page)
{
    const TlbEntry *entry = &cpu->tables[mode][tlb_slot(linear)];
    uint64_t tag = linear & ~(uint64_t)PAGE_MASK;

    if ((write ? entry->write : entry->read) == tag) {
        *page = (Page){ .physical = entry->physical, .host = (uint8_t *)(uintptr_t)(tag + (uint64_t)entry->delta), .plain_write = true };
        return;
    }
    translate(cpu, insn, linear, mode, write, page);
}

/* What every access needs a look at, while the never-filled table is the current one. */
static void check_access(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, bool write)
{
    if (size > 1 && size <= 8 && linear & (size - 1) && mmu_alignment_checked(cpu) && is_canonical(linear)) {
        soft_raise_error(cpu, insn, EXC_AC, 0);
    }
    if (cpu->sys.watching) {
        debug_data(cpu, linear, size, write);
    }
}

static inline bool is_checked(const SoftCpu *cpu)
{
    return cpu->tlb == cpu->tables[TLB_CHECKED];
}

/* One page, one piece ------------------------------------------------------------------------------------------ */

/* A device may have changed the memory map under us; the next access must see it. */
static void after_device(SoftCpu *cpu)
{
    if (__atomic_load_n(&cpu->sys.flush_wanted, __ATOMIC_RELAXED)) {
        tlb_flush_take(cpu);
    }
}

static uint64_t page_load(SoftCpu *cpu, const Page *page, unsigned offset, unsigned size)
{
    uint64_t value = 0;

    if (!page->host) {
        space_load(cpu->memory, page->physical + offset, size, &value);
        after_device(cpu);
        return value;
    }
    if ((size & (size - 1)) == 0) {
        return host_load(page->host + offset, size * 8);
    }
    memcpy(&value, page->host + offset, size);
    return value;
}

static void page_store(SoftCpu *cpu, const Page *page, unsigned offset, unsigned size, uint64_t value)
{
    uint8_t *host = page->host + offset;

    if (!page->host) {
        space_store(cpu->memory, page->physical + offset, size, value);
        after_device(cpu);
        return;
    }
    if ((size & (size - 1)) == 0) {
        host_store(host, size * 8, value);
    } else {
        memcpy(host, &value, size);
    }
    if (!page->plain_write) {
        mmu_ram_written(cpu, page->ram, page->ram_offset + offset, size);
    }
}

/* Whole accesses ------------------------------------------------------------------------------------------------ */

static uint64_t load(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, unsigned mode, bool system)
{
    unsigned offset = linear & PAGE_MASK, first = PAGE_BYTES - offset;
    Page low, high;
    uint64_t value;

    if (size <= first) {
        lookup(cpu, insn, linear, mode, false, &low);
        return page_load(cpu, &low, offset, size);
    }
    lookup(cpu, insn, linear, mode, false, &low);
    lookup(cpu, insn, next_page(cpu, insn, linear, system), mode, false, &high);
    value = page_load(cpu, &low, offset, first) & ((UINT64_C(1) << first * 8) - 1);
    return value | page_load(cpu, &high, 0, size - first) << first * 8;
}

static void store(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, uint64_t value, unsigned mode, bool system)
{
    unsigned offset = linear & PAGE_MASK, first = PAGE_BYTES - offset;
    Page low, high;

    lookup(cpu, insn, linear, mode, true, &low);
    if (size <= first) {
        page_store(cpu, &low, offset, size, value);
        return;
    }
    lookup(cpu, insn, next_page(cpu, insn, linear, system), mode, true, &high);
    page_store(cpu, &low, offset, first, value);
    page_store(cpu, &high, 0, size - first, value >> first * 8);
}

uint64_t mmu_load_slow(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size)
{
    check_end(cpu, insn, linear, size);
    if (is_checked(cpu)) {
        check_access(cpu, insn, linear, size, false);
    }
    return load(cpu, insn, linear, size, cpu->sys.tlb_mode, false);
}

void mmu_store_slow(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, uint64_t value)
{
    check_end(cpu, insn, linear, size);
    if (is_checked(cpu)) {
        check_access(cpu, insn, linear, size, true);
    }
    store(cpu, insn, linear, size, value, cpu->sys.tlb_mode, false);
}

uint64_t mmu_load_system(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size)
{
    return load(cpu, insn, linear, size, TLB_SUPERVISOR, true);
}

void mmu_store_system(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, uint64_t value)
{
    store(cpu, insn, linear, size, value, TLB_SUPERVISOR, true);
}

uint64_t mmu_load_as(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, unsigned mode)
{
    if (mode == cpu->sys.tlb_mode && is_checked(cpu)) {
        check_access(cpu, insn, linear, size, false);
    }
    return load(cpu, insn, linear, size, mode, mode != TLB_USER);
}

void mmu_store_as(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, uint64_t value, unsigned mode)
{
    if (mode == cpu->sys.tlb_mode && is_checked(cpu)) {
        check_access(cpu, insn, linear, size, true);
    }
    store(cpu, insn, linear, size, value, mode, mode != TLB_USER);
}

void mmu_probe_system(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, bool write)
{
    unsigned first = PAGE_BYTES - (linear & PAGE_MASK);
    Page page;

    lookup(cpu, insn, linear, TLB_SUPERVISOR, write, &page);
    if (size > first) {
        lookup(cpu, insn, next_page(cpu, insn, linear, true), TLB_SUPERVISOR, write, &page);
    }
}

/* The caller writes next. Our own code may go now; that of others must not be decoded anew before the bytes are there. */
static void written_before(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length)
{
    if (mmu_ram_logged(ram)) {
        ram_mark_dirty(ram, offset, length);
    }
    block_written_here(cpu, ram, offset, length);
    mmu_written_late(cpu);
    cpu->late = (CodeWritten){ ram, offset, length };
    soft_request(cpu, REQUEST_CODE);
}

void mmu_tell_late(SoftCpu *cpu)
{
    CodeWritten late = cpu->late;

    cpu->late.length = 0;
    block_written(cpu, late.ram, late.offset, late.length);
}

void *mmu_host(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, bool write)
{
    unsigned offset = linear & PAGE_MASK;
    Page page;

    if (size > PAGE_BYTES - offset) {
        return NULL;
    }
    if (is_checked(cpu)) {
        check_access(cpu, insn, linear, size, write);
    }
    lookup(cpu, insn, linear, cpu->sys.tlb_mode, write, &page);
    if (!page.host) {
        return NULL;
    }
    if (write && !page.plain_write) {
        written_before(cpu, page.ram, page.ram_offset + offset, size);
    }
    return page.host + offset;
}

static pthread_mutex_t split_lock = PTHREAD_MUTEX_INITIALIZER;

bool mmu_split_begin(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, Split *split, uint64_t *value)
{
    unsigned offset = linear & PAGE_MASK, first = PAGE_BYTES - offset, mode = cpu->sys.tlb_mode;
    Page low, high;

    if (size <= first) {
        return false;
    }
    mmu_probe(cpu, insn, linear, size, true);
    lookup(cpu, insn, linear, mode, true, &low);
    lookup(cpu, insn, next_page(cpu, insn, linear, false), mode, true, &high);
    if (!low.host || !high.host) {
        return false;
    }
    *split = (Split){ .host = { low.host + offset, high.host }, .bytes = { first, size - first }, .offset = { low.ram_offset + offset, high.ram_offset },
                      .ram = { low.plain_write ? NULL : low.ram, high.plain_write ? NULL : high.ram } };
    *value = 0;
    pthread_mutex_lock(&split_lock);
    memcpy(value, split->host[0], first);
    memcpy((uint8_t *)value + first, split->host[1], size - first);
    return true;
}

void mmu_split_end(SoftCpu *cpu, const Split *split, uint64_t value)
{
    memcpy(split->host[0], &value, split->bytes[0]);
    memcpy(split->host[1], (const uint8_t *)&value + split->bytes[0], split->bytes[1]);
    pthread_mutex_unlock(&split_lock);
    for (unsigned i = 0; i < 2; i++) {
        if (split->ram[i]) {
            mmu_ram_written(cpu, split->ram[i], split->offset[i], split->bytes[i]);
        }
    }
}

void mmu_probe(SoftCpu *cpu, const Insn *insn, uint64_t linear, unsigned size, bool write)
{
    unsigned mode = cpu->sys.tlb_mode;
    uint64_t left = size;
    Page page;

    check_end(cpu, insn, linear, size);
    if (is_checked(cpu) && size > 1 && size <= 8 && linear & (size - 1) && mmu_alignment_checked(cpu) && is_canonical(linear)) {
        soft_raise_error(cpu, insn, EXC_AC, 0);
    }
    lookup(cpu, insn, linear, mode, write, &page);
    for (uint64_t first = PAGE_BYTES - (linear & PAGE_MASK); left > first; first = PAGE_BYTES) {
        left -= first;
        linear = next_page(cpu, insn, linear, false);
        lookup(cpu, insn, linear, mode, write, &page);
    }
}

/* One page's part of a long access. */
static void page_read(SoftCpu *cpu, const Page *page, unsigned offset, uint8_t *bytes, unsigned length)
{
    if (page->host) {
        memcpy(bytes, page->host + offset, length);
        return;
    }
    space_read(cpu->memory, page->physical + offset, bytes, length);
    after_device(cpu);
}

static void page_write(SoftCpu *cpu, const Page *page, unsigned offset, const uint8_t *bytes, unsigned length)
{
    if (!page->host) {
        space_write(cpu->memory, page->physical + offset, bytes, length);
        after_device(cpu);
        return;
    }
    memcpy(page->host + offset, bytes, length);
    if (!page->plain_write) {
        mmu_ram_written(cpu, page->ram, page->ram_offset + offset, length);
    }
}

void mmu_read(SoftCpu *cpu, const Insn *insn, uint64_t linear, void *data, unsigned length)
{
    uint8_t *bytes = data;
    Page page;

    if (length > PAGE_BYTES - (linear & PAGE_MASK)) {
        mmu_probe(cpu, insn, linear, length, false);
    }
    if (cpu->sys.watching) {
        debug_data(cpu, linear, length, false);
    }
    while (length) {
        unsigned offset = linear & PAGE_MASK, piece = PAGE_BYTES - offset < length ? PAGE_BYTES - offset : length;

        lookup(cpu, insn, linear, cpu->sys.tlb_mode, false, &page);
        page_read(cpu, &page, offset, bytes, piece);
        bytes += piece, length -= piece;
        linear = length ? next_page(cpu, insn, linear, false) : linear;
    }
}

void mmu_write(SoftCpu *cpu, const Insn *insn, uint64_t linear, const void *data, unsigned length)
{
    const uint8_t *bytes = data;
    Page page;

    if (length > PAGE_BYTES - (linear & PAGE_MASK)) {
        mmu_probe(cpu, insn, linear, length, true);
    }
    if (cpu->sys.watching) {
        debug_data(cpu, linear, length, true);
    }
    while (length) {
        unsigned offset = linear & PAGE_MASK, piece = PAGE_BYTES - offset < length ? PAGE_BYTES - offset : length;

        lookup(cpu, insn, linear, cpu->sys.tlb_mode, true, &page);
        page_write(cpu, &page, offset, bytes, piece);
        bytes += piece, length -= piece;
        linear = length ? next_page(cpu, insn, linear, false) : linear;
    }
}

uint64_t mmu_fetch_page(SoftCpu *cpu, uint64_t linear, const uint8_t **host)
{
    uint64_t page = linear & ~(uint64_t)PAGE_MASK;
    FetchEntry *entry = tlb_fetch_entry(cpu, cpu->cpl == 3, linear);
    const FlatRange *range;
    uint32_t error;
    Walk walk;

    if (entry->generation == (entry->global ? cpu->sys.global_generation : cpu->sys.fetch_generation) && entry->linear == page) {
        *host = entry->host;
        return entry->physical;
    }
    if (cpu->sys.paging == PAGING_4LEVEL && !is_canonical(linear)) {
        soft_raise_error(cpu, NULL, EXC_GP, 0);
    }
    if (!walk_page(cpu, linear, ACCESS_FETCH | (cpu->cpl == 3 ? ACCESS_USER : 0), &walk, &error)) {
        raise_page_fault(cpu, NULL, linear, error);
    }
    range = mmu_range(cpu, walk.physical);
    *host = NULL;
    if (range && range->host && range->size - (walk.physical - range->start) >= PAGE_BYTES) {
        *host = range->host + (walk.physical - range->start);
    }
    tlb_fetch_fill(cpu, cpu->cpl == 3, linear, &walk, *host);
    return walk.physical;
}

bool mmu_peek(SoftCpu *cpu, uint64_t linear, uint64_t *physical)
{
    Walk walk;

    if (!walk_peek(cpu, linear, &walk)) {
        return false;
    }
    *physical = walk.physical | (linear & PAGE_MASK);
    return true;
}
