/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hpet.c - high precision event timer: a 100 MHz counter and three comparators
 *
 * Models   IA-PC HPET 1.0a: 64- and 32-bit timers, one-shot and periodic, edge and level, legacy replacement (IRQ 0 and 8)
 * Omits    delivery by message (the capability bit is clear)
 * Wires    timers to GSI 2, or to IRQ 0 and 8 in place of the PIT and the RTC, whose lines pass through here
 * Threads  registers: any vCPU thread, machine lock held; timers: main loop, same lock
 * Tests    tests/dev/hpet.c
 *
 * As in QEMU a comparator that lies behind the counter (by less than half its range) fires at once, where silicon would let it
 * come round: no guest loses a tick that it programmed too late. A period below 20 us is merged into one wake-up per 20 us.
 */
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/models.h"
#include "hw/timer/timers.h"

enum { TIMERS = 3, WINDOW = 0x400, NS_PER_TICK = 10 };
#define HPET_ADDRESS   UINT64_C(0xfed00000)
#define CAPABILITIES   (UINT64_C(0x8086a001) | (TIMERS - 1) << 8 | (uint64_t)NS_PER_TICK * 1000000 << 32)
#define SHORTEST_SLEEP (20 * NS_PER_US)
#define CATCH_UP_GAP   (200 * NS_PER_US)
#define TICKS_KEPT     16

enum { REG_CAPABILITIES = 0x00, REG_CONFIG = 0x10, REG_STATUS = 0x20, REG_COUNTER = 0xf0, REG_TIMERS = 0x100, TIMER_STRIDE = 0x20 };
enum { TIMER_CONFIG = 0x00, TIMER_COMPARATOR = 0x08, TIMER_ROUTE = 0x10 };
enum { CONFIG_ENABLE = 1, CONFIG_LEGACY = 2 };
enum {
    TN_LEVEL = 1 << 1, TN_ENABLE = 1 << 2, TN_PERIODIC = 1 << 3, TN_CAN_PERIODIC = 1 << 4, TN_CAN_64 = 1 << 5,
    TN_SET_VALUE = 1 << 6, TN_32 = 1 << 8, TN_ROUTE_SHIFT = 9, TN_WRITABLE = 0x3f4e,
};

typedef struct Hpet Hpet;
typedef struct HpetTimer {
    Hpet *hpet;
    uint64_t config, comparator, period, route;
    bool waiting;                          /* the comparator has not been reached since it was set */
    Timer timer;
} HpetTimer;

struct Hpet {
    Device device;
    uint32_t routes;                       /* GSIs that timers can reach: the capability, bit by bit */
    IrqLine irq_timer, irq_rtc, gsi2;
    void *pit;
    Region window;
    uint64_t config, status;
    uint64_t count;                        /* of the main counter, at: */
    int64_t count_at;                      /* ns; while disabled the count stands */
    HpetTimer timer[TIMERS];
    bool input[2];                         /* levels from the PIT and the RTC */
};

enum { TRACE_HPET_READ, TRACE_HPET_WRITE, TRACE_HPET_FIRE };
static TracePoint hpet_trace[] = {
    [TRACE_HPET_READ] = { "hpet_read", "the guest read an HPET register" },
    [TRACE_HPET_WRITE] = { "hpet_write", "the guest wrote an HPET register" },
    [TRACE_HPET_FIRE] = { "hpet_fire", "a comparator was reached" },
};
TRACE_TABLE(hpet_trace)

static Hpet *HPET(Device *device)
{
    return (Hpet *)device;
}

static bool is_running(const Hpet *hpet)
{
    return hpet->config & CONFIG_ENABLE;
}

static bool is_legacy(const Hpet *hpet)
{
    return hpet->config & CONFIG_LEGACY;
}

static uint64_t counter_at(const Hpet *hpet, int64_t now)
{
    return hpet->count + (is_running(hpet) && now > hpet->count_at ? (uint64_t)(now - hpet->count_at) / NS_PER_TICK : 0);
}

