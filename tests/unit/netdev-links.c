/* SPDX-License-Identifier: GPL-2.0-or-later */
/* netdev-links.c - frames between two cards over streams, datagrams and multicast, and through an interface of the host in a namespace of the test's own */
#include "base/bytes.h"
#include "base/loop.h"
#include "base/timer.h"
#include "net/netdev.h"
#include "tests/rig/wire.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Card { GPtrArray *frames; unsigned most; } Card;

static NetResult receive(void *opaque, unsigned queue, const NetPacket *packet)
{
    Card *card = opaque;

    (void)queue;
    if (card->frames->len == card->most) {
        return NET_WAIT;
    }
    g_ptr_array_add(card->frames, wire_bytes(packet));
    return NET_DONE;
}

static bool can_receive(void *opaque, unsigned queue)
{
    const Card *card = opaque;

    (void)queue;
    return card->frames->len < card->most;
}

static const NetUser user = { .receive = receive, .can_receive = can_receive };
static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };

static NetDev *make(const char *type, const char *id, const char *keys, Card *card)
{
    g_auto(GStrv) words = g_strsplit(keys, ",", 0);
    g_autoptr(Value) config = value_new_object();
    GError *err = NULL;

    value_set(config, "type", value_new_string(type));
    value_set(config, "id", value_new_string(id));
    for (char **word = words; *word; word++) {
        g_auto(GStrv) pair = g_strsplit(*word, "=", 2);
        value_set(config, pair[0], value_new_string(pair[1]));
    }
    NetDev *netdev = netdev_new(config, &err);
    g_assert_no_error(err);
    *card = (Card){ g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref), 100000 };
    g_assert_true(netdev_attach(netdev, &user, card, id, "card", mac, NULL));
    return netdev;
}

static void say(NetDev *netdev, unsigned number, size_t bytes)
{
    g_autofree uint8_t *frame = g_malloc0(bytes);
    struct iovec pieces[2] = { { frame, 7 }, { frame + 7, bytes - 7 } };

    memset(frame, 0xff, 6);
    store_be16(frame + 12, 0x88b5);        /* for experiments */
    store_be32(frame + 14, number);
    netdev_send(netdev, 0, &(NetPacket){ .iov = pieces, .count = 2, .bytes = bytes });
}

static void wait_for(const Card *card, unsigned count)
{
    int64_t end = clock_now(CLOCK_STEADY) + 60 * NS_PER_SECOND;

    while (card->frames->len < count && clock_now(CLOCK_STEADY) < end) {
        loop_iterate(false);
    }
    g_assert_cmpuint(card->frames->len, >=, count);
}

static uint32_t number_of(const Card *card, unsigned index, size_t *bytes)
{
    return load_be32((const uint8_t *)g_bytes_get_data(card->frames->pdata[index], bytes) + 14);
}

static void end(Card *one, Card *other)
{
    netdev_remove_all();
    g_ptr_array_free(one->frames, TRUE);
    if (other) {
        g_ptr_array_free(other->frames, TRUE);
    }
}

static unsigned free_port(int type)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, type, 0);

    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void streams(void)
{
    Card one, other;
    unsigned port = free_port(SOCK_STREAM);
    g_autofree char *listen = g_strdup_printf("listen=127.0.0.1:%u", port), *connect = g_strdup_printf("connect=127.0.0.1:%u", port);
    NetDev *server = make("socket", "server", listen, &one), *client = make("socket", "client", connect, &other);
    size_t bytes;

    say(server, 99, 60);                   /* nobody is there yet */
    say(client, 0, 60);
    wait_for(&one, 1);
    for (unsigned i = 1; i <= 2000; i++) { /* more than the sockets hold: the rest waits, in order */
        say(client, i, 60 + i % 1400);
        loop_iterate(false);
    }
    wait_for(&one, 2001);
    for (unsigned i = 0; i <= 2000; i++) {
        g_assert_cmpuint(number_of(&one, i, &bytes), ==, i);
        g_assert_cmpuint(bytes, ==, 60 + i % 1400);
    }
    other.most = 3;                        /* a card that takes no more holds the stream, and not for ever */
    for (unsigned i = 0; i < 10; i++) {
        say(server, i, 100);
    }
    wait_for(&other, 3);
    other.most = 1000;
    netdev_room(client, 0);
    wait_for(&other, 10);
    g_assert_true(netdev_delete("client", NULL));              /* the next one may come */
    g_ptr_array_free(other.frames, TRUE);
    client = make("socket", "client", connect, &other);
    for (unsigned tries = 0; other.frames->len == 0 && tries < 100000; tries++) {
        say(server, 7, 60);
        loop_iterate(false);
    }
    wait_for(&other, 1);
    end(&one, &other);
}

