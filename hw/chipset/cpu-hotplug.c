/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu-hotplug.c - which processors are there, come and go: the registers behind the ACPI processor devices
 *
 * Models   "QEMU<->ACPI BIOS CPU hotplug interface" (acpi_cpu_hotplug), modern registers
 * Omits    the legacy presence bitmap at the same ports: the modern registers answer from the start; taking a processor
 *          away: a guest that lets one go is counted by guest_fault(), and the processor stays
 * Wires    gpe: a pulse per change, to general purpose event 2 of the PM function
 * Threads  registers: any vCPU thread; comings and goings: main loop; machine lock held
 * Tests    tests/dev/hotplug.c; the methods in tests/unit/acpi.c and tests/guest
 *
 *   AF00  dword  write: selector; read: command data 2 (upper half of the processor's id: 0)
 *   AF04  byte   read: 0 there, 1 arrived, 2 shall go, 4 firmware ejects; write ones: 1, 2 take note, 3 eject, 4 by firmware
 *   AF05  byte   command: 0 select the next with an event, 1 OST event, 2 OST status, 3 read the processor's id
 *   AF08  dword  command data
 *
 * While the selector names no possible processor, all reads are 0 and all writes but to the selector are lost. A reset keeps
 * the selector and the events, as the interface says.
 */
#include "hw/chipset/cpu-hotplug.h"
#include "base/error.h"
#include "base/event.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/models.h"
#include <errno.h>

enum { SELECTOR = 0, FLAGS = 4, COMMAND = 5, DATA = 8 };
enum { THERE = 0x01, ARRIVED = 0x02, SHALL_GO = 0x04, EJECT = 0x08, BY_FIRMWARE = 0x10, FLAGS_KEPT = 0x17 };
enum { NEXT_EVENT = 0, OST_EVENT = 1, OST_STATUS = 2, READ_ID = 3 };

typedef struct CpuHotplug {
    Device device;
    IrqLine gpe;
    uint32_t cpus, max_cpus;
    Region io;
    uint32_t selector;
    uint8_t command;
    uint8_t flags[CPU_HOTPLUG_MOST];
    uint32_t ost_event[CPU_HOTPLUG_MOST], ost_status[CPU_HOTPLUG_MOST];
    uint32_t apic_ids[CPU_HOTPLUG_MOST];
} CpuHotplug;

enum { TRACE_READ, TRACE_WRITE, TRACE_EVENT };
static TracePoint hotplug_trace[] = {
    [TRACE_READ] = { "cpu_hotplug_read", "the guest read a processor register" },
    [TRACE_WRITE] = { "cpu_hotplug_write", "the guest wrote a processor register" },
    [TRACE_EVENT] = { "cpu_hotplug_event", "a processor came or shall go" },
};
TRACE_TABLE(hotplug_trace)

static void note_event(CpuHotplug *hotplug, unsigned index, uint8_t flags)
{
    if (index >= hotplug->max_cpus) {
        return;
    }
    TRACE(&hotplug_trace[TRACE_EVENT], "processor %u flags 0x%02x", index, flags);
    hotplug->flags[index] |= flags;
    irq_set(hotplug->gpe, true);
    irq_set(hotplug->gpe, false);
}

void cpu_hotplug_arrived(Device *device, unsigned index)
{
    note_event((CpuHotplug *)device, index, THERE | ARRIVED);
}

void cpu_hotplug_ask_removal(Device *device, unsigned index)
{
    note_event((CpuHotplug *)device, index, SHALL_GO);
}

/* From the selected one onwards, once around; the selector stays when there is none. */
static void select_next_event(CpuHotplug *hotplug)
{
    for (uint32_t i = 0; i < hotplug->max_cpus; i++) {
        uint32_t index = (hotplug->selector + i) % hotplug->max_cpus;
        if (hotplug->flags[index] & (ARRIVED | SHALL_GO)) {
            hotplug->selector = index;
            return;
        }
    }
}

static void write_flags(CpuHotplug *hotplug, uint8_t value)
{
    uint8_t *flags = &hotplug->flags[hotplug->selector];

    *flags &= ~(value & (ARRIVED | SHALL_GO));
    if (value & EJECT) {
        *flags &= ~BY_FIRMWARE;
        guest_fault(&hotplug->device, "processor %u cannot be taken away", hotplug->selector);
    } else if (value & BY_FIRMWARE) {
        *flags |= BY_FIRMWARE;
    }
}

/* What became of a notification, as the guest says it. */
static void tell_ost(const CpuHotplug *hotplug)
{
    Value *data = value_new_object(), *info = value_new_object();
    g_autofree char *slot = g_strdup_printf("%u", hotplug->selector);

    value_set(info, "slot", value_new_string(slot));
    value_set(info, "slot-type", value_new_string("CPU"));
    value_set(info, "source", value_new_uint(hotplug->ost_event[hotplug->selector]));
    value_set(info, "status", value_new_uint(hotplug->ost_status[hotplug->selector]));
    value_set(data, "info", info);
    event_emit("ACPI_DEVICE_OST", data);
}

static void write_data(CpuHotplug *hotplug, uint32_t value)
{
    if (hotplug->command == OST_EVENT) {
        hotplug->ost_event[hotplug->selector] = value;
    } else if (hotplug->command == OST_STATUS) {
        hotplug->ost_status[hotplug->selector] = value;
        tell_ost(hotplug);
    }
}

static uint64_t hotplug_read(void *opaque, uint64_t offset, unsigned size)
{
    const CpuHotplug *hotplug = opaque;
    uint32_t value = 0;

    if (hotplug->selector < hotplug->max_cpus) {
        if (offset == FLAGS) {
            value = hotplug->flags[hotplug->selector];
        } else if (offset == DATA && size == 4) {
            value = hotplug->command == NEXT_EVENT ? hotplug->selector : hotplug->command == READ_ID ? hotplug->apic_ids[hotplug->selector] : 0;
        }
    }
    TRACE(&hotplug_trace[TRACE_READ], "reg 0x%02x:%u value 0x%x", (unsigned)offset, size, value);
    return value;
}

static void hotplug_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    CpuHotplug *hotplug = opaque;

    TRACE(&hotplug_trace[TRACE_WRITE], "reg 0x%02x:%u value 0x%x", (unsigned)offset, size, (unsigned)value);
    if (offset == SELECTOR && size == 4) {
        hotplug->selector = (uint32_t)value;
    } else if (hotplug->selector >= hotplug->max_cpus) {
        return;
    } else if (offset == FLAGS) {
        write_flags(hotplug, (uint8_t)value);
    } else if (offset == COMMAND) {
        hotplug->command = (uint8_t)value;
        if (value == NEXT_EVENT) {
            select_next_event(hotplug);
        }
    } else if (offset == DATA && size == 4) {
        write_data(hotplug, (uint32_t)value);
    }
}

