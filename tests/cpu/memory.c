/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.c - the slow path and the translation tables: flushes, crossings, devices, ROM, A20, logs, alignment
 */
#include "tests/cpu/bare.h"
#include "accel/soft/walk.h"
#include "base/lock.h"
#include <time.h>

enum { P = 1, W = 2, U = 4, PS = 0x80, G = 0x100, TABLES = 0x10000, RAM_BYTES = 16 << 20, MMIO = 0x1000000, ROM = 0x2000000 };

/* 4-level tables over the first 2 MiB of linear addresses, 4 KiB pages: linear 0-1FFFFFh is physical the same; then a 2 MiB and a 1 GiB page. */
static void build_tables(Bare *bare)
{
    bare_put64(bare, TABLES, (TABLES + 0x1000) | 7);
    bare_put64(bare, TABLES + 0x1000, (TABLES + 0x2000) | 7);
    bare_put64(bare, TABLES + 0x2000, (TABLES + 0x3000) | 7);
    for (unsigned i = 0; i < 512; i++) {
        bare_put64(bare, TABLES + 0x3000 + i * 8, i << 12 | 7);
    }
    bare_put64(bare, TABLES + 0x2000 + 8, 0x200000 | PS | 7);              /* 200000h: 2 MiB */
    bare_put64(bare, TABLES + 0x2000 + 8 * 8, MMIO | PS | 7);              /* 1000000h: the device and the ROM beside it */
    bare_put64(bare, TABLES + 0x2000 + 16 * 8, ROM | PS | 7);
    bare_put64(bare, TABLES + 0x1000 + 8, 0 | PS | 7);                     /* 40000000h: 1 GiB from 0 */
}

static Bare *long_new(void)
{
    Bare *bare = bare_new(RAM_BYTES);

    build_tables(bare);
    bare->cpu->cr3 = TABLES;
    bare->cpu->segment[SEG_CS].attributes = 0xa09b;
    bare_set_mode(bare, CR0_PE | CR0_PG | CR0_WP, CR4_PAE | CR4_PGE, EFER_LME | EFER_LMA, 0);
    return bare;
}

static uint64_t *leaf(Bare *bare, uint64_t linear)
{
    return (uint64_t *)(void *)(bare->memory + TABLES + 0x3000 + (linear >> 12) * 8);
}

static __attribute__((noinline)) bool load_faults(Bare *bare, uint64_t linear)
{
    return BARE_RAISES(bare, mmu_load32(bare->cpu, NULL, linear));
}

static __attribute__((noinline)) bool store_faults(Bare *bare, uint64_t linear, uint32_t value)
{
    return BARE_RAISES(bare, mmu_store32(bare->cpu, NULL, linear, value));
}

/* Which flush forgets what: a page is loaded, its entry taken away, and loaded again. */
static bool survives(Bare *bare, uint64_t linear, void (*flush)(SoftCpu *cpu))
{
    uint64_t *entry = leaf(bare, linear), kept = *entry;
    bool gone;

    g_assert_false(load_faults(bare, linear));
    *entry = 0;
    flush(bare->cpu);
    gone = load_faults(bare, linear);
    *entry = kept;
    return !gone;
}

static void flush_one(SoftCpu *cpu) { tlb_flush_page(cpu, 0x7000); }
static void flush_other(SoftCpu *cpu) { tlb_flush_page(cpu, 0x8000); }

static void flushes(void)
{
    Bare *bare = long_new();

    *leaf(bare, 0x9000) |= G;
    for (unsigned round = 0; round < 3; round++) {
        g_assert_false(survives(bare, 0x7000, tlb_flush_all));
        g_assert_false(survives(bare, 0x7000, tlb_flush_non_global));
        g_assert_false(survives(bare, 0x7000, flush_one));
        g_assert_true(survives(bare, 0x7000, flush_other));
        g_assert_true(survives(bare, 0x9000, tlb_flush_non_global));
        g_assert_false(survives(bare, 0x9000, tlb_flush_all));
    }
    bare_free(bare);
}

