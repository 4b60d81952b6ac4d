/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtc.c - the real-time clock in a PC: ports 70h-71h, IRQ 8, and what -rtc says about the time
 *
 * Models   index and data port; base utc, localtime or a date; clock host, rt or vm; driftfix slew
 * Omits    the NMI mask in bit 7 of the index (dropped); the second bank at 72h
 * Wires    IRQ 8, through the HPET's legacy switch where there is one; an alarm wakes a sleeping machine
 * Threads  registers: any vCPU thread, machine lock held; timer: main loop, same lock
 * Tests    tests/dev/rtc.c
 */
#include "base/error.h"
#include "base/event.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/isa/bus.h"
#include "hw/models.h"
#include "hw/timer/mc146818.h"
#include "hw/timer/timers.h"
#include <stdio.h>
#include <string.h>

typedef struct Rtc {
    Device device;
    IrqLine irq;
    Region io;
    Mc146818 chip;
    uint8_t index;
    ClockKind clock;
    int64_t base;                          /* ns: what -rtc says the time is, less the clock */
    int64_t time_of_day;                   /* only while saving and loading: clocks of two hosts differ */
    Timer timer;
} Rtc;

enum { TRACE_RTC_READ, TRACE_RTC_WRITE, TRACE_RTC_EVENT };
static TracePoint rtc_trace[] = {
    [TRACE_RTC_READ] = { "rtc_read", "the guest read a CMOS byte" },
    [TRACE_RTC_WRITE] = { "rtc_write", "the guest wrote a CMOS byte" },
    [TRACE_RTC_EVENT] = { "rtc_event", "the clock's timer ran out" },
};
TRACE_TABLE(rtc_trace)

static Rtc *RTC(Device *device)
{
    return (Rtc *)device;
}

static void rtc_update_irq(Rtc *rtc)
{
    int64_t deadline = mc146818_deadline(&rtc->chip, clock_now(rtc->clock));

    irq_set(rtc->irq, mc146818_irq(&rtc->chip));
    if (deadline < 0) {
        timer_cancel(&rtc->timer);
    } else if (rtc->timer.deadline != deadline) {
        timer_arm(&rtc->timer, deadline);
    }
}

static void rtc_timer(void *opaque)
{
    Rtc *rtc = opaque;
    bool alarm = mc146818_tick(&rtc->chip, clock_now(rtc->clock));

    TRACE(&rtc_trace[TRACE_RTC_EVENT], "C 0x%02x", rtc->chip.bytes[RTC_C]);
    if (alarm && (rtc->chip.bytes[RTC_B] & RTC_B_AIE)) {
        machine_request_wakeup(rtc->device.machine);
    }
    rtc_update_irq(rtc);
}

static uint64_t rtc_read(void *opaque, uint64_t offset, unsigned size)
{
    Rtc *rtc = opaque;

    (void)size;
    if (offset == 0) {
        return 0xff;                       /* the index cannot be read back */
    }
    uint8_t value = mc146818_read(&rtc->chip, rtc->index, clock_now(rtc->clock));
    TRACE(&rtc_trace[TRACE_RTC_READ], "index 0x%02x value 0x%02x", rtc->index, value);
    if (rtc->index == RTC_C) {
        irq_set(rtc->irq, false);          /* what is given back at once is a new edge */
    }
    rtc_update_irq(rtc);
    return value;
}

/* How far the guest has moved the clock from what -rtc says, for whoever starts this machine again. */
static void rtc_tell_change(Rtc *rtc)
{
    int64_t now = clock_now(rtc->clock);
    Value *data = value_new_object();
    g_autofree char *path = object_path(&rtc->device.object);

    value_set(data, "offset", value_new_int(mc146818_time_of_day(&rtc->chip, now) / NS_PER_SECOND - (now + rtc->base) / NS_PER_SECOND));
    value_set(data, "qom-path", value_new_string(path));
    event_emit("RTC_CHANGE", data);
}

