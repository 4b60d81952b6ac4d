/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory-space.c - the processor's access: widths, alignment, ROM, holes, locks, doorbells
 */
#include "accel/memory/ram.h"
#include "accel/memory/space.h"
#include "base/lock.h"
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A device of 32 bytes that writes down every access. */
typedef struct Probe {
    uint8_t bytes[32];
    GString *log;
    bool locked;                           /* the machine lock was held in the last access */
} Probe;

static uint64_t probe_read(void *opaque, uint64_t offset, unsigned size)
{
    Probe *probe = opaque;
    uint64_t value = 0;
    g_assert_cmpuint(offset + size, <=, sizeof probe->bytes);
    memcpy(&value, probe->bytes + offset, size);
    g_string_append_printf(probe->log, "r%u@%u ", size, (unsigned)offset);
    probe->locked = machine_lock_held();
    return value;
}

static void probe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Probe *probe = opaque;
    g_assert_cmpuint(offset + size, <=, sizeof probe->bytes);
    memcpy(probe->bytes + offset, &value, size);
    g_string_append_printf(probe->log, "w%u@%u=%x ", size, (unsigned)offset, (unsigned)value);
    probe->locked = machine_lock_held();
}

typedef struct Bed { Region root, io, ram; Probe probe; RegionOps ops; AddressSpace *space; } Bed;
enum { RAM = 0x1000, IO = 0x4000 };

static void bed_up(Bed *bed, gconstpointer data)
{
    (void)data;
    bed->ops = (RegionOps){ .read = probe_read, .write = probe_write, .widths = WIDTH_ANY };
    bed->probe.log = g_string_new(NULL);
    for (unsigned i = 0; i < 32; i++) {
        bed->probe.bytes[i] = (uint8_t)(0x10 + i);
    }
    machine_lock();
    region_init_container(&bed->root, "root", UINT64_MAX);
    region_init_io(&bed->io, &bed->ops, &bed->probe, "probe", 32);
    g_assert_true(region_init_ram(&bed->ram, "ram", 0x3000, NULL));
    region_add(&bed->root, RAM, &bed->ram, 0);
    region_add(&bed->root, IO, &bed->io, 0);
    bed->space = space_new("test", &bed->root);
    machine_unlock();
}

static void bed_down(Bed *bed, gconstpointer data)
{
    (void)data;
    machine_lock();
    space_free(bed->space);
    region_destroy(&bed->root);
    region_destroy(&bed->io);
    region_destroy(&bed->ram);
    machine_unlock();
    g_string_free(bed->probe.log, TRUE);
}

static void expect_log(Bed *bed, const char *text)
{
    g_assert_cmpstr(bed->probe.log->str, ==, text);
    g_string_truncate(bed->probe.log, 0);
}

static uint64_t load(Bed *bed, uint64_t address, unsigned size)
{
    uint64_t value = 0xdeadbeefcafef00d;
    g_assert_cmpint(space_load(bed->space, address, size, &value), ==, MEM_OK);
    return value;
}

static void natural(Bed *bed, gconstpointer data)
{
    (void)data;
    g_assert_cmphex(load(bed, IO + 4, 4), ==, 0x17161514);
    g_assert_cmphex(load(bed, IO + 8, 8), ==, 0x1f1e1d1c1b1a1918);
    g_assert_cmpint(space_store(bed->space, IO + 2, 2, 0xffffabcd), ==, MEM_OK);
    expect_log(bed, "r4@4 r8@8 w2@2=abcd ");
    g_assert_true(bed->probe.locked);
    g_assert_false(machine_lock_held());
}

static void wide_is_split(Bed *bed, gconstpointer data)
{
    (void)data;
    bed->ops.widths = WIDTH_8;
    g_assert_cmphex(load(bed, IO, 4), ==, 0x13121110);
    expect_log(bed, "r1@0 r1@1 r1@2 r1@3 ");
    bed->ops.widths = WIDTH_8_16;
    g_assert_cmphex(load(bed, IO, 8), ==, 0x1716151413121110);
    space_store(bed->space, IO, 4, 0x44332211);
    expect_log(bed, "r2@0 r2@2 r2@4 r2@6 w2@0=2211 w2@2=4433 ");
}

