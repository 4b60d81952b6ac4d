/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i8254.c - the timer chip alone, and mounted: counter 0's output on probe 0 */
#include "base/timer.h"
#include "hw/timer/i8254.h"
#include "tests/rig/rig.h"

#define PIT_BOARD .board = "isa", .devices = "isa-pit,irq=@0", .runs = FRESH | RESTORED
#define CHIP_ONLY .board = "bare", .runs = FRESH

/* The first nanosecond of a tick. */
static int64_t ticks(int64_t count)
{
    return (count * NS_PER_SECOND + (int64_t)I8254_HZ - 1) / (int64_t)I8254_HZ;
}

static void program(I8254 *pit, unsigned counter, unsigned mode, uint16_t count, int64_t now)
{
    i8254_write(pit, 3, counter << 6 | 0x30 | mode << 1, now);
    i8254_write(pit, counter, count & 0xff, now);
    i8254_write(pit, counter, count >> 8, now);
}

static uint16_t count_of(I8254 *pit, unsigned counter, int64_t now)
{
    i8254_write(pit, 3, counter << 6, now);
    uint16_t low = i8254_read(pit, counter, now);
    return low | i8254_read(pit, counter, now) << 8;
}

static void outs(I8254 *pit, unsigned counter, int64_t from, const char *expected)
{
    for (unsigned i = 0; expected[i]; i++) {
        bool out = i8254_out(pit, counter, ticks(from + i));
        if (out != (expected[i] == '1')) {
            check_failed(__FILE__, __LINE__, "OUT is %d at tick %u of %s", out, i, expected);
        }
    }
}

static void mode_0(Rig *rig)
{
    I8254 pit;

    (void)rig;
    i8254_reset(&pit);
    i8254_write(&pit, 3, 0x30, ticks(10));
    check(!i8254_out(&pit, 0, ticks(10)));
    i8254_write(&pit, 0, 4, ticks(10));
    i8254_write(&pit, 0, 0, ticks(10));
    outs(&pit, 0, 10, "00001111");
    check_eq(count_of(&pit, 0, ticks(11)), 3);
    check_eq(count_of(&pit, 0, ticks(14)), 0);
    check_eq(count_of(&pit, 0, ticks(15)), 0xffff);        /* it counts on */
    i8254_write(&pit, 0, 3, ticks(20));                    /* half a count stops it, and OUT falls */
    check(!i8254_out(&pit, 0, ticks(30)));
    i8254_write(&pit, 0, 0, ticks(30));
    outs(&pit, 0, 30, "00011");
}

static void mode_0_waits_for_its_gate(Rig *rig)
{
    I8254 pit;

    (void)rig;
    i8254_reset(&pit);
    i8254_set_gate(&pit, 2, true, 0);
    program(&pit, 2, 0, 10, ticks(100));
    i8254_set_gate(&pit, 2, false, ticks(104));
    check_eq(count_of(&pit, 2, ticks(500)), 6);
    check_eq(i8254_next_rise(&pit, 2, ticks(500)), -1);
    i8254_set_gate(&pit, 2, true, ticks(1000));
    check_eq(count_of(&pit, 2, ticks(1001)), 5);
    check_eq(i8254_next_rise(&pit, 2, ticks(1001)), ticks(1006));
    check(!i8254_out(&pit, 2, ticks(1005)));
    check(i8254_out(&pit, 2, ticks(1006)));
}

static void mode_1_is_triggered(Rig *rig)
{
    I8254 pit;

    (void)rig;
    i8254_reset(&pit);
    program(&pit, 2, 1, 3, ticks(1));
    outs(&pit, 2, 1, "111111");
    i8254_set_gate(&pit, 2, true, ticks(10));
    outs(&pit, 2, 10, "000111");
    i8254_set_gate(&pit, 2, false, ticks(20));
    i8254_set_gate(&pit, 2, true, ticks(20));
    program(&pit, 2, 1, 3, ticks(30));
    i8254_set_gate(&pit, 2, false, ticks(30));
    i8254_set_gate(&pit, 2, true, ticks(30));
    i8254_write(&pit, 2, 100, ticks(31));                  /* for the next shot */
    i8254_write(&pit, 2, 0, ticks(31));
    outs(&pit, 2, 31, "0011");
    i8254_set_gate(&pit, 2, false, ticks(40));
    i8254_set_gate(&pit, 2, true, ticks(40));              /* retriggered in the middle below */
    check(!i8254_out(&pit, 2, ticks(139)));
    i8254_set_gate(&pit, 2, false, ticks(90));
    i8254_set_gate(&pit, 2, true, ticks(90));
    check(!i8254_out(&pit, 2, ticks(189)));
    check(i8254_out(&pit, 2, ticks(190)));
}