static void rtc_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Rtc *rtc = opaque;

    (void)size;
    if (offset == 0) {
        rtc->index = value & 0x7f;
        return;
    }
    TRACE(&rtc_trace[TRACE_RTC_WRITE], "index 0x%02x value 0x%02x", rtc->index, (unsigned)value);
    if (mc146818_write(&rtc->chip, rtc->index, value, clock_now(rtc->clock))) {
        rtc_tell_change(rtc);
    }
    rtc_update_irq(rtc);
}

static const RegionOps rtc_io = { .read = rtc_read, .write = rtc_write, .widths = WIDTH_8 };

/* What the board puts into memory. */

bool rtc_set_cmos(Device *device, uint8_t index, uint8_t value)
{
    if (index <= RTC_D || index == RTC_CENTURY || index >= MC146818_BYTES) {
        return false;
    }
    RTC(device)->chip.bytes[index] = value;
    return true;
}

uint8_t rtc_get_cmos(Device *device, uint8_t index)
{
    return RTC(device)->chip.bytes[index % MC146818_BYTES];
}

static void set_word(Device *device, uint8_t index, uint64_t value)
{
    uint16_t word = MIN(value, UINT16_MAX);

    rtc_set_cmos(device, index, word & 0xff);
    rtc_set_cmos(device, index + 1, word >> 8);
}

void rtc_set_memory_size(Device *device, uint64_t below_4g, uint64_t above_4g)
{
    const uint64_t kib = 1024, mib = 1024 * kib;
    uint64_t extended = below_4g > mib ? below_4g - mib : 0;
    uint64_t above_16m = below_4g > 16 * mib ? below_4g - 16 * mib : 0;

    set_word(device, 0x15, MIN(below_4g, 640 * kib) / kib);
    set_word(device, 0x17, extended / kib);
    set_word(device, 0x30, extended / kib);
    set_word(device, 0x34, above_16m / (64 * kib));
    for (unsigned i = 0; i < 3; i++) {
        rtc_set_cmos(device, 0x5b + i, above_4g / (64 * kib) >> 8 * i & 0xff);
    }
}

/* -rtc. */

static bool parse_date(const char *text, int64_t *seconds)
{
    int year, month, day, hour = 0, minute = 0, second = 0, used = 0;
    bool whole = sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) == 3;

    if (whole && text[used]) {
        whole = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &used) == 6 && !text[used];
    }
    g_autoptr(GDateTime) date = whole && year >= 1970 && year <= 2261 && second >= 0
                              ? g_date_time_new_utc(year, month, day, hour, minute, second) : NULL;
    if (date) {
        *seconds = g_date_time_to_unix(date);
    }
    return date != NULL;
}

static bool base_time(const char *base, int64_t *time_of_day, GError **err)
{
    int64_t host = clock_now(CLOCK_HOST), seconds;

    if (strcmp(base, "utc") == 0) {
        *time_of_day = host;
        return true;
    }
    if (strcmp(base, "localtime") == 0) {
        g_autoptr(GDateTime) local = g_date_time_new_now_local();
        *time_of_day = host + (local ? g_date_time_get_utc_offset(local) * NS_PER_US : 0);
        return true;
    }
    if (!parse_date(base, &seconds)) {
        return fail(err, EINVAL, "-rtc base=%s: not a time; write utc, localtime, 2026-01-31 or 2026-01-31T12:00:00 (1970 to 2261)", base);
    }
    *time_of_day = seconds * NS_PER_SECOND;
    return true;
}

static bool choose_clock(const char *name, ClockKind *clock, GError **err)
{
    static const struct { const char *name; ClockKind clock; } clocks[] = {
        { "host", CLOCK_HOST }, { "rt", CLOCK_STEADY }, { "vm", CLOCK_GUEST } };

    for (unsigned i = 0; i < G_N_ELEMENTS(clocks); i++) {
        if (strcmp(name, clocks[i].name) == 0) {
            *clock = clocks[i].clock;
            return true;
        }
    }
    return fail(err, EINVAL, "-rtc clock=%s: there is no such clock; choose host, rt or vm", name);
}