/* Lines. */

typedef enum { LINE_TIMER, LINE_RTC, LINE_GSI2, LINE_NONE } HpetLine;

static HpetLine line_of(const Hpet *hpet, unsigned n)
{
    if (is_legacy(hpet) && n < 2) {
        return n ? LINE_RTC : LINE_TIMER;
    }
    return (hpet->timer[n].config >> TN_ROUTE_SHIFT & 31) == 2 && (hpet->routes & 1 << 2) ? LINE_GSI2 : LINE_NONE;
}

/* A level that a timer holds: only level-triggered ones do. */
static bool holds(const Hpet *hpet, unsigned n)
{
    return is_running(hpet) && (hpet->timer[n].config & TN_ENABLE) && (hpet->timer[n].config & TN_LEVEL) && (hpet->status >> n & 1);
}

static void hpet_update_irq(Hpet *hpet)
{
    bool level[LINE_NONE + 1] = { !is_legacy(hpet) && hpet->input[HPET_INPUT_TIMER], !is_legacy(hpet) && hpet->input[HPET_INPUT_RTC] };

    for (unsigned n = 0; n < TIMERS; n++) {
        level[line_of(hpet, n)] |= holds(hpet, n);
    }
    irq_set(hpet->irq_timer, level[LINE_TIMER]);
    irq_set(hpet->irq_rtc, level[LINE_RTC]);
    irq_set(hpet->gsi2, level[LINE_GSI2]);
}

/* Low first: a PIT whose OUT idles high may share the pin. */
static void pulse(Hpet *hpet, unsigned n)
{
    const IrqLine lines[LINE_NONE + 1] = { hpet->irq_timer, hpet->irq_rtc, hpet->gsi2 };
    IrqLine line = lines[line_of(hpet, n)];

    irq_set(line, false);
    irq_set(line, true);
    irq_set(line, false);
    hpet_update_irq(hpet);
}

static void input_set(void *sink, int pin, bool high)
{
    Hpet *hpet = sink;
    bool rose = high && !hpet->input[pin];

    hpet->input[pin] = high;
    if (rose && !is_legacy(hpet)) {        /* an edge that others' levels must not hide */
        irq_set(pin == HPET_INPUT_RTC ? hpet->irq_rtc : hpet->irq_timer, true);
    }
    hpet_update_irq(hpet);
}

IrqLine hpet_legacy_input(Device *device, unsigned input)
{
    return (IrqLine){ .set = input_set, .sink = HPET(device), .pin = input == HPET_INPUT_RTC };
}

/* Comparators. */

static bool is_32bit(const HpetTimer *timer)
{
    return timer->config & TN_32;
}

static bool is_periodic(const HpetTimer *timer)
{
    return (timer->config & TN_PERIODIC) && timer->period;
}

/* Ticks until the comparator; 0: it is reached. */
static uint64_t distance(const HpetTimer *timer, uint64_t counter)
{
    if (is_32bit(timer)) {
        int32_t left = (int32_t)((uint32_t)timer->comparator - (uint32_t)counter);
        return left > 0 ? (uint64_t)left : 0;
    }
    int64_t left = (int64_t)(timer->comparator - counter);
    return left > 0 ? (uint64_t)left : 0;
}

static void arm(HpetTimer *timer, int64_t now, int64_t not_before)
{
    uint64_t left = distance(timer, counter_at(timer->hpet, now));

    if (!is_running(timer->hpet) || !timer->waiting || !(timer->config & TN_ENABLE)) {
        timer_cancel(&timer->timer);
        return;
    }
    /* The counter reads the new value from the tick's first nanosecond on. */
    int64_t phase = (now - timer->hpet->count_at) % NS_PER_TICK;
    int64_t when = left > (uint64_t)(INT64_MAX / 4 / NS_PER_TICK) ? INT64_MAX / 4 : now - phase + (int64_t)left * NS_PER_TICK;
    timer_arm(&timer->timer, MAX(when, not_before));
}

