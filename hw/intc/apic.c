/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * apic.c - one local APIC per processor: its registers in the processor's view, its timer, and the messages between them
 *
 * Models   the page at FEE00000h that each processor sees as its own, the message window behind it, destinations and
 *          shorthands, lowest-priority arbitration, INIT/SIPI/NMI, and the ExtINT way to the 8259
 * Omits    moving the page (IA32_APIC_BASE keeps the address, the page stays); SMI (no SMM: such messages are dropped)
 * Wires    CpuIrqSource to the processor; LINT0 from the 8259; EOI to the I/O APIC
 * Threads  registers: the processor's own thread without the machine lock; messages: any thread; timer: main loop
 * Tests    tests/dev/lapic.c
 *
 * Locks    each APIC has one. Nobody holds two of them. The machine lock comes before them: who needs it (acknowledge at
 *          the 8259, EOI of a level) lets go of the APIC first. Under an APIC's lock only timers and cpu_set_intr() are called.
 */
#include "base/error.h"
#include "base/lock.h"
#include "base/trace.h"
#include "hw/intc/internal.h"
#include "hw/models.h"

enum { TRACE_APIC_READ, TRACE_APIC_WRITE, TRACE_APIC_MESSAGE, TRACE_APIC_ACKNOWLEDGE };
static TracePoint apic_trace[] = {
    [TRACE_APIC_READ] = { "apic_read", "a processor read its local APIC" },
    [TRACE_APIC_WRITE] = { "apic_write", "a processor wrote its local APIC" },
    [TRACE_APIC_MESSAGE] = { "apic_message", "an interrupt message is delivered" },
    [TRACE_APIC_ACKNOWLEDGE] = { "apic_acknowledge", "a processor fetched a vector" },
};
TRACE_TABLE(apic_trace)

enum { WINDOW_SIZE = 0x100000, PAGE = 0x1000, WINDOW_PRIORITY = 0x1000 };

static Apic *APIC(Device *device)
{
    return (Apic *)device;
}

static LapicTime time_of(const Apic *apic)
{
    LapicTime time = { .now = clock_now(CLOCK_GUEST) };

    if (!apic->cpu) {                      /* on a rig: a counter of 1 GHz */
        time.tsc_khz = 1000000;
        time.tsc = (uint64_t)time.now;
    } else if (apic->chip.has_deadline) {
        time.tsc_khz = cpu_tsc_khz(apic->cpu);
        time.tsc = cpu_tsc(apic->cpu);
    }
    return time;
}

/* What the processor is told, or the rig that stands in its place. */
static void signal_cpu(Apic *apic, IntcSignal signal, uint8_t vector)
{
    if (!apic->cpu) {
        if (apic->intc->probe) {
            apic->intc->probe(apic->intc->probe_opaque, apic->index, signal, vector);
        }
        return;
    }
    switch (signal) {
    case INTC_INTR_LOW:
    case INTC_INTR_HIGH:
        cpu_set_intr(apic->cpu, signal == INTC_INTR_HIGH);
        break;
    case INTC_NMI:
        cpu_nmi(apic->cpu);
        break;
    case INTC_INIT:
        cpu_init_signal(apic->cpu);
        break;
    case INTC_SIPI:
        cpu_sipi(apic->cpu, vector);
        break;
    }
}

/* Lock held, after anything that changed the chip. */
static void apic_update_irq(Apic *apic)
{
    signal_cpu(apic, lapic_requests(&apic->chip) ? INTC_INTR_HIGH : INTC_INTR_LOW, 0);
}

/* Lock held, after anything that concerns the timer. */
static void apic_update_timer(Apic *apic)
{
    LapicTime time = time_of(apic);
    int64_t deadline = lapic_deadline(&apic->chip, &time);

    if (deadline < 0) {
        timer_cancel(&apic->timer);
    } else {
        timer_arm(&apic->timer, deadline);
    }
}

static void apic_timer(void *opaque)
{
    Apic *apic = opaque;
    bool nmi;

    {
        LOCK_SCOPE(&apic->lock);
        LapicTime time = time_of(apic);
        nmi = lapic_tick(&apic->chip, &time);
        apic_update_irq(apic);
        apic_update_timer(apic);
    }
    if (nmi) {
        signal_cpu(apic, INTC_NMI, 0);
    }
}

/* Messages. */

typedef struct Message {
    uint32_t dest;
    bool logical, broadcast, level;
    DeliveryMode mode;
    uint8_t vector;
} Message;

