/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serial.c - virtio-serial: many character streams, some of them consoles, over one device
 *
 * Models   Virtio 1.2, 5.3 ("console device"): ports by number and name, control messages, the emergency write; numbers as QEMU 7.2 has them
 * Omits    the console's size (F_SIZE is not offered, no RESIZE): a stream has none
 * Wires    a bus "ID.0", on which virtserialport and virtconsole sit (serial-port.c)
 * Threads  the main loop, machine lock held
 * Tests    tests/dev/virtio-serial.c, tests/fuzz/virtio-serial.c, tests/guest/virtio-serial.py
 *
 * Queues   0 and 1 port 0, to the guest and from it; 2 and 3 control messages, the same way; 4 and 5 port 1, and so on
 * Message  port 32, event 16, value 16 | the port's name
 *
 * What the guest must be told is kept as bits of each port, not as a list of messages, so a guest that offers no room for them costs
 * nothing: whether it was told that the stream is open is compared with what is so now.
 */
#include "hw/virtio/serial.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/iov.h"
#include "base/trace.h"
#include "hw/models.h"
#include "hw/virtio/virtio-pci.h"
#include <errno.h>
#include <string.h>

enum { TRACE_TOLD, TRACE_SAID, TRACE_OUTPUT, TRACE_INPUT };
static TracePoint serial_trace[] = {
    [TRACE_TOLD] = { "virtio_serial_told", "the guest is sent a control message" },
    [TRACE_SAID] = { "virtio_serial_said", "the guest sends a control message" },
    [TRACE_OUTPUT] = { "virtio_serial_output", "bytes from the guest, and how many the stream took" },
    [TRACE_INPUT] = { "virtio_serial_input", "bytes to the guest" },
};
TRACE_TABLE(serial_trace)

#define F_MULTIPORT VIRTIO_BIT(1)
#define F_EMERGENCY VIRTIO_BIT(2)

enum { AT_PORTS = 4, AT_EMERGENCY = 8, CONFIG_BYTES = 12 };
enum { TO_GUEST = 0, FROM_GUEST = 1, CONTROL_IN = 2, CONTROL_OUT = 3, DATA_QUEUE = 128, CONTROL_QUEUE = 32 };
enum { MESSAGE = 8, NAME_MOST = 255, CHUNK = 4096 };
/* Events, Virtio 1.2, 5.3.6.2 */
enum { DEVICE_READY = 0, PORT_ADD = 1, PORT_REMOVE = 2, PORT_READY = 3, CONSOLE_PORT = 4, PORT_OPEN = 6, PORT_NAME = 7 };
/* Slot.due, in the order in which they are sent */
enum { DUE_REMOVE = 1, DUE_ADD = 2, DUE_CONSOLE = 4, DUE_NAME = 8, DUE_ALL = 15 };

typedef struct Slot {
    SerialPort *port;                      /* NULL: none of that number */
    QueueElement *held;                    /* output that the stream has not taken yet */
    uint32_t sent;                         /* of it, how much it has */
    bool busy;                             /* in transmit() */
    uint8_t due;                           /* messages that the guest has not had */
    bool ready, guest_open;                /* as the guest said */
    bool told_open;                        /* as the guest was told */
    bool present;                          /* saved state: there was a port */
} Slot;

struct VirtioSerial {
    VirtioPci base;
    Bus bus;
    char *bus_name;
    uint32_t ports;                        /* property */
    bool emergency;
    bool bus_made;
    bool driver_ready;
    Slot slots[SERIAL_PORTS_MOST];
};

static VirtioSerial *serial_of(Virtio *virtio)
{
    return (VirtioSerial *)virtio->device;
}

static unsigned queue_of(unsigned nr, unsigned direction)
{
    return nr == 0 ? direction : 2 * (nr + 1) + direction;
}

/* NULL: the queue is one of control messages. */
static Slot *slot_of_queue(VirtioSerial *serial, unsigned index)
{
    if (index == CONTROL_IN || index == CONTROL_OUT) {
        return NULL;
    }
    return &serial->slots[index < 2 ? 0 : index / 2 - 1];
}

