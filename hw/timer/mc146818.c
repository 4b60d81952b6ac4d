/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mc146818.c - real-time clock: time of day, alarm, periodic and update interrupts, 128 bytes of memory
 *
 * Models   Motorola MC146818A (ADI 856): BCD and binary, 12 and 24 hours, SET, divider reset, UIP 244 us before an update,
 *          alarms with wild cards, all rates; century in 32h (and 37h, as a PS/2 has it)
 * Omits    daylight saving (the bit reads back), the square wave pin, time bases other than 32.768 kHz (they stop nothing)
 * Wires    pure chip; hw/timer/rtc.c mounts it
 * Threads  the caller's
 * Tests    tests/dev/rtc.c
 *
 * The calendar is Gregorian without leap seconds, from 1970 to 2261 (nanoseconds in 64 bits end there): other years are taken
 * as the nearest. A day that its month does not have counts on into the next one, as arithmetic on days does it.
 */
#include "hw/timer/mc146818.h"
#include "base/timer.h"

enum { DIVIDER_SHIFT = 4, DIVIDER_RESET = 6, RATE = 0x0f, WILD_CARD = 0xc0 };
#define UPDATE_NS    (244 * NS_PER_US)
#define DAY_SECONDS  86400
#define LAST_SECOND  INT64_C(9214646399)                               /* 2261-12-31 23:59:59 */
#define CRYSTAL_HZ   32768
enum { GIVEN_BACK_AT_ONCE = 20 };

typedef struct Calendar { int year, month, day, hour, minute, second, weekday; } Calendar;       /* weekday: Sunday is 1 */