static bool choose_drift(const char *name, bool *slew, GError **err)
{
    *slew = strcmp(name, "slew") == 0;
    if (!*slew && strcmp(name, "none") != 0) {
        return fail(err, EINVAL, "-rtc driftfix=%s: there is no such way; choose none or slew", name);
    }
    return true;
}

/* Life. */

static void rtc_unrealize(Device *device)
{
    Rtc *rtc = RTC(device);

    timer_cancel(&rtc->timer);
    isa_unmap(&rtc->io);
    region_destroy(&rtc->io);
}

static bool rtc_realize(Device *device, GError **err)
{
    Rtc *rtc = RTC(device);
    const Value *config = value_get(device->machine->config, "rtc");
    int64_t time_of_day;

    if (!choose_clock(value_get_string(config, "clock", "host"), &rtc->clock, err) ||
        !choose_drift(value_get_string(config, "driftfix", "none"), &rtc->chip.slew, err) ||
        !base_time(value_get_string(config, "base", "utc"), &time_of_day, err)) {
        return false;
    }
    timer_init(&rtc->timer, rtc->clock, rtc_timer, rtc);
    int64_t now = clock_now(rtc->clock);
    rtc->base = time_of_day - now;
    mc146818_init(&rtc->chip, time_of_day, now);
    region_init_io(&rtc->io, &rtc_io, rtc, "rtc", 2);
    if (!isa_map(device, &rtc->io, 0x70, err)) {
        rtc_unrealize(device);
        return false;
    }
    return true;
}

static void rtc_reset(Device *device)
{
    Rtc *rtc = RTC(device);

    rtc->index = 0;
    mc146818_reset(&rtc->chip, clock_now(rtc->clock));
    rtc_update_irq(rtc);
}

static void rtc_before_save(Device *device)
{
    Rtc *rtc = RTC(device);
    int64_t now = clock_now(rtc->clock);

    mc146818_tick(&rtc->chip, now);
    rtc_update_irq(rtc);
    rtc->time_of_day = mc146818_time_of_day(&rtc->chip, now);
}

/* A clock that follows the host's keeps its distance to it; any other goes on from where it was. */
static bool rtc_after_load(Device *device, GError **err)
{
    Rtc *rtc = RTC(device);

    if (!mc146818_valid(&rtc->chip) || rtc->index > 0x7f) {
        return fail(err, EINVAL, "%s: the saved state is not that of a real-time clock", device_name(device));
    }
    int64_t now = clock_now(rtc->clock);
    if (rtc->clock != CLOCK_HOST) {
        int64_t stopped = rtc->chip.stopped;
        mc146818_set_time_of_day(&rtc->chip, rtc->time_of_day, now);
        rtc->chip.stopped = stopped;
        rtc->chip.checked = now;
    }
    rtc_update_irq(rtc);
    return true;
}

static const Field rtc_props[] = {
    PROP_IRQ("irq", Rtc, irq, .help = "IRQ 8"),
    FIELD_END };

static const Field rtc_saved[] = {
    SAVE_STRUCT(Rtc, chip, mc146818_saved), SAVE_U8(Rtc, index), SAVE_I64(Rtc, time_of_day), FIELD_END };

const DeviceModel mc146818rtc_model = {
    .name = "mc146818rtc",  .bus = BUS_ISA,  .size = sizeof(Rtc),  .board_only = true,
    .help = "real-time clock and CMOS memory (MC146818A)",
    .props = rtc_props,  .saved = rtc_saved,  .saved_version = 1,
    .realize = rtc_realize,  .reset = rtc_reset,  .unrealize = rtc_unrealize,
    .before_save = rtc_before_save,  .after_load = rtc_after_load,
};
