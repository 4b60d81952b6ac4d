/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hpet.c - the high precision event timer: IRQ 0, IRQ 8 and GSI 2 on probes 16 to 18 */
#include "hw/timer/timers.h"
#include "base/timer.h"
#include "tests/rig/rig.h"

#define HPET_BOARD .board = "isa", .devices = "hpet,timer=@16,rtc=@17,gsi2=@18", .runs = FRESH | RESTORED

enum { IRQ0 = 16, IRQ8, GSI2 };
#define BASE 0xfed00000

static void put(Rig *rig, unsigned reg, uint64_t value)
{
    rig_store(rig, BASE + reg, 8, value);
    rig_checkpoint(rig);
}

static uint64_t get(Rig *rig, unsigned reg)
{
    return rig_load(rig, BASE + reg, 8);
}

/* What QEMU 7.2 answers. */
static void registers(Rig *rig)
{
    check_eq(get(rig, 0x00), 0x009896808086a201);
    check_eq(rig_load(rig, BASE + 4, 4), 0x00989680);
    check_eq(get(rig, 0x100), 0x0000000400000030);
    check_eq(get(rig, 0x120), 0x0000000400000030);
    check_eq(get(rig, 0x140), 0x0000000400000030);
    check_eq(get(rig, 0x108), UINT64_MAX);
    check_eq(get(rig, 0x160), 0);                          /* there are three */
    check_eq(get(rig, 0x300), 0);
    put(rig, 0x00, 0);
    check_eq(get(rig, 0x00), 0x009896808086a201);
    put(rig, 0x100, UINT64_MAX);
    check_eq(get(rig, 0x100), 0x0000000400003f7e);
    put(rig, 0x10, UINT64_MAX);
    check_eq(get(rig, 0x10), 3);
    put(rig, 0x110, UINT64_C(0x1122334455667788));
    check_eq(get(rig, 0x110), 0x1122334455667788);
}

static void the_counter(Rig *rig)
{
    put(rig, 0xf0, UINT64_C(0xfffffff0));
    rig_advance(rig, NS_PER_SECOND);
    check_eq(get(rig, 0xf0), 0xfffffff0);                  /* it stands */
    put(rig, 0x10, 1);
    rig_advance(rig, 1000);
    check_eq(get(rig, 0xf0), 0x100000054);
    check_eq(rig_load(rig, BASE + 0xf4, 4), 1);
    put(rig, 0xf0, 5);                                     /* not while it runs */
    check_eq(get(rig, 0xf0), 0x100000054);
    rig_advance(rig, 9);
    check_eq(get(rig, 0xf0), 0x100000054);
    put(rig, 0x10, 0);
    rig_advance(rig, 1000);
    check_eq(get(rig, 0xf0), 0x100000054);
    rig_store(rig, BASE + 0xf4, 4, 7);
    check_eq(get(rig, 0xf0), 0x700000054);
}

static void one_shot(Rig *rig)
{
    put(rig, 0x140, 0x4 | 2 << 9);
    put(rig, 0x148, 1000);
    put(rig, 0x10, 1);
    rig_advance(rig, 9999);
    check_eq(rig_irq_edges(rig, GSI2), 0);
    rig_advance(rig, 1);
    check_eq(rig_irq_edges(rig, GSI2), 1);
    rig_advance(rig, NS_PER_SECOND);
    check_eq(rig_irq_edges(rig, GSI2), 0);
    put(rig, 0x148, 5);                                    /* long past: at once */
    rig_advance(rig, 0);
    check_eq(rig_irq_edges(rig, GSI2), 1);
    put(rig, 0x140, 2 << 9);
    put(rig, 0x148, get(rig, 0xf0) + 10);
    rig_advance(rig, 1000);                                /* disabled */
    check_eq(rig_irq_edges(rig, GSI2), 0);
    put(rig, 0x140, 0x4 | 3 << 9);                         /* a route that is not there */
    put(rig, 0x148, get(rig, 0xf0) + 10);
    rig_advance(rig, 1000);
    check_eq(rig_irq_edges(rig, GSI2) + rig_irq_edges(rig, IRQ0) + rig_irq_edges(rig, IRQ8), 0);
}

static void legacy_replacement(Rig *rig)
{
    rig_advance(rig, 10);
    put(rig, 0x100, 0x4);
    put(rig, 0x120, 0x4);
    put(rig, 0x108, 10000);
    put(rig, 0x128, 20000);
    put(rig, 0x10, 3);
    rig_advance(rig, 100000);
    check_eq(rig_irq_edges(rig, IRQ0), 1);
    check_eq(rig_irq_edges(rig, IRQ8), 0);
    rig_advance(rig, 100000);
    check_eq(rig_irq_edges(rig, IRQ0), 0);
    check_eq(rig_irq_edges(rig, IRQ8), 1);
}

static void the_old_timers_pass_through(Rig *rig)
{
    for (unsigned input = 0; input < 2; input++) {
        unsigned probe = input ? IRQ8 : IRQ0;
        irq_set(hpet_legacy_input(rig_device(rig, "hpet"), input), true);
        rig_checkpoint(rig);
        check(rig_irq(rig, probe));
        put(rig, 0x10, 2);
        check(!rig_irq(rig, probe));
        irq_set(hpet_legacy_input(rig_device(rig, "hpet"), input), false);
        irq_set(hpet_legacy_input(rig_device(rig, "hpet"), input), true);
        rig_checkpoint(rig);
        check(!rig_irq(rig, probe));
        put(rig, 0x10, 0);
        check(rig_irq(rig, probe));
        irq_set(hpet_legacy_input(rig_device(rig, "hpet"), input), false);
        check(!rig_irq(rig, probe));
    }
}