static void deliver(Apic *apic, const Message *message)
{
    TRACE(&apic_trace[TRACE_APIC_MESSAGE], "cpu %u mode %d vector 0x%02x level %d", apic->index, message->mode,
          message->vector, message->level);
    switch (message->mode) {
    case MODE_FIXED:
    case MODE_LOWEST:
    case MODE_EXTINT: {
        LOCK_SCOPE(&apic->lock);
        lapic_accept(&apic->chip, message->mode, message->vector, message->level);
        apic_update_irq(apic);
        break;
    }
    case MODE_NMI:
        signal_cpu(apic, INTC_NMI, 0);
        break;
    case MODE_INIT: {
        LOCK_SCOPE(&apic->lock);
        lapic_init(&apic->chip);
        apic_update_irq(apic);
        apic_update_timer(apic);
        signal_cpu(apic, INTC_INIT, 0);
        break;
    }
    case MODE_STARTUP:
        signal_cpu(apic, INTC_SIPI, message->vector);
        break;
    default:                               /* SMI: there is no system management mode */
        break;
    }
}

/* Does it want this message; and what is its priority, for the search for the lowest. */
static bool is_addressed(Apic *apic, const Message *message, unsigned *priority)
{
    LOCK_SCOPE(&apic->lock);

    *priority = lapic_priority(&apic->chip);
    if (message->mode == MODE_LOWEST && !(apic->chip.svr & SVR_ENABLE)) {
        return false;
    }
    return lapic_matches(&apic->chip, message->dest, message->logical, message->broadcast);
}

static void send_to_lowest(Intc *intc, const Message *message)
{
    unsigned count = intc->apics->len, best = 0x100, priority;
    unsigned start = __atomic_fetch_add(&intc->arbitration, 1, __ATOMIC_RELAXED);
    Apic *taker = NULL;

    for (unsigned i = 0; i < count; i++) {
        Apic *apic = intc->apics->pdata[(start + i) % count];
        if (is_addressed(apic, message, &priority) && priority < best) {
            best = priority;
            taker = apic;
        }
    }
    if (taker) {
        deliver(taker, message);
    }
}

static void send(Intc *intc, const Message *message, const Apic *except)
{
    unsigned priority;

    if (message->mode == MODE_LOWEST) {
        send_to_lowest(intc, message);
        return;
    }
    for (unsigned i = 0; i < intc->apics->len; i++) {
        Apic *apic = intc->apics->pdata[i];
        if (apic != except && is_addressed(apic, message, &priority)) {
            deliver(apic, message);
        }
    }
}

void apic_bus_send(Intc *intc, uint64_t address, uint32_t data)
{
    Message message = {
        .dest = address >> 12 & 0xff, .logical = address >> 2 & 1, .mode = (DeliveryMode)(data >> 8 & 7),
        .vector = data, .level = data >> 15 & 1,
    };

    message.broadcast = message.dest == 0xff && !message.logical;
    if (message.mode == MODE_FIXED && (address >> 3 & 1)) {
        message.mode = MODE_LOWEST;        /* the redirection hint */
    }
    if (message.mode != MODE_STARTUP) {    /* only processors send it */
        send(intc, &message, NULL);
    }
}

/* The interrupt command register of one APIC. */
static void send_command(Apic *sender, uint64_t icr, bool x2apic)
{
    Message message = {
        .dest = (uint32_t)(x2apic ? icr >> 32 : icr >> 56), .logical = icr & ICR_LOGICAL,
        .mode = (DeliveryMode)(icr >> ICR_MODE_SHIFT & 7), .vector = icr & ICR_VECTOR,
    };
    unsigned shorthand = icr >> ICR_SHORTHAND_SHIFT & 3;

    if (message.mode == MODE_INIT && (icr & ICR_LEVEL) && !(icr & ICR_ASSERT)) {
        return;                            /* "INIT level de-assert" sets arbitration ids, of which there are none */
    }
    if (message.mode == MODE_EXTINT || message.mode == MODE_RESERVED) {
        return;
    }
    switch (shorthand) {
    case SHORTHAND_SELF:
        if (message.mode == MODE_FIXED) {
            deliver(sender, &message);
        }
        return;
    case SHORTHAND_ALL:
    case SHORTHAND_OTHERS:
        message.logical = false;
        message.broadcast = true;
        send(sender->intc, &message, shorthand == SHORTHAND_OTHERS ? sender : NULL);
        return;
    default:
        message.broadcast = !message.logical && message.dest == (x2apic ? 0xffffffff : 0xff);
        if (x2apic && message.dest == 0xffffffff) {
            message.broadcast = true;
        }
        send(sender->intc, &message, NULL);
    }
}

/* No APIC's lock held. */
static void carry_out(Apic *apic, const LapicEffect *effect, bool x2apic)
{
    if (effect->send) {
        send_command(apic, effect->icr, x2apic);
    }
    if (effect->eoi >= 0) {
        ioapic_end_of_interrupt(apic->intc, effect->eoi);
    }
}