static bool several_ports(const VirtioSerial *serial)
{
    return virtio_has(&serial->base.virtio, F_MULTIPORT);
}

/* ---- to the guest ---- */

/* NULL: the guest offers nothing now; it will kick when it does. */
static QueueElement *pop_room(VirtioSerial *serial, unsigned index)
{
    Virtio *virtio = &serial->base.virtio;

    if (!virtio->live || virtio->paused || index >= virtio->queue_count || !queue_started(virtio_queue(virtio, index)) ||
        !virtio->transport->space(virtio)) {
        return NULL;
    }
    Queue *queue = virtio_queue(virtio, index);
    queue_set_budget(queue, virtio->queues[index].size_most);
    QueueElement *element;
    while ((element = queue_next(queue)) && element->in_bytes == 0) {
        queue_push(element, 0);
    }
    return element;
}

size_t virtio_serial_room(VirtioSerial *serial, const SerialPort *port)
{
    if (!virtio_serial_guest_open(serial, port)) {
        return 0;
    }
    QueueElement *element = pop_room(serial, queue_of(port->nr, TO_GUEST));
    if (!element) {
        return 0;
    }
    size_t room = MIN(element->in_bytes, CHUNK);
    queue_unpop(element);
    return room;
}

void virtio_serial_send(VirtioSerial *serial, const SerialPort *port, const uint8_t *data, size_t length)
{
    while (length) {
        QueueElement *element = pop_room(serial, queue_of(port->nr, TO_GUEST));
        if (!element) {                    /* the room that was there has been made smaller */
            guest_fault(serial->base.virtio.device, "port %u: a buffer shrank while it was filled; %zu bytes are lost", port->nr, length);
            return;
        }
        size_t done = queue_answer(element, 0, data, MIN(length, element->in_bytes));
        TRACE(&serial_trace[TRACE_INPUT], "port %u bytes %zu", port->nr, done);
        queue_push(element, done);
        data += done;
        length -= done;
    }
}

/* False: no room. */
static bool tell(VirtioSerial *serial, unsigned nr, uint16_t event, uint16_t value, const char *name)
{
    uint8_t bytes[MESSAGE + NAME_MOST + 1];
    size_t length = MESSAGE, name_length = name ? strlen(name) + 1 : 0;
    QueueElement *element = pop_room(serial, CONTROL_IN);

    if (!element) {
        return false;
    }
    store_le32(bytes, nr);
    store_le16(bytes + 4, event);
    store_le16(bytes + 6, value);
    memcpy(bytes + MESSAGE, name ? name : "", name_length);
    length += name_length;
    TRACE(&serial_trace[TRACE_TOLD], "port %u event %u value %u", nr, event, value);
    if (queue_answer(element, 0, bytes, length) < length) {
        guest_fault(serial->base.virtio.device, "a buffer of %zu bytes is too short for a control message", element->in_total);
    }
    queue_push(element, MIN(length, element->in_total));
    return true;
}

static bool tell_due(VirtioSerial *serial, unsigned nr)
{
    static const struct { uint8_t due; uint16_t event; } messages[] = {
        { DUE_REMOVE, PORT_REMOVE }, { DUE_ADD, PORT_ADD }, { DUE_CONSOLE, CONSOLE_PORT }, { DUE_NAME, PORT_NAME },
    };
    Slot *slot = &serial->slots[nr];

    for (unsigned i = 0; i < G_N_ELEMENTS(messages); i++) {
        if (slot->due & messages[i].due) {
            const char *name = messages[i].event == PORT_NAME && slot->port ? slot->port->name : NULL;
            if (!tell(serial, nr, messages[i].event, 1, name)) {
                return false;
            }
            slot->due &= (uint8_t)~messages[i].due;
        }
    }
    bool open = slot->port && serial_port_host_open(slot->port);
    if (slot->port && slot->ready && slot->told_open != open) {
        if (!tell(serial, nr, PORT_OPEN, open, NULL)) {
            return false;
        }
        slot->told_open = open;
    }
    return true;
}

static void tell_all_due(VirtioSerial *serial)
{
    if (!several_ports(serial) || !serial->driver_ready) {
        return;
    }
    for (unsigned nr = 0; nr < serial->ports && tell_due(serial, nr); nr++) {
    }
}