static void narrow_is_widened(Bed *bed, gconstpointer data)
{
    (void)data;
    bed->ops.widths = WIDTH_32;
    g_assert_cmphex(load(bed, IO + 6, 1), ==, 0x16);
    g_assert_cmphex(load(bed, IO + 6, 2), ==, 0x1716);
    expect_log(bed, "r4@4 r4@4 ");
    space_store(bed->space, IO + 6, 1, 0x99);
    expect_log(bed, "w4@4=990000 ");
}

static void unaligned_is_split(Bed *bed, gconstpointer data)
{
    (void)data;
    g_assert_cmphex(load(bed, IO + 1, 4), ==, 0x14131211);
    expect_log(bed, "r1@1 r2@2 r1@4 ");
    bed->ops.unaligned = true;
    g_assert_cmphex(load(bed, IO + 1, 4), ==, 0x14131211);
    expect_log(bed, "r4@1 ");
    bed->ops.unaligned = false;
    bed->ops.widths = WIDTH_32;
    g_assert_cmphex(load(bed, IO + 3, 4), ==, 0x16151413);
    expect_log(bed, "r4@0 r4@4 ");
}

static void no_ops(Bed *bed, gconstpointer data)
{
    (void)data;
    bed->ops.read = NULL;
    bed->ops.write = NULL;
    g_assert_cmphex(load(bed, IO, 2), ==, 0xffff);
    g_assert_cmpint(space_store(bed->space, IO, 2, 1), ==, MEM_OK);
    expect_log(bed, "");
}

static void odd_region_end(Bed *bed, gconstpointer data)
{
    (void)data;
    machine_lock();
    bed->io.size = 6;                      /* not a multiple of the width: the rest must not be reached */
    region_move(&bed->io, IO + 8);
    machine_unlock();
    bed->ops.widths = WIDTH_32;
    g_assert_cmphex(load(bed, IO + 8 + 4, 2), ==, 0xffff);
    expect_log(bed, "");
}

static void ram_values(Bed *bed, gconstpointer data)
{
    (void)data;
    g_assert_cmpint(space_store(bed->space, RAM + 1, 8, 0x8877665544332211), ==, MEM_OK);
    g_assert_cmphex(load(bed, RAM + 1, 1), ==, 0x11);
    g_assert_cmphex(load(bed, RAM + 2, 2), ==, 0x3322);
    g_assert_cmphex(load(bed, RAM + 3, 4), ==, 0x66554433);
    g_assert_cmphex(load(bed, RAM, 8), ==, 0x7766554433221100);
    g_assert_cmphex(load(bed, RAM, 3), ==, 0x221100);
}

static void across_the_end(Bed *bed, gconstpointer data)
{
    (void)data;
    uint64_t value = 0;
    space_store(bed->space, IO - 2, 2, 0xbbaa);
    g_assert_cmpint(space_load(bed->space, IO - 2, 4, &value), ==, MEM_OK);
    g_assert_cmphex(value, ==, 0x1110bbaa);
    g_assert_cmpint(space_load(bed->space, IO + 30, 4, &value), ==, MEM_NOTHING_THERE);
    g_assert_cmphex(value, ==, 0xffff2f2e);
    g_assert_cmpint(space_store(bed->space, IO - 1, 2, 0x5544), ==, MEM_OK);
    g_assert_cmphex(bed->probe.bytes[0], ==, 0x55);
}

