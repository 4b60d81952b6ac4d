/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtc.c - the real-time clock: the chip alone at chosen times, and mounted with IRQ 8 on probe 8 */
#include "hw/timer/mc146818.h"
#include "base/timer.h"
#include "hw/timer/timers.h"
#include "tests/rig/rig.h"

#define CHIP_ONLY .board = "bare", .runs = FRESH
#define RTC_BOARD .board = "isa", .devices = "mc146818rtc,irq=@8", .config = "rtc.clock=vm rtc.base=2026-01-31T12:34:56", .runs = FRESH | RESTORED

#define S NS_PER_SECOND

/* 2000-02-28 23:59:58, a Monday. */
#define LEAP (INT64_C(951782398) * S)

static void set(Mc146818 *rtc, unsigned index, uint8_t value, int64_t now)
{
    mc146818_write(rtc, index, value, now);
}

static uint8_t get(Mc146818 *rtc, unsigned index, int64_t now)
{
    return mc146818_read(rtc, index, now);
}

static void calendar(Rig *rig)
{
    Mc146818 rtc = { 0 };

    (void)rig;
    mc146818_init(&rtc, LEAP, 1000);
    check_eq(get(&rtc, RTC_A, 1000), 0x26);
    check_eq(get(&rtc, RTC_B, 1000), 0x02);
    check_eq(get(&rtc, RTC_D, 1000), 0x80);
    check_eq(get(&rtc, RTC_SECONDS, 1000), 0x58);
    check_eq(get(&rtc, RTC_MINUTES, 1000), 0x59);
    check_eq(get(&rtc, RTC_HOURS, 1000), 0x23);
    check_eq(get(&rtc, RTC_WEEKDAY, 1000), 2);
    check_eq(get(&rtc, RTC_DAY, 1000), 0x28);
    check_eq(get(&rtc, RTC_MONTH, 1000), 2);
    check_eq(get(&rtc, RTC_YEAR, 1000), 0);
    check_eq(get(&rtc, RTC_CENTURY, 1000), 0x20);
    check_eq(get(&rtc, RTC_PS2_CENTURY, 1000), 0x20);
    int64_t now = 1000 + 2 * S;
    check_eq(get(&rtc, RTC_DAY, now), 0x29);
    check_eq(get(&rtc, RTC_HOURS, now), 0);
    now += 86400 * S;
    check_eq(get(&rtc, RTC_DAY, now), 1);
    check_eq(get(&rtc, RTC_MONTH, now), 3);
    check_eq(get(&rtc, RTC_WEEKDAY, now), 4);
}

/* Every date for some centuries, against GLib's calendar. */
static void dates(Rig *rig)
{
    Mc146818 rtc = { 0 };
    GDate date;

    (void)rig;
    g_date_clear(&date, 1);
    g_date_set_dmy(&date, 1, 1, 1970);
    mc146818_init(&rtc, 0, 0);
    set(&rtc, RTC_B, RTC_B_24H | RTC_B_BINARY, 0);
    for (int64_t day = 0; day < 106000; day++) {
        int64_t now = day * 86400 * S + day;
        bool same = get(&rtc, RTC_DAY, now) == g_date_get_day(&date) && get(&rtc, RTC_MONTH, now) == (int)g_date_get_month(&date) &&
                    get(&rtc, RTC_YEAR, now) == g_date_get_year(&date) % 100 &&
                    get(&rtc, RTC_CENTURY, now) == g_date_get_year(&date) / 100 &&
                    get(&rtc, RTC_WEEKDAY, now) == (int)g_date_get_weekday(&date) % 7 + 1;
        if (!same) {
            check_failed(__FILE__, __LINE__, "day %d of the calendar is wrong", (int)day);
            return;
        }
        g_date_add_days(&date, 1);
    }
}

static void twelve_hours(Rig *rig)
{
    static const uint8_t bcd[24] = { 0x12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x11, 0x92, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
                                     0x89, 0x90, 0x91 };
    Mc146818 rtc = { 0 };

    (void)rig;
    mc146818_init(&rtc, 0, 0);
    set(&rtc, RTC_B, 0, 0);
    for (unsigned hour = 0; hour < 24; hour++) {
        check_eq(get(&rtc, RTC_HOURS, hour * 3600 * S), bcd[hour]);
        set(&rtc, RTC_HOURS, bcd[23 - hour], hour * 3600 * S);
        check_eq(get(&rtc, RTC_HOURS, hour * 3600 * S), bcd[23 - hour]);
        set(&rtc, RTC_HOURS, bcd[hour], hour * 3600 * S);
    }
}

