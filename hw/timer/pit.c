/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pit.c - the 8254 in a PC: ports 40h-43h, and the system control port 61h
 *
 * Models   counter 0 as the system timer, counter 2 behind the speaker's gate, the refresh bit as a 15 us toggle
 * Omits    sound; counter 1's refresh requests; parity and channel check (their enable bits read back)
 * Wires    counter 0 to IRQ 0, through the HPET's legacy switch where there is one
 * Threads  registers: any vCPU thread, machine lock held; timer: main loop, same lock
 * Tests    tests/dev/i8254.c
 *
 * With in_kernel the chip is KVM's, port 61h too. A rise of OUT that lies between two looks is a pulse on the line, so a
 * rate of up to 1.2 MHz that a guest may set costs at most a wake-up per 20 us.
 */
#include "base/error.h"
#include "base/trace.h"
#include "hw/intc/kernel-chips.h"
#include "hw/isa/bus.h"
#include "hw/models.h"
#include "hw/timer/timers.h"

enum { PORT61_GATE = 0x01, PORT61_STORED = 0x0f, PORT61_REFRESH = 0x10, PORT61_OUT = 0x20 };
#define REFRESH_HALF_NS 15085
#define SHORTEST_SLEEP  (20 * NS_PER_US)

typedef struct Pit {
    Device device;
    uint16_t iobase;
    bool in_kernel;
    IrqLine out0;
    Region io, port61;
    I8254 chip;
    uint8_t speaker;                       /* port 61h, bits 0-3 */
    int64_t looked_at;                     /* ns: out0 is right up to here */
    bool silent;                           /* the HPET has taken IRQ 0 over */
    Timer timer;
} Pit;

enum { TRACE_PIT_READ, TRACE_PIT_WRITE, TRACE_PIT_RISE };
static TracePoint pit_trace[] = {
    [TRACE_PIT_READ] = { "pit_read", "the guest read a timer port" },
    [TRACE_PIT_WRITE] = { "pit_write", "the guest wrote a timer port" },
    [TRACE_PIT_RISE] = { "pit_rise", "counter 0's output rose" },
};
TRACE_TABLE(pit_trace)

static Pit *PIT(Device *device)
{
    return (Pit *)device;
}

/* Brings the line up to now. rose: OUT may have been low and high again since the last look. */
static void pit_update_irq(Pit *pit, int64_t now, bool rose)
{
    bool out = i8254_out(&pit->chip, 0, now);
    int64_t next = i8254_next_rise(&pit->chip, 0, now);

    if (rose) {
        TRACE(&pit_trace[TRACE_PIT_RISE], "at %" G_GINT64_FORMAT " ns", now);
        irq_set(pit->out0, false);
        irq_set(pit->out0, true);
    }
    irq_set(pit->out0, out);
    pit->looked_at = now;
    if (next < 0) {
        timer_cancel(&pit->timer);
    } else {
        timer_arm(&pit->timer, rose ? MAX(next, now + SHORTEST_SLEEP) : next);
    }
}

/* What happened on the wire before an access changes the chip. */
static void pit_catch_up(Pit *pit, int64_t now)
{
    if (i8254_rose(&pit->chip, 0, pit->looked_at, now)) {
        pit_update_irq(pit, now, true);
    }
    pit->looked_at = now;
}

static void pit_timer(void *opaque)
{
    Pit *pit = opaque;
    int64_t now = clock_now(CLOCK_GUEST);

    pit_update_irq(pit, now, i8254_rose(&pit->chip, 0, pit->looked_at, now));
}

static uint64_t pit_read(void *opaque, uint64_t offset, unsigned size)
{
    Pit *pit = opaque;
    int64_t now = clock_now(CLOCK_GUEST);

    (void)size;
    pit_catch_up(pit, now);
    uint8_t value = i8254_read(&pit->chip, offset, now);
    TRACE(&pit_trace[TRACE_PIT_READ], "port %u value 0x%02x", (unsigned)offset, value);
    return value;
}

static void pit_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Pit *pit = opaque;
    int64_t now = clock_now(CLOCK_GUEST);

    (void)size;
    TRACE(&pit_trace[TRACE_PIT_WRITE], "port %u value 0x%02x", (unsigned)offset, (unsigned)value);
    pit_catch_up(pit, now);
    i8254_write(&pit->chip, offset, value, now);
    pit_update_irq(pit, now, false);
}