/* The next comparator of the series. A host that was busy has let some pass: they follow one by one, a little apart, since a guest counts
 * ticks (Linux gives up at start when it misses too many); what lies further back than TICKS_KEPT is lost. */
static void next_period(HpetTimer *timer, uint64_t counter)
{
    uint64_t behind = counter - timer->comparator;

    if (is_32bit(timer)) {
        behind = (uint32_t)behind;
    }
    uint64_t missed = behind / timer->period;
    timer->comparator += (missed > TICKS_KEPT ? missed - TICKS_KEPT + 1 : 1) * timer->period;
    if (is_32bit(timer)) {
        timer->comparator = (uint32_t)timer->comparator;
    }
}

static int64_t catch_up_gap(const HpetTimer *timer)
{
    uint64_t half = MIN(timer->period, UINT64_C(1) << 32) * NS_PER_TICK / 2;

    return CLAMP((int64_t)half, SHORTEST_SLEEP, CATCH_UP_GAP);
}

static void hpet_fire(void *opaque)
{
    HpetTimer *timer = opaque;
    Hpet *hpet = timer->hpet;
    unsigned n = (unsigned)(timer - hpet->timer);
    int64_t now = clock_now(CLOCK_GUEST);
    uint64_t counter = counter_at(hpet, now);

    if (distance(timer, counter)) {        /* beyond what one timer could wait */
        arm(timer, now, 0);
        return;
    }
    TRACE(&hpet_trace[TRACE_HPET_FIRE], "timer %u comparator 0x%" G_GINT64_MODIFIER "x", n, timer->comparator);
    if (is_periodic(timer)) {
        next_period(timer, counter);
        arm(timer, now, now + (distance(timer, counter) ? SHORTEST_SLEEP : catch_up_gap(timer)));
    } else {
        timer->waiting = false;
    }
    if (timer->config & TN_LEVEL) {
        hpet->status |= UINT64_C(1) << n;
        hpet_update_irq(hpet);
    } else {
        pulse(hpet, n);
    }
}

/* Registers, as 64-bit quantities; mask says which bits an access carries. */

static uint64_t read_timer(const Hpet *hpet, unsigned n, unsigned reg)
{
    const HpetTimer *timer = &hpet->timer[n];

    switch (reg) {
    case TIMER_CONFIG:
        return timer->config | TN_CAN_PERIODIC | TN_CAN_64 | (uint64_t)hpet->routes << 32;
    case TIMER_COMPARATOR:
        return timer->comparator;
    case TIMER_ROUTE:
        return timer->route;
    default:
        return 0;
    }
}

static uint64_t read_register(const Hpet *hpet, unsigned offset)
{
    switch (offset) {
    case REG_CAPABILITIES:
        return CAPABILITIES;
    case REG_CONFIG:
        return hpet->config;
    case REG_STATUS:
        return hpet->status;
    case REG_COUNTER:
        return counter_at(hpet, clock_now(CLOCK_GUEST));
    default:
        break;
    }
    unsigned n = (offset - REG_TIMERS) / TIMER_STRIDE;
    return offset >= REG_TIMERS && n < TIMERS ? read_timer(hpet, n, offset % TIMER_STRIDE) : 0;
}

static uint64_t hpet_read(void *opaque, uint64_t offset, unsigned size)
{
    Hpet *hpet = opaque;
    uint64_t value = read_register(hpet, offset & ~7u);

    value = size == 8 ? value : (value >> (offset & 4) * 8) & 0xffffffff;
    TRACE(&hpet_trace[TRACE_HPET_READ], "offset 0x%03x value 0x%" G_GINT64_MODIFIER "x", (unsigned)offset, value);
    return value;
}

