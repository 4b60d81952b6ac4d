/* SPDX-License-Identifier: GPL-2.0-or-later */
/* netdev.c - the gate between a card and a backend, from both sides: links, lengths, packets that wait, offloads */
#include "base/bytes.h"
#include "net/offload.h"
#include "tests/rig/wire.h"
#include <glib.h>
#include <string.h>

typedef struct Card {
    GPtrArray *frames;
    unsigned most, sent_calls;
    bool up, gone;
    NetOffload last;
} Card;

static NetResult card_receive(void *opaque, unsigned queue, const NetPacket *packet)
{
    Card *card = opaque;

    g_assert_cmpuint(queue, ==, 0);
    if (card->frames->len == card->most) {
        return NET_WAIT;
    }
    card->last = packet->offload;
    g_ptr_array_add(card->frames, wire_bytes(packet));
    return NET_DONE;
}

static void card_sent(void *opaque, unsigned queue)
{
    (void)queue;
    ((Card *)opaque)->sent_calls++;
}

static void card_link(void *opaque, bool up)
{
    ((Card *)opaque)->up = up;
}

static void card_gone(void *opaque)
{
    ((Card *)opaque)->gone = true;
}

static const NetUser card_user = { .receive = card_receive, .sent = card_sent, .link = card_link, .gone = card_gone };
static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };

static Wire *begin(Card *card)
{
    Wire *wire = wire_new("w0", 1, 0);

    *card = (Card){ .frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref), .most = 1000, .up = true };
    g_assert_true(netdev_attach(&wire->netdev, &card_user, card, "c0", "test-card", mac, NULL));
    return wire;
}

static void end(Card *card)
{
    netdev_remove_all();
    g_ptr_array_free(card->frames, TRUE);
}

static void both_ways(void)
{
    Card card;
    Wire *wire = begin(&card);
    uint8_t frame[60] = "to: card";
    struct iovec pieces[2] = { { frame, 20 }, { frame + 20, 40 } };

    g_assert_true(netdev_find("w0") == &wire->netdev && netdev_of_user("c0") == &wire->netdev && !netdev_find("c0"));
    netdev_deliver_bytes(&wire->netdev, 0, frame, sizeof frame);
    g_assert_cmpint(netdev_send(&wire->netdev, 0, &(NetPacket){ .iov = pieces, .count = 2, .bytes = 60 }), ==, NET_DONE);
    g_assert_cmpuint(card.frames->len, ==, 1);
    g_assert_cmpuint(wire->frames->len, ==, 1);
    g_assert_true(g_bytes_equal(card.frames->pdata[0], wire->frames->pdata[0]));
    g_assert_false(netdev_attach(&wire->netdev, &card_user, &card, "c1", "test-card", mac, NULL));
    g_assert_true(netdev_delete("w0", NULL));
    g_assert_true(card.gone);
    end(&card);
}

static void hostile_packets_go_nowhere(void)
{
    Card card;
    Wire *wire = begin(&card);
    uint8_t frame[100] = { 0 };
    struct iovec piece = { frame, sizeof frame };
    const NetPacket bad[] = {
        { &piece, 1, 13, { 0 } }, { &piece, 1, NET_FRAME_MOST + 1, { 0 } },
        { &piece, 1, 100, { .flags = NET_NEEDS_CSUM, .csum_start = 90, .csum_offset = 9 } },
        { &piece, 1, 100, { .flags = NET_NEEDS_CSUM, .csum_start = 65535, .csum_offset = 65535 } },
        { &piece, 1, 100, { .gso_type = NET_GSO_TCPV4, .gso_size = 10 } },
        { &piece, 1, 100, { .flags = NET_NEEDS_CSUM, .gso_type = NET_GSO_TCPV4, .csum_start = 34, .csum_offset = 16 } },
        { &piece, 1, 100, { .gso_type = 77, .gso_size = 10 } },
        /* the headers say nothing of IP */
        { &piece, 1, 100, { .flags = NET_NEEDS_CSUM, .gso_type = NET_GSO_TCPV4, .gso_size = 1, .csum_start = 34, .csum_offset = 16 } },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(netdev_send(&wire->netdev, 0, &bad[i]), ==, NET_DONE);
        netdev_deliver(&wire->netdev, 0, &bad[i]);
    }
    g_assert_cmpint(netdev_send(&wire->netdev, 5, &(NetPacket){ .iov = &piece, .count = 1, .bytes = 60 }), ==, NET_DONE);
    g_assert_cmpint(netdev_send(NULL, 0, &(NetPacket){ .iov = &piece, .count = 1, .bytes = 60 }), ==, NET_DONE);
    g_assert_cmpuint(wire->frames->len + card.frames->len, ==, 0);
    end(&card);
}