void virtio_serial_host_changed(VirtioSerial *serial)
{
    tell_all_due(serial);
}

/* ---- from the guest ---- */

bool virtio_serial_guest_open(const VirtioSerial *serial, const SerialPort *port)
{
    return serial->slots[port->nr].guest_open;
}

static void set_open(Slot *slot, bool open)
{
    if (slot->guest_open != open) {
        slot->guest_open = open;
        if (slot->port) {
            serial_port_guest_changed(slot->port, open);
        }
    }
    if (open && slot->port) {
        serial_port_accept(slot->port);
    }
}

/* Offers the stream what is left of the element; true when nothing is. */
static bool offer(Slot *slot, const QueueElement *element)
{
    uint8_t bytes[CHUNK];

    while (slot->port && slot->sent < element->out_bytes) {
        size_t length = iov_gather(element->out, element->out_count, slot->sent, bytes, MIN(sizeof bytes, element->out_bytes - slot->sent));
        size_t taken = serial_port_write(slot->port, bytes, length);
        TRACE(&serial_trace[TRACE_OUTPUT], "port %u bytes %zu taken %zu", slot->port->nr, length, taken);
        slot->sent += (uint32_t)taken;
        if (taken < length) {
            return false;
        }
    }
    return true;
}

/* The stream may call back while it is written to: that call leaves the work to this one. */
static void transmit(VirtioSerial *serial, Slot *slot)
{
    Virtio *virtio = &serial->base.virtio;
    Queue *queue = virtio_queue(virtio, queue_of((unsigned)(slot - serial->slots), FROM_GUEST));

    if (slot->busy || !virtio->live || virtio->paused || !queue_started(queue)) {
        return;
    }
    slot->busy = true;
    for (;;) {
        if (!slot->held) {
            if (!(slot->held = queue_next(queue))) {
                break;
            }
            slot->sent = 0;
        }
        if (!offer(slot, slot->held)) {
            break;
        }
        queue_push(g_steal_pointer(&slot->held), 0);
    }
    slot->busy = false;
}

void virtio_serial_resume(VirtioSerial *serial, const SerialPort *port)
{
    Slot *slot = &serial->slots[port->nr];

    if (slot->held) {
        virtio_kick(&serial->base.virtio, queue_of(port->nr, FROM_GUEST));     /* in a turn of its own, with a budget */
    }
}

static void port_is_ready(VirtioSerial *serial, unsigned nr, bool good)
{
    Slot *slot = &serial->slots[nr];

    if (!good) {
        guest_fault(serial->base.virtio.device, "the driver could not set up port %u", nr);
        return;
    }
    slot->ready = true;
    slot->told_open = false;
    slot->due |= (slot->port->console ? DUE_CONSOLE : 0) | (slot->port->name ? DUE_NAME : 0);
}

static void driver_is_ready(VirtioSerial *serial, bool good)
{
    if (!good) {
        guest_fault(serial->base.virtio.device, "the driver says that it could not set up the device");
        return;
    }
    serial->driver_ready = true;
    for (unsigned nr = 0; nr < serial->ports; nr++) {
        serial->slots[nr].due |= serial->slots[nr].port ? DUE_ADD : 0;
    }
}

static void hear(VirtioSerial *serial, QueueElement *element)
{
    Device *device = serial->base.virtio.device;
    uint8_t bytes[MESSAGE];

    if (queue_take_out(element, bytes, sizeof bytes) < sizeof bytes) {
        guest_fault(device, "a control message of less than %d bytes", MESSAGE);
        return;
    }
    uint32_t nr = load_le32(bytes);
    uint16_t event = load_le16(bytes + 4), value = load_le16(bytes + 6);
    TRACE(&serial_trace[TRACE_SAID], "port %u event %u value %u", nr, event, value);
    if (event == DEVICE_READY) {
        driver_is_ready(serial, value == 1);
    } else if (nr >= serial->ports || !serial->slots[nr].port) {
        guest_fault(device, "a control message %u for port %u, which is not there", event, nr);
    } else if (event == PORT_READY) {
        port_is_ready(serial, nr, value == 1);
    } else if (event == PORT_OPEN) {
        set_open(&serial->slots[nr], value != 0);
    } else {
        guest_fault(device, "a control message of kind %u, which is none for a device", event);
    }
}

