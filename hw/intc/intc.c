/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * intc.c - the controllers together: a line's number to their pins, messages, and the I/O APIC's window
 *
 * Models   a PC's wiring: ISA IRQ n on pin n of the 8259s and of the I/O APIC, but IRQ 0 on the latter's pin 2
 * Omits    GSIs beyond 23 (one I/O APIC)
 * Wires    8259 INTR to LINT0 of all local APICs; I/O APIC messages to the local APICs, or to KVM in split mode
 * Threads  machine lock; intc_send_msi() on any thread
 * Tests    tests/dev/ioapic.c, tests/dev/lapic.c
 */
#include "hw/intc/intc.h"
#include "base/error.h"
#include "base/lock.h"
#include "base/trace.h"
#include "hw/intc/internal.h"
#include "hw/models.h"

enum { TRACE_GSI, TRACE_MSI, TRACE_IOAPIC_READ, TRACE_IOAPIC_WRITE, TRACE_IOAPIC_EOI };
static TracePoint intc_trace[] = {
    [TRACE_GSI] = { "intc_gsi", "an interrupt line changed" },
    [TRACE_MSI] = { "intc_msi", "a message signalled interrupt came" },
    [TRACE_IOAPIC_READ] = { "ioapic_read", "the guest read the I/O APIC" },
    [TRACE_IOAPIC_WRITE] = { "ioapic_write", "the guest wrote the I/O APIC" },
    [TRACE_IOAPIC_EOI] = { "ioapic_eoi", "a processor ended a level-triggered interrupt" },
};
TRACE_TABLE(intc_trace)

#ifndef HAVE_KVM
const KernelChips *kernel_chips(void)
{
    return NULL;
}
#endif

static IrqchipMode mode_of(const Machine *machine)
{
    return machine->accel ? accel_irqchip(machine->accel) : IRQCHIP_OFF;
}

bool intc_in_kernel(const Intc *intc)
{
    return mode_of(intc->machine) == IRQCHIP_KERNEL;
}

/* Some code that calls up holds the machine lock, and some (a processor at its APIC) does not. */
static bool lock_machine(void)
{
    if (machine_lock_held()) {
        return false;
    }
    machine_lock();
    return true;
}

static void unlock_machine(bool locked)
{
    if (locked) {
        machine_unlock();
    }
}

/* The I/O APIC's mounting. */

static IoApicDevice *IOAPIC(Device *device)
{
    return (IoApicDevice *)device;
}

static uint64_t ioapic_window_read(void *opaque, uint64_t offset, unsigned size)
{
    IoApicDevice *ioapic = opaque;
    uint32_t value = ioapic_read(&ioapic->chip, offset & 0xff);

    (void)size;
    TRACE(&intc_trace[TRACE_IOAPIC_READ], "offset 0x%02x value 0x%08x", (unsigned)offset, value);
    return value;
}

static void ioapic_window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    IoApicDevice *ioapic = opaque;

    (void)size;
    TRACE(&intc_trace[TRACE_IOAPIC_WRITE], "offset 0x%02x value 0x%08x", (unsigned)offset, (unsigned)value);
    ioapic_write(&ioapic->chip, offset & 0xff, (uint32_t)value);
    if (ioapic->route && ioapic->chip.select >= 0x10 && ioapic->chip.select < 0x10 + 2 * IOAPIC_PINS) {
        kernel_chips()->route_ioapic(ioapic->device.machine, &ioapic->chip, (ioapic->chip.select - 0x10) / 2);
    }
}

static const RegionOps ioapic_ops = { .read = ioapic_window_read, .write = ioapic_window_write, .widths = WIDTH_32 };

static void ioapic_send(void *opaque, uint64_t address, uint32_t data)
{
    IoApicDevice *ioapic = opaque;

    if (ioapic->intc) {
        intc_send_msi(ioapic->intc, address, data);
    }
}

static bool ioapic_realize(Device *device, GError **err)
{
    IoApicDevice *ioapic = IOAPIC(device);

    if (ioapic->chip.version != 0x11 && ioapic->chip.version != 0x20) {
        return fail(err, EINVAL, "%s: version 0x%x does not exist; choose 0x11 or 0x20", device_name(device), ioapic->chip.version);
    }
    ioapic->chip.send = ioapic_send;
    ioapic->chip.opaque = ioapic;
    if (!ioapic->in_kernel) {
        region_init_io(&ioapic->window, &ioapic_ops, ioapic, "ioapic", IOAPIC_WINDOW);
        region_add(&device->machine->memory_root, IOAPIC_ADDRESS, &ioapic->window, 1);
    }
    return true;
}