static void setting_the_time(Rig *rig)
{
    Mc146818 rtc = { 0 };

    (void)rig;
    mc146818_init(&rtc, LEAP, 0);
    set(&rtc, RTC_B, RTC_B_SET | RTC_B_24H, 0);
    check_eq(get(&rtc, RTC_SECONDS, 10 * S), 0x58);        /* it stands */
    set(&rtc, RTC_SECONDS, 0x01, 10 * S);
    set(&rtc, RTC_MINUTES, 0x02, 10 * S);
    set(&rtc, RTC_HOURS, 0x03, 10 * S);
    set(&rtc, RTC_DAY, 0x31, 10 * S);
    set(&rtc, RTC_MONTH, 0x12, 10 * S);
    set(&rtc, RTC_YEAR, 0x99, 10 * S);
    set(&rtc, RTC_CENTURY, 0x19, 10 * S);
    check_eq(get(&rtc, RTC_DAY, 11 * S), 0x31);
    set(&rtc, RTC_B, RTC_B_24H, 20 * S);
    check_eq(mc146818_time_of_day(&rtc, 20 * S) / S, 946609321);
    check_eq(get(&rtc, RTC_SECONDS, 21 * S), 0x02);
    set(&rtc, RTC_MINUTES, 0x30, 22 * S);                  /* also while it runs */
    check_eq(get(&rtc, RTC_MINUTES, 22 * S), 0x30);
    check_eq(get(&rtc, RTC_SECONDS, 22 * S), 0x03);
    set(&rtc, RTC_CENTURY, 0x99, 22 * S);                  /* beyond the end of time */
    check_eq(get(&rtc, RTC_CENTURY, 22 * S), 0x22);
    set(&rtc, RTC_CENTURY, 0x00, 22 * S);
    check_eq(get(&rtc, RTC_CENTURY, 22 * S), 0x19);
}

static void divider_reset(Rig *rig)
{
    Mc146818 rtc = { 0 };

    (void)rig;
    mc146818_init(&rtc, LEAP, 0);
    set(&rtc, RTC_A, 0x76, 0);
    check_eq(get(&rtc, RTC_SECONDS, 5 * S), 0x58);
    set(&rtc, RTC_A, 0x26, 10 * S);
    check_eq(get(&rtc, RTC_SECONDS, 10 * S + S / 2 - 1), 0x58);
    check_eq(get(&rtc, RTC_SECONDS, 10 * S + S / 2), 0x59);
}

static void update_in_progress(Rig *rig)
{
    Mc146818 rtc = { 0 };

    (void)rig;
    mc146818_init(&rtc, LEAP, 0);
    check_eq(get(&rtc, RTC_A, S - 244001), 0x26);
    check_eq(get(&rtc, RTC_A, S - 244000), 0xa6);
    check_eq(get(&rtc, RTC_A, S - 1), 0xa6);
    check_eq(get(&rtc, RTC_A, S), 0x26);
    set(&rtc, RTC_A, 0xa6, S);                             /* UIP cannot be written */
    check_eq(get(&rtc, RTC_A, S), 0x26);
    set(&rtc, RTC_B, RTC_B_SET | RTC_B_24H, S);
    check_eq(get(&rtc, RTC_A, 2 * S - 1), 0x26);
}

static void flags_without_interrupts(Rig *rig)
{
    Mc146818 rtc = { 0 };

    (void)rig;
    mc146818_init(&rtc, LEAP, 0);
    check_eq(mc146818_deadline(&rtc, 0), -1);
    check_eq(get(&rtc, RTC_C, 0), 0);
    check_eq(get(&rtc, RTC_C, 2 * S), RTC_C_UF | RTC_C_PF | RTC_C_AF);     /* alarm bytes of zero: midnight */
    check_eq(get(&rtc, RTC_C, 2 * S), 0);
    check_eq(get(&rtc, RTC_C, 3 * S), RTC_C_UF | RTC_C_PF);
    check(!mc146818_irq(&rtc));
    mc146818_tick(&rtc, 4 * S);
    set(&rtc, RTC_B, RTC_B_24H | RTC_B_UIE, 4 * S);        /* a flag that is up already interrupts */
    check(mc146818_irq(&rtc));
    check_eq(get(&rtc, RTC_C, 4 * S), RTC_C_IRQF | RTC_C_UF | RTC_C_PF);
    check(!mc146818_irq(&rtc));
}