static void write_timer_config(Hpet *hpet, HpetTimer *timer, uint64_t value, uint64_t mask, int64_t now)
{
    uint64_t writable = mask & TN_WRITABLE;
    unsigned n = (unsigned)(timer - hpet->timer);

    timer->config = (timer->config & ~writable) | (value & writable);
    if (is_32bit(timer)) {
        timer->comparator = (uint32_t)timer->comparator;
        timer->period = (uint32_t)timer->period;
    }
    if (!(timer->config & TN_ENABLE) || !(timer->config & TN_LEVEL)) {
        hpet->status &= ~(UINT64_C(1) << n);
    }
    arm(timer, now, 0);
    hpet_update_irq(hpet);
}

static void write_comparator(HpetTimer *timer, uint64_t value, uint64_t mask, int64_t now)
{
    bool sets_value = !(timer->config & TN_PERIODIC) || (timer->config & TN_SET_VALUE);
    uint64_t width = is_32bit(timer) ? 0xffffffff : UINT64_MAX;

    if (sets_value) {
        timer->comparator = ((timer->comparator & ~mask) | (value & mask)) & width;
        timer->waiting = true;
    }
    if (timer->config & TN_PERIODIC) {
        timer->period = ((timer->period & ~mask) | (value & mask)) & width >> 1;
    }
    if (mask & 1) {
        timer->config &= ~(uint64_t)TN_SET_VALUE;
    }
    arm(timer, now, 0);
}

static void write_config(Hpet *hpet, uint64_t value, int64_t now)
{
    uint64_t old = hpet->config;

    hpet->count = counter_at(hpet, now);
    hpet->count_at = now;
    hpet->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    if ((old ^ hpet->config) & CONFIG_LEGACY && hpet->pit) {
        pit_set_silent(hpet->pit, is_legacy(hpet));
    }
    for (unsigned n = 0; n < TIMERS; n++) {
        arm(&hpet->timer[n], now, 0);
    }
    hpet_update_irq(hpet);
}

static void write_register(Hpet *hpet, unsigned offset, uint64_t value, uint64_t mask, int64_t now)
{
    unsigned n = (offset - REG_TIMERS) / TIMER_STRIDE;

    if (offset == REG_CONFIG && (mask & 1)) {
        write_config(hpet, value, now);
    } else if (offset == REG_STATUS) {
        hpet->status &= ~(value & mask);
        hpet_update_irq(hpet);
    } else if (offset == REG_COUNTER) {
        if (is_running(hpet)) {
            guest_fault(&hpet->device, "the main counter is written while it runs");
        } else {
            hpet->count = (hpet->count & ~mask) | (value & mask);
        }
    } else if (offset >= REG_TIMERS && n < TIMERS) {
        HpetTimer *timer = &hpet->timer[n];
        if (offset % TIMER_STRIDE == TIMER_CONFIG) {
            write_timer_config(hpet, timer, value, mask, now);
        } else if (offset % TIMER_STRIDE == TIMER_COMPARATOR) {
            write_comparator(timer, value, mask, now);
        } else if (offset % TIMER_STRIDE == TIMER_ROUTE) {
            timer->route = (timer->route & ~mask) | (value & mask);
        }
    }
}

static void hpet_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    unsigned shift = (offset & 4) * 8;
    uint64_t mask = size == 8 ? UINT64_MAX : UINT64_C(0xffffffff) << shift;

    TRACE(&hpet_trace[TRACE_HPET_WRITE], "offset 0x%03x value 0x%" G_GINT64_MODIFIER "x", (unsigned)offset, value);
    write_register(opaque, offset & ~7u, size == 8 ? value : value << shift, mask, clock_now(CLOCK_GUEST));
}

static const RegionOps hpet_ops = { .read = hpet_read, .write = hpet_write, .widths = WIDTH_32_64 };

/* Life. */

static bool hpet_realize(Device *device, GError **err)
{
    Hpet *hpet = HPET(device);

    if (hpet->routes & ~(1u << 2)) {
        return fail(err, EINVAL, "%s: hpet-intcap 0x%x names lines that timers cannot reach here; only 0x4 (GSI 2) can be", device_name(device),
                    hpet->routes);
    }
    for (unsigned n = 0; n < TIMERS; n++) {
        hpet->timer[n].hpet = hpet;
        timer_init(&hpet->timer[n].timer, CLOCK_GUEST, hpet_fire, &hpet->timer[n]);
    }
    region_init_io(&hpet->window, &hpet_ops, hpet, "hpet", WINDOW);
    region_add(&device->machine->memory_root, HPET_ADDRESS, &hpet->window, 1);
    return true;
}