static void ioapic_unrealize(Device *device)
{
    IoApicDevice *ioapic = IOAPIC(device);

    if (!ioapic->in_kernel) {
        region_remove(&ioapic->window);
        region_destroy(&ioapic->window);
    }
}

static void ioapic_restate(IoApicDevice *ioapic)
{
    if (ioapic->in_kernel) {
        kernel_chips()->give_ioapic(ioapic->device.machine, &ioapic->chip);
    }
    for (unsigned pin = 0; ioapic->route && pin < IOAPIC_PINS; pin++) {
        kernel_chips()->route_ioapic(ioapic->device.machine, &ioapic->chip, pin);
    }
}

static void ioapic_device_reset(Device *device)
{
    ioapic_reset(&IOAPIC(device)->chip);
    ioapic_restate(IOAPIC(device));
}

static void ioapic_before_save(Device *device)
{
    if (IOAPIC(device)->in_kernel) {
        kernel_chips()->fetch_ioapic(device->machine, &IOAPIC(device)->chip);
    }
}

static bool ioapic_after_load(Device *device, GError **err)
{
    (void)err;
    ioapic_restate(IOAPIC(device));
    return true;
}

static const Field ioapic_props[] = {
    PROP_U8("version", IoApicDevice, chip.version, 0x20, .help = "0x11, or 0x20 with an EOI register"),
    PROP_BOOL("x-in-kernel", IoApicDevice, in_kernel, false, .hidden = true, .help = "the chip is KVM's"),
    PROP_BOOL("x-route", IoApicDevice, route, false, .hidden = true, .help = "KVM's local APICs ask for our EOIs"),
    FIELD_END };

static const Field ioapic_device_saved[] = { SAVE_STRUCT(IoApicDevice, chip, ioapic_saved), FIELD_END };

const DeviceModel ioapic_model = {
    .name = "ioapic",  .bus = BUS_SYSTEM,  .size = sizeof(IoApicDevice),  .board_only = true,
    .help = "I/O APIC with 24 inputs (82093AA)",
    .props = ioapic_props,  .saved = ioapic_device_saved,  .saved_version = 1,
    .realize = ioapic_realize,  .reset = ioapic_device_reset,  .unrealize = ioapic_unrealize,
    .before_save = ioapic_before_save,  .after_load = ioapic_after_load,
};

/* Lines and messages. */

static void gsi_set(void *opaque, int gsi, bool high)
{
    Intc *intc = opaque;

    if (intc->levels[gsi] != high) {
        intc->levels[gsi] = high;
        TRACE(&intc_trace[TRACE_GSI], "gsi %d level %d", gsi, high);
    }
    if (intc_in_kernel(intc)) {
        kernel_chips()->set_gsi(intc->machine, gsi, high);
        return;
    }
    if (gsi < ISA_IRQS) {
        pic_set_line(intc->pic, gsi, high);
    }
    ioapic_set_line(&intc->ioapic->chip, gsi ? gsi : 2, high);
}

IrqLine intc_gsi(Intc *intc, unsigned gsi)
{
    return gsi < INTC_GSIS ? (IrqLine){ .set = gsi_set, .sink = intc, .pin = (int)gsi } : (IrqLine){ 0 };
}

void intc_send_msi(void *opaque, uint64_t address, uint32_t data)
{
    Intc *intc = opaque;

    TRACE(&intc_trace[TRACE_MSI], "address 0x%" G_GINT64_MODIFIER "x data 0x%04x", address, data);
    if (mode_of(intc->machine) == IRQCHIP_OFF) {
        apic_bus_send(intc, address, data);
    } else {
        kernel_chips()->send_msi(intc->machine, address, data);
    }
}

int intc_acknowledge_pic(Intc *intc)
{
    bool locked = lock_machine();
    int vector = pic_acknowledge(intc->pic);

    unlock_machine(locked);
    return vector;
}