static void alarms(Rig *rig)
{
    Mc146818 rtc = { 0 };

    (void)rig;
    mc146818_init(&rtc, LEAP, 0);
    set(&rtc, RTC_SECONDS_ALARM, 0x05, 0);
    set(&rtc, RTC_MINUTES_ALARM, 0x10, 0);
    set(&rtc, RTC_HOURS_ALARM, 0x06, 0);
    set(&rtc, RTC_B, RTC_B_24H | RTC_B_AIE, 0);
    check_eq(mc146818_deadline(&rtc, 0), (2 + 6 * 3600 + 10 * 60 + 5) * S);
    set(&rtc, RTC_HOURS_ALARM, 0xff, 0);
    check_eq(mc146818_deadline(&rtc, 0), (2 + 10 * 60 + 5) * S);
    set(&rtc, RTC_MINUTES_ALARM, 0xc0, 0);
    check_eq(mc146818_deadline(&rtc, 0), 7 * S);
    set(&rtc, RTC_SECONDS_ALARM, 0xff, 0);
    check_eq(mc146818_deadline(&rtc, 0), S);
    check(mc146818_tick(&rtc, S));
    check(mc146818_irq(&rtc));
    set(&rtc, RTC_SECONDS_ALARM, 0x61, S);                 /* never */
    check_eq(mc146818_deadline(&rtc, S), -1);
    set(&rtc, RTC_SECONDS_ALARM, 0x58, S);                 /* just gone by: in a minute */
    set(&rtc, RTC_MINUTES_ALARM, 0x59, S);
    set(&rtc, RTC_HOURS_ALARM, 0x23, S);
    check_eq(mc146818_deadline(&rtc, S), 86400 * S);
}

static void rates(Rig *rig)
{
    static const int64_t cycles[16] = { 0, 128, 256, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384 };
    Mc146818 rtc = { 0 };

    (void)rig;
    mc146818_init(&rtc, LEAP, 0);
    set(&rtc, RTC_B, RTC_B_24H | RTC_B_PIE, 0);
    for (unsigned rate = 0; rate < 16; rate++) {
        set(&rtc, RTC_A, 0x20 | rate, 0);
        get(&rtc, RTC_C, 0);
        check_eq(mc146818_deadline(&rtc, 0), rate ? (cycles[rate] * S + 32767) / 32768 : -1);
    }
}

static void lost_ticks_come_back_with_slew(Rig *rig)
{
    Mc146818 rtc = { .slew = true };
    unsigned seen = 0;

    (void)rig;
    mc146818_init(&rtc, LEAP, 0);
    set(&rtc, RTC_A, 0x26, 0);                             /* 1024 Hz */
    set(&rtc, RTC_B, RTC_B_24H | RTC_B_PIE, 0);
    mc146818_tick(&rtc, S);                                /* a guest that slept a second */
    for (int64_t now = S; now < 2 * S; now += S / 1024) {
        mc146818_tick(&rtc, now);
        while (mc146818_irq(&rtc)) {
            get(&rtc, RTC_C, now);
            seen++;
        }
    }
    check(seen >= 2046 && seen <= 2048);
}

static void random_traffic_is_survived(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(146818);
    Mc146818 rtc = { 0 };
    int64_t now = 0;

    (void)rig;
    mc146818_init(&rtc, LEAP, 0);
    for (unsigned i = 0; i < 200000; i++) {
        uint32_t r = g_rand_int(random);
        now += r >> 8;
        if (r & 0x80) {
            set(&rtc, r & 0x0f, g_rand_int(random), now);
        } else if (r & 0x40) {
            get(&rtc, r & 0x3f, now);
        } else {
            int64_t deadline = mc146818_deadline(&rtc, now);
            check(deadline == -1 || deadline > now);
        }
        check(mc146818_valid(&rtc));
    }
}

/* Mounted. */

static uint8_t cmos(Rig *rig, uint8_t index)
{
    rig_outb(rig, 0x70, index);
    rig_checkpoint(rig);
    return rig_inb(rig, 0x71);
}

static void cmos_put(Rig *rig, uint8_t index, uint8_t value)
{
    rig_outb(rig, 0x70, index);
    rig_outb(rig, 0x71, value);
    rig_checkpoint(rig);
}