static void mode_2(Rig *rig)
{
    I8254 pit;

    (void)rig;
    i8254_reset(&pit);
    program(&pit, 0, 2, 3, ticks(50));
    outs(&pit, 0, 50, "110110110");
    check_eq(count_of(&pit, 0, ticks(51)), 2);
    check_eq(count_of(&pit, 0, ticks(52)), 1);
    check_eq(count_of(&pit, 0, ticks(53)), 3);
    i8254_write(&pit, 0, 5, ticks(54));                    /* takes over at 56 */
    i8254_write(&pit, 0, 0, ticks(54));
    outs(&pit, 0, 54, "10111101111");
    i8254_write(&pit, 3, 0xc2 | 0x20, ticks(70));          /* status alone */
    check_eq(i8254_read(&pit, 0, ticks(70)) & 0x7f, 0x34);
}

static void mode_3(Rig *rig)
{
    I8254 pit;

    (void)rig;
    i8254_reset(&pit);
    program(&pit, 0, 3, 4, ticks(50));
    outs(&pit, 0, 50, "11001100");
    check_eq(count_of(&pit, 0, ticks(50)), 4);
    check_eq(count_of(&pit, 0, ticks(51)), 2);
    check_eq(count_of(&pit, 0, ticks(52)), 4);
    program(&pit, 0, 7, 5, ticks(100));                    /* 7 is another spelling; odd: high is one longer */
    outs(&pit, 0, 100, "1110011100");
    program(&pit, 0, 3, 4, ticks(200));
    i8254_write(&pit, 0, 8, ticks(201));                   /* at the end of this half */
    i8254_write(&pit, 0, 0, ticks(201));
    outs(&pit, 0, 200, "110000111100001111");
}

static void modes_2_and_3_stand_without_gate(Rig *rig)
{
    I8254 pit;

    (void)rig;
    for (unsigned mode = 2; mode <= 3; mode++) {
        i8254_reset(&pit);
        i8254_set_gate(&pit, 2, true, 0);
        program(&pit, 2, mode, 4, ticks(0));
        i8254_set_gate(&pit, 2, false, ticks(3));
        outs(&pit, 2, 3, "1111111");
        i8254_set_gate(&pit, 2, true, ticks(103));
        outs(&pit, 2, 103, mode == 2 ? "11101110" : "11001100");
    }
}

static void modes_4_and_5_strobe(Rig *rig)
{
    I8254 pit;

    (void)rig;
    i8254_reset(&pit);
    program(&pit, 0, 4, 3, ticks(5));
    outs(&pit, 0, 5, "1110111");
    program(&pit, 2, 5, 3, ticks(50));
    outs(&pit, 2, 50, "111111");
    i8254_set_gate(&pit, 2, true, ticks(60));
    outs(&pit, 2, 60, "11101111");
    check_eq(i8254_next_rise(&pit, 2, ticks(61)), ticks(64));
    check_eq(i8254_next_rise(&pit, 2, ticks(63)), ticks(64));
    check_eq(i8254_next_rise(&pit, 2, ticks(64)), -1);
}

static void bcd(Rig *rig)
{
    I8254 pit;

    (void)rig;
    i8254_reset(&pit);
    i8254_write(&pit, 3, 0x31, 0);
    i8254_write(&pit, 0, 0x00, 0);
    i8254_write(&pit, 0, 0x10, 0);                         /* 1000 */
    check_eq(count_of(&pit, 0, ticks(1)), 0x0999);
    check_eq(count_of(&pit, 0, ticks(1001)), 0x9999);
    i8254_write(&pit, 3, 0x35, ticks(2000));
    i8254_write(&pit, 0, 0, ticks(2000));
    i8254_write(&pit, 0, 0, ticks(2000));                  /* 10000 */
    check_eq(i8254_next_rise(&pit, 0, ticks(2000)), ticks(12000));
    i8254_write(&pit, 3, 0x31, ticks(20000));
    i8254_write(&pit, 0, 0xff, ticks(20000));              /* no digits: whatever, but calm */
    i8254_write(&pit, 0, 0xff, ticks(20000));
    count_of(&pit, 0, ticks(30000));
}

static void byte_access(Rig *rig)
{
    I8254 pit;

    (void)rig;
    i8254_reset(&pit);
    i8254_write(&pit, 3, 0x14, 0);                         /* low byte only */
    i8254_write(&pit, 0, 100, 0);
    check_eq(i8254_read(&pit, 0, ticks(1)), 99);
    check_eq(i8254_read(&pit, 0, ticks(2)), 98);
    i8254_write(&pit, 3, 0x24, ticks(10));                 /* high byte only */
    i8254_write(&pit, 0, 2, ticks(10));
    check_eq(i8254_read(&pit, 0, ticks(10)), 2);
    check_eq(i8254_read(&pit, 0, ticks(11)), 1);
    check_eq(i8254_next_rise(&pit, 0, ticks(11)), ticks(522));
}