/* Days since 1970-01-01 of a date, and back; the year starts in March, so that the leap day ends it. */
static int64_t days_of(int year, int month, int day)
{
    int y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    int64_t era = y / 400, of_era = y % 400;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static Calendar calendar_of(int64_t seconds)
{
    int64_t days = seconds / DAY_SECONDS, rest = seconds % DAY_SECONDS;
    int64_t z = days + 719468, era = z / 146097, of_era = z % 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;

    return (Calendar){
        .year = (int)(era * 400 + y + (m >= 10)), .month = (int)(m < 10 ? m + 3 : m - 9), .day = (int)(of_year - (153 * m + 2) / 5 + 1),
        .hour = (int)(rest / 3600), .minute = (int)(rest / 60 % 60), .second = (int)(rest % 60), .weekday = (int)((days + 4) % 7 + 1),
    };
}

static bool stands(const Mc146818 *rtc)
{
    return (rtc->bytes[RTC_B] & RTC_B_SET) || (rtc->bytes[RTC_A] >> DIVIDER_SHIFT & 7) >= DIVIDER_RESET;
}

/* While it runs. */
static int64_t time_at(const Mc146818 *rtc, int64_t now)
{
    __int128 time = (__int128)now + rtc->offset;

    return (int64_t)CLAMP(time, 0, LAST_SECOND * NS_PER_SECOND);
}

int64_t mc146818_time_of_day(const Mc146818 *rtc, int64_t now)
{
    return stands(rtc) ? CLAMP(rtc->stopped, 0, LAST_SECOND * NS_PER_SECOND) : time_at(rtc, now);
}

void mc146818_set_time_of_day(Mc146818 *rtc, int64_t time_of_day, int64_t now)
{
    rtc->stopped = CLAMP(time_of_day, 0, LAST_SECOND * NS_PER_SECOND);
    rtc->offset = rtc->stopped - now;
}

/* One byte of the clock, in the guest's notation. */

static uint8_t encode(const Mc146818 *rtc, unsigned value)
{
    return rtc->bytes[RTC_B] & RTC_B_BINARY ? value : value / 10 << 4 | value % 10;
}

static unsigned decode(const Mc146818 *rtc, uint8_t byte)
{
    return rtc->bytes[RTC_B] & RTC_B_BINARY ? byte : (byte >> 4) * 10u + (byte & 15);
}

static uint8_t encode_hour(const Mc146818 *rtc, unsigned hour)
{
    if (rtc->bytes[RTC_B] & RTC_B_24H) {
        return encode(rtc, hour);
    }
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static unsigned decode_hour(const Mc146818 *rtc, uint8_t byte)
{
    if (rtc->bytes[RTC_B] & RTC_B_24H) {
        return decode(rtc, byte);
    }
    return decode(rtc, byte & 0x7f) % 12 + (byte & 0x80 ? 12 : 0);
}

static uint8_t clock_byte(const Mc146818 *rtc, unsigned index, int64_t now)
{
    Calendar date = calendar_of(mc146818_time_of_day(rtc, now) / NS_PER_SECOND);

    switch (index) {
    case RTC_SECONDS:
        return encode(rtc, date.second);
    case RTC_MINUTES:
        return encode(rtc, date.minute);
    case RTC_HOURS:
        return encode_hour(rtc, date.hour);
    case RTC_WEEKDAY:
        return encode(rtc, date.weekday);
    case RTC_DAY:
        return encode(rtc, date.day);
    case RTC_MONTH:
        return encode(rtc, date.month);
    case RTC_YEAR:
        return encode(rtc, date.year % 100);
    default:
        return encode(rtc, date.year / 100);
    }
}

static bool is_clock(unsigned index)
{
    return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS || (index >= RTC_WEEKDAY && index <= RTC_YEAR) ||
           index == RTC_CENTURY;
}

/* While the clock stands its bytes are memory: a guest sets them in any order, and what it reads is what it wrote. */
static void freeze(Mc146818 *rtc, int64_t now)
{
    for (unsigned i = 0; i <= RTC_CENTURY; i++) {
        if (is_clock(i)) {
            rtc->bytes[i] = clock_byte(rtc, i, now);
        }
    }
    rtc->stopped = mc146818_time_of_day(rtc, now);
}

static int64_t time_in_bytes(const Mc146818 *rtc)
{
    unsigned year = decode(rtc, rtc->bytes[RTC_CENTURY]) % 100 * 100 + decode(rtc, rtc->bytes[RTC_YEAR]) % 100;
    unsigned month = decode(rtc, rtc->bytes[RTC_MONTH]), day = decode(rtc, rtc->bytes[RTC_DAY]);
    int64_t days = days_of((int)year, month >= 1 && month <= 12 ? (int)month : 1, day >= 1 && day <= 31 ? (int)day : 1);

    int64_t seconds = days * DAY_SECONDS + decode_hour(rtc, rtc->bytes[RTC_HOURS]) % 24 * 3600 +
                      decode(rtc, rtc->bytes[RTC_MINUTES]) % 60 * 60 + decode(rtc, rtc->bytes[RTC_SECONDS]) % 60;
    return CLAMP(seconds, 0, LAST_SECOND);
}

/* Events. */

static int64_t period_of(const Mc146818 *rtc)              /* in cycles of the crystal; 0: none */
{
    unsigned rate = rtc->bytes[RTC_A] & RATE;

    if (rate == 0 || (rtc->bytes[RTC_A] >> DIVIDER_SHIFT & 7) >= DIVIDER_RESET) {
        return 0;
    }
    return 1 << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static int64_t cycles(int64_t ns)
{
    return (int64_t)((__int128)ns * CRYSTAL_HZ / NS_PER_SECOND);
}

static bool matches(const Mc146818 *rtc, unsigned alarm, unsigned value)
{
    uint8_t byte = rtc->bytes[alarm];

    if (byte >= WILD_CARD) {
        return true;
    }
    return (alarm == RTC_HOURS_ALARM ? decode_hour(rtc, byte) : decode(rtc, byte)) == value;
}

/* The first second of day, from this one on, at which the alarm goes; -1: it never does (an hour of 30, say). Steps over whole
 * hours and minutes that cannot match. */
static int64_t alarm_in_day(const Mc146818 *rtc, int64_t from)
{
    int64_t second = from;

    while (second < DAY_SECONDS) {
        if (!matches(rtc, RTC_HOURS_ALARM, (unsigned)(second / 3600))) {
            second = (second / 3600 + 1) * 3600;
        } else if (!matches(rtc, RTC_MINUTES_ALARM, (unsigned)(second / 60 % 60))) {
            second = (second / 60 + 1) * 60;
        } else if (!matches(rtc, RTC_SECONDS_ALARM, (unsigned)(second % 60))) {
            second++;
        } else {
            return second;
        }
    }
    return -1;
}

/* Seconds from this second of time to the next alarm, this one excluded. */
static int64_t next_alarm(const Mc146818 *rtc, int64_t second)
{
    int64_t of_day = second % DAY_SECONDS, at = alarm_in_day(rtc, of_day + 1);

    if (at >= 0) {
        return at - of_day;
    }
    at = alarm_in_day(rtc, 0);
    return at < 0 ? -1 : at + DAY_SECONDS - of_day;
}

/* What happened in (from, to] of the time of day; it runs. */
static uint8_t events(const Mc146818 *rtc, int64_t from, int64_t to)
{
    int64_t period = period_of(rtc), seconds = to / NS_PER_SECOND - from / NS_PER_SECOND;
    uint8_t flags = 0;

    if (period && cycles(to) / period != cycles(from) / period) {
        flags |= RTC_C_PF;
    }
    if (seconds > 0) {
        int64_t alarm = next_alarm(rtc, from / NS_PER_SECOND);
        flags |= RTC_C_UF | (alarm >= 0 && alarm <= seconds ? RTC_C_AF : 0);
    }
    return flags;
}

static void count_lost(Mc146818 *rtc, int64_t from, int64_t to)
{
    int64_t period = period_of(rtc), ticks = period ? cycles(to) / period - cycles(from) / period : 0;

    rtc->given_back = 0;
    if (rtc->slew && (rtc->bytes[RTC_B] & RTC_B_PIE)) {
        ticks -= rtc->bytes[RTC_C] & RTC_C_PF ? 0 : 1;     /* one of them is seen */
        rtc->lost = (uint32_t)MIN(rtc->lost + MAX(ticks, 0), INT64_C(100000));
    }
}

static void raise_flags(Mc146818 *rtc, uint8_t flags)
{
    rtc->bytes[RTC_C] |= flags;
    if (rtc->bytes[RTC_C] & rtc->bytes[RTC_B] & (RTC_C_PF | RTC_C_AF | RTC_C_UF)) {
        rtc->bytes[RTC_C] |= RTC_C_IRQF;
    }
}

bool mc146818_tick(Mc146818 *rtc, int64_t now)
{
    int64_t from = time_at(rtc, rtc->checked), to = time_at(rtc, now);
    uint8_t flags;

    rtc->checked = now;
    if (stands(rtc) || to <= from) {
        return false;
    }
    flags = events(rtc, from, to);
    if (flags & RTC_C_PF) {
        count_lost(rtc, from, to);
    }
    raise_flags(rtc, flags);
    return flags & RTC_C_AF;
}

int64_t mc146818_deadline(const Mc146818 *rtc, int64_t now)
{
    int64_t time = mc146818_time_of_day(rtc, now), next = INT64_MAX, period = period_of(rtc);
    uint8_t enabled = rtc->bytes[RTC_B] & ~rtc->bytes[RTC_C];
    int64_t second = time / NS_PER_SECOND;

    if (stands(rtc) || time == LAST_SECOND * NS_PER_SECOND) {
        return -1;
    }
    if ((enabled & RTC_B_PIE || (rtc->slew && rtc->bytes[RTC_B] & RTC_B_PIE)) && period) {
        __int128 cycle = (__int128)(cycles(time) / period + 1) * period;
        next = (int64_t)((cycle * NS_PER_SECOND + CRYSTAL_HZ - 1) / CRYSTAL_HZ);    /* time of day ends well before 64 bits do */
    }
    if (enabled & RTC_B_UIE) {
        next = MIN(next, (second + 1) * NS_PER_SECOND);
    }
    if (rtc->bytes[RTC_B] & RTC_B_AIE) {   /* also when the flag is up: an alarm wakes a sleeping machine */
        int64_t alarm = next_alarm(rtc, second);
        next = alarm < 0 ? next : MIN(next, (second + alarm) * NS_PER_SECOND);
    }
    return next == INT64_MAX ? -1 : MAX(next - rtc->offset, 0);
}

bool mc146818_irq(const Mc146818 *rtc)
{
    return rtc->bytes[RTC_C] & RTC_C_IRQF;
}

/* Registers. */

static uint8_t read_c(Mc146818 *rtc)
{
    uint8_t value = rtc->bytes[RTC_C];

    rtc->bytes[RTC_C] = 0;
    if (rtc->lost && (rtc->bytes[RTC_B] & RTC_B_PIE) && rtc->given_back < GIVEN_BACK_AT_ONCE) {
        rtc->lost--;
        rtc->given_back++;
        raise_flags(rtc, RTC_C_PF);
    }
    return value;
}

uint8_t mc146818_read(Mc146818 *rtc, unsigned index, int64_t now)
{
    int64_t time = mc146818_time_of_day(rtc, now);

    index %= MC146818_BYTES;
    if (index == RTC_PS2_CENTURY) {
        index = RTC_CENTURY;
    }
    mc146818_tick(rtc, now);
    if (is_clock(index) && !stands(rtc)) {
        return clock_byte(rtc, index, now);
    }
    if (index == RTC_A) {
        bool updating = !stands(rtc) && time % NS_PER_SECOND >= NS_PER_SECOND - UPDATE_NS;
        return rtc->bytes[RTC_A] | (updating ? RTC_A_UIP : 0);
    }
    return index == RTC_C ? read_c(rtc) : rtc->bytes[index];
}

/* A write that may stop the clock or set it going (true). */
static bool write_control(Mc146818 *rtc, unsigned index, uint8_t value, int64_t now)
{
    uint8_t divider = rtc->bytes[RTC_A] >> DIVIDER_SHIFT & 7;
    bool stood = stands(rtc), was_reset = divider >= DIVIDER_RESET;
    uint8_t old = rtc->bytes[index];

    rtc->bytes[index] = value;
    if (!stood && stands(rtc)) {
        rtc->bytes[index] = old;           /* the bytes are written in the old notation, and then it stands */
        freeze(rtc, now);
        rtc->bytes[index] = value;
    } else if (stood && !stands(rtc)) {
        /* Out of divider reset the first update comes half a second later; SET keeps the fraction. */
        int64_t fraction = was_reset ? NS_PER_SECOND / 2 : rtc->stopped % NS_PER_SECOND;
        mc146818_set_time_of_day(rtc, time_in_bytes(rtc) * NS_PER_SECOND + fraction, now);
        rtc->checked = now;
        return true;
    }
    return false;
}

bool mc146818_write(Mc146818 *rtc, unsigned index, uint8_t value, int64_t now)
{
    bool set = false;

    index %= MC146818_BYTES;
    if (index == RTC_PS2_CENTURY) {
        index = RTC_CENTURY;
    }
    mc146818_tick(rtc, now);
    switch (index) {
    case RTC_A:
        set = write_control(rtc, index, value & ~RTC_A_UIP, now);
        break;
    case RTC_B:
        if (value & RTC_B_SET) {
            value &= ~RTC_B_UIE;
        }
        set = write_control(rtc, index, value, now);
        rtc->bytes[RTC_C] &= ~RTC_C_IRQF;
        raise_flags(rtc, 0);
        if (!(value & RTC_B_PIE)) {
            rtc->lost = 0;
        }
        break;
    case RTC_C:
    case RTC_D:
        break;
    default:
        if (is_clock(index) && !stands(rtc)) {
            int64_t fraction = mc146818_time_of_day(rtc, now) % NS_PER_SECOND;
            freeze(rtc, now);
            rtc->bytes[index] = value;
            mc146818_set_time_of_day(rtc, time_in_bytes(rtc) * NS_PER_SECOND + fraction, now);
            set = true;
        } else {
            rtc->bytes[index] = value;
        }
    }
    return set;
}

void mc146818_init(Mc146818 *rtc, int64_t time_of_day, int64_t now)
{
    bool slew = rtc->slew;

    *rtc = (Mc146818){ .slew = slew, .checked = now };
    rtc->bytes[RTC_A] = 0x26;
    rtc->bytes[RTC_B] = RTC_B_24H;
    rtc->bytes[RTC_D] = 0x80;
    mc146818_set_time_of_day(rtc, time_of_day, now);
}

void mc146818_reset(Mc146818 *rtc, int64_t now)
{
    rtc->bytes[RTC_B] &= ~(RTC_B_PIE | RTC_B_AIE | RTC_B_UIE | RTC_B_SQWE);
    rtc->bytes[RTC_C] = 0;
    rtc->lost = 0;
    rtc->checked = now;
}

bool mc146818_valid(const Mc146818 *rtc)
{
    return rtc->stopped >= 0 && rtc->checked >= 0 && rtc->offset <= LAST_SECOND * NS_PER_SECOND &&
           rtc->offset >= -LAST_SECOND * NS_PER_SECOND && rtc->given_back <= GIVEN_BACK_AT_ONCE && rtc->lost <= 100000 && rtc->bytes[RTC_D] == 0x80;
}

const Field mc146818_saved[] = {
    SAVE_BYTES(Mc146818, bytes), SAVE_I64(Mc146818, offset), SAVE_I64(Mc146818, stopped), SAVE_I64(Mc146818, checked),
    SAVE_U32(Mc146818, lost), SAVE_U8(Mc146818, given_back), FIELD_END };
