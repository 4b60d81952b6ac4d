/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serial.c - a 16550A on the ISA bus: ports, interrupt line and a character stream
 *
 * Models   the four COM ports of a PC: 3f8h/IRQ 4, 2f8h/IRQ 3, 3e8h/IRQ 4, 2e8h/IRQ 3
 * Omits    telling the stream rate, parity and modem outputs; "wakeup" (waking from S3) is refused
 * Wires    the interrupt to the ISA line; bytes to and from the chardev
 * Threads  registers: any vCPU thread, machine lock held; stream and timers: main loop, same lock
 * Tests    tests/dev/serial.c, the chip alone in tests/dev/uart16550.c
 *
 * A byte is offered to the stream in the guest's own write, so a healthy stream empties the chip at once. A stream that
 * takes nothing holds the transmitter full, as a slow line would, and the guest waits for it as it would for the line. When
 * that lasts a second the reader counts as gone: output is dropped, so that the guest goes on, until the stream takes bytes
 * again. What waits is never more than the chip's FIFO.
 */
#include "base/char/chardev.h"
#include "base/error.h"
#include "base/trace.h"
#include "hw/char/uart16550.h"
#include "hw/isa/bus.h"
#include "hw/models.h"

enum { SERIAL_UNSET = 0xffffffff, COM_PORTS = 4 };
#define READER_GONE_AFTER NS_PER_SECOND

typedef struct Serial {
    Device device;
    uint32_t index, iobase, irq_number, baud_base;
    bool wakeup;
    Chardev *chardev;
    IrqLine irq;
    Region io;
    Uart16550 uart;
    Timer timeout;                         /* the chip's own deadline */
    Timer stalled;                         /* the stream has taken nothing since; STEADY, since it is about the host */
    bool discarding;                       /* the reader is gone */
    bool attached;
} Serial;

static Serial *SERIAL(Device *device)
{
    return (Serial *)device;
}

enum { TRACE_SERIAL_READ, TRACE_SERIAL_WRITE, TRACE_SERIAL_STALL };
static TracePoint serial_trace[] = {
    [TRACE_SERIAL_READ] = { "serial_read", "the guest read a UART register" },
    [TRACE_SERIAL_WRITE] = { "serial_write", "the guest wrote a UART register" },
    [TRACE_SERIAL_STALL] = { "serial_stall", "output is dropped (1) or goes on (0): the stream's reader" },
};
TRACE_TABLE(serial_trace)

static void serial_update_irq(Serial *serial)
{
    int64_t deadline = uart16550_deadline(&serial->uart);

    irq_set(serial->irq, uart16550_irq(&serial->uart));
    if (deadline < 0) {
        timer_cancel(&serial->timeout);
    } else if (serial->timeout.deadline != deadline) {
        timer_arm(&serial->timeout, deadline);
    }
}

static void serial_discard(Serial *serial, bool discard)
{
    if (serial->discarding != discard) {
        serial->discarding = discard;
        TRACE(&serial_trace[TRACE_SERIAL_STALL], "index %u discarding %d", serial->index, discard);
    }
}

/* Offers the stream what waits in the transmitter. */
static void serial_transmit(Serial *serial)
{
    uint8_t bytes[UART_FIFO_SIZE];
    size_t waiting = uart16550_output(&serial->uart, bytes);
    size_t taken = waiting;

    if (!waiting) {
        return;
    }
    if (serial->chardev) {
        taken = chardev_write(serial->chardev, bytes, waiting);
    }
    if (taken) {
        serial_discard(serial, false);
        timer_cancel(&serial->stalled);
    } else if (serial->discarding) {
        taken = waiting;
    }
    uart16550_sent(&serial->uart, taken);
    if (taken < waiting && !timer_armed(&serial->stalled)) {
        timer_arm(&serial->stalled, clock_now(CLOCK_STEADY) + READER_GONE_AFTER);
    }
    serial_update_irq(serial);
}

static void serial_reader_gone(void *opaque)
{
    Serial *serial = opaque;

    serial_discard(serial, true);
    serial_transmit(serial);
}

static void serial_timeout(void *opaque)
{
    Serial *serial = opaque;

    uart16550_tick(&serial->uart, clock_now(CLOCK_GUEST));
    serial_update_irq(serial);
}

/* The guest made room: let the stream bring more. */
static void serial_ask_for_input(Serial *serial, size_t room_before)
{
    if (serial->chardev && !room_before && uart16550_room(&serial->uart)) {
        chardev_accept_input(serial->chardev);
    }
}