static void a_card_without_room(void)
{
    Card card;
    Wire *wire = begin(&card);
    uint8_t frame[60] = { 0 };

    card.most = 2;
    for (unsigned i = 0; i < 2000; i++) {          /* more than are kept */
        store_be32(frame, i);
        netdev_deliver_bytes(&wire->netdev, 0, frame, sizeof frame);
    }
    g_assert_cmpuint(card.frames->len, ==, 2);
    g_assert_false(netdev_can_deliver(&wire->netdev, 0));
    card.most = 100;
    netdev_room(&wire->netdev, 0);
    g_assert_cmpuint(card.frames->len, ==, 100);
    g_assert_cmpuint(wire->rooms, ==, 0);
    card.most = 5000;
    netdev_room(&wire->netdev, 0);
    g_assert_cmpuint(card.frames->len, ==, 2 + 512);
    g_assert_cmpuint(wire->rooms, ==, 1);
    for (unsigned i = 0; i < card.frames->len; i++) {
        g_assert_cmpuint(load_be32(g_bytes_get_data(card.frames->pdata[i], NULL)), ==, i);
    }
    end(&card);
}

static void a_link_that_is_down(void)
{
    Card card;
    Wire *wire = begin(&card);
    uint8_t frame[60] = { 0 };
    struct iovec piece = { frame, sizeof frame };

    netdev_set_link(&wire->netdev, false);
    g_assert_false(card.up);
    netdev_deliver_bytes(&wire->netdev, 0, frame, sizeof frame);
    netdev_send(&wire->netdev, 0, &(NetPacket){ .iov = &piece, .count = 1, .bytes = 60 });
    g_assert_cmpuint(card.frames->len + wire->frames->len, ==, 0);
    netdev_set_link(&wire->netdev, true);
    g_assert_true(card.up);
    netdev_deliver_bytes(&wire->netdev, 0, frame, sizeof frame);
    g_assert_cmpuint(card.frames->len, ==, 1);
    netdev_detach(&wire->netdev, &card);
    netdev_deliver_bytes(&wire->netdev, 0, frame, sizeof frame);
    g_assert_cmpuint(card.frames->len, ==, 1);
    end(&card);
}

/* ---- segments ---- */

enum { PAYLOAD = 4000, SEGMENT = 1460, IP4 = 14, TCP4 = 34, DATA4 = 66, IP6 = 18, TCP6 = 58, DATA6 = 78 };

static uint16_t sum_of(const uint8_t *bytes, size_t length, uint64_t start)
{
    struct iovec piece = { (void *)(uintptr_t)bytes, length };

    return net_checksum_fold(net_checksum_add(start, (Iov){ &piece, 1, 0, length }));
}

/* What a receiver computes over a TCP segment: 0 when it is whole. */
static uint16_t tcp_check(const uint8_t *frame, size_t bytes, size_t ip, size_t tcp, bool v4)
{
    uint8_t pseudo[40];
    size_t addresses = v4 ? 8 : 32;

    memcpy(pseudo, frame + ip + (v4 ? 12 : 8), addresses);
    store_be32(pseudo + addresses, (uint32_t)(bytes - tcp));
    store_be32(pseudo + addresses + 4, 6);
    struct iovec pieces[2] = { { pseudo, addresses + 8 }, { (void *)(uintptr_t)(frame + tcp), bytes - tcp } };
    return net_checksum_fold(net_checksum_add(0, (Iov){ pieces, 2, 0, addresses + 8 + bytes - tcp }));
}

static void fill_ipv4(uint8_t *frame)
{
    memset(frame, 0, DATA4);
    store_be16(frame + 12, 0x0800);
    frame[IP4] = 0x45;
    store_be16(frame + IP4 + 2, DATA4 - IP4 + PAYLOAD);
    store_be16(frame + IP4 + 4, 0xffff);           /* its number wraps */
    frame[IP4 + 9] = 6;
    memcpy(frame + IP4 + 12, "\x0a\0\x02\x0f\x0a\0\x02\x02", 8);
    store_be32(frame + TCP4 + 4, 0xfffffff0);      /* and so does the sequence */
    frame[TCP4 + 12] = 8 << 4;
    frame[TCP4 + 13] = 0x80 | 0x10 | 0x08 | 0x01;  /* CWR ACK PSH FIN */
    for (unsigned i = 0; i < PAYLOAD; i++) {
        frame[DATA4 + i] = (uint8_t)(i * 7 + i / 256);
    }
}