/* INVLPG anywhere in a large page drops all of it. */
static void large_pages(void)
{
    static const struct { uint64_t entry, first, second; } cases[] = {
        { TABLES + 0x2008, 0x200000, 0x3ff000 }, { TABLES + 0x1008, 0x40000000, 0x40fff000 },
    };
    Bare *bare = long_new();

    for (unsigned i = 0; i < 2; i++) {
        uint64_t kept = bare_get64(bare, cases[i].entry);

        g_assert_false(load_faults(bare, cases[i].first));
        g_assert_false(load_faults(bare, cases[i].second));
        bare_put64(bare, cases[i].entry, 0);
        g_assert_false(load_faults(bare, cases[i].first));                 /* still there: nobody flushed */
        tlb_flush_page(bare->cpu, cases[i].second + 0x123);
        g_assert_true(load_faults(bare, cases[i].first));
        g_assert_true(load_faults(bare, cases[i].second));
        bare_put64(bare, cases[i].entry, kept);
    }
    bare_free(bare);
}

/* A page that code came from: INVLPG of it, of a neighbour in the same large page, and of an unrelated page. */
static void fetches(void)
{
    Bare *bare = long_new();
    SoftCpu *cpu = bare->cpu;
    const uint8_t *host;
    uint64_t generation;

    g_assert_cmphex(mmu_fetch_page(cpu, 0x7123, &host), ==, 0x7000);
    g_assert_true(host == bare->memory + 0x7000);
    generation = cpu->sys.fetch_generation;
    tlb_flush_page(cpu, 0x8000);
    g_assert_cmpuint(cpu->sys.fetch_generation, ==, generation);
    tlb_flush_page(cpu, 0x7000);
    g_assert_cmpuint(cpu->sys.fetch_generation, >, generation);
    mmu_fetch_page(cpu, 0x200000, &host);
    generation = cpu->sys.fetch_generation;
    tlb_flush_page(cpu, 0x3ff000);
    g_assert_cmpuint(cpu->sys.fetch_generation, >, generation);
    bare_free(bare);
}

/* An access over two pages of which the second faults changes nothing in the first. */
static void crossings(void)
{
    Bare *bare = long_new();
    SoftCpu *cpu = bare->cpu;

    bare_put32(bare, 0x7ffe, 0x44332211);
    *leaf(bare, 0x8000) &= ~(uint64_t)P;
    g_assert_true(store_faults(bare, 0x7ffe, 0xaabbccdd));
    g_assert_cmphex(cpu->cr2, ==, 0x8000);
    g_assert_cmphex(bare_get32(bare, 0x7ffe), ==, 0x44332211);
    *leaf(bare, 0x8000) = 0x20000 | 7;                         /* far away in physical memory */
    g_assert_false(store_faults(bare, 0x7ffe, 0xaabbccdd));
    g_assert_cmphex(bare_get32(bare, 0x7ffe) & 0xffff, ==, 0xccdd);
    g_assert_cmphex(bare_get32(bare, 0x20000) & 0xffff, ==, 0xaabb);
    g_assert_cmphex(mmu_load32(cpu, NULL, 0x7ffe), ==, 0xaabbccdd);
    g_assert_true(load_faults(bare, UINT64_C(0x00007ffffffffffe)));
    g_assert_cmpuint(cpu->sys.raised_vector, ==, EXC_PF);
    g_assert_true(load_faults(bare, UINT64_C(0x0000800000000000)));
    g_assert_cmpuint(cpu->sys.raised_vector, ==, EXC_GP);
    bare_free(bare);
}

/* Devices, ROM, and a memory map that changes under the CPU -------------------------------------------------------- */

static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    return 0x1000 * size + offset;
}

static uint64_t written, written_at, writes;

static void device_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)opaque;
    (void)size;
    written = value;
    written_at = offset;
    writes++;
}

