/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tlb.c - the software CPU's translation tables: fill, drop, flush
 *
 * Four direct-mapped tables of 1024 pages by linear address (state.h); three are filled, by privilege. Slots in use are listed,
 * global and other pages apart, so that loading CR3 costs what was touched since the last time. A slot may sit in both
 * lists (it held one kind, then the other); its flags say what it holds now. Large pages are entered in 4 KiB slices;
 * two small hashes remember which 4 MiB and 1 GiB regions have slices, so INVLPG knows when to look for them all.
 *
 * Threads  the CPU's own; tlb_flush_request() any
 * Tests    tests/cpu/paging.c
 */
#include "accel/soft/flat.h"
#include "accel/soft/jit-check.h"
#include "accel/soft/mmu.h"
#include "accel/soft/walk.h"

enum { SLOT_IN_LOCAL = 1, SLOT_IN_GLOBAL = 2, SLOT_GLOBAL = 4, SLOT_LARGE = 8, SLOT_HUGE = 16 };

_Static_assert((int)TLB_SLOTS == (int)TLB_ENTRIES, "one flag byte per slot");

void tlb_stamp(SoftCpu *cpu)
{
    uint64_t key = cpu->mode_key | cpu->sys.code_place << PLACE_SHIFT;

    cpu->stamp_local = cpu->sys.fetch_generation << 32 | STAMP_LOCAL | key;
    cpu->stamp = cpu->cpl == 3 ? cpu->stamp_local : cpu->sys.global_generation << 32 | key;
    jit_restamp(cpu);
}

static void forget_seen(FetchSeen *seen)
{
    memset(seen, 0, sizeof *seen);
}

/* Code in global pages is forgotten only when everything is. */
static void new_generation(SoftCpu *cpu, bool global_too)
{
    cpu->sys.fetch_generation++;
    forget_seen(&cpu->sys.seen[0]);
    if (global_too) {
        cpu->sys.global_generation++;
        forget_seen(&cpu->sys.seen[1]);
    }
    tlb_stamp(cpu);
}

