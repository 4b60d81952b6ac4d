/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * port92.c - system control port A: fast A20 gate and fast reset
 *
 * Models   port 92h as the PS/2 had it: bit 0 resets, bit 1 is A20
 * Omits    the lock and activity light bits (kept, without effect); the reset is of the machine, not of the processor alone
 * Wires    a20 to the processors; the keyboard controller's A20 output comes in by port92_a20_input()
 * Threads  any vCPU thread, machine lock held
 * Tests    tests/dev/isa-ports.c
 */
#include "hw/isa/port92.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/isa/bus.h"
#include "hw/models.h"

enum { PORT92_RESET = 0x01, PORT92_A20 = 0x02 };

typedef struct Port92 {
    Device device;
    IrqLine a20;
    uint8_t value;
    Region io;
} Port92;

enum { TRACE_PORT92_WRITE };
static TracePoint port92_trace[] = { [TRACE_PORT92_WRITE] = { "port92_write", "the guest wrote system control port A" } };
TRACE_TABLE(port92_trace)

static void port92_update(Port92 *port)
{
    irq_set(port->a20, port->value & PORT92_A20);
}

static void port92_set_a20(void *sink, int pin, bool high)
{
    Port92 *port = sink;

    (void)pin;
    port->value = high ? port->value | PORT92_A20 : port->value & ~PORT92_A20;
    port92_update(port);
}

IrqLine port92_a20_input(Device *port92)
{
    return (IrqLine){ .set = port92_set_a20, .sink = port92 };
}

static uint64_t port92_read(void *opaque, uint64_t offset, unsigned size)
{
    const Port92 *port = opaque;

    (void)offset, (void)size;
    return port->value;
}

static void port92_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Port92 *port = opaque;
    bool resets = value & ~port->value & PORT92_RESET;

    (void)offset, (void)size;
    TRACE(&port92_trace[TRACE_PORT92_WRITE], "value 0x%02x", (unsigned)value);
    port->value = value;
    port92_update(port);
    if (resets) {
        machine_request_reset(port->device.machine, CAUSE_GUEST_RESET);
    }
}

static const RegionOps port92_io = { .read = port92_read, .write = port92_write, .widths = WIDTH_8 };

static bool port92_realize(Device *device, GError **err)
{
    Port92 *port = (Port92 *)device;

    region_init_io(&port->io, &port92_io, port, "port92", 1);
    if (!isa_map(device, &port->io, 0x92, err)) {
        region_destroy(&port->io);
        return false;
    }
    return true;
}

static void port92_unrealize(Device *device)
{
    Port92 *port = (Port92 *)device;

    isa_unmap(&port->io);
    region_destroy(&port->io);
}

static void port92_reset(Device *device)
{
    Port92 *port = (Port92 *)device;

    port->value = PORT92_A20;              /* the processor must reach its reset vector */
    port92_update(port);
}

static bool port92_after_load(Device *device, GError **err)
{
    (void)err;
    port92_update((Port92 *)device);
    return true;
}

static const Field port92_props[] = { PROP_IRQ("a20", Port92, a20, .help = "address line 20 of the processors"), FIELD_END };
static const Field port92_saved[] = { SAVE_U8(Port92, value), FIELD_END };

const DeviceModel port92_model = {
    .name = "port92",  .bus = BUS_ISA,  .size = sizeof(Port92),  .board_only = true,
    .help = "system control port A: A20 gate and fast reset",
    .props = port92_props,  .saved = port92_saved,  .saved_version = 1,
    .realize = port92_realize,  .reset = port92_reset,  .unrealize = port92_unrealize,  .after_load = port92_after_load,
};