static uint64_t serial_read(void *opaque, uint64_t offset, unsigned size)
{
    Serial *serial = opaque;
    size_t room = uart16550_room(&serial->uart);
    uint8_t value = uart16550_read(&serial->uart, offset, clock_now(CLOCK_GUEST));

    (void)size;
    TRACE(&serial_trace[TRACE_SERIAL_READ], "index %u reg %u value 0x%02x", serial->index, (unsigned)offset, value);
    serial_update_irq(serial);
    serial_ask_for_input(serial, room);
    return value;
}

static void serial_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Serial *serial = opaque;
    size_t room = uart16550_room(&serial->uart);

    (void)size;
    TRACE(&serial_trace[TRACE_SERIAL_WRITE], "index %u reg %u value 0x%02x", serial->index, (unsigned)offset, (unsigned)value);
    uart16550_write(&serial->uart, offset, value, clock_now(CLOCK_GUEST));
    serial_update_irq(serial);             /* "holding register empty" falls here before it rises again below: an edge */
    serial_transmit(serial);
    serial_ask_for_input(serial, room);
}

static const RegionOps serial_io = { .read = serial_read, .write = serial_write, .widths = WIDTH_8 };

static size_t serial_can_receive(void *opaque)
{
    Serial *serial = opaque;

    return uart16550_room(&serial->uart);
}

static void serial_receive(void *opaque, const uint8_t *data, size_t length)
{
    Serial *serial = opaque;

    for (size_t i = 0; i < length; i++) {
        uart16550_receive(&serial->uart, data[i], clock_now(CLOCK_GUEST));
    }
    serial_update_irq(serial);
}

static void serial_event(void *opaque, ChardevEvent event)
{
    Serial *serial = opaque;

    switch (event) {
    case CHARDEV_BREAK:
        uart16550_receive_break(&serial->uart, clock_now(CLOCK_GUEST));
        serial_update_irq(serial);
        break;
    case CHARDEV_OPENED:
    case CHARDEV_CLOSED:
    case CHARDEV_WRITABLE:
        serial_discard(serial, false);
        serial_transmit(serial);
        break;
    default:
        break;
    }
}

static void serial_moved(void *opaque, Chardev *now)
{
    ((Serial *)opaque)->chardev = now;
}

static const ChardevUser serial_user = { .can_read = serial_can_receive, .read = serial_receive, .event = serial_event, .moved = serial_moved };

/* The lowest COM number that no other port on this bus has. */
static uint32_t free_index(const Serial *serial)
{
    const GPtrArray *devices = serial->device.bus->devices;
    uint32_t index = 0;

    for (unsigned i = 0; devices && i < devices->len; i++) {
        Device *other = g_ptr_array_index(devices, i);

        if (other != &serial->device && other->model == serial->device.model && other->realized &&
            SERIAL(other)->index == index) {
            index++;
            i = (unsigned)-1;              /* the new number may be taken by an earlier one */
        }
    }
    return index;
}

static bool serial_place(Serial *serial, GError **err)
{
    static const uint16_t bases[COM_PORTS] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
    static const uint8_t irqs[COM_PORTS] = { 4, 3, 4, 3 };
    const char *name = device_name(&serial->device);

    if (serial->index == SERIAL_UNSET) {
        serial->index = free_index(serial);
    }
    if (serial->index >= COM_PORTS && (serial->iobase == SERIAL_UNSET || serial->irq_number == SERIAL_UNSET)) {
        return fail(err, EINVAL, "%s: there are at most %d serial ports with standard addresses, and index %u is beyond them; "
                    "set iobase and irq", name, COM_PORTS, serial->index);
    }
    if (serial->iobase == SERIAL_UNSET) {
        serial->iobase = bases[serial->index];
    }
    if (serial->irq_number == SERIAL_UNSET) {
        serial->irq_number = irqs[serial->index];
    }
    if (serial->iobase > 0xffff) {
        return fail(err, EINVAL, "%s: iobase 0x%x is no I/O port; the highest is 0xfff8", name, serial->iobase);
    }
    if (serial->wakeup) {
        return fail(err, ENOTSUP, "%s: waking the guest by serial input (wakeup=on) is not supported; leave it off", name);
    }
    return isa_irq_valid(&serial->device, serial->irq_number, err);
}