/* As Linux sets it up: value with SET, then the period. */
static void periodic(Rig *rig)
{
    rig_store(rig, BASE + 0x100, 4, 0x4c | 1 << 8);
    rig_store(rig, BASE + 0x108, 4, 100000);
    rig_store(rig, BASE + 0x108, 4, 50000);
    put(rig, 0x10, 3);
    unsigned edges = 0;
    for (unsigned i = 0; i < 100; i++) {
        rig_advance(rig, 100000);
        edges += rig_irq_edges(rig, IRQ0);
    }
    check_eq(edges, 19);                                   /* at 1 ms, then each 0.5 ms up to 10 ms */
    check_eq(get(rig, 0x108) % 50000, 0);
    check(get(rig, 0x108) > get(rig, 0xf0));
    rig_advance(rig, 10 * NS_PER_SECOND);                  /* the clock jumps: each is served */
    check_eq(rig_irq_edges(rig, IRQ0), 20000);
}

static void an_absurd_period_is_merged(Rig *rig)
{
    put(rig, 0x100, 0x4c);
    put(rig, 0x108, 1);
    put(rig, 0x108, 1);
    put(rig, 0x10, 3);
    rig_advance(rig, 10 * NS_PER_MS);
    check(rig_irq_edges(rig, IRQ0) <= 501);
    put(rig, 0x108, 0);                                    /* none */
    rig_advance(rig, NS_PER_MS);
}

static void levels_hold(Rig *rig)
{
    put(rig, 0x140, 0x6 | 2 << 9);
    put(rig, 0x148, 100);
    put(rig, 0x10, 1);
    rig_advance(rig, 2000);
    check(rig_irq(rig, GSI2));
    check_eq(get(rig, 0x20), 4);
    put(rig, 0x20, 3);
    check(rig_irq(rig, GSI2));
    put(rig, 0x20, 4);
    check(!rig_irq(rig, GSI2));
    check_eq(get(rig, 0x20), 0);
    put(rig, 0x148, 300);
    rig_advance(rig, 2000);
    check(rig_irq(rig, GSI2));
    put(rig, 0x140, 0x2 | 2 << 9);                         /* disabled: the line falls */
    check(!rig_irq(rig, GSI2));
    put(rig, 0x140, 0x6 | 2 << 9);
    put(rig, 0x148, get(rig, 0xf0) + 1);
    rig_advance(rig, 2000);
    device_reset(rig_device(rig, "hpet"));
    check(!rig_irq(rig, GSI2));
}

static void a_32_bit_timer_wraps(Rig *rig)
{
    put(rig, 0xf0, 0xffffff00);
    put(rig, 0x140, 0x104 | 2 << 9);
    put(rig, 0x148, UINT64_C(0x1200000010));
    check_eq(get(rig, 0x148), 0x10);
    put(rig, 0x10, 1);
    rig_advance(rig, 0x100 * 10);
    check_eq(rig_irq_edges(rig, GSI2), 0);
    rig_advance(rig, 0x20 * 10);
    check_eq(rig_irq_edges(rig, GSI2), 1);
}

static void far_comparators(Rig *rig)
{
    put(rig, 0x140, 0x4 | 2 << 9);
    put(rig, 0x148, INT64_MAX);
    put(rig, 0x10, 1);
    rig_advance(rig, 1000 * NS_PER_SECOND);
    check_eq(rig_irq_edges(rig, GSI2), 0);
    check_eq(get(rig, 0xf0), 100000000000);
}

static void random_traffic_is_survived(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1970);

    for (unsigned i = 0; i < 40000; i++) {
        uint32_t r = g_rand_int(random), value = g_rand_boolean(random) ? g_rand_int(random) : g_rand_int(random) & 0xfff;
        unsigned reg = r & 0x1fc;
        switch (r >> 29) {
        case 0: case 1: case 2: rig_store(rig, BASE + reg, r & 0x200 ? 4 : 8, value); break;
        case 3: rig_store(rig, BASE + reg, 8, (uint64_t)value << (r >> 10 & 31)); break;
        case 4: rig_store(rig, BASE + 0x10, 8, value); break;
        case 5: rig_load(rig, BASE + (r & 0x3ff), 1 << (r >> 10 & 3)); break;
        case 6: irq_set(hpet_legacy_input(rig_device(rig, "hpet"), r & 1), r >> 1 & 1); break;
        default: rig_advance(rig, value & 0xffffff);
        }
    }
}

const Test hpet_tests[] = {
    { "registers read as QEMU's", registers, HPET_BOARD },
    { "the counter runs and stands", the_counter, HPET_BOARD },
    { "one shot", one_shot, HPET_BOARD },
    { "legacy replacement", legacy_replacement, HPET_BOARD },
    { "the old timers pass through", the_old_timers_pass_through, HPET_BOARD },
    { "periodic", periodic, HPET_BOARD },
    { "an absurd period is merged", an_absurd_period_is_merged, HPET_BOARD },
    { "levels hold until they are cleared", levels_hold, HPET_BOARD },
    { "a 32-bit timer wraps", a_32_bit_timer_wraps, HPET_BOARD },
    { "far comparators", far_comparators, HPET_BOARD },
    { "random traffic is survived", random_traffic_is_survived, .board = "isa", .devices = "hpet,timer=@16,rtc=@17,gsi2=@18", .runs = FRESH },
    { NULL } };