/* ---- queues ---- */

static void serial_handle(Virtio *virtio, unsigned index)
{
    VirtioSerial *serial = serial_of(virtio);
    Slot *slot = slot_of_queue(serial, index);
    QueueElement *element;

    if (slot && index % 2 == FROM_GUEST) {
        transmit(serial, slot);
    } else if (slot && slot->port) {
        serial_port_accept(slot->port);
    } else if (index == CONTROL_OUT) {
        while ((element = queue_next(virtio_queue(virtio, index)))) {
            hear(serial, element);
            queue_push(element, 0);
        }
        tell_all_due(serial);
    } else if (index == CONTROL_IN) {
        tell_all_due(serial);
    }
}

static void serial_resubmit(Virtio *virtio, unsigned index, QueueElement *element)
{
    Slot *slot = slot_of_queue(serial_of(virtio), index);

    if (slot && index % 2 == FROM_GUEST && !slot->held) {
        slot->held = element;              /* slot->sent was loaded; handle() comes next */
    } else {
        queue_push(element, 0);
    }
}

static void serial_stop(Virtio *virtio)
{
    VirtioSerial *serial = serial_of(virtio);

    for (unsigned nr = 0; nr < serial->ports; nr++) {
        if (serial->slots[nr].held) {
            queue_push(g_steal_pointer(&serial->slots[nr].held), 0);
        }
    }
}

/* A driver that knows of one port only has it open from the start. */
static void serial_started(Virtio *virtio)
{
    VirtioSerial *serial = serial_of(virtio);

    if (!several_ports(serial)) {
        set_open(&serial->slots[0], true);
    }
}

static void serial_reset(Virtio *virtio)
{
    VirtioSerial *serial = serial_of(virtio);

    serial->driver_ready = false;
    for (unsigned nr = 0; nr < serial->ports; nr++) {
        Slot *slot = &serial->slots[nr];
        set_open(slot, false);
        slot->due = 0;
        slot->ready = slot->told_open = false;
    }
}

static void serial_config_written(Virtio *virtio, unsigned offset, unsigned size)
{
    VirtioSerial *serial = serial_of(virtio);

    if (!serial->emergency || offset > AT_EMERGENCY || offset + size <= AT_EMERGENCY) {
        return;
    }
    uint8_t byte = (uint8_t)virtio_config_get(virtio, AT_EMERGENCY, 4);
    virtio_config_set(virtio, AT_EMERGENCY, 4, 0);
    for (unsigned nr = 0; nr < serial->ports; nr++) {
        if (serial->slots[nr].port && serial->slots[nr].port->console) {
            serial_port_write(serial->slots[nr].port, &byte, 1);
            return;
        }
    }
}

static bool serial_after_load(Virtio *virtio, GError **err)
{
    VirtioSerial *serial = serial_of(virtio);

    for (unsigned nr = 0; nr < serial->ports; nr++) {
        Slot *slot = &serial->slots[nr];
        if (slot->present != (slot->port != NULL)) {
            return fail(err, EINVAL, "device '%s': port %u is %s in the saved state and %s here", device_name(virtio->device), nr,
                        slot->present ? "there" : "missing", slot->port ? "there" : "missing");
        }
        slot->due &= slot->port ? DUE_ALL : DUE_REMOVE;
        slot->guest_open = slot->guest_open && slot->port;
    }
    return true;
}

static void before_save(Device *device)
{
    VirtioSerial *serial = (VirtioSerial *)device;

    for (unsigned nr = 0; nr < serial->ports; nr++) {
        serial->slots[nr].present = serial->slots[nr].port != NULL;
    }
    virtio_pci_before_save(device);
}

static const VirtioModel virtio_serial = {
    .name = "virtio-serial",  .id = VIRTIO_ID_CONSOLE,  .legacy_device = 0x1003,  .class_code = 0x078000,
    .element_size = sizeof(QueueElement),
    .handle = serial_handle,  .stop = serial_stop,  .resubmit = serial_resubmit,  .started = serial_started,  .reset = serial_reset,
    .config_written = serial_config_written,  .after_load = serial_after_load,
};

