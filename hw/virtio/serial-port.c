/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serial-port.c - virtserialport and virtconsole: a port of a virtio-serial device, and the character stream behind it
 *
 * Models   virtserialport: a named channel that opens and closes at both ends; virtconsole: a terminal of the guest
 * Wires    a chardev; VSERPORT_CHANGE when the guest opens or closes a virtserialport that has an id
 * Threads  the main loop, or a vCPU thread with the machine lock
 * Tests    tests/dev/virtio-serial.c, tests/fuzz/virtio-serial.c, tests/guest/virtio-serial.py
 *
 * A stream that takes nothing holds the guest's output back. A virtserialport holds it as long as that lasts: its writer sleeps, or is told.
 * Who writes to a console spins until it is through, with the guest's locks held, so there a second is enough: then the reader counts as
 * gone and output is dropped, until the stream takes bytes again. A serial port (hw/char/serial.c) does the same.
 */
#include "base/event.h"
#include "base/trace.h"
#include "hw/models.h"
#include "hw/virtio/serial.h"

#define READER_GONE_AFTER NS_PER_SECOND

static TracePoint port_trace[] = { { "virtio_serial_stall", "a console's output is dropped (1) or goes on (0): the stream's reader" } };
TRACE_TABLE(port_trace)

static SerialPort *PORT(Device *device)
{
    return (SerialPort *)device;
}

static void discard(SerialPort *port, bool on)
{
    if (port->discarding != on) {
        port->discarding = on;
        TRACE(&port_trace[0], "%s: discarding %d", device_name(&port->device), on);
    }
}

size_t serial_port_write(SerialPort *port, const uint8_t *data, size_t length)
{
    size_t taken = port->chardev ? chardev_write(port->chardev, data, length) : length;

    if (!port->console) {
        return taken;
    }
    if (taken) {
        discard(port, false);
        timer_cancel(&port->stalled);
    } else if (port->discarding) {
        taken = length;
    } else if (!timer_armed(&port->stalled)) {
        timer_arm(&port->stalled, clock_now(CLOCK_STEADY) + READER_GONE_AFTER);
    }
    return taken;
}

static void reader_gone(void *opaque)
{
    SerialPort *port = opaque;

    discard(port, true);
    virtio_serial_resume(port->serial, port);
}

void serial_port_accept(SerialPort *port)
{
    if (port->attached) {
        chardev_accept_input(port->chardev);
    }
}

void serial_port_guest_changed(SerialPort *port, bool open)
{
    if (port->console) {
        return;
    }
    if (port->attached) {
        chardev_set_user_away(port->chardev, !open);
    }
    if (port->device.id) {
        Value *data = value_new_object();
        value_set(data, "id", value_new_string(port->device.id));
        value_set(data, "open", value_new_bool(open));
        event_emit("VSERPORT_CHANGE", data);
    }
}

/* A console is always there, whoever looks at it. */
bool serial_port_host_open(const SerialPort *port)
{
    return port->chardev && (port->console || chardev_connected(port->chardev));
}

/* ---- the stream ---- */

static size_t can_read(void *opaque)
{
    SerialPort *port = opaque;

    return port->serial ? virtio_serial_room(port->serial, port) : 0;
}

static void receive(void *opaque, const uint8_t *data, size_t length)
{
    SerialPort *port = opaque;

    virtio_serial_send(port->serial, port, data, length);
}

static void stream_event(void *opaque, ChardevEvent event)
{
    SerialPort *port = opaque;

    if (!port->serial || (event != CHARDEV_OPENED && event != CHARDEV_CLOSED && event != CHARDEV_WRITABLE)) {
        return;
    }
    discard(port, false);
    timer_cancel(&port->stalled);
    virtio_serial_host_changed(port->serial);
    virtio_serial_resume(port->serial, port);
}

static void moved(void *opaque, Chardev *now)
{
    SerialPort *port = opaque;

    port->chardev = now;
    if (!port->console) {
        chardev_set_user_away(now, !virtio_serial_guest_open(port->serial, port));
    }
}

static const ChardevUser stream_user = { .can_read = can_read, .read = receive, .event = stream_event, .moved = moved };

/* ---- life ---- */

static void port_unrealize(Device *device)
{
    SerialPort *port = PORT(device);

    timer_cancel(&port->stalled);
    if (port->attached) {
        chardev_detach(port->chardev);
        port->attached = false;
    }
    if (port->serial) {
        virtio_serial_leave(port->serial, port);
        port->serial = NULL;
    }
}

static bool realize(Device *device, bool console, GError **err)
{
    SerialPort *port = PORT(device);

    port->console = console;
    timer_init(&port->stalled, CLOCK_STEADY, reader_gone, port);
    if (port->chardev && !chardev_attach(port->chardev, &stream_user, port, err)) {
        return false;
    }
    port->attached = port->chardev != NULL;
    if (port->attached && !console) {
        chardev_set_user_away(port->chardev, true);
    }
    port->serial = (VirtioSerial *)device->bus->parent;
    virtio_serial_join(port->serial, port);
    return true;
}

static bool port_realize(Device *device, GError **err)
{
    return realize(device, false, err);
}

static bool console_realize(Device *device, GError **err)
{
    return realize(device, true, err);
}

static const Field port_props[] = {
    PROP_U32("nr", SerialPort, nr, SERIAL_PORT_UNSET, .help = "the port's number; default: the first free one; 0 is for a virtconsole"),
    PROP_STR("name", SerialPort, name, .help = "name by which the guest finds it: /dev/virtio-ports/NAME"),
    PROP_LINK("chardev", SerialPort, chardev, "chardev", .help = "id of the character stream; without one output is dropped"),
    FIELD_END };

const DeviceModel virtserialport_model = {
    .name = "virtserialport",  .bus = BUS_VIRTIO_SERIAL,  .size = sizeof(SerialPort),  .hotpluggable = true,
    .help = "channel of a virtio-serial device",
    .props = port_props,
    .realize = port_realize,  .unrealize = port_unrealize,
};

const DeviceModel virtconsole_model = {
    .name = "virtconsole",  .bus = BUS_VIRTIO_SERIAL,  .size = sizeof(SerialPort),  .hotpluggable = true,
    .help = "console on a virtio-serial device",
    .props = port_props,
    .realize = console_realize,  .unrealize = port_unrealize,
};