static void latches_hold(Rig *rig)
{
    I8254 pit;

    (void)rig;
    i8254_reset(&pit);
    program(&pit, 0, 2, 1000, 0);
    i8254_write(&pit, 3, 0x00, ticks(10));
    i8254_write(&pit, 3, 0x00, ticks(20));                 /* the second latch is ignored */
    check_eq(i8254_read(&pit, 0, ticks(500)), 990 & 0xff);
    check_eq(i8254_read(&pit, 0, ticks(500)), 990 >> 8);
    check_eq(i8254_read(&pit, 0, ticks(500)), 500 & 0xff);
    check_eq(i8254_read(&pit, 0, ticks(501)), 499 >> 8);
    i8254_write(&pit, 3, 0xc2, ticks(600));                /* read-back of both: status comes first */
    check_eq(i8254_read(&pit, 0, ticks(700)), 0xb4);
    check_eq(i8254_read(&pit, 0, ticks(700)), 400 & 0xff);
    check_eq(i8254_read(&pit, 0, ticks(700)), 400 >> 8);
    i8254_write(&pit, 3, 0x34, ticks(800));
    i8254_write(&pit, 3, 0xe2, ticks(800));
    check_eq(i8254_read(&pit, 0, ticks(800)), 0xf4);       /* null count: none since the control word */
    check_eq(i8254_read(&pit, 3, 0), 0xff);
}

static void rises_are_not_missed(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(8254);

    (void)rig;
    for (unsigned round = 0; round < 3000; round++) {
        I8254 pit;
        unsigned mode = g_rand_int_range(random, 0, 8);
        int64_t now = g_rand_int_range(random, 0, 1000), seen = 0, real = 0;
        i8254_reset(&pit);
        program(&pit, 0, mode, g_rand_int_range(random, 1, 12), ticks(now));
        if (round & 1) {
            now += g_rand_int_range(random, 0, 20);
            i8254_write(&pit, 0, g_rand_int_range(random, 1, 12), ticks(now));
            i8254_write(&pit, 0, 0, ticks(now));
        }
        I8254 model = pit, walker = pit;
        bool last = i8254_out(&model, 0, ticks(now));
        for (int64_t tick = now + 1; tick <= now + 60; tick++) {
            bool out = i8254_out(&model, 0, ticks(tick));
            real += out && !last;
            last = out;
        }
        bool any = i8254_rose(&pit, 0, ticks(now), ticks(now + 60));
        for (int64_t at = ticks(now), next; (next = i8254_next_rise(&walker, 0, at)) >= 0 && next <= ticks(now + 60); at = next) {
            check(next > at);
            seen += i8254_rose(&walker, 0, at, next);
        }
        check_eq(seen, real);
        check_eq(any, real > 0);
    }
}

static void random_writes_are_survived(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    I8254 pit;
    int64_t now = 0;

    (void)rig;
    i8254_reset(&pit);
    for (unsigned i = 0; i < 200000; i++) {
        uint32_t r = g_rand_int(random);
        now += r % 100 ? r >> 12 : (int64_t)r * 1000;
        switch (r >> 29) {
        case 0: case 1: case 2: i8254_write(&pit, r & 3, r >> 8, now); break;
        case 3: case 4: i8254_read(&pit, r & 3, now); break;
        case 5: i8254_set_gate(&pit, r % 3, r >> 8 & 1, now); break;
        case 6: check(i8254_next_rise(&pit, r % 3, now) == -1 || i8254_next_rise(&pit, r % 3, now) > now); break;
        default: i8254_rose(&pit, r % 3, now - r % 100000, now);
        }
        check(i8254_valid(&pit));
    }
}

/* Mounted. */

static void rate_generator_reloads(Rig *rig)
{
    rig_outb(rig, 0x43, 0x34);                             /* counter 0, low then high byte, mode 2 */
    rig_outb(rig, 0x40, 100);
    rig_outb(rig, 0x40, 0);
    rig_irq_edges(rig, 0);
    rig_advance(rig, ticks(250));
    check_eq(rig_irq_edges(rig, 0), 2);
    rig_advance(rig, ticks(49));
    check_eq(rig_irq_edges(rig, 0), 0);
    rig_advance(rig, ticks(2));
    check_eq(rig_irq_edges(rig, 0), 1);
}

static void system_timer_at_18_hz(Rig *rig)
{
    rig_outb(rig, 0x43, 0x36);
    rig_outb(rig, 0x40, 0);
    rig_outb(rig, 0x40, 0);
    rig_irq_edges(rig, 0);
    for (unsigned i = 0; i < 10; i++) {
        rig_advance(rig, NS_PER_SECOND);
    }
    check_eq(rig_irq_edges(rig, 0), 182);                  /* 18.2065 Hz */
}