void apic_bus_set_lint0(void *opaque, int pin, bool high)
{
    GPtrArray *apics = opaque;

    (void)pin;
    for (unsigned i = 0; i < apics->len; i++) {
        Apic *apic = apics->pdata[i];
        bool nmi = false;
        if (!apic->in_kernel) {
            LOCK_SCOPE(&apic->lock);
            nmi = lapic_set_lint(&apic->chip, 0, high);
            apic_update_irq(apic);
        } else if (i == 0) {
            cpu_set_intr(apic->cpu, high); /* split: KVM asks the boot processor's 8259 */
        }
        if (nmi) {
            signal_cpu(apic, INTC_NMI, 0);
        }
    }
}

/* The window. Who reads without being a processor (a rig, qtest) sees the boot processor's APIC. */
static Apic *current_apic(Intc *intc)
{
    Cpu *cpu = cpu_current();
    unsigned index = cpu ? cpu_index(cpu) : intc->seen_from;

    return index < intc->apics->len ? intc->apics->pdata[index] : NULL;
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    Apic *apic = current_apic(opaque);

    (void)size;
    if (!apic || offset >= PAGE) {
        return 0xffffffff;
    }
    LOCK_SCOPE(&apic->lock);
    if (!lapic_enabled(&apic->chip) || lapic_is_x2(&apic->chip)) {
        return 0xffffffff;
    }
    LapicTime time = time_of(apic);
    uint32_t value = offset & 0x0f || offset >= 0x400 ? 0 : lapic_read(&apic->chip, offset >> 4, &time);
    apic_update_irq(apic);                 /* a read of nothing is an error, and errors interrupt */
    TRACE(&apic_trace[TRACE_APIC_READ], "cpu %u offset 0x%03x value 0x%08x", apic->index, (unsigned)offset, value);
    return value;
}

static void page_write(Apic *apic, unsigned offset, uint32_t value)
{
    LapicEffect effect;

    TRACE(&apic_trace[TRACE_APIC_WRITE], "cpu %u offset 0x%03x value 0x%08x", apic->index, offset, value);
    {
        LOCK_SCOPE(&apic->lock);
        if (!lapic_enabled(&apic->chip) || lapic_is_x2(&apic->chip) || (offset & 0x0f) || offset >= 0x400) {
            return;
        }
        LapicTime time = time_of(apic);
        effect = lapic_write(&apic->chip, offset >> 4, value, &time);
        apic_update_irq(apic);
        if (offset >> 4 == LAPIC_SVR || offset >> 4 >= LAPIC_LVT) {
            apic_update_timer(apic);
        }
    }
    carry_out(apic, &effect, false);
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Intc *intc = opaque;
    Apic *apic = current_apic(intc);

    (void)size;
    if (offset >= PAGE) {
        apic_bus_send(intc, APIC_BASE_ADDRESS + offset, (uint32_t)value);
    } else if (apic) {
        page_write(apic, offset, value);
    }
}

static const RegionOps window_ops = { .read = window_read, .write = window_write, .widths = WIDTH_32, .unlocked = true };

void apic_map_window(Intc *intc)
{
    region_init_io(&intc->window, &window_ops, intc, "apic-msi", WINDOW_SIZE);
    region_add(&intc->machine->memory_root, APIC_BASE_ADDRESS, &intc->window, WINDOW_PRIORITY);
}

/* The processor's side. */

static int source_acknowledge(void *opaque)
{
    Apic *apic = opaque;
    bool extint;

    {
        LOCK_SCOPE(&apic->lock);
        extint = lapic_requests_extint(&apic->chip);
        apic->chip.extint = false;
    }
    int vector = extint ? intc_acknowledge_pic(apic->intc) : -1;
    LOCK_SCOPE(&apic->lock);
    if (vector < 0) {
        vector = lapic_acknowledge(&apic->chip);
    }
    apic_update_irq(apic);
    TRACE(&apic_trace[TRACE_APIC_ACKNOWLEDGE], "cpu %u vector %d%s", apic->index, vector, extint ? " (8259)" : "");
    return vector;
}

static uint8_t source_get_cr8(void *opaque)
{
    Apic *apic = opaque;
    LOCK_SCOPE(&apic->lock);

    return lapic_cr8(&apic->chip);
}

static void source_set_cr8(void *opaque, uint8_t value)
{
    Apic *apic = opaque;
    LOCK_SCOPE(&apic->lock);

    lapic_set_cr8(&apic->chip, value);
    apic_update_irq(apic);
}