static void hpet_unrealize(Device *device)
{
    Hpet *hpet = HPET(device);

    for (unsigned n = 0; n < TIMERS; n++) {
        timer_cancel(&hpet->timer[n].timer);
    }
    region_remove(&hpet->window);
    region_destroy(&hpet->window);
}

static void hpet_reset(Device *device)
{
    Hpet *hpet = HPET(device);

    hpet->config = hpet->status = hpet->count = 0;
    hpet->count_at = clock_now(CLOCK_GUEST);
    for (unsigned n = 0; n < TIMERS; n++) {
        HpetTimer *timer = &hpet->timer[n];
        timer_cancel(&timer->timer);
        timer->config = timer->period = timer->route = 0;
        timer->comparator = UINT64_MAX;
        timer->waiting = false;            /* nobody has set it: enabling the timer alone fires nothing */
    }
    if (hpet->pit) {
        pit_set_silent(hpet->pit, false);
    }
    hpet_update_irq(hpet);
}

static void hpet_before_save(Device *device)
{
    Hpet *hpet = HPET(device);
    int64_t now = clock_now(CLOCK_GUEST);

    if (!is_running(hpet)) {
        hpet->count_at = now;
    }
}

static bool hpet_after_load(Device *device, GError **err)
{
    Hpet *hpet = HPET(device);
    int64_t now = clock_now(CLOCK_GUEST);

    if ((hpet->config & ~(uint64_t)(CONFIG_ENABLE | CONFIG_LEGACY)) || hpet->status >> TIMERS || hpet->count_at < 0 || hpet->count_at > now) {
        return fail(err, EINVAL, "%s: the saved state is not that of an HPET", device_name(device));
    }
    for (unsigned n = 0; n < TIMERS; n++) {
        hpet->timer[n].config &= TN_WRITABLE;
        arm(&hpet->timer[n], now, 0);
    }
    hpet_update_irq(hpet);
    return true;
}

static const Field hpet_props[] = {
    PROP_U32("hpet-intcap", Hpet, routes, 1 << 2, .help = "interrupt lines that timers may be routed to, a bit per GSI (only GSI 2)"),
    PROP_IRQ("timer", Hpet, irq_timer, .help = "IRQ 0"),
    PROP_IRQ("rtc", Hpet, irq_rtc, .help = "IRQ 8"),
    PROP_IRQ("gsi2", Hpet, gsi2, .help = "GSI 2"),
    PROP_LINK("pit", Hpet, pit, "isa-pit", .hidden = true, .help = "a timer chip in the kernel that legacy replacement silences"),
    FIELD_END };

static const Field timer_saved[] = {
    SAVE_U64(HpetTimer, config), SAVE_U64(HpetTimer, comparator), SAVE_U64(HpetTimer, period), SAVE_U64(HpetTimer, route),
    SAVE_BOOL(HpetTimer, waiting), FIELD_END };

static const Field hpet_saved[] = {
    SAVE_U64(Hpet, config), SAVE_U64(Hpet, status), SAVE_U64(Hpet, count), SAVE_I64(Hpet, count_at),
    SAVE_STRUCTS(Hpet, timer, timer_saved), SAVE_BOOLS(Hpet, input), FIELD_END };

const DeviceModel hpet_model = {
    .name = "hpet",  .bus = BUS_SYSTEM,  .size = sizeof(Hpet),  .board_only = true,
    .help = "high precision event timer",
    .props = hpet_props,  .saved = hpet_saved,  .saved_version = 1,
    .realize = hpet_realize,  .reset = hpet_reset,  .unrealize = hpet_unrealize,
    .before_save = hpet_before_save,  .after_load = hpet_after_load,
};