static void nothing_there(Bed *bed, gconstpointer data)
{
    (void)data;
    static const unsigned sizes[] = { 1, 2, 4, 8 };
    for (unsigned i = 0; i < 4; i++) {
        uint64_t value = 0;
        g_assert_cmpint(space_load(bed->space, 0x9000, sizes[i], &value), ==, MEM_NOTHING_THERE);
        g_assert_cmphex(value, ==, sizes[i] == 8 ? UINT64_MAX : (UINT64_C(1) << sizes[i] * 8) - 1);
        g_assert_cmpint(space_store(bed->space, 0x9000, sizes[i], 0), ==, MEM_NOTHING_THERE);
    }
}

static void wrap_around(Bed *bed, gconstpointer data)
{
    (void)data;
    uint64_t value = 0;
    uint8_t bytes[64];
    g_assert_cmpint(space_load(bed->space, UINT64_MAX - 1, 8, &value), ==, MEM_NOTHING_THERE);
    g_assert_cmphex(value, ==, UINT64_MAX);
    g_assert_cmpint(space_store(bed->space, UINT64_MAX, 4, 0), ==, MEM_NOTHING_THERE);
    memset(bytes, 0, sizeof bytes);
    g_assert_cmpint(space_read(bed->space, UINT64_MAX - 10, bytes, sizeof bytes), ==, MEM_NOTHING_THERE);
    g_assert_cmphex(bytes[63], ==, 0xff);
    g_assert_cmpint(space_write(bed->space, UINT64_MAX - 10, bytes, sizeof bytes), ==, MEM_NOTHING_THERE);
}

static void rom(Bed *bed, gconstpointer data)
{
    (void)data;
    machine_lock();
    region_set_readonly(&bed->ram, true);
    machine_unlock();
    g_assert_cmpint(space_store(bed->space, RAM, 4, 0x1234), ==, MEM_REFUSED);
    g_assert_cmphex(load(bed, RAM, 4), ==, 0);
    uint8_t bytes[6] = "hello";
    g_assert_cmpint(space_write(bed->space, RAM, bytes, sizeof bytes), ==, MEM_REFUSED);
    g_assert_cmpint(space_write_rom(bed->space, RAM, bytes, sizeof bytes), ==, MEM_OK);
    g_assert_cmpstr((char *)region_host(&bed->ram), ==, "hello");
    bed->ram.ops = &bed->ops;              /* a flash chip: writes are commands */
    bed->ram.opaque = &bed->probe;
    g_assert_cmpint(space_store(bed->space, RAM + 2, 1, 0x40), ==, MEM_OK);
    expect_log(bed, "w1@2=40 ");
    g_assert_cmpstr((char *)region_host(&bed->ram), ==, "hello");
}

static void bulk(Bed *bed, gconstpointer data)
{
    (void)data;
    uint8_t out[0x3020], in[0x3020];
    for (unsigned i = 0; i < sizeof out; i++) {
        out[i] = (uint8_t)(i * 7 + 1);
    }
    g_assert_cmpint(space_write(bed->space, RAM, out, sizeof out), ==, MEM_OK);
    g_assert_cmpint(space_read(bed->space, RAM, in, sizeof in), ==, MEM_OK);
    g_assert_cmpmem(in, sizeof in, out, sizeof out);
    g_assert_cmpmem(bed->probe.bytes, 32, out + 0x3000, 32);
    g_string_truncate(bed->probe.log, 0);
    g_assert_cmpint(space_read(bed->space, IO + 1, in, 12), ==, MEM_OK);
    expect_log(bed, "r1@1 r2@2 r4@4 r4@8 r1@12 ");
}

static void locks(Bed *bed, gconstpointer data)
{
    (void)data;
    uint64_t value;
    machine_lock();
    load(bed, IO, 1);
    g_assert_true(machine_lock_held());    /* held before, held after */
    machine_unlock();
    bed->ops.unlocked = true;
    load(bed, IO, 1);
    g_assert_false(bed->probe.locked);
    space_load(bed->space, IO, 1, &value);
}