static uint64_t source_get_base(void *opaque)
{
    Apic *apic = opaque;
    LOCK_SCOPE(&apic->lock);

    return apic->chip.base;
}

static bool source_set_base(void *opaque, uint64_t value)
{
    Apic *apic = opaque;
    LOCK_SCOPE(&apic->lock);
    bool legal = lapic_set_base(&apic->chip, value);

    apic_update_irq(apic);
    apic_update_timer(apic);
    return legal;
}

static bool source_read_msr(void *opaque, uint32_t index, uint64_t *value)
{
    Apic *apic = opaque;
    LOCK_SCOPE(&apic->lock);
    LapicTime time = time_of(apic);

    return lapic_read_msr(&apic->chip, index, value, &time);
}

static bool source_write_msr(void *opaque, uint32_t index, uint64_t value)
{
    Apic *apic = opaque;
    LapicEffect effect;
    bool legal;

    TRACE(&apic_trace[TRACE_APIC_WRITE], "cpu %u msr 0x%x value 0x%" G_GINT64_MODIFIER "x", apic->index, index, value);
    {
        LOCK_SCOPE(&apic->lock);
        LapicTime time = time_of(apic);
        legal = lapic_write_msr(&apic->chip, index, value, &time, &effect);
        apic_update_irq(apic);
        if (index < 0x800 || index >= 0x800 + LAPIC_LVT || index == 0x800 + LAPIC_SVR) {
            apic_update_timer(apic);
        }
    }
    carry_out(apic, &effect, true);
    return legal;
}

CpuIrqSource intc_irq_source(Intc *intc, unsigned index)
{
    return (CpuIrqSource){
        .opaque = intc->apics->pdata[index], .acknowledge = source_acknowledge,
        .get_cr8 = source_get_cr8, .set_cr8 = source_set_cr8, .get_base = source_get_base, .set_base = source_set_base,
        .read_msr = source_read_msr, .write_msr = source_write_msr,
    };
}

/* Life. */

static bool apic_realize(Device *device, GError **err)
{
    Apic *apic = APIC(device);

    (void)err;
    pthread_mutex_init(&apic->lock, NULL);
    timer_init(&apic->timer, CLOCK_GUEST, apic_timer, apic);
    return true;
}

static void apic_unrealize(Device *device)
{
    Apic *apic = APIC(device);

    timer_cancel(&apic->timer);
    if (apic->intc) {
        g_ptr_array_remove(apic->intc->apics, apic);
    }
    pthread_mutex_destroy(&apic->lock);
}

static void apic_restate(Apic *apic)
{
    LOCK_SCOPE(&apic->lock);

    if (apic->in_kernel) {
        kernel_chips()->give_lapic(apic->cpu, &apic->chip);
        return;
    }
    if (apic->intc) {
        apic_update_irq(apic);
        apic_update_timer(apic);
    }
}

static void apic_reset(Device *device)
{
    Apic *apic = APIC(device);

    pthread_mutex_lock(&apic->lock);
    lapic_reset(&apic->chip);
    pthread_mutex_unlock(&apic->lock);
    apic_restate(apic);
}

static void apic_before_save(Device *device)
{
    Apic *apic = APIC(device);

    if (apic->in_kernel) {
        kernel_chips()->fetch_lapic(apic->cpu, &apic->chip);
    }
}

static bool apic_after_load(Device *device, GError **err)
{
    Apic *apic = APIC(device);

    if (!lapic_valid(&apic->chip)) {
        return fail(err, EINVAL, "%s: the saved state is not that of a local APIC", device_name(device));
    }
    apic_restate(apic);
    return true;
}

static const Field apic_props[] = {
    PROP_U32("id", Apic, chip.apic_id, 0, .help = "APIC id"),
    PROP_BOOL("x-boot-processor", Apic, chip.boot_processor, false, .hidden = true, .help = "of the processor that starts"),
    PROP_BOOL("x-x2apic", Apic, chip.has_x2apic, true, .hidden = true, .help = "as CPUID says"),
    PROP_BOOL("x-tsc-deadline", Apic, chip.has_deadline, true, .hidden = true, .help = "as CPUID says"),
    FIELD_END };

static const Field apic_saved[] = { SAVE_STRUCT(Apic, chip, lapic_saved), FIELD_END };

const DeviceModel apic_model = {
    .name = "apic",  .bus = BUS_SYSTEM,  .size = sizeof(Apic),  .board_only = true,
    .help = "local APIC of one processor",
    .props = apic_props,  .saved = apic_saved,  .saved_version = 1,
    .realize = apic_realize,  .reset = apic_reset,  .unrealize = apic_unrealize,
    .before_save = apic_before_save,  .after_load = apic_after_load,
};
