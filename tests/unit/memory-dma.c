/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory-dma.c - devices reach memory and nothing else; RAM blocks, their references and dirty bits
 */
#include "accel/memory/dma.h"
#include "accel/memory/ram.h"
#include "base/epoch.h"
#include "base/lock.h"
#include <string.h>

static unsigned device_calls;
static uint64_t count_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    device_calls++;
    return 0x55;
}
static void count_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)opaque, (void)offset, (void)value, (void)size;
    device_calls++;
}
static const RegionOps device_ops = { .read = count_read, .write = count_write, .widths = WIDTH_ANY };

typedef struct Bed { Region root, ram, rom, io; AddressSpace *space; } Bed;
enum { RAM = 0x10000, RAM_SIZE = 0x4000, IO = 0x14000, ROM = 0x15000 };

static void bed_up(Bed *bed, gconstpointer data)
{
    (void)data;
    machine_lock();
    device_calls = 0;
    region_init_container(&bed->root, "root", UINT64_MAX);
    g_assert_true(region_init_ram(&bed->ram, "ram", RAM_SIZE, NULL));
    g_assert_true(region_init_rom(&bed->rom, "rom", 0x1000, NULL));
    region_init_io(&bed->io, &device_ops, NULL, "io", 0x1000);
    region_add(&bed->root, RAM, &bed->ram, 0);
    region_add(&bed->root, IO, &bed->io, 0);
    region_add(&bed->root, ROM, &bed->rom, 0);
    bed->space = space_new("test", &bed->root);
    memset(region_host(&bed->ram), 0xaa, RAM_SIZE);
    memset(region_host(&bed->rom), 0xbb, 0x1000);
}

static void bed_down(Bed *bed, gconstpointer data)
{
    (void)data;
    space_free(bed->space);
    region_destroy(&bed->root);
    region_destroy(&bed->ram);
    region_destroy(&bed->rom);
    region_destroy(&bed->io);
    machine_unlock();
}

static void plain(Bed *bed, gconstpointer data)
{
    (void)data;
    uint32_t value = 0;
    g_assert_true(dma_write_le32(bed->space, RAM + 2, 0x12345678));
    g_assert_true(dma_read_le32(bed->space, RAM + 2, &value));
    g_assert_cmphex(value, ==, 0x12345678);
    g_assert_true(dma_read(bed->space, ROM, &value, 4));
    g_assert_cmphex(value, ==, 0xbbbbbbbb);
    g_assert_false(dma_write(bed->space, ROM, &value, 4));
    g_assert_true(dma_read(bed->space, 0, &value, 0));
}

static void devices_are_refused(Bed *bed, gconstpointer data)
{
    (void)data;
    uint8_t bytes[0x3000];
    memset(bytes, 0x77, sizeof bytes);
    g_assert_false(dma_read(bed->space, IO - 0x1000, bytes, sizeof bytes));
    g_assert_cmphex(bytes[0xfff], ==, 0xaa);
    g_assert_cmphex(bytes[0x1000], ==, 0);
    g_assert_cmphex(bytes[0x1fff], ==, 0);
    g_assert_cmphex(bytes[0x2000], ==, 0xbb);
    g_assert_false(dma_write(bed->space, IO - 1, "abc", 3));
    g_assert_cmphex(region_host(&bed->ram)[RAM_SIZE - 1], ==, 'a');
    g_assert_cmpuint(device_calls, ==, 0);
}

static void wraps_are_refused(Bed *bed, gconstpointer data)
{
    (void)data;
    uint8_t bytes[64];
    memset(bytes, 0x77, sizeof bytes);
    g_assert_false(dma_read(bed->space, UINT64_MAX - 3, bytes, sizeof bytes));
    g_assert_cmphex(bytes[0] | bytes[63], ==, 0);
    g_assert_false(dma_write(bed->space, UINT64_MAX, bytes, 2));
    g_assert_false(dma_read(bed->space, UINT64_MAX, bytes, 1));
    DmaMap map;
    g_assert_false(dma_map(bed->space, UINT64_MAX - 1, 8, true, &map));
}

static void maps(Bed *bed, gconstpointer data)
{
    (void)data;
    DmaMap map;
    g_assert_true(ram_dirty_log(bed->ram.ram, DIRTY_MIGRATION, true, NULL));
    g_assert_true(dma_map(bed->space, RAM + 0x100, 0x10000, true, &map));
    g_assert_cmpuint(map.length, ==, RAM_SIZE - 0x100);
    g_assert_true(map.host == region_host(&bed->ram) + 0x100);
    memset(map.host, 1, 0x1000);
    dma_unmap(&map, 0x1000);
    g_assert_true(ram_dirty_test_and_clear(bed->ram.ram, DIRTY_MIGRATION, 0x1000, 0x1000));
    g_assert_false(ram_dirty_test_and_clear(bed->ram.ram, DIRTY_MIGRATION, 0x2000, 0x2000));
    g_assert_false(dma_map(bed->space, ROM, 4, true, &map));
    g_assert_true(dma_map(bed->space, ROM, 4, false, &map));
    dma_unmap(&map, 0);
    dma_unmap(&map, 0);                    /* harmless */
    g_assert_false(dma_map(bed->space, IO, 4, false, &map));
    g_assert_false(dma_map(bed->space, RAM, 0, false, &map));
}

