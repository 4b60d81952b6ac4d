/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8254.c - programmable interval timer: three 16-bit counters, binary or BCD
 *
 * Models   Intel 8254 (order number 231164): six modes, gates, both latch commands, reloads at the end of a (half) cycle
 * Omits    the one clock between a write and the load of the counting element
 * Wires    pure chip; hw/timer/pit.c mounts it
 * Threads  the caller's
 * Tests    tests/dev/i8254.c
 *
 * Nothing counts here: OUT and the count are functions of the ticks since the load.
 */
#include "hw/timer/i8254.h"
#include "base/timer.h"

enum { CONTROL_BCD = 0x01, CONTROL_MODE_SHIFT = 1, CONTROL_ACCESS_SHIFT = 4, CONTROL_STORED = 0x3f };
enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };
enum { READ_BACK = 3, READ_BACK_NO_COUNT = 0x20, READ_BACK_NO_STATUS = 0x10 };
enum { STATUS_NULL = 0x40, STATUS_OUT = 0x80 };

static int64_t to_ticks(int64_t ns)
{
    return (int64_t)((__int128)ns * (int64_t)I8254_HZ / NS_PER_SECOND);
}

/* The first nanosecond that is in this tick. */
static int64_t to_ns(int64_t ticks)
{
    __int128 scaled = (__int128)ticks * NS_PER_SECOND;

    return (int64_t)((scaled + (int64_t)I8254_HZ - 1) / (int64_t)I8254_HZ);
}

static unsigned mode_of(const I8254Counter *counter)
{
    unsigned mode = counter->control >> CONTROL_MODE_SHIFT & 7;

    return mode > 5 ? mode & 3 : mode;     /* 6 and 7 are other spellings of 2 and 3 */
}

static unsigned access_of(const I8254Counter *counter)
{
    return counter->control >> CONTROL_ACCESS_SHIFT & 3;
}

static bool is_periodic(const I8254Counter *counter)
{
    return mode_of(counter) == 2 || mode_of(counter) == 3;
}

static bool is_triggered_by_gate(const I8254Counter *counter)
{
    return mode_of(counter) == 1 || mode_of(counter) == 5;
}

static uint32_t modulus(const I8254Counter *counter)
{
    return counter->control & CONTROL_BCD ? 10000 : 0x10000;
}

static uint32_t from_bcd(uint32_t value)
{
    uint32_t number = 0;

    for (int digit = 3; digit >= 0; digit--) {
        number = number * 10 + (value >> digit * 4 & 15);
    }
    return number;
}

static uint16_t to_bcd(uint32_t number)
{
    return number % 10 | number / 10 % 10 << 4 | number / 100 % 10 << 8 | number / 1000 % 10 << 12;
}

/* A reload that waited takes over. */
static void catch_up(I8254Counter *counter, int64_t tick)
{
    if (counter->pending && tick >= counter->pending_at) {
        counter->start = counter->pending_start;
        counter->period = counter->reload;
        counter->pending = false;
    }
}

/* Ticks since the load, as far as the gate let them through. */
static int64_t elapsed(const I8254Counter *counter, int64_t tick)
{
    if (!counter->gate && !is_triggered_by_gate(counter)) {
        return counter->held;
    }
    return tick > counter->start ? tick - counter->start : 0;
}

static bool is_counting(const I8254Counter *counter)
{
    return counter->loaded && counter->period && (counter->triggered || !is_triggered_by_gate(counter));
}

static uint32_t high_half(uint32_t period)
{
    return (period + 1) / 2;
}

static bool out_at(const I8254Counter *counter, int64_t tick)
{
    int64_t passed = elapsed(counter, tick), period = counter->period;

    if (!is_counting(counter)) {
        return mode_of(counter) != 0;
    }
    switch (mode_of(counter)) {
    case 0:
    case 1:
        return passed >= period;
    case 2:
        return !counter->gate || passed % period != period - 1;
    case 3:
        return !counter->gate || passed % period < high_half(counter->period);
    default:
        return passed != period;
    }
}

static uint16_t count_at(const I8254Counter *counter, int64_t tick)
{
    int64_t passed = elapsed(counter, tick), period = counter->period;
    uint32_t wrap = modulus(counter), count;

    if (!is_counting(counter)) {
        count = counter->period % wrap;
    } else if (mode_of(counter) == 2) {
        count = (uint32_t)(period - passed % period);
    } else if (mode_of(counter) == 3) {
        int64_t position = passed % period;
        if (position >= high_half(counter->period)) {
            position -= high_half(counter->period);
        }
        count = (uint32_t)((period & ~INT64_C(1)) - 2 * position);
    } else {
        int64_t left = (period - passed) % (int64_t)wrap;
        count = (uint32_t)(left < 0 ? left + wrap : left);
    }
    count %= wrap;
    return counter->control & CONTROL_BCD ? to_bcd(count) : count;
}

/* Writing. */

static void load_now(I8254Counter *counter, int64_t tick)
{
    counter->period = counter->reload;
    counter->start = tick;
    counter->held = 0;
    counter->pending = counter->null_count = false;
}

