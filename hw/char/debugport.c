/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debugport.c - a port whose bytes go to a character stream: the log of SeaBIOS (402h), the e9 port of Bochs
 *
 * Models   QEMU's isa-debugcon: writes are output, reads give a constant by which firmware recognises the port
 * Omits    input
 * Wires    bytes to the chardev; what it does not take at once is dropped, since a log never holds up the guest
 * Threads  any vCPU thread, machine lock held
 * Tests    tests/dev/isa-ports.c
 */
#include "base/char/chardev.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/isa/bus.h"
#include "hw/models.h"

typedef struct DebugPort {
    Device device;
    uint32_t iobase, readback;
    Chardev *chardev;
    Region io;
    bool attached;
} DebugPort;

enum { TRACE_DEBUGCON_WRITE };
static TracePoint debugport_trace[] = { [TRACE_DEBUGCON_WRITE] = { "debugcon_write", "the guest wrote the debug port" } };
TRACE_TABLE(debugport_trace)

static uint64_t debugport_read(void *opaque, uint64_t offset, unsigned size)
{
    DebugPort *port = opaque;

    (void)offset, (void)size;
    return port->readback;
}

static void debugport_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    DebugPort *port = opaque;
    uint8_t byte = value;

    (void)offset, (void)size;
    TRACE(&debugport_trace[TRACE_DEBUGCON_WRITE], "port 0x%x value 0x%02x", port->iobase, byte);
    if (port->chardev) {
        chardev_write(port->chardev, &byte, 1);
    }
}

static const RegionOps debugport_io = { .read = debugport_read, .write = debugport_write, .widths = WIDTH_8 };

static size_t debugport_can_read(void *opaque)
{
    (void)opaque;
    return 0;
}

static void debugport_moved(void *opaque, Chardev *now)
{
    ((DebugPort *)opaque)->chardev = now;
}

static const ChardevUser debugport_user = { .can_read = debugport_can_read, .moved = debugport_moved };

static void debugport_unrealize(Device *device)
{
    DebugPort *port = (DebugPort *)device;

    isa_unmap(&port->io);
    region_destroy(&port->io);
    if (port->attached) {
        chardev_detach(port->chardev);
        port->attached = false;
    }
}

static bool debugport_realize(Device *device, GError **err)
{
    DebugPort *port = (DebugPort *)device;

    if (port->iobase > 0xffff) {
        return fail(err, EINVAL, "%s: iobase 0x%x is no I/O port; the highest is 0xffff", device_name(device), port->iobase);
    }
    region_init_io(&port->io, &debugport_io, port, "isa-debugcon", 1);
    if (!isa_map(device, &port->io, port->iobase, err)) {
        region_destroy(&port->io);
        return false;
    }
    if (port->chardev && !chardev_attach(port->chardev, &debugport_user, port, err)) {
        debugport_unrealize(device);
        return false;
    }
    port->attached = port->chardev != NULL;
    return true;
}

static const Field debugport_props[] = {
    PROP_U32("iobase", DebugPort, iobase, 0xe9, .help = "the I/O port; SeaBIOS uses 0x402"),
    PROP_U32("readback", DebugPort, readback, 0xe9, .help = "the byte that a read gives"),
    PROP_LINK("chardev", DebugPort, chardev, "chardev", .help = "id of the character stream that takes the bytes"),
    FIELD_END };

const DeviceModel isa_debugcon_model = {
    .name = "isa-debugcon",  .bus = BUS_ISA,  .size = sizeof(DebugPort),
    .help = "debug port: bytes go to a character stream",
    .props = debugport_props,
    .realize = debugport_realize,  .unrealize = debugport_unrealize,
};
