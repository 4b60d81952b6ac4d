/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mc146818.h - the real-time clock chip alone: 128 bytes of CMOS, of which the first fourteen keep time
 *
 * Pure. now is a clock in nanoseconds that the caller chose; the time of day is now plus an offset, so nothing ticks.
 */
#pragma once
#include "base/field.h"
#include <stdint.h>

enum { MC146818_BYTES = 128 };
enum {
    RTC_SECONDS, RTC_SECONDS_ALARM, RTC_MINUTES, RTC_MINUTES_ALARM, RTC_HOURS, RTC_HOURS_ALARM, RTC_WEEKDAY, RTC_DAY, RTC_MONTH,
    RTC_YEAR, RTC_A, RTC_B, RTC_C, RTC_D, RTC_CENTURY = 0x32, RTC_PS2_CENTURY = 0x37,
};
enum { RTC_A_UIP = 0x80 };
enum { RTC_B_24H = 0x02, RTC_B_BINARY = 0x04, RTC_B_SQWE = 0x08, RTC_B_UIE = 0x10, RTC_B_AIE = 0x20, RTC_B_PIE = 0x40, RTC_B_SET = 0x80 };
enum { RTC_C_UF = 0x10, RTC_C_AF = 0x20, RTC_C_PF = 0x40, RTC_C_IRQF = 0x80 };

typedef struct Mc146818 {
    uint8_t bytes[MC146818_BYTES];         /* alarms, A to D and plain memory; the clock's registers only while it stands */
    int64_t offset;                        /* ns: time of day (since 1970, as if UTC) less now; while it runs */
    int64_t stopped;                       /* ns: the time of day while it stands (SET, or the divider held in reset) */
    int64_t checked;                       /* ns, of now: events up to here are in register C */
    bool slew;                             /* -rtc driftfix=slew (configuration) */
    uint32_t lost;                         /* periodic interrupts that nobody took; given back with slew */
    uint8_t given_back;                    /* of them, since the last one that came by itself */
} Mc146818;

extern const Field mc146818_saved[];

void mc146818_init(Mc146818 *rtc, int64_t time_of_day, int64_t now);
void mc146818_reset(Mc146818 *rtc, int64_t now);          /* the pin: time and memory stay */
uint8_t mc146818_read(Mc146818 *rtc, unsigned index, int64_t now);
bool mc146818_write(Mc146818 *rtc, unsigned index, uint8_t value, int64_t now);    /* true: the running clock was set */
bool mc146818_irq(const Mc146818 *rtc);
/* Brings register C up to date; true when an alarm came. */
bool mc146818_tick(Mc146818 *rtc, int64_t now);
int64_t mc146818_deadline(const Mc146818 *rtc, int64_t now);          /* of the next interrupt that is enabled, on now's clock; -1 */
int64_t mc146818_time_of_day(const Mc146818 *rtc, int64_t now);       /* ns since 1970 */
void mc146818_set_time_of_day(Mc146818 *rtc, int64_t time_of_day, int64_t now);
bool mc146818_valid(const Mc146818 *rtc);