static void devices(void)
{
    static const RegionOps ops = { .read = device_read, .write = device_write, .widths = WIDTH_8_16_32 };
    Bare *bare = long_new();
    SoftCpu *cpu = bare->cpu;
    Region io, rom;

    machine_lock();
    region_init_io(&io, &ops, NULL, "device", 0x2000);
    region_init_rom(&rom, "rom", 0x1000, NULL);
    region_add(&bare->root, MMIO, &io, 0);
    region_add(&bare->root, ROM, &rom, 0);
    machine_unlock();
    g_assert_true(cpu->request & REQUEST_EXIT);                /* told of the new view */
    mmu_begin(cpu);
    g_assert_cmphex(mmu_load32(cpu, NULL, MMIO + 8), ==, 0x4008);
    g_assert_cmphex(mmu_load16(cpu, NULL, MMIO + 8), ==, 0x2008);
    g_assert_cmphex(mmu_load64(cpu, NULL, MMIO + 8), ==, UINT64_C(0x0000400c00004008));
    g_assert_cmphex(mmu_load32(cpu, NULL, MMIO + 0xffe), ==, 0x30002ffe);              /* two pages, two halves */
    mmu_store16(cpu, NULL, MMIO + 0x10, 0xabcd);
    g_assert_cmphex(written, ==, 0xabcd);
    g_assert_cmphex(written_at, ==, 0x10);
    writes = 0;
    mmu_store64(cpu, NULL, MMIO + 0x20, 1);
    g_assert_cmpuint(writes, ==, 2);
    g_assert_null(mmu_host(cpu, NULL, MMIO, 4, false));
    /* ROM: read, writes dropped, no pointer to write through. */
    region_host(&rom)[0] = 0x5a;
    mmu_store8(cpu, NULL, ROM, 1);
    g_assert_cmphex(mmu_load8(cpu, NULL, ROM), ==, 0x5a);
    g_assert_null(mmu_host(cpu, NULL, ROM, 4, true));
    g_assert_nonnull(mmu_host(cpu, NULL, ROM, 4, false));
    /* The map changes: what was a device is nothing. */
    machine_lock();
    region_remove(&io);
    machine_unlock();
    mmu_begin(cpu);
    g_assert_cmphex(mmu_load32(cpu, NULL, MMIO + 8), ==, UINT32_MAX);
    machine_lock();
    region_remove(&rom);
    machine_unlock();
    mmu_begin(cpu);
    bare_free(bare);
    machine_lock();
    region_destroy(&io);
    region_destroy(&rom);
    machine_unlock();
}

static void a20_gate(void)
{
    Bare *bare = bare_new(RAM_BYTES);
    SoftCpu *cpu = bare->cpu;

    bare_put32(bare, 0x500, 0x11111111);
    bare_put32(bare, 0x100500, 0x22222222);
    g_assert_cmphex(mmu_load32(cpu, NULL, 0x100500), ==, 0x22222222);
    mmu_set_a20(cpu, false);
    tlb_flush_take(cpu);
    g_assert_cmphex(mmu_load32(cpu, NULL, 0x100500), ==, 0x11111111);
    mmu_store32(cpu, NULL, 0x300500, 0x33333333);
    g_assert_cmphex(bare_get32(bare, 0x200500), ==, 0x33333333);
    mmu_set_a20(cpu, true);
    tlb_flush_take(cpu);
    g_assert_cmphex(mmu_load32(cpu, NULL, 0x100500), ==, 0x22222222);
    bare_free(bare);
}

/* While somebody logs, every store is seen; the walker's own bits too. */
static void dirty_log(void)
{
    Bare *bare = long_new();
    SoftCpu *cpu = bare->cpu;
    RamBlock *ram = bare->ram.ram;

    mmu_store32(cpu, NULL, 0x7000, 1);
    machine_lock();
    g_assert_true(ram_dirty_log(ram, DIRTY_MIGRATION, true, NULL));
    machine_unlock();
    tlb_flush_request(cpu);                                    /* what the accelerator does when it hears of it */
    mmu_begin(cpu);
    for (unsigned round = 0; round < 3; round++) {
        g_assert_false(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, 0x7000, 0x1000));
        mmu_store32(cpu, NULL, 0x7000, 1);
        g_assert_true(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, 0x7000, 0x1000));
    }
    *leaf(bare, 0x8000) = 0x8000 | 7;
    ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, TABLES + 0x3000, 0x1000);
    mmu_load32(cpu, NULL, 0x8000);
    g_assert_true(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, TABLES + 0x3000, 0x1000));
    machine_lock();
    g_assert_true(ram_dirty_log(ram, DIRTY_MIGRATION, false, NULL));
    machine_unlock();
    bare_free(bare);
}

