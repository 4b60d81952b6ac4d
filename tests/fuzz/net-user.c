/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net-user.c - fuzz target: a guest's frames on their way into the user network, and the stack's own on their way to the guest
 *
 * Input    a byte of what is to be done, a length, a frame and its offload header, again and again. The network is closed: nothing leaves the process
 * Holds    what reaches the card is a frame that a wire could carry, or a packet of segments whose header fits
 */
#include "base/bytes.h"
#include "base/loop.h"
#include "net/offload.h"
#include "net/user.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 4, FRAMES_MOST = 64, WIRE = 1514 };
static NetDev *netdev;

static NetResult receive(void *opaque, unsigned queue, const NetPacket *packet)
{
    (void)opaque;
    g_assert_cmpuint(queue, ==, 0);
    g_assert_null(net_offload_check(packet));
    g_assert_cmpuint(iov_length(packet->iov, packet->count), ==, packet->bytes);
    return NET_DONE;
}

static const NetUser card = { .receive = receive };
static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

static void prepare(void)
{
    g_autoptr(Value) config = value_new_object();

    loop_init();
    value_set(config, "type", value_new_string("user"));
    value_set(config, "id", value_new_string("n"));
    value_set(config, "restrict", value_new_bool(true));
    netdev = netdev_new(config, NULL);
    g_assert_nonnull(netdev);
    g_assert_true(netdev_attach(netdev, &card, NULL, "c", "card", mac, NULL));
}

/* What the stack itself would send is such a frame, too: short of its header's promises, with options, in fragments. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!netdev) {
        prepare();
    }
    for (unsigned i = 0; i < FRAMES_MOST && size > HEADER; i++) {
        uint8_t what = data[0];
        size_t bytes = MIN((size_t)load_le16(data + 1) & 0x7ff, size - HEADER), repeat = (what & 0x20) && bytes ? 1 + data[3] : 1;
        g_autofree uint8_t *frame = g_malloc0(bytes * repeat + 1);
        for (size_t k = 0; k < repeat; k++) {
            memcpy(frame + k * bytes, data + HEADER, bytes);
        }
        struct iovec pieces[2] = { { frame, bytes / 2 }, { frame + bytes / 2, bytes * repeat - bytes / 2 } };
        NetPacket packet = { .iov = pieces, .count = 2, .bytes = bytes * repeat };
        netdev_user_takes(netdev, what & 0x10 ? NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_TSO6 : 0);
        if (what & 1) {
            packet.offload = (NetOffload){ NET_NEEDS_CSUM, what >> 1 & 1 ? NET_GSO_TCPV4 : NET_GSO_NONE, 54, data[3] * 8u, 34, 16 };
        }
        if ((what & 0xc0) == 0xc0) {
            user_frame_in((UserNet *)netdev, frame, bytes * repeat);
        } else {
            netdev_send(netdev, 0, &packet);
        }
        data += HEADER + bytes;
        size -= HEADER + bytes;
    }
    loop_iterate(false);
    return 0;
}