/* ---- the bus ---- */

void virtio_serial_join(VirtioSerial *serial, SerialPort *port)
{
    Slot *slot = &serial->slots[port->nr];

    slot->port = port;
    slot->ready = slot->told_open = slot->guest_open = false;
    if (!several_ports(serial) && port->nr == 0 && serial->base.virtio.phase == VIRTIO_LIVE) {
        set_open(slot, true);
    }
}

void virtio_serial_leave(VirtioSerial *serial, SerialPort *port)
{
    Slot *slot = &serial->slots[port->nr];

    set_open(slot, false);
    slot->port = NULL;
    slot->ready = false;
    slot->due = serial->driver_ready ? DUE_REMOVE : 0;
    if (slot->held) {
        queue_push(g_steal_pointer(&slot->held), 0);
    }
    tell_all_due(serial);
}

static void plugged(void *opaque, Device *device)
{
    VirtioSerial *serial = opaque;

    serial->slots[((SerialPort *)device)->nr].due |= DUE_ADD;
    tell_all_due(serial);
}

/* The driver is told when the port is gone, and asked for nothing: what it still sends is dropped. */
static void unplug_request(void *opaque, Device *device)
{
    (void)opaque;
    machine_request_eject(device->machine, device);
}

static const HotplugOps hotplug_ops = { .plugged = plugged, .unplug_request = unplug_request };

static const SerialPort *neighbour(const Bus *bus, const SerialPort *port, uint32_t nr, const char *name)
{
    for (guint i = 0; i < bus->devices->len; i++) {
        const SerialPort *other = bus->devices->pdata[i];
        if (other != port && (other->nr == nr || (name && g_strcmp0(other->name, name) == 0))) {
            return other;
        }
    }
    return NULL;
}

static bool check_name(const SerialPort *port, GError **err)
{
    const char *id = device_name(&port->device);

    if (!port->name) {
        return true;
    }
    if (strlen(port->name) > NAME_MOST) {
        return fail(err, EINVAL, "device '%s': name= has %zu bytes; the most is %d", id, strlen(port->name), NAME_MOST);
    }
    const SerialPort *other = neighbour(port->device.bus, port, SERIAL_PORT_UNSET, port->name);
    return !other || fail(err, EEXIST, "device '%s': the name '%s' is taken by '%s' on bus '%s'", id, port->name, device_name(&other->device),
                          port->device.bus->name);
}

/* Port 0 is what a driver without control messages has, so it is kept for a console. */
static bool attach(Bus *bus, Device *device, GError **err)
{
    SerialPort *port = (SerialPort *)device;
    const VirtioSerial *serial = (const VirtioSerial *)bus->parent;
    bool console = device->model == &virtconsole_model;

    if (!check_name(port, err)) {
        return false;
    }
    if (port->nr == SERIAL_PORT_UNSET) {
        uint32_t nr = console ? 0 : 1;
        while (nr < serial->ports && neighbour(bus, port, nr, NULL)) {
            nr++;
        }
        if (nr >= serial->ports) {
            return fail(err, ENOSPC, "device '%s': all ports of bus '%s' are taken; its device has max_ports=%u", device_name(device), bus->name,
                        serial->ports);
        }
        port->nr = nr;
    }
    if (port->nr >= serial->ports) {
        return fail(err, EINVAL, "device '%s': nr=%u: bus '%s' has 0 to %u (max_ports=)", device_name(device), port->nr, bus->name, serial->ports - 1);
    }
    if (port->nr == 0 && !console) {
        return fail(err, EINVAL, "device '%s': nr=0 is for a virtconsole; choose another number, or none", device_name(device));
    }
    const SerialPort *other = neighbour(bus, port, port->nr, NULL);
    return !other || fail(err, EEXIST, "device '%s': nr=%u of bus '%s' is taken by '%s'", device_name(device), port->nr, bus->name,
                          device_name(&other->device));
}