static void a_map_outlives_its_region(Bed *bed, gconstpointer data)
{
    (void)data;
    DmaMap map;
    g_assert_true(dma_map(bed->space, RAM, 16, true, &map));
    region_remove(&bed->ram);
    region_destroy(&bed->ram);
    machine_unlock();
    epoch_synchronize();
    machine_lock();
    memset(map.host, 3, 16);               /* still mapped: the sanitizer or the MMU would tell */
    dma_unmap(&map, 16);
    uint8_t byte;
    g_assert_false(dma_read(bed->space, RAM, &byte, 1));
}

static unsigned code_calls;
static uint64_t code_offset, code_length;
static void note_code(RamBlock *ram, uint64_t offset, uint64_t length)
{
    (void)ram;
    code_calls++;
    code_offset = offset;
    code_length = length;
}

static void code_is_told(Bed *bed, gconstpointer data)
{
    (void)data;
    ram_code_written = note_code;
    code_calls = 0;
    dma_write(bed->space, RAM + 0x123, "xyz", 3);
    g_assert_cmpuint(code_calls, ==, 1);
    g_assert_cmphex(code_offset, ==, 0x123);
    g_assert_cmpuint(code_length, ==, 3);
    ram_code_written = NULL;
}

static void dirty_ranges(void)
{
    machine_lock();
    GError *err = NULL;
    RamBlock *ram = ram_block_new("dirty", 300 * 4096, &err);
    g_assert_no_error(err);
    g_assert_true(ram_dirty_log(ram, DIRTY_DISPLAY, true, NULL));
    for (unsigned round = 0; round < 500; round++) {
        uint64_t offset = (uint64_t)g_test_rand_int_range(0, 300 * 4096), most = 300 * 4096 - offset;
        uint64_t length = (uint64_t)g_test_rand_int_range(1, (int)MIN(most, 900000) + 1);
        ram_mark_dirty(ram, offset, length);
        for (uint64_t page = 0; page < 300; page++) {
            bool wanted = page >= offset / 4096 && page <= (offset + length - 1) / 4096;
            g_assert_true(ram_dirty_test_and_clear(ram, DIRTY_DISPLAY, page * 4096, 4096) == wanted);
        }
    }
    ram_mark_dirty(ram, 300 * 4096, 1);    /* outside: nothing happens */
    ram_mark_dirty(ram, UINT64_MAX, 2);
    g_assert_false(ram_dirty_test_and_clear(ram, DIRTY_DISPLAY, 0, 300 * 4096));
    g_assert_false(ram_dirty_test_and_clear(ram, DIRTY_MIGRATION, 0, 300 * 4096));
    g_assert_true(ram_dirty_log(ram, DIRTY_DISPLAY, false, NULL));
    g_assert_true(ram_dirty_log(ram, DIRTY_DISPLAY, false, NULL));
    ram_mark_dirty(ram, 0, 4096);
    ram_block_unref(ram);
    machine_unlock();
}

static void absurd_sizes(void)
{
    GError *err = NULL;
    g_assert_null(ram_block_new("none", 0, &err));
    g_assert_nonnull(strstr(err->message, "not a possible size"));
    g_clear_error(&err);
    g_assert_null(ram_block_new("too much", UINT64_MAX, &err));
    g_assert_nonnull(err);
    g_clear_error(&err);
    RamBlock *odd = ram_block_new("odd", 5000, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(odd->size, ==, 8192);
    ram_block_unref(odd);
    RamBlock *large = ram_block_new("large", 64 << 20, &err);
    g_assert_no_error(err);
    g_assert_cmphex((uintptr_t)large->host & ((2 << 20) - 1), ==, 0);
    ram_block_unref(large);
}

#define CASE(name, function) g_test_add("/memory/dma/" name, Bed, NULL, bed_up, function, bed_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    CASE("reads and writes RAM, reads ROM", plain);
    CASE("devices are never called", devices_are_refused);
    CASE("wraps are refused", wraps_are_refused);
    CASE("maps the longest run", maps);
    CASE("a map outlives its region", a_map_outlives_its_region);
    CASE("translated code is told", code_is_told);
    g_test_add_func("/memory/ram/dirty ranges agree with arithmetic", dirty_ranges);
    g_test_add_func("/memory/ram/absurd sizes are refused", absurd_sizes);
    return g_test_run();
}