static void time_goes_by(Rig *rig)
{
    check_eq(cmos(rig, RTC_SECONDS), 0x56);
    check_eq(cmos(rig, RTC_MINUTES), 0x34);
    check_eq(cmos(rig, 0x80 | RTC_HOURS), 0x12);
    check_eq(cmos(rig, RTC_DAY), 0x31);
    check_eq(cmos(rig, RTC_MONTH), 0x01);
    check_eq(cmos(rig, RTC_YEAR), 0x26);
    rig_advance(rig, 5 * S);
    check_eq(cmos(rig, RTC_SECONDS), 0x01);
    check_eq(cmos(rig, RTC_MINUTES), 0x35);
    check_eq(rig_inb(rig, 0x70), 0xff);
}

static void interrupts(Rig *rig)
{
    cmos_put(rig, RTC_B, RTC_B_24H | RTC_B_UIE);
    cmos(rig, RTC_C);
    rig_irq_edges(rig, 8);
    rig_advance(rig, 3 * S);
    check_eq(rig_irq_edges(rig, 8), 1);                    /* it stays up until C is read */
    check(rig_irq(rig, 8));
    check_eq(cmos(rig, RTC_C) & 0x90, 0x90);
    check(!rig_irq(rig, 8));
    cmos_put(rig, RTC_A, 0x2f);                            /* 2 Hz */
    cmos_put(rig, RTC_B, RTC_B_24H | RTC_B_PIE);
    cmos(rig, RTC_C);
    rig_irq_edges(rig, 8);
    unsigned edges = 0;
    for (unsigned i = 0; i < 40; i++) {
        rig_advance(rig, S / 8);
        edges += rig_irq_edges(rig, 8);
        cmos(rig, RTC_C);
    }
    check_eq(edges, 10);
    device_reset(rig_device(rig, "mc146818rtc"));
    rig_irq_edges(rig, 8);
    rig_advance(rig, 3 * S);
    check_eq(rig_irq_edges(rig, 8), 0);
    check_eq(cmos(rig, RTC_A), 0x2f);                      /* reset leaves the rate and the time */
}

static void memory_of_the_board(Rig *rig)
{
    Device *rtc = rig_device(rig, "mc146818rtc");

    rtc_set_memory_size(rtc, UINT64_C(0xc0000000), UINT64_C(0x40000000));
    check(rtc_set_cmos(rtc, 0x3d, 0x12));
    check(!rtc_set_cmos(rtc, RTC_SECONDS, 0));
    check(!rtc_set_cmos(rtc, 128, 0));
    check_eq(rtc_get_cmos(rtc, 0x3d), 0x12);
    check_eq(cmos(rig, 0x15), 0x80);
    check_eq(cmos(rig, 0x16), 0x02);
    check_eq(cmos(rig, 0x17), 0xff);
    check_eq(cmos(rig, 0x34) | cmos(rig, 0x35) << 8, 0xbf00);
    check_eq(cmos(rig, 0x5b) | cmos(rig, 0x5c) << 8 | cmos(rig, 0x5d) << 16, 0x4000);
    check_eq(cmos(rig, 0x3d), 0x12);
    cmos_put(rig, 0x70, 0x77);
    check_eq(cmos(rig, 0x70), 0x77);
}

const Test rtc_tests[] = {
    { "the calendar over a leap day", calendar, CHIP_ONLY },
    { "every date to 2260", dates, CHIP_ONLY },
    { "twelve hours", twelve_hours, CHIP_ONLY },
    { "setting the time", setting_the_time, CHIP_ONLY },
    { "divider reset", divider_reset, CHIP_ONLY },
    { "update in progress", update_in_progress, CHIP_ONLY },
    { "flags without interrupts", flags_without_interrupts, CHIP_ONLY },
    { "alarms and wild cards", alarms, CHIP_ONLY },
    { "rates", rates, CHIP_ONLY },
    { "lost ticks come back with slew", lost_ticks_come_back_with_slew, CHIP_ONLY },
    { "random traffic is survived", random_traffic_is_survived, CHIP_ONLY },
    { "time goes by", time_goes_by, RTC_BOARD },
    { "interrupts", interrupts, RTC_BOARD },
    { "memory of the board", memory_of_the_board, RTC_BOARD },
    { NULL } };
