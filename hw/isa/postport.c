/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * postport.c - port 80h: progress codes of firmware, and everybody's short delay
 *
 * Models   the POST diagnostic port; the last code is kept for "-trace post_code" and saved state
 * Omits    a display of two hexadecimal digits
 * Wires    none
 * Threads  any vCPU thread, machine lock held
 * Tests    tests/dev/isa-ports.c
 */
#include "base/trace.h"
#include "hw/isa/bus.h"
#include "hw/models.h"

typedef struct PostPort {
    Device device;
    uint8_t code;
    Region io;
} PostPort;

enum { TRACE_POST_CODE };
static TracePoint post_trace[] = { [TRACE_POST_CODE] = { "post_code", "firmware reports progress at port 0x80" } };
TRACE_TABLE(post_trace)

static uint64_t post_read(void *opaque, uint64_t offset, unsigned size)
{
    const PostPort *port = opaque;

    (void)offset, (void)size;
    return port->code;
}

static void post_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    PostPort *port = opaque;

    (void)offset, (void)size;
    TRACE(&post_trace[TRACE_POST_CODE], "0x%02x", (unsigned)value);
    port->code = value;
}

static const RegionOps post_io = { .read = post_read, .write = post_write, .widths = WIDTH_8 };

static bool post_realize(Device *device, GError **err)
{
    PostPort *port = (PostPort *)device;

    region_init_io(&port->io, &post_io, port, "ioport80", 1);
    if (!isa_map(device, &port->io, 0x80, err)) {
        region_destroy(&port->io);
        return false;
    }
    return true;
}

static void post_unrealize(Device *device)
{
    PostPort *port = (PostPort *)device;

    isa_unmap(&port->io);
    region_destroy(&port->io);
}

static void post_reset(Device *device)
{
    ((PostPort *)device)->code = 0xff;
}

static const Field post_saved[] = { SAVE_U8(PostPort, code), FIELD_END };

const DeviceModel post_port_model = {
    .name = "post-port",  .bus = BUS_ISA,  .size = sizeof(PostPort),  .board_only = true,
    .help = "POST diagnostic port 0x80",
    .saved = post_saved,  .saved_version = 1,
    .realize = post_realize,  .reset = post_reset,  .unrealize = post_unrealize,
};
