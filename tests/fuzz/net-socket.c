/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net-socket.c - fuzz target: what a peer sends on a stream of frames
 *
 * Input    the bytes, in two pieces; then the peer goes
 * Holds    what reaches the card is a frame that a wire could carry
 */
#include "base/loop.h"
#include "net/netdev.h"
#include <glib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static NetResult receive(void *opaque, unsigned queue, const NetPacket *packet)
{
    (void)opaque;
    (void)queue;
    g_assert_true(packet->bytes >= NET_HEADER && packet->bytes <= NET_FRAME_MOST && packet->count == 1);
    return NET_DONE;
}

static const NetUser card = { .receive = receive };
static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    g_autoptr(Value) config = value_new_object();
    int ends[2];

    if (!begun) {
        loop_init();
        begun = true;
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), ==, 0);
    g_autofree char *number = g_strdup_printf("%d", ends[0]);
    value_set(config, "type", value_new_string("socket"));
    value_set(config, "id", value_new_string("n"));
    value_set(config, "fd", value_new_string(number));
    NetDev *netdev = netdev_new(config, NULL);
    g_assert_nonnull(netdev);
    g_assert_true(netdev_attach(netdev, &card, NULL, "c", "card", mac, NULL));
    size_t first = size ? data[0] % (size + 1) : 0;
    for (unsigned piece = 0; piece < 2; piece++) {
        const uint8_t *from = piece ? data + first : data;
        if (send(ends[1], from, piece ? size - first : first, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            break;                         /* it was hung up on */
        }
        while (loop_iterate(false)) {
        }
    }
    close(ends[1]);
    while (loop_iterate(false)) {
    }
    netdev_remove_all();
    return 0;
}