static uint64_t port61_read(void *opaque, uint64_t offset, unsigned size)
{
    Pit *pit = opaque;
    int64_t now = clock_now(CLOCK_GUEST);

    (void)offset, (void)size;
    return pit->speaker | (now / REFRESH_HALF_NS & 1 ? PORT61_REFRESH : 0) | (i8254_out(&pit->chip, 2, now) ? PORT61_OUT : 0);
}

static void port61_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Pit *pit = opaque;

    (void)offset, (void)size;
    pit->speaker = value & PORT61_STORED;
    i8254_set_gate(&pit->chip, 2, value & PORT61_GATE, clock_now(CLOCK_GUEST));
}

static const RegionOps pit_io = { .read = pit_read, .write = pit_write, .widths = WIDTH_8 };
static const RegionOps port61_io = { .read = port61_read, .write = port61_write, .widths = WIDTH_8 };

void pit_set_silent(Device *device, bool silent)
{
    Pit *pit = PIT(device);

    pit->silent = silent;
    if (pit->in_kernel) {                  /* the HPET's switch has no hold of KVM's wire: the chip itself is told */
        kernel_chips()->fetch_pit(device->machine, &pit->chip);
        kernel_chips()->give_pit(device->machine, &pit->chip, silent);
    }
}

static void pit_unrealize(Device *device)
{
    Pit *pit = PIT(device);

    timer_cancel(&pit->timer);
    if (!pit->in_kernel) {
        isa_unmap(&pit->io);
        isa_unmap(&pit->port61);
        region_destroy(&pit->io);
        region_destroy(&pit->port61);
    }
}

static bool pit_realize(Device *device, GError **err)
{
    Pit *pit = PIT(device);

    timer_init(&pit->timer, CLOCK_GUEST, pit_timer, pit);
    if (pit->in_kernel) {
        return true;
    }
    region_init_io(&pit->io, &pit_io, pit, "pit", 4);
    region_init_io(&pit->port61, &port61_io, pit, "pcspk", 1);
    if (!isa_map(device, &pit->io, pit->iobase, err) || !isa_map(device, &pit->port61, 0x61, err)) {
        pit_unrealize(device);
        return false;
    }
    return true;
}

static void pit_restate(Pit *pit)
{
    if (pit->in_kernel) {
        kernel_chips()->give_pit(pit->device.machine, &pit->chip, pit->silent);
    } else {
        pit_update_irq(pit, clock_now(CLOCK_GUEST), false);
    }
}

static void pit_reset(Device *device)
{
    Pit *pit = PIT(device);

    timer_cancel(&pit->timer);
    i8254_reset(&pit->chip);
    pit->speaker = 0;
    pit->silent = false;
    pit_restate(pit);
}

static void pit_before_save(Device *device)
{
    Pit *pit = PIT(device);

    if (pit->in_kernel) {
        kernel_chips()->fetch_pit(device->machine, &pit->chip);
        pit->speaker = (pit->speaker & ~PORT61_GATE) | (pit->chip.counter[2].gate ? PORT61_GATE : 0);
    } else {
        pit_timer(pit);                    /* the wire as the other side will restate it */
    }
}

static bool pit_after_load(Device *device, GError **err)
{
    Pit *pit = PIT(device);

    if (!i8254_valid(&pit->chip)) {
        return fail(err, EINVAL, "%s: the saved state is not that of an 8254", device_name(device));
    }
    pit_restate(pit);
    return true;
}

static const Field pit_props[] = {
    PROP_U16("iobase", Pit, iobase, 0x40, .help = "first of the four ports"),
    PROP_IRQ("irq", Pit, out0, .help = "output of counter 0"),
    PROP_BOOL("x-in-kernel", Pit, in_kernel, false, .hidden = true, .help = "the chip is KVM's"),
    FIELD_END };

static const Field pit_saved[] = {
    SAVE_STRUCT(Pit, chip, i8254_saved), SAVE_U8(Pit, speaker), SAVE_BOOL(Pit, silent), FIELD_END };

static const char *const pit_aliases[] = { "i8254", NULL };

const DeviceModel isa_pit_model = {
    .name = "isa-pit",  .aliases = pit_aliases,  .bus = BUS_ISA,  .size = sizeof(Pit),  .board_only = true,
    .help = "programmable interval timer (8254)",
    .props = pit_props,  .saved = pit_saved,  .saved_version = 1,
    .realize = pit_realize,  .reset = pit_reset,  .unrealize = pit_unrealize,
    .before_save = pit_before_save,  .after_load = pit_after_load,
};