void ioapic_end_of_interrupt(Intc *intc, uint8_t vector)
{
    bool locked = lock_machine();

    TRACE(&intc_trace[TRACE_IOAPIC_EOI], "vector 0x%02x", vector);
    ioapic_eoi(&intc->ioapic->chip, vector);
    unlock_machine(locked);
}

/* KVM's questions, on its vCPU threads. */
static int host_acknowledge(void *intc)
{
    return intc_acknowledge_pic(intc);
}

static void host_eoi(void *intc, uint8_t vector)
{
    ioapic_end_of_interrupt(intc, vector);
}

/* Making. */

static bool set_flag(Device *device, const char *name, bool on, GError **err)
{
    g_autoptr(Value) value = value_new_bool(on);

    return device_set(device, name, value, err);
}

static bool finish(Device *device, GError **err)
{
    if (device_realize(device, err)) {
        return true;
    }
    object_unref(&device->object);
    return false;
}

static bool make_pic(Intc *intc, IsaBus *isa, GError **err)
{
    Device *device = device_new(intc->machine, &isa_i8259_model, &isa->bus, NULL, err);

    if (!device) {
        return false;
    }
    intc->pic = (Pic *)device;
    device_set_line(device, "intr", (IrqLine){ .set = apic_bus_set_lint0, .sink = intc->apics });
    return set_flag(device, "x-in-kernel", intc_in_kernel(intc), err) && finish(device, err);
}

static bool make_ioapic(Intc *intc, GError **err)
{
    Device *device = device_new(intc->machine, &ioapic_model, NULL, NULL, err);

    if (!device) {
        return false;
    }
    intc->ioapic = (IoApicDevice *)device;
    intc->ioapic->intc = intc;
    return set_flag(device, "x-in-kernel", intc_in_kernel(intc), err) &&
           set_flag(device, "x-route", mode_of(intc->machine) == IRQCHIP_SPLIT, err) && finish(device, err);
}

Intc *intc_new(Machine *machine, IsaBus *isa, GError **err)
{
    Intc *intc = g_new0(Intc, 1);

    intc->machine = machine;
    intc->apics = g_ptr_array_new();
    if (!make_pic(intc, isa, err) || !make_ioapic(intc, err)) {
        intc_free(intc);
        return NULL;
    }
    if (mode_of(machine) == IRQCHIP_OFF) {
        apic_map_window(intc);
    }
    machine->pic = machine->ioapic = intc;
    machine->pic_acknowledge = host_acknowledge;
    machine->ioapic_eoi = host_eoi;
    return intc;
}

void intc_free(Intc *intc)
{
    if (intc->window.ops) {
        region_remove(&intc->window);
        region_destroy(&intc->window);
    }
    g_ptr_array_free(intc->apics, TRUE);
    g_free(intc);
}

bool intc_add_cpu(Intc *intc, const IntcCpu *cpu, GError **err)
{
    Device *device = device_new(intc->machine, &apic_model, NULL, NULL, err);
    g_autoptr(Value) id = value_new_uint(cpu->apic_id);
    Apic *apic = (Apic *)device;

    if (!device) {
        return false;
    }
    apic->intc = intc;
    apic->index = intc->apics->len;
    apic->cpu = cpu->cpu;
    apic->in_kernel = mode_of(intc->machine) != IRQCHIP_OFF;
    if (!device_set(device, "id", id, err) || !set_flag(device, "x-boot-processor", cpu->boot_processor, err) ||
        !set_flag(device, "x-x2apic", cpu->has_x2apic, err) ||
        !set_flag(device, "x-tsc-deadline", cpu->has_tsc_deadline, err) || !finish(device, err)) {
        return false;
    }
    g_ptr_array_add(intc->apics, apic);
    if (cpu->cpu && !apic->in_kernel) {
        CpuIrqSource source = intc_irq_source(intc, apic->index);
        cpu_set_irq_source(cpu->cpu, &source);
    }
    return true;
}

void intc_probe(Intc *intc, void (*probe)(void *opaque, unsigned index, IntcSignal signal, uint8_t vector), void *opaque)
{
    intc->probe = probe;
    intc->probe_opaque = opaque;
}

void intc_look_as(Intc *intc, unsigned index)
{
    intc->seen_from = index;
}