static uint64_t rings(int fd)
{
    uint64_t count = 0;
    return read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

static void doorbells(Bed *bed, gconstpointer data)
{
    (void)data;
    int any = eventfd(0, EFD_NONBLOCK), exact = eventfd(0, EFD_NONBLOCK);
    Doorbell any_bell = { .address = IO + 16, .fd = any }, exact_bell = { .address = IO + 20, .size = 2, .match = true, .value = 7, .fd = exact };
    machine_lock();
    space_add_doorbell(bed->space, &any_bell);
    space_add_doorbell(bed->space, &exact_bell);
    machine_unlock();
    space_store(bed->space, IO + 16, 1, 1);
    space_store(bed->space, IO + 16, 4, 1);
    space_store(bed->space, IO + 20, 2, 7);
    expect_log(bed, "");
    space_store(bed->space, IO + 20, 2, 8);
    space_store(bed->space, IO + 20, 4, 7);
    expect_log(bed, "w2@20=8 w4@20=7 ");
    g_assert_cmpuint(rings(any), ==, 2);
    g_assert_cmpuint(rings(exact), ==, 1);
    machine_lock();
    g_assert_true(space_remove_doorbell(bed->space, &any_bell));
    g_assert_false(space_remove_doorbell(bed->space, &any_bell));
    g_assert_true(space_remove_doorbell(bed->space, &exact_bell));
    machine_unlock();
    space_store(bed->space, IO + 16, 1, 1);
    expect_log(bed, "w1@16=1 ");
    close(any);
    close(exact);
}

/* Every access of every size at every offset, for every set of widths, reads what a byte array would. */
static void all_widths(Bed *bed, gconstpointer data)
{
    (void)data;
    for (unsigned widths = 1; widths < 16; widths++) {
        for (unsigned unaligned = 0; unaligned < 2; unaligned++) {
            bed->ops.widths = widths;
            bed->ops.unaligned = unaligned;
            for (unsigned offset = 0; offset < 24; offset++) {
                for (unsigned size = 1; size <= 8; size++) {
                    uint64_t wanted = 0;
                    memcpy(&wanted, bed->probe.bytes + offset, size);
                    g_assert_cmphex(load(bed, IO + offset, size), ==, wanted);
                }
            }
            g_string_truncate(bed->probe.log, 0);
        }
    }
}

static void dirty(Bed *bed, gconstpointer data)
{
    (void)data;
    machine_lock();
    g_assert_true(ram_dirty_log(bed->ram.ram, DIRTY_DISPLAY, true, NULL));
    machine_unlock();
    space_store(bed->space, RAM + 0xffe, 4, 1);
    g_assert_true(ram_dirty_test_and_clear(bed->ram.ram, DIRTY_DISPLAY, 0, 0x1000));
    g_assert_true(ram_dirty_test_and_clear(bed->ram.ram, DIRTY_DISPLAY, 0x1000, 0x1000));
    g_assert_false(ram_dirty_test_and_clear(bed->ram.ram, DIRTY_DISPLAY, 0, 0x3000));
}

#define CASE(name, function) g_test_add("/memory/space/" name, Bed, NULL, bed_up, function, bed_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    CASE("natural widths go through", natural);
    CASE("a wide access is split", wide_is_split);
    CASE("a narrow access is widened", narrow_is_widened);
    CASE("an unaligned access is split", unaligned_is_split);
    CASE("a device without read or write", no_ops);
    CASE("a region with an odd end", odd_region_end);
    CASE("RAM at any alignment", ram_values);
    CASE("an access across the end of a range", across_the_end);
    CASE("nothing there reads as ones", nothing_there);
    CASE("addresses do not wrap around", wrap_around);
    CASE("ROM refuses, a loader writes, a flash gets commands", rom);
    CASE("bulk copies cross ranges", bulk);
    CASE("the machine lock is taken unless held or not wanted", locks);
    CASE("doorbells ring instead of the device", doorbells);
    CASE("every width set reads every byte", all_widths);
    CASE("stores set dirty bits", dirty);
    return g_test_run();
}