/* The end of the running cycle in mode 2, of the running half in mode 3. The next half keeps its phase: the start is
 * put so that the half which begins there has the new length. */
static void load_later(I8254Counter *counter, int64_t tick)
{
    int64_t passed = elapsed(counter, tick), position = passed % counter->period;
    int64_t cycle = counter->start + passed - position;
    uint32_t half = high_half(counter->period);

    counter->pending = true;
    if (mode_of(counter) == 3 && position < half) {
        counter->pending_at = cycle + half;
        counter->pending_start = counter->pending_at - high_half(counter->reload);
    } else {
        counter->pending_at = counter->pending_start = cycle + counter->period;
    }
}

static void count_written(I8254Counter *counter, uint16_t value, int64_t tick)
{
    uint32_t count = counter->control & CONTROL_BCD ? from_bcd(value) % 10000 : value;

    counter->reload = count ? count : modulus(counter);
    if (is_triggered_by_gate(counter)) {
        counter->null_count = true;        /* the running shot is not touched */
        counter->loaded = true;
    } else if (is_periodic(counter) && is_counting(counter) && counter->gate) {
        load_later(counter, tick);
    } else {
        load_now(counter, tick);
        counter->loaded = true;
    }
}

static void write_count(I8254Counter *counter, uint8_t value, int64_t tick)
{
    switch (access_of(counter)) {
    case ACCESS_LOW:
        count_written(counter, value, tick);
        break;
    case ACCESS_HIGH:
        count_written(counter, value << 8, tick);
        break;
    case ACCESS_BOTH:
        if (counter->half_written) {
            counter->half_written = false;
            count_written(counter, counter->low_byte | value << 8, tick);
        } else {
            counter->half_written = true;
            counter->low_byte = value;
            if (mode_of(counter) == 0) {
                counter->loaded = false;   /* the first byte stops the count and takes OUT low */
            }
        }
        break;
    default:                               /* no control word yet: there is no way to write */
        break;
    }
}

static void latch_count(I8254Counter *counter, int64_t tick)
{
    if (!counter->latched) {
        counter->latched_count = count_at(counter, tick);
        counter->latched = access_of(counter) == ACCESS_BOTH ? 2 : 1;
    }
}

static void latch_status(I8254Counter *counter, int64_t tick)
{
    bool null_count = !counter->loaded || counter->pending || counter->null_count;

    if (!counter->status_latched) {
        counter->status_latched = true;
        counter->status = counter->control | (null_count ? STATUS_NULL : 0) | (out_at(counter, tick) ? STATUS_OUT : 0);
    }
}

static void read_back(I8254 *pit, uint8_t command, int64_t tick)
{
    for (unsigned i = 0; i < I8254_COUNTERS; i++) {
        I8254Counter *counter = &pit->counter[i];
        if (!(command >> (i + 1) & 1)) {
            continue;
        }
        catch_up(counter, tick);
        if (!(command & READ_BACK_NO_COUNT)) {
            latch_count(counter, tick);
        }
        if (!(command & READ_BACK_NO_STATUS)) {
            latch_status(counter, tick);
        }
    }
}

static void program(I8254Counter *counter, uint8_t control)
{
    *counter = (I8254Counter){ .control = control & CONTROL_STORED, .gate = counter->gate, .period = counter->period,
                               .reload = counter->reload, .start = counter->start };
}

void i8254_write(I8254 *pit, unsigned port, uint8_t value, int64_t now)
{
    int64_t tick = to_ticks(now);
    unsigned select = value >> 6;

    if (port < I8254_COUNTERS) {
        catch_up(&pit->counter[port], tick);
        write_count(&pit->counter[port], value, tick);
    } else if (select == READ_BACK) {
        read_back(pit, value, tick);
    } else if ((value >> CONTROL_ACCESS_SHIFT & 3) == ACCESS_LATCH) {
        catch_up(&pit->counter[select], tick);
        latch_count(&pit->counter[select], tick);
    } else {
        program(&pit->counter[select], value);
    }
}

/* Reading. */

static uint8_t read_counter(I8254Counter *counter, int64_t tick)
{
    if (counter->status_latched) {
        counter->status_latched = false;
        return counter->status;
    }
    uint16_t count = counter->latched ? counter->latched_count : count_at(counter, tick);
    bool high = access_of(counter) == ACCESS_HIGH || (access_of(counter) == ACCESS_BOTH && counter->high_next);

    counter->high_next = access_of(counter) == ACCESS_BOTH && !counter->high_next;
    if (counter->latched) {
        counter->latched--;
    }
    return high ? count >> 8 : count & 0xff;
}

uint8_t i8254_read(I8254 *pit, unsigned port, int64_t now)
{
    if (port >= I8254_COUNTERS) {
        return 0xff;
    }
    catch_up(&pit->counter[port], to_ticks(now));
    return read_counter(&pit->counter[port], to_ticks(now));
}

/* Gates and outputs. */