static void tcp_over_ipv4(void)
{
    Card card;
    Wire *wire = begin(&card);
    uint8_t frame[DATA4 + PAYLOAD];
    struct iovec pieces[3] = { { frame, 5 }, { frame + 5, 95 }, { frame + 100, sizeof frame - 100 } };
    NetPacket packet = { pieces, 3, sizeof frame, { NET_NEEDS_CSUM, NET_GSO_TCPV4 | NET_GSO_ECN, DATA4, SEGMENT, TCP4, 16 } };

    fill_ipv4(frame);
    wire->most = 1;                        /* no room after the first: it goes on where it stood */
    g_assert_cmpint(netdev_send(&wire->netdev, 0, &packet), ==, NET_WAIT);
    wire->most = 1000;
    netdev_now_sendable(&wire->netdev, 0);
    g_assert_cmpuint(card.sent_calls, ==, 1);
    g_assert_cmpint(netdev_send(&wire->netdev, 0, &packet), ==, NET_DONE);
    g_assert_cmpuint(wire->frames->len, ==, 3);
    for (unsigned i = 0, at = 0; i < 3; i++) {
        gsize bytes;
        const uint8_t *segment = g_bytes_get_data(wire->frames->pdata[i], &bytes);
        size_t length = i < 2 ? SEGMENT : PAYLOAD - 2 * SEGMENT;
        g_assert_cmpuint(bytes, ==, DATA4 + length);
        g_assert_cmpuint(load_be16(segment + IP4 + 2), ==, bytes - IP4);
        g_assert_cmpuint(load_be16(segment + IP4 + 4), ==, (0xffff + i) & 0xffff);
        g_assert_cmpuint(sum_of(segment + IP4, 20, 0), ==, 0);
        g_assert_cmpuint(tcp_check(segment, bytes, IP4, TCP4, true), ==, 0);
        g_assert_cmpuint(load_be32(segment + TCP4 + 4), ==, (uint32_t)(0xfffffff0 + at));
        g_assert_cmpuint(segment[TCP4 + 13], ==, i == 0 ? 0x90 : i == 1 ? 0x10 : 0x19);
        g_assert_true(memcmp(segment + DATA4, frame + DATA4 + at, length) == 0);
        at += (unsigned)length;
    }
    netdev_user_takes(&wire->netdev, NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_ECN);
    netdev_deliver(&wire->netdev, 0, &packet);     /* a card that takes it whole gets it whole */
    g_assert_cmpuint(card.frames->len, ==, 1);
    g_assert_cmpuint(card.last.gso_size, ==, SEGMENT);
    end(&card);
}

static void tcp_over_ipv6_with_a_tag(void)
{
    Card card;
    Wire *wire = begin(&card);
    uint8_t frame[DATA6 + PAYLOAD] = { 0 };
    struct iovec piece = { frame, sizeof frame };

    store_be16(frame + 12, 0x8100);
    store_be16(frame + 16, 0x86dd);
    frame[IP6] = 0x60;
    frame[IP6 + 6] = 6;
    frame[IP6 + 8] = frame[IP6 + 24] = 0xfe;
    frame[TCP6 + 12] = 5 << 4;
    memset(frame + DATA6, 0xa5, PAYLOAD);
    netdev_deliver(&wire->netdev, 0, &(NetPacket){ &piece, 1, sizeof frame, { NET_NEEDS_CSUM, NET_GSO_TCPV6, DATA6, SEGMENT, TCP6, 16 } });
    g_assert_cmpuint(card.frames->len, ==, 3);
    for (unsigned i = 0; i < 3; i++) {
        gsize bytes;
        const uint8_t *segment = g_bytes_get_data(card.frames->pdata[i], &bytes);
        g_assert_cmpuint(load_be16(segment + IP6 + 4), ==, bytes - TCP6);
        g_assert_cmpuint(tcp_check(segment, bytes, IP6, TCP6, false), ==, 0);
    }
    end(&card);
}

/* A guest that leaves the checksum out: over an odd number of bytes in odd pieces. */
static void one_checksum(void)
{
    Card card;
    Wire *wire = begin(&card);
    uint8_t frame[DATA4 + 333];
    uint8_t whole[DATA4 + PAYLOAD];
    struct iovec pieces[3] = { { frame, 41 }, { frame + 41, 62 }, { frame + 103, sizeof frame - 103 } };
    gsize bytes;

    fill_ipv4(whole);
    memcpy(frame, whole, sizeof frame);
    uint8_t pseudo[8] = { 0, 6, 0, 0 };            /* the guest leaves the pseudo header's sum in the field */
    store_be16(pseudo + 2, sizeof frame - TCP4);
    uint64_t addresses = (uint16_t)~sum_of(frame + IP4 + 12, 8, 0);
    store_be16(pseudo + 4, (uint16_t)addresses);
    store_be16(frame + TCP4 + 16, (uint16_t)~sum_of(pseudo, 6, 0));
    netdev_send(&wire->netdev, 0, &(NetPacket){ pieces, 3, sizeof frame, { .flags = NET_NEEDS_CSUM, .csum_start = TCP4, .csum_offset = 16 } });
    g_assert_cmpuint(wire->frames->len, ==, 1);
    const uint8_t *sent = g_bytes_get_data(wire->frames->pdata[0], &bytes);
    g_assert_cmpuint(bytes, ==, sizeof frame);
    g_assert_cmpuint(tcp_check(sent, bytes, IP4, TCP4, true), ==, 0);
    end(&card);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netdev/packets go both ways, one card a netdev", both_ways);
    g_test_add_func("/netdev/hostile packets go nowhere", hostile_packets_go_nowhere);
    g_test_add_func("/netdev/a card without room: kept in order, up to a limit", a_card_without_room);
    g_test_add_func("/netdev/a link that is down", a_link_that_is_down);
    g_test_add_func("/netdev/segments of TCP over IPv4", tcp_over_ipv4);
    g_test_add_func("/netdev/segments of TCP over IPv6 with a VLAN tag", tcp_over_ipv6_with_a_tag);
    g_test_add_func("/netdev/one checksum", one_checksum);
    return g_test_run();
}