static void datagrams(void)
{
    Card one, other;
    unsigned a = free_port(SOCK_DGRAM), b = free_port(SOCK_DGRAM);
    g_autofree char *first = g_strdup_printf("udp=127.0.0.1:%u,localaddr=127.0.0.1:%u", a, b), *second = g_strdup_printf("udp=127.0.0.1:%u,localaddr=127.0.0.1:%u", b, a);
    NetDev *left = make("socket", "left", first, &one), *right = make("socket", "right", second, &other);
    size_t bytes;

    say(left, 5, 1514);
    wait_for(&other, 1);
    g_assert_cmpuint(number_of(&other, 0, &bytes), ==, 5);
    g_assert_cmpuint(bytes, ==, 1514);
    say(right, 6, 60);
    wait_for(&one, 1);
    end(&one, &other);
}

static void refusals(void)
{
    static const char *const bad[] = { "listen=x", "connect=127.0.0.1:1", "mcast=10.0.0.1:5", "mcast=x:5", "udp=127.0.0.1:5", "udp=127.0.0.1:0,localaddr=127.0.0.1:5",
                                       "fd=9999", "fd=x", "listen=:1,connect=:2", "localaddr=1.2.3.4" };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_auto(GStrv) words = g_strsplit(bad[i], ",", 0);
        g_autoptr(Value) config = value_new_object();
        g_autoptr(GError) err = NULL;
        value_set(config, "type", value_new_string("socket"));
        value_set(config, "id", value_new_string("n"));
        for (char **word = words; *word; word++) {
            g_auto(GStrv) pair = g_strsplit(*word, "=", 2);
            value_set(config, pair[0], value_new_string(pair[1]));
        }
        g_assert_null(netdev_new(config, &err));
        g_assert_true(g_str_has_prefix(err->message, "netdev 'n': "));
        g_assert_null(netdev_find("n"));
    }
}

/* Needs a network namespace of its own: root, or user namespaces. */
static void an_interface(void)
{
    Card card;
    struct ifreq request = { .ifr_flags = IFF_UP };
    uint8_t frame[2048];
    int probe = open("/dev/net/tun", O_RDWR);

    if (probe < 0 || unshare(CLONE_NEWNET) != 0) {
        g_test_skip("no /dev/net/tun, or no right to a network namespace");
        if (probe >= 0) {
            close(probe);
        }
        return;
    }
    close(probe);
    NetDev *tap = make("tap", "t", "ifname=roost0,script=no,downscript=no", &card);
    int control = socket(AF_INET, SOCK_DGRAM, 0);
    g_strlcpy(request.ifr_name, "roost0", sizeof request.ifr_name);
    g_assert_cmpint(ioctl(control, SIOCSIFFLAGS, &request), ==, 0);
    g_assert_cmpint(ioctl(control, SIOCGIFINDEX, &request), ==, 0);
    struct sockaddr_ll link = { .sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = request.ifr_ifindex, .sll_halen = 6 };
    int raw = socket(AF_PACKET, SOCK_RAW, htons(0x88b5));
    g_assert_cmpint(bind(raw, (struct sockaddr *)&link, sizeof link), ==, 0);
    say(tap, 11, 300);
    g_assert_cmpint(recv(raw, frame, sizeof frame, 0), ==, 300);
    g_assert_cmpuint(load_be32(frame + 14), ==, 11);
    store_be32(frame + 14, 12);
    g_assert_cmpint(send(raw, frame, 400, 0), ==, 400);
    int64_t patience = clock_now(CLOCK_STEADY) + 60 * NS_PER_SECOND;
    bool seen = false;
    while (!seen && clock_now(CLOCK_STEADY) < patience) {      /* the kernel says things of its own there, too */
        loop_iterate(false);
        for (guint i = 0; i < card.frames->len; i++) {
            size_t bytes;
            seen = seen || (number_of(&card, i, &bytes) == 12 && bytes == 400);
        }
    }
    g_assert_true(seen);
    close(raw);
    close(control);
    end(&card, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init();
    g_test_add_func("/netdev-links/streams", streams);
    g_test_add_func("/netdev-links/datagrams", datagrams);
    g_test_add_func("/netdev-links/what is refused", refusals);
    g_test_add_func("/netdev-links/an interface", an_interface);
    return g_test_run();
}