static void serial_unrealize(Device *device)
{
    Serial *serial = SERIAL(device);

    timer_cancel(&serial->timeout);
    timer_cancel(&serial->stalled);
    isa_unmap(&serial->io);
    region_destroy(&serial->io);
    if (serial->attached) {
        chardev_detach(serial->chardev);
        serial->attached = false;
    }
}

static bool serial_realize(Device *device, GError **err)
{
    Serial *serial = SERIAL(device);

    if (!serial_place(serial, err)) {
        return false;
    }
    uart16550_init(&serial->uart, serial->baud_base);
    timer_init(&serial->timeout, CLOCK_GUEST, serial_timeout, serial);
    timer_init(&serial->stalled, CLOCK_STEADY, serial_reader_gone, serial);
    region_init_io(&serial->io, &serial_io, serial, "isa-serial", UART_REGISTERS);
    if (!isa_map(device, &serial->io, serial->iobase, err)) {
        region_destroy(&serial->io);
        return false;
    }
    serial->irq = isa_irq(device, serial->irq_number);
    if (serial->chardev && !chardev_attach(serial->chardev, &serial_user, serial, err)) {
        serial_unrealize(device);
        return false;
    }
    serial->attached = serial->chardev != NULL;
    return true;
}

static void serial_reset(Device *device)
{
    Serial *serial = SERIAL(device);

    timer_cancel(&serial->stalled);
    uart16550_reset(&serial->uart);
    serial_update_irq(serial);
    if (serial->chardev) {
        chardev_accept_input(serial->chardev);
    }
}

static bool serial_after_load(Device *device, GError **err)
{
    Serial *serial = SERIAL(device);

    serial->uart.baud_base = serial->baud_base ? serial->baud_base : 115200;
    if (!uart16550_valid(&serial->uart)) {
        uart16550_init(&serial->uart, serial->baud_base);
        return fail(err, EINVAL, "%s: the saved state is not that of a 16550 (a FIFO with impossible contents)", device_name(device));
    }
    serial_update_irq(serial);
    serial_transmit(serial);
    if (serial->chardev) {
        chardev_accept_input(serial->chardev);
    }
    return true;
}

static const Field serial_props[] = {
    PROP_U32("index", Serial, index, SERIAL_UNSET, .help = "COM number less one: chooses iobase and irq; default: the first free"),
    PROP_U32("iobase", Serial, iobase, SERIAL_UNSET, .help = "first I/O port; default by index: 0x3f8 0x2f8 0x3e8 0x2e8"),
    PROP_U32("irq", Serial, irq_number, SERIAL_UNSET, .help = "interrupt; default by index: 4 3 4 3"),
    PROP_U32("baudbase", Serial, baud_base, 115200, .help = "rate at divisor 1"),
    PROP_BOOL("wakeup", Serial, wakeup, false, .help = "input wakes a sleeping guest (not supported: only off)"),
    PROP_LINK("chardev", Serial, chardev, "chardev", .help = "id of the character stream; without one output is dropped"),
    FIELD_END };

static const Field fifo_saved[] = {
    SAVE_BYTES(UartFifo, data), SAVE_BYTES(UartFifo, errors), SAVE_U8(UartFifo, head), SAVE_U8(UartFifo, count), FIELD_END };

static const Field uart_saved[] = {
    SAVE_U8(Uart16550, ier), SAVE_U8(Uart16550, fcr), SAVE_U8(Uart16550, lcr), SAVE_U8(Uart16550, mcr),
    SAVE_U8(Uart16550, scr), SAVE_U8(Uart16550, line_errors), SAVE_U8(Uart16550, modem), SAVE_U16(Uart16550, divisor),
    SAVE_BOOL(Uart16550, thr_interrupt), SAVE_BOOL(Uart16550, timed_out), SAVE_I64(Uart16550, timeout_at),
    SAVE_STRUCT(Uart16550, received, fifo_saved), SAVE_STRUCT(Uart16550, transmit, fifo_saved), FIELD_END };

static const Field serial_saved[] = { SAVE_STRUCT(Serial, uart, uart_saved), FIELD_END };

const DeviceModel isa_serial_model = {
    .name = "isa-serial",  .bus = BUS_ISA,  .size = sizeof(Serial),
    .help = "serial port (16550A)",
    .props = serial_props,  .saved = serial_saved,  .saved_version = 1,
    .realize = serial_realize,  .reset = serial_reset,  .unrealize = serial_unrealize,  .after_load = serial_after_load,
};