/* "ID.0", or "virtio-serial-bus.N" with the first number that is free. */
static void make_bus(VirtioSerial *serial)
{
    Device *device = &serial->base.pci.device;
    char *name = device->id ? g_strdup_printf("%s.0", device->id) : NULL;

    for (unsigned n = 0; !name; n++) {
        name = g_strdup_printf("virtio-serial-bus.%u", n);
        if (machine_find_bus(device->machine, BUS_VIRTIO_SERIAL, name)) {
            g_clear_pointer(&name, g_free);
        }
    }
    serial->bus_name = name;
    bus_init(&serial->bus, BUS_VIRTIO_SERIAL, name, device->machine, device);
    serial->bus.attach = attach;
    serial->bus.accepts_hotplug = true;
    serial->bus.hotplug = &hotplug_ops;
    serial->bus.hotplug_opaque = serial;
    serial->bus_made = true;
}

/* ---- life ---- */

/* Ports go with their device. */
static void serial_unrealize(Device *device)
{
    VirtioSerial *serial = (VirtioSerial *)device;

    virtio_pci_unrealize(&serial->base);
    if (serial->bus_made) {
        GPtrArray *ports = serial->bus.devices;
        while (ports->len) {
            device_unrealize(ports->pdata[ports->len - 1]);
        }
        bus_destroy(&serial->bus);
        g_clear_pointer(&serial->bus_name, g_free);
        serial->bus_made = false;
    }
}

static bool make(VirtioSerial *serial, GError **err)
{
    Virtio *virtio = &serial->base.virtio;
    Device *device = &serial->base.pci.device;

    if (serial->ports < 1 || serial->ports > SERIAL_PORTS_MOST) {
        return fail(err, EINVAL, "device '%s': max_ports=%u is not from 1 to %d", device_name(device), serial->ports, SERIAL_PORTS_MOST);
    }
    if (!virtio_init(virtio, device, &virtio_serial, NULL, CONFIG_BYTES, err)) {
        return false;
    }
    for (unsigned i = 0; i < 2 * (serial->ports + 1); i++) {
        if (!virtio_add_queue(virtio, i == CONTROL_IN || i == CONTROL_OUT ? CONTROL_QUEUE : DATA_QUEUE, err)) {
            return false;
        }
    }
    virtio->offered = (serial->ports > 1 ? F_MULTIPORT : 0) | (serial->emergency ? F_EMERGENCY : 0);
    virtio_config_set(virtio, AT_PORTS, 4, serial->ports);
    virtio_config_allow(virtio, AT_EMERGENCY, 4, serial->emergency ? UINT32_MAX : 0);
    make_bus(serial);
    return virtio_pci_realize(&serial->base, serial->ports + 1, err);
}

static bool serial_realize(Device *device, GError **err)
{
    if (!make((VirtioSerial *)device, err)) {
        serial_unrealize(device);
        return false;
    }
    return true;
}

static const Field serial_props[] = {
    VIRTIO_PCI_PROPS(VirtioSerial, base),
    PROP_U32("max_ports", VirtioSerial, ports, 31, .help = "how many ports there can be"),
    PROP_BOOL("emergency-write", VirtioSerial, emergency, true, .help = "offer to print single bytes without a queue"),
    FIELD_END };

static const Field slot_saved[] = {
    SAVE_BOOL(Slot, present), SAVE_U8(Slot, due), SAVE_BOOL(Slot, ready), SAVE_BOOL(Slot, guest_open), SAVE_BOOL(Slot, told_open),
    SAVE_U32(Slot, sent), FIELD_END };

static const Field serial_saved[] = {
    SAVE_VIRTIO_PCI(VirtioSerial, base), SAVE_BOOL(VirtioSerial, driver_ready), SAVE_STRUCTS(VirtioSerial, slots, slot_saved), FIELD_END };

const DeviceModel virtio_serial_models[VIRTIO_PCI_KINDS] = VIRTIO_PCI_MODELS("virtio-serial",
    .help = "character streams: ports and consoles", .size = sizeof(VirtioSerial),
    .props = serial_props, .saved = serial_saved, .saved_version = 1,
    .realize = serial_realize, .reset = virtio_pci_reset, .unrealize = serial_unrealize,
    .before_save = before_save, .after_load = virtio_pci_after_load);