static const RegionOps hotplug_ops = { .read = hotplug_read, .write = hotplug_write, .widths = WIDTH_8_16_32 };

void cpu_hotplug_set_apic_ids(Device *device, const uint32_t *apic_ids, unsigned count)
{
    memcpy(((CpuHotplug *)device)->apic_ids, apic_ids, MIN(count, (unsigned)CPU_HOTPLUG_MOST) * sizeof *apic_ids);
}

static bool hotplug_realize(Device *device, GError **err)
{
    CpuHotplug *hotplug = (CpuHotplug *)device;

    if (hotplug->max_cpus < hotplug->cpus) {
        return fail(err, EINVAL, "%s: cpus=%u are more than max-cpus=%u", device_name(device), hotplug->cpus, hotplug->max_cpus);
    }
    for (uint32_t i = 0; i < hotplug->cpus; i++) {
        hotplug->flags[i] = THERE;
    }
    region_init_io(&hotplug->io, &hotplug_ops, hotplug, "acpi-cpu-hotplug", CPU_HOTPLUG_LENGTH);
    region_add(&device->machine->port_root, CPU_HOTPLUG_BASE, &hotplug->io, 0);
    return true;
}

static void hotplug_unrealize(Device *device)
{
    CpuHotplug *hotplug = (CpuHotplug *)device;

    region_remove(&hotplug->io);
    region_destroy(&hotplug->io);
}

/* Which processors are there is the machine's to say, not the stream's: events about others are dropped. */
static bool hotplug_after_load(Device *device, GError **err)
{
    CpuHotplug *hotplug = (CpuHotplug *)device;

    for (uint32_t i = 0; i < CPU_HOTPLUG_MOST; i++) {
        bool there = i < hotplug->max_cpus && hotplug->flags[i] & THERE;
        if (there != (i < hotplug->cpus)) {
            return fail(err, EINVAL, "%s: the saved machine had other processors than this one (processor %u)", device_name(device), i);
        }
        hotplug->flags[i] &= there ? FLAGS_KEPT : 0;
    }
    return true;
}

static const Field hotplug_props[] = {
    PROP_U32("cpus", CpuHotplug, cpus, 1, .help = "processors at the start", .min = 1, .max = CPU_HOTPLUG_MOST),
    PROP_U32("max-cpus", CpuHotplug, max_cpus, 1, .help = "processors there may be", .min = 1, .max = CPU_HOTPLUG_MOST),
    PROP_IRQ("gpe", CpuHotplug, gpe, .help = "a pulse per change, to general purpose event 2"), FIELD_END };

static const Field hotplug_saved[] = {
    SAVE_U32(CpuHotplug, selector), SAVE_U8(CpuHotplug, command), SAVE_U8S(CpuHotplug, flags),
    SAVE_U32S(CpuHotplug, ost_event), SAVE_U32S(CpuHotplug, ost_status), FIELD_END };

const DeviceModel cpu_hotplug_model = {
    .name = "acpi-cpu-hotplug",  .bus = BUS_SYSTEM,  .size = sizeof(CpuHotplug),  .board_only = true,
    .help = "ACPI hotplug registers of the processors",
    .props = hotplug_props,  .saved = hotplug_saved,  .saved_version = 1,
    .realize = hotplug_realize,  .unrealize = hotplug_unrealize,  .after_load = hotplug_after_load,
};
