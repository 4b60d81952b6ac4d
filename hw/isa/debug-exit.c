/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debug-exit.c - a port that ends the process with a status chosen by the guest
 *
 * Models   QEMU's isa-debug-exit: a write of v ends Roost with status (v << 1) | 1, which is odd and so never success
 * Omits    nothing
 * Wires    machine_request_exit()
 * Threads  any vCPU thread, machine lock held
 * Tests    tests/dev/isa-ports.c
 */
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/isa/bus.h"
#include "hw/models.h"

typedef struct DebugExit {
    Device device;
    uint32_t iobase, iosize;
    Region io;
} DebugExit;

enum { TRACE_DEBUG_EXIT_WRITE };
static TracePoint debug_exit_trace[] = { [TRACE_DEBUG_EXIT_WRITE] = { "debug_exit_write", "the guest asked for an exit status" } };
TRACE_TABLE(debug_exit_trace)

static uint64_t debug_exit_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static void debug_exit_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    DebugExit *exit_port = opaque;

    (void)offset, (void)size;
    TRACE(&debug_exit_trace[TRACE_DEBUG_EXIT_WRITE], "value 0x%x", (unsigned)value);
    /* A process status has eight bits; the shell sees those of (v << 1) | 1. */
    machine_request_exit(exit_port->device.machine, (int)((value << 1 | 1) & 0xff));
}

static const RegionOps debug_exit_io = { .read = debug_exit_read, .write = debug_exit_write, .widths = WIDTH_8_16_32 };

static bool debug_exit_realize(Device *device, GError **err)
{
    DebugExit *exit_port = (DebugExit *)device;

    if (exit_port->iobase > 0xffff || exit_port->iosize < 1 || exit_port->iosize > 4) {
        return fail(err, EINVAL, "%s: iobase 0x%x with iosize %u is no port range; use a port below 0x10000 and 1 to 4 bytes",
                    device_name(device), exit_port->iobase, exit_port->iosize);
    }
    region_init_io(&exit_port->io, &debug_exit_io, exit_port, "isa-debug-exit", exit_port->iosize);
    if (!isa_map(device, &exit_port->io, exit_port->iobase, err)) {
        region_destroy(&exit_port->io);
        return false;
    }
    return true;
}

static void debug_exit_unrealize(Device *device)
{
    DebugExit *exit_port = (DebugExit *)device;

    isa_unmap(&exit_port->io);
    region_destroy(&exit_port->io);
}

static const Field debug_exit_props[] = {
    PROP_U32("iobase", DebugExit, iobase, 0x501, .help = "first I/O port"),
    PROP_U32("iosize", DebugExit, iosize, 2, .help = "number of ports, 1 to 4"),
    FIELD_END };

const DeviceModel isa_debug_exit_model = {
    .name = "isa-debug-exit",  .bus = BUS_ISA,  .size = sizeof(DebugExit),
    .help = "a write of V ends the process with status (V << 1) | 1",
    .props = debug_exit_props,
    .realize = debug_exit_realize,  .unrealize = debug_exit_unrealize,
};