static uint64_t region_hash(uint64_t region)
{
    return UINT64_C(1) << (region * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

/* Code is executed from far fewer pages than data is unmapped from: INVLPG of a page that never was code disturbs no cache of code. */
static unsigned page_hash(uint64_t linear)
{
    return (unsigned)((linear >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - FETCH_HASH_BITS));
}

static bool may_be_code(const FetchSeen *seen, uint64_t linear)
{
    unsigned hash = page_hash(linear);

    if (seen->pages[hash >> 6] >> (hash & 63) & 1 || seen->huge || seen->regions > FETCH_REGIONS) {
        return true;
    }
    for (unsigned i = 0; i < seen->regions; i++) {
        if (seen->region[i] >> 1 == linear >> 22) {    /* a 4 MiB page has two */
            return true;
        }
    }
    return false;
}

static void see_region(FetchSeen *seen, uint64_t linear)
{
    for (unsigned i = 0; i < seen->regions && i < FETCH_REGIONS; i++) {
        if (seen->region[i] == linear >> 21) {
            return;
        }
    }
    if (seen->regions < FETCH_REGIONS) {
        seen->region[seen->regions] = linear >> 21;
    }
    seen->regions += seen->regions <= FETCH_REGIONS;
}

void tlb_fetch_fill(SoftCpu *cpu, bool user, uint64_t linear, const Walk *walk, const uint8_t *host)
{
    unsigned hash = page_hash(linear);
    bool global = walk->global || cpu->sys.paging == PAGING_OFF;
    FetchSeen *seen = &cpu->sys.seen[global];

    if (walk->shift > 12) {
        see_region(seen, linear);
        seen->huge |= walk->shift == 30;
    } else {
        seen->pages[hash >> 6] |= UINT64_C(1) << (hash & 63);
    }
    *tlb_fetch_entry(cpu, user, linear) = (FetchEntry){ .linear = linear & ~UINT64_C(0xfff), .physical = walk->physical, .host = host,
                                                        .global = global,
                                                        .generation = global ? cpu->sys.global_generation : cpu->sys.fetch_generation };
}

static void entry_clear(TlbEntry *entry)
{
    entry->read = entry->write = TLB_EMPTY;
}

static void list_add(TlbList *list, unsigned slot)
{
    list->slot[list->count++] = (uint16_t)slot;
}

void tlb_init(SoftCpu *cpu)
{
    for (unsigned mode = 0; mode < TLB_MODES; mode++) {
        for (unsigned slot = 0; slot < TLB_ENTRIES; slot++) {
            entry_clear(&cpu->tables[mode][slot]);
        }
    }
    memset(cpu->sys.use, 0, sizeof cpu->sys.use);
    cpu->sys.large_local = cpu->sys.large_global = cpu->sys.huge_local = cpu->sys.huge_global = 0;
    new_generation(cpu, true);
}

void tlb_fill(SoftCpu *cpu, unsigned mode, uint64_t linear, const Walk *walk, uint8_t *host_page, bool write)
{
    uint64_t page = linear & ~UINT64_C(0xfff);
    unsigned slot = tlb_slot(page);
    TlbUse *use = &cpu->sys.use[mode];
    TlbEntry *entry = &cpu->tables[mode][slot];
    uint8_t flags = use->flags[slot] & (SLOT_IN_LOCAL | SLOT_IN_GLOBAL);

    entry->read = page;
    entry->write = write ? page : TLB_EMPTY;
    entry->delta = (intptr_t)host_page - (intptr_t)page;
    entry->physical = walk->physical;
    if (walk->global) {
        if (!(flags & SLOT_IN_GLOBAL)) {
            list_add(&use->global, slot);
        }
        flags |= SLOT_IN_GLOBAL | SLOT_GLOBAL;
    } else {
        if (!(flags & SLOT_IN_LOCAL)) {
            list_add(&use->local, slot);
        }
        flags |= SLOT_IN_LOCAL;
    }
    if (walk->shift > 12) {
        uint64_t *regions = walk->shift == 30 ? (walk->global ? &cpu->sys.huge_global : &cpu->sys.huge_local)
                                              : (walk->global ? &cpu->sys.large_global : &cpu->sys.large_local);

        flags |= walk->shift == 30 ? SLOT_HUGE : SLOT_LARGE;
        *regions |= region_hash(page >> (walk->shift == 30 ? 30 : 22));
    }
    use->flags[slot] = flags;
}

static void list_flush(TlbEntry *table, TlbUse *use, TlbList *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        entry_clear(&table[list->slot[i]]);
        use->flags[list->slot[i]] = 0;
    }
    list->count = 0;
}

static void tell_audit(SoftCpu *cpu, unsigned what, uint64_t linear)
{
    if (cpu->jit.audit) {
        audit_flushed(cpu, what, linear);
    }
}

void tlb_flush_all(SoftCpu *cpu)
{
    for (unsigned mode = 0; mode < TLB_CHECKED; mode++) {
        TlbUse *use = &cpu->sys.use[mode];

        list_flush(cpu->tables[mode], use, &use->local);
        list_flush(cpu->tables[mode], use, &use->global);
    }
    flat_flush_all(cpu);
    cpu->sys.large_local = cpu->sys.large_global = cpu->sys.huge_local = cpu->sys.huge_global = 0;
    new_generation(cpu, true);
    tell_audit(cpu, AUDIT_ALL, 0);
}

void tlb_flush_non_global(SoftCpu *cpu)
{
    for (unsigned mode = 0; mode < TLB_CHECKED; mode++) {
        TlbUse *use = &cpu->sys.use[mode];

        for (unsigned i = 0; i < use->local.count; i++) {
            unsigned slot = use->local.slot[i];

            use->flags[slot] &= (uint8_t)~SLOT_IN_LOCAL;
            if (!(use->flags[slot] & SLOT_GLOBAL)) {
                entry_clear(&cpu->tables[mode][slot]);
            }
        }
        use->local.count = 0;
    }
    flat_flush_local(cpu);
    cpu->sys.large_local = cpu->sys.huge_local = 0;
    new_generation(cpu, false);
    tell_audit(cpu, AUDIT_LOCAL, 0);
}

/* Drops every entry whose address, shifted, is region: slices of a large page (and, harmlessly, its neighbours). */
static void drop_region(SoftCpu *cpu, uint64_t linear, unsigned shift)
{
    flat_drop_region(cpu, linear, shift);
    for (unsigned mode = 0; mode < TLB_CHECKED; mode++) {
        TlbUse *use = &cpu->sys.use[mode];
        const TlbList *lists[] = { &use->local, &use->global };

        for (unsigned which = 0; which < 2; which++) {
            for (unsigned i = 0; i < lists[which]->count; i++) {
                TlbEntry *entry = &cpu->tables[mode][lists[which]->slot[i]];

                if (entry->read != TLB_EMPTY && entry->read >> shift == linear >> shift) {
                    entry_clear(entry);
                }
            }
        }
    }
}

/* Only the entries of this very page: what a page fault does. */
void tlb_drop_page(SoftCpu *cpu, uint64_t linear)
{
    uint64_t page = linear & ~UINT64_C(0xfff);

    flat_drop_page(cpu, linear);
    for (unsigned mode = 0; mode < TLB_CHECKED; mode++) {
        TlbEntry *entry = &cpu->tables[mode][tlb_slot(page)];

        if (entry->read == page) {
            entry_clear(entry);
        }
    }
    for (unsigned user = 0; user < 2; user++) {
        FetchEntry *entry = tlb_fetch_entry(cpu, user, page);

        if (entry->linear == page) {
            entry->generation = 0;
        }
    }
}

void tlb_flush_page(SoftCpu *cpu, uint64_t linear)
{
    uint64_t page = linear & ~UINT64_C(0xfff);

    tlb_drop_page(cpu, linear);
    if ((cpu->sys.large_local | cpu->sys.large_global) & region_hash(page >> 22)) {
        drop_region(cpu, linear, 22);
    }
    if ((cpu->sys.huge_local | cpu->sys.huge_global) & region_hash(page >> 30)) {
        drop_region(cpu, linear, 30);
    }
    if (may_be_code(&cpu->sys.seen[1], linear)) {
        new_generation(cpu, true);
    } else if (may_be_code(&cpu->sys.seen[0], linear)) {
        new_generation(cpu, false);
    }
    tell_audit(cpu, AUDIT_PAGE, linear);
}

void tlb_protect_page(SoftCpu *cpu, const uint8_t *host_page)
{
    uint64_t wanted = (uint64_t)(uintptr_t)host_page;

    flat_protect(cpu, host_page);
    for (unsigned mode = 0; mode < TLB_CHECKED; mode++) {
        TlbUse *use = &cpu->sys.use[mode];
        const TlbList *lists[] = { &use->local, &use->global };

        for (unsigned which = 0; which < 2; which++) {
            for (unsigned i = 0; i < lists[which]->count; i++) {
                TlbEntry *entry = &cpu->tables[mode][lists[which]->slot[i]];

                if (entry->write != TLB_EMPTY && (!host_page || entry->write + (uint64_t)entry->delta == wanted)) {
                    entry->write = TLB_EMPTY;
                }
            }
        }
    }
}

FetchEntry *tlb_fetch_entry(SoftCpu *cpu, bool user, uint64_t linear)
{
    return &cpu->sys.fetch[user][linear >> 12 & (FETCH_ENTRIES - 1)];
}

void tlb_flush_request(SoftCpu *cpu)
{
    __atomic_store_n(&cpu->sys.flush_wanted, 1, __ATOMIC_SEQ_CST);
    soft_request(cpu, REQUEST_EXIT);
}

void tlb_flush_take(SoftCpu *cpu)
{
    if (__atomic_exchange_n(&cpu->sys.flush_wanted, 0, __ATOMIC_SEQ_CST)) {
        cpu->view = space_view(cpu->memory);
        cpu->sys.last_range = NULL;
        cpu->sys.physical_mask = __atomic_load_n(&cpu->a20_wanted, __ATOMIC_SEQ_CST) ? UINT64_MAX : ~(UINT64_C(1) << 20);
        tlb_flush_all(cpu);
    }
}

static void view_changed(void *opaque, const FlatView *old_view, const FlatView *new_view)
{
    (void)old_view;
    (void)new_view;
    tlb_flush_request(opaque);
}

void mmu_attach(SoftCpu *cpu)
{
    tlb_init(cpu);
    cpu->a20_wanted = true;
    cpu->sys.physical_mask = UINT64_MAX;
    space_listen(cpu->memory, &(SpaceListener){ .changed = view_changed, .opaque = cpu });
}

void mmu_detach(SoftCpu *cpu)
{
    space_unlisten(cpu->memory, &(SpaceListener){ .changed = view_changed, .opaque = cpu });
}

void mmu_begin(SoftCpu *cpu)
{
    const FlatView *view = space_view(cpu->memory);

    if (view != cpu->view) {
        cpu->view = view;
        cpu->sys.last_range = NULL;
    }
    tlb_flush_take(cpu);
}

void mmu_set_a20(SoftCpu *cpu, bool enabled)
{
    __atomic_store_n(&cpu->a20_wanted, enabled, __ATOMIC_SEQ_CST);
    tlb_flush_request(cpu);
}
