/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire.c - a netdev for tests of cards; see wire.h */
#include "tests/rig/wire.h"
#include "base/iov.h"

GBytes *wire_bytes(const NetPacket *packet)
{
    uint8_t *frame = g_malloc(packet->bytes);

    g_assert_cmpuint(iov_gather(packet->iov, packet->count, 0, frame, packet->bytes), ==, packet->bytes);
    g_assert_cmpuint(iov_length(packet->iov, packet->count), ==, packet->bytes);
    return g_bytes_new_take(frame, packet->bytes);
}

static bool wire_open(NetDev *netdev, GError **err)
{
    Wire *wire = (Wire *)netdev;

    (void)err;
    wire->frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    wire->offloads = g_array_new(FALSE, FALSE, sizeof(NetOffload));
    wire->most = 1000;
    return true;
}

static void wire_close(NetDev *netdev)
{
    g_ptr_array_free(((Wire *)netdev)->frames, TRUE);
    g_array_free(((Wire *)netdev)->offloads, TRUE);
}

static NetResult wire_send(NetDev *netdev, unsigned queue, const NetPacket *packet)
{
    Wire *wire = (Wire *)netdev;

    g_assert_cmpuint(queue, <, netdev->queues);
    if (wire->frames->len >= wire->most) {
        return NET_WAIT;
    }
    g_ptr_array_add(wire->frames, wire_bytes(packet));
    g_array_append_val(wire->offloads, packet->offload);
    return NET_DONE;
}

static void wire_room(NetDev *netdev, unsigned queue)
{
    (void)queue;
    ((Wire *)netdev)->rooms++;
}

static const Field no_keys[] = { FIELD_END };
static const NetBackend wire_backend = { .name = "wire", .help = "a test's", .size = sizeof(Wire), .keys = no_keys, .open = wire_open, .close = wire_close,
                                         .send = wire_send, .room = wire_room };

Wire *wire_new(const char *id, unsigned queues, unsigned takes)
{
    g_autoptr(Value) config = value_new_object();
    NetDev *netdev = netdev_make(&wire_backend, id);

    netdev->queues = queues;
    netdev->takes = takes;
    g_assert_true(netdev_begin(netdev, config, NULL));
    return (Wire *)netdev;
}

void wire_say(Wire *wire, const void *frame, size_t bytes)
{
    netdev_deliver_bytes(&wire->netdev, 0, frame, bytes);
}

void wire_forget(Wire *wire)
{
    g_ptr_array_set_size(wire->frames, 0);
    g_array_set_size(wire->offloads, 0);
}