static void alignment_check(void)
{
    Bare *bare = long_new();
    SoftCpu *cpu = bare->cpu;

    for (unsigned c = 0; c < 8; c++) {
        bool am = c & 1, ac = c & 2, user = c & 4;

        cpu->rflags = ac ? FLAG_AC : 0;
        bare_set_mode(bare, CR0_PE | CR0_PG | (am ? CR0_AM : 0), CR4_PAE, EFER_LME | EFER_LMA, user ? 3 : 0);
        g_assert_false(load_faults(bare, 0x7000));
        g_assert_cmpint(load_faults(bare, 0x7001), ==, am && ac && user);
        if (am && ac && user) {
            g_assert_cmpuint(cpu->sys.raised_vector, ==, EXC_AC);
        }
    }
    bare_free(bare);
}

/* PAE pointers are read with CR3, not at each walk. */
static void pae_pointers(void)
{
    Bare *bare = bare_new(RAM_BYTES);
    SoftCpu *cpu = bare->cpu;

    cpu->cr3 = 0x6000;
    bare_put64(bare, 0x6000, 0x7001);
    bare_put64(bare, 0x7000, 0x200000 | PS | 7);
    g_assert_true(walk_load_pdptrs(cpu, cpu->cr3));
    bare_set_mode(bare, CR0_PE | CR0_PG, CR4_PAE, 0, 0);
    bare_put32(bare, 0x200000, 0x12345678);
    bare_put64(bare, 0x6000, 0);
    tlb_flush_all(cpu);
    g_assert_cmphex(mmu_load32(cpu, NULL, 0), ==, 0x12345678);
    g_assert_true(load_faults(bare, 0x40000000));
    for (unsigned bit = 0; bit < 64; bit++) {
        bool reserved = (bit >= 46) || bit == 1 || bit == 2 || (bit >= 5 && bit <= 8);

        bare_put64(bare, 0x6000, P | UINT64_C(1) << bit);
        g_assert_cmpint(walk_load_pdptrs(cpu, cpu->cr3), ==, !reserved);
    }
    bare_free(bare);
}

/* Not a verdict, a figure: what a CR3 load costs after so many pages were touched. */
static void flush_cost(void)
{
    static const unsigned touched[] = { 8, 64, 512 };
    Bare *bare = long_new();

    for (unsigned i = 0; i < 3; i++) {
        struct timespec a, b;
        uint64_t ns = 0, walks = 0;

        for (unsigned round = 0; round < 2000; round++) {
            clock_gettime(CLOCK_MONOTONIC, &a);
            for (unsigned page = 0; page < touched[i]; page++) {
                mmu_load8(bare->cpu, NULL, (uint64_t)page << 12);
            }
            clock_gettime(CLOCK_MONOTONIC, &b);
            walks += (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000 + (uint64_t)(b.tv_nsec - a.tv_nsec);
            tlb_flush_non_global(bare->cpu);
            clock_gettime(CLOCK_MONOTONIC, &a);
            ns += (uint64_t)(a.tv_sec - b.tv_sec) * 1000000000 + (uint64_t)(a.tv_nsec - b.tv_nsec);
        }
        g_test_message("%u pages: flush %.0f ns, fill %.0f ns a page", touched[i], (double)ns / 2000, (double)walks / 2000 / touched[i]);
    }
    bare_free(bare);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/memory/flushes", flushes);
    g_test_add_func("/cpu/memory/large pages", large_pages);
    g_test_add_func("/cpu/memory/fetches", fetches);
    g_test_add_func("/cpu/memory/page crossings", crossings);
    g_test_add_func("/cpu/memory/devices and ROM", devices);
    g_test_add_func("/cpu/memory/A20 gate", a20_gate);
    g_test_add_func("/cpu/memory/dirty log", dirty_log);
    g_test_add_func("/cpu/memory/alignment check", alignment_check);
    g_test_add_func("/cpu/memory/PAE pointers", pae_pointers);
    g_test_add_func("/cpu/memory/flush cost", flush_cost);
    return g_test_run();
}