static void one_shot(Rig *rig)
{
    rig_outb(rig, 0x43, 0x30);
    rig_outb(rig, 0x40, 0xa9);
    rig_outb(rig, 0x40, 0x04);                             /* 1193: a millisecond */
    check(!rig_irq(rig, 0));
    rig_irq_edges(rig, 0);
    rig_advance(rig, NS_PER_MS - 1000);
    check(!rig_irq(rig, 0));
    rig_advance(rig, 2000);
    check(rig_irq(rig, 0));
    rig_advance(rig, NS_PER_SECOND);
    check_eq(rig_irq_edges(rig, 0), 1);
    rig_outb(rig, 0x40, 0xa9);                             /* again: OUT falls with the first byte */
    check(!rig_irq(rig, 0));
    rig_outb(rig, 0x40, 0x04);
    rig_advance(rig, 2 * NS_PER_MS);
    check_eq(rig_irq_edges(rig, 0), 1);
}

static void an_absurd_rate_is_merged(Rig *rig)
{
    rig_outb(rig, 0x43, 0x14);
    rig_outb(rig, 0x40, 2);                                /* 600 kHz */
    rig_irq_edges(rig, 0);
    rig_advance(rig, 10 * NS_PER_MS);
    unsigned edges = rig_irq_edges(rig, 0);
    check(edges >= 400 && edges <= 510);
    rig_outb(rig, 0x43, 0x14);
    rig_outb(rig, 0x40, 1);                                /* not allowed, and no trouble */
    rig_advance(rig, 10 * NS_PER_MS);
}

static void port_61(Rig *rig)
{
    rig_outb(rig, 0x61, 0xfc);
    check_eq(rig_inb(rig, 0x61) & 0xcf, 0x0c);
    rig_outb(rig, 0x61, 0);
    rig_outb(rig, 0x43, 0xb0);                             /* counter 2, mode 0: how systems measure time */
    rig_outb(rig, 0x42, 0xa9);
    rig_outb(rig, 0x42, 0x04);
    rig_advance(rig, NS_PER_SECOND);
    check_eq(rig_inb(rig, 0x61) & 0x21, 0);                /* the gate is low */
    rig_outb(rig, 0x61, 1);
    rig_advance(rig, NS_PER_MS - 2000);
    check_eq(rig_inb(rig, 0x61) & 0x21, 0x01);
    rig_advance(rig, 4000);
    check_eq(rig_inb(rig, 0x61) & 0x21, 0x21);
    unsigned changes = 0;
    uint8_t last = rig_inb(rig, 0x61) & 0x10;
    for (unsigned i = 0; i < 100; i++) {                   /* refresh: every 15 us */
        rig_advance(rig, 15085);
        uint8_t bit = rig_inb(rig, 0x61) & 0x10;
        changes += bit != last;
        last = bit;
    }
    check_eq(changes, 100);
}

static void reset_stops_it(Rig *rig)
{
    rig_outb(rig, 0x43, 0x34);
    rig_outb(rig, 0x40, 100);
    rig_outb(rig, 0x40, 0);
    device_reset(rig_device(rig, "isa-pit"));
    rig_irq_edges(rig, 0);
    rig_advance(rig, NS_PER_SECOND);
    check_eq(rig_irq_edges(rig, 0), 0);
}

const Test i8254_tests[] = {
    { "mode 0 counts down and goes on", mode_0, CHIP_ONLY },
    { "mode 0 waits for its gate", mode_0_waits_for_its_gate, CHIP_ONLY },
    { "mode 1 is triggered and retriggered", mode_1_is_triggered, CHIP_ONLY },
    { "mode 2 reloads at the end of its cycle", mode_2, CHIP_ONLY },
    { "mode 3 reloads at the end of a half", mode_3, CHIP_ONLY },
    { "modes 2 and 3 stand without gate", modes_2_and_3_stand_without_gate, CHIP_ONLY },
    { "modes 4 and 5 strobe", modes_4_and_5_strobe, CHIP_ONLY },
    { "BCD", bcd, CHIP_ONLY },
    { "access by one byte", byte_access, CHIP_ONLY },
    { "latches hold", latches_hold, CHIP_ONLY },
    { "rises are announced and found, against a walk by ticks", rises_are_not_missed, CHIP_ONLY },
    { "random writes are survived", random_writes_are_survived, CHIP_ONLY },
    { "mode 2 reloads by itself", rate_generator_reloads, PIT_BOARD },
    { "the system timer ticks 18.2 times a second", system_timer_at_18_hz, PIT_BOARD },
    { "one shot", one_shot, PIT_BOARD },
    { "an absurd rate is merged", an_absurd_rate_is_merged, PIT_BOARD },
    { "port 61h", port_61, PIT_BOARD },
    { "reset stops it", reset_stops_it, PIT_BOARD },
    { NULL } };