void i8254_set_gate(I8254 *pit, unsigned index, bool high, int64_t now)
{
    I8254Counter *counter = &pit->counter[index];
    int64_t tick = to_ticks(now);

    catch_up(counter, tick);
    if (counter->gate == high) {
        return;
    }
    if (!high && !is_triggered_by_gate(counter)) {
        counter->held = elapsed(counter, tick);
        counter->pending = false;          /* what waited comes with the rising gate */
    }
    counter->gate = high;
    if (!high || !counter->loaded) {
        return;
    }
    if (is_triggered_by_gate(counter)) {
        load_now(counter, tick);
        counter->triggered = true;
    } else if (is_periodic(counter)) {
        load_now(counter, tick);
    } else {
        counter->start = tick - counter->held;
    }
}

bool i8254_out(I8254 *pit, unsigned index, int64_t now)
{
    catch_up(&pit->counter[index], to_ticks(now));
    return out_at(&pit->counter[index], to_ticks(now));
}

/* The tick of the next rise after this one, of what counts now; -1: none. */
static int64_t next_rise(const I8254Counter *counter, int64_t tick)
{
    int64_t passed = elapsed(counter, tick), period = counter->period;

    if (!is_counting(counter) || (!counter->gate && !is_triggered_by_gate(counter))) {
        return -1;
    }
    switch (mode_of(counter)) {
    case 0:
    case 1:
        return passed < period ? counter->start + period : -1;
    case 2:
    case 3:
        return period == 1 ? -1 : counter->start + (passed / period + 1) * period;     /* 1 is not allowed: OUT stands still */
    default:
        return passed <= period ? counter->start + period + 1 : -1;
    }
}

int64_t i8254_next_rise(I8254 *pit, unsigned index, int64_t now)
{
    I8254Counter *counter = &pit->counter[index];
    int64_t tick = to_ticks(now);

    catch_up(counter, tick);
    int64_t rise = next_rise(counter, tick);
    if (counter->pending && (rise < 0 || rise > counter->pending_at)) {
        rise = counter->pending_at;
    }
    return rise < 0 ? -1 : to_ns(rise);
}

bool i8254_rose(I8254 *pit, unsigned index, int64_t then, int64_t now)
{
    I8254Counter counter = pit->counter[index];
    int64_t from = to_ticks(then), to = to_ticks(now);

    while (from < to) {                    /* at most twice: before and after a pending reload */
        int64_t until = counter.pending && counter.pending_at > from && counter.pending_at < to ? counter.pending_at : to;
        int64_t rise = next_rise(&counter, from);
        bool before = out_at(&counter, until - 1);

        if (rise > from && (rise < until || (rise == until && !counter.pending))) {
            return true;
        }
        catch_up(&counter, until);
        if (!before && out_at(&counter, until)) {
            return true;
        }
        from = until;
    }
    return false;
}

void i8254_reset(I8254 *pit)
{
    *pit = (I8254){ 0 };
    for (unsigned i = 0; i < I8254_COUNTERS; i++) {
        pit->counter[i] = (I8254Counter){ .control = ACCESS_BOTH << CONTROL_ACCESS_SHIFT | 3 << CONTROL_MODE_SHIFT,
                                          .gate = i != 2, .reload = 0x10000, .period = 0x10000 };
    }
}

bool i8254_valid(const I8254 *pit)
{
    for (unsigned i = 0; i < I8254_COUNTERS; i++) {
        const I8254Counter *counter = &pit->counter[i];
        const int64_t far = INT64_MAX / 4;
        if (counter->reload > 0x10000 || counter->period > 0x10000 || (counter->loaded && !counter->reload) ||
            (counter->control & ~CONTROL_STORED) || counter->latched > 2 || counter->start > far || counter->start < -far ||
            counter->held < 0 || counter->held > far || counter->pending_at < 0 || counter->pending_at > far ||
            counter->pending_start > far || counter->pending_start < -far) {
            return false;
        }
    }
    return true;
}

static const Field counter_saved[] = {
    SAVE_U8(I8254Counter, control), SAVE_BOOL(I8254Counter, gate), SAVE_BOOL(I8254Counter, loaded),
    SAVE_BOOL(I8254Counter, triggered), SAVE_BOOL(I8254Counter, pending), SAVE_BOOL(I8254Counter, null_count),
    SAVE_U32(I8254Counter, reload), SAVE_U32(I8254Counter, period), SAVE_I64(I8254Counter, start), SAVE_I64(I8254Counter, held),
    SAVE_I64(I8254Counter, pending_at), SAVE_I64(I8254Counter, pending_start), SAVE_BOOL(I8254Counter, half_written),
    SAVE_BOOL(I8254Counter, high_next), SAVE_U8(I8254Counter, low_byte), SAVE_U8(I8254Counter, latched),
    SAVE_U16(I8254Counter, latched_count), SAVE_BOOL(I8254Counter, status_latched), SAVE_U8(I8254Counter, status), FIELD_END };

const Field i8254_saved[] = { SAVE_STRUCTS(I8254, counter, counter_saved), FIELD_END };
