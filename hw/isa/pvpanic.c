/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pvpanic.c - a port by which the guest's kernel says that it panicked
 *
 * Models   the pvpanic specification (docs/specs/pvpanic of QEMU): a read gives the events that the host understands, a
 *          written event happens: bit 0 panicked, bit 1 a crash kernel is loaded and takes over
 * Omits    the shutdown event of later versions: it is not offered, so guests do not send it
 * Wires    machine_guest_panicked()
 * Threads  any vCPU thread, machine lock held
 * Tests    tests/dev/isa-ports.c
 */
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/isa/bus.h"
#include "hw/models.h"

enum { PVPANIC_PANICKED = 0x01, PVPANIC_CRASH_LOADED = 0x02, PVPANIC_EVENTS = 0x03 };

typedef struct Pvpanic {
    Device device;
    uint16_t ioport;
    uint8_t events;
    Region io;
} Pvpanic;

enum { TRACE_PVPANIC_WRITE };
static TracePoint pvpanic_trace[] = { [TRACE_PVPANIC_WRITE] = { "pvpanic_write", "the guest reports a panic" } };
TRACE_TABLE(pvpanic_trace)

static uint64_t pvpanic_read(void *opaque, uint64_t offset, unsigned size)
{
    const Pvpanic *pvpanic = opaque;

    (void)offset, (void)size;
    return pvpanic->events;
}

static void pvpanic_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Pvpanic *pvpanic = opaque;

    (void)offset, (void)size;
    TRACE(&pvpanic_trace[TRACE_PVPANIC_WRITE], "events 0x%x", (unsigned)value);
    if (value & ~PVPANIC_EVENTS) {
        guest_fault(&pvpanic->device, "events 0x%x are not known", (unsigned)value);
    }
    if (value & PVPANIC_PANICKED) {
        machine_guest_panicked(pvpanic->device.machine, false);
    } else if (value & PVPANIC_CRASH_LOADED) {
        machine_guest_panicked(pvpanic->device.machine, true);
    }
}

static const RegionOps pvpanic_io = { .read = pvpanic_read, .write = pvpanic_write, .widths = WIDTH_8 };

static bool pvpanic_realize(Device *device, GError **err)
{
    Pvpanic *pvpanic = (Pvpanic *)device;

    region_init_io(&pvpanic->io, &pvpanic_io, pvpanic, "pvpanic", 1);
    if (!isa_map(device, &pvpanic->io, pvpanic->ioport, err)) {
        region_destroy(&pvpanic->io);
        return false;
    }
    return true;
}

static void pvpanic_unrealize(Device *device)
{
    Pvpanic *pvpanic = (Pvpanic *)device;

    isa_unmap(&pvpanic->io);
    region_destroy(&pvpanic->io);
}

static const Field pvpanic_props[] = {
    PROP_U16("ioport", Pvpanic, ioport, 0x505, .help = "the I/O port"),
    PROP_U8("events", Pvpanic, events, PVPANIC_EVENTS, .help = "events offered to the guest: 1 panicked, 2 crash kernel loaded, 3 both"),
    FIELD_END };

const DeviceModel pvpanic_model = {
    .name = "pvpanic",  .bus = BUS_ISA,  .size = sizeof(Pvpanic),
    .help = "the guest reports its panics here",
    .props = pvpanic_props,
    .realize = pvpanic_realize,  .unrealize = pvpanic_unrealize,
};
