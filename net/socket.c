/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket.c - frames over a TCP connection or in UDP datagrams: guests that hear each other without anything of the host between them
 *
 * Models   QEMU's -netdev socket: listen=, connect=, fd=, mcast=, udp=. On a stream each frame has its length before it, four bytes, big endian
 * Threads  main loop, and vCPU threads for packets to the peer; machine lock held
 * Tests    tests/unit/netdev-links.c, tests/fuzz/net-socket.c
 *
 * A peer is as hostile as a guest: a length that no frame has ends the connection. A listener takes one peer at a time, and the next one when that has gone.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/socket-address.h"
#include "net/backend.h"
#include "net/offload.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LENGTH = 4, BURST = 64, PIECES = 1024, DATAGRAM_MOST = 65507 };

typedef struct SocketNet {
    NetDev netdev;
    char *listen, *connect, *mcast, *udp, *localaddr, *fd_text;
    SocketAddresses addresses;
    int listener, fd;                      /* -1: none */
    LoopWatch *listen_watch, *watch;
    bool datagrams, has_peer, full, waits;
    struct sockaddr_in peer;               /* of datagrams */
    uint8_t *in;                           /* a length and as much of its frame as has come; or a datagram */
    size_t in_bytes;
    GByteArray *out;                       /* what the kernel has not taken of a frame */
} SocketNet;

static void update_watch(SocketNet *net)
{
    if (net->watch) {
        loop_watch_change(net->watch, (net->full ? 0 : G_IO_IN) | (net->waits || net->out->len ? G_IO_OUT : 0));
    }
}

/* ---- streams ---- */

static void hang_up(SocketNet *net)
{
    loop_unwatch(g_steal_pointer(&net->watch));
    close(net->fd);
    net->fd = -1;
    net->in_bytes = 0;
    g_byte_array_set_size(net->out, 0);
    net->full = false;
    if (net->listen_watch) {
        loop_watch_change(net->listen_watch, G_IO_IN);
    }
    if (net->waits) {                      /* what the card holds is lost, as on a cable that was pulled */
        net->waits = false;
        netdev_now_sendable(&net->netdev, 0);
    }
}

/* Whole frames out of what has come. False: a length that no frame has. */
static bool take_frames(SocketNet *net)
{
    size_t at = 0;

    while (net->in_bytes - at >= LENGTH) {
        uint32_t bytes = load_be32(net->in + at);
        if (bytes > NET_FRAME_MOST) {
            return false;
        }
        if (net->in_bytes - at - LENGTH < bytes) {
            break;
        }
        netdev_deliver_bytes(&net->netdev, 0, net->in + at + LENGTH, bytes);       /* a runt goes nowhere there */
        at += LENGTH + bytes;
    }
    net->in_bytes -= at;
    memmove(net->in, net->in + at, net->in_bytes);
    return true;
}

static void read_stream(SocketNet *net)
{
    for (unsigned i = 0; i < BURST; i++) {
        if (!netdev_can_deliver(&net->netdev, 0)) {
            net->full = true;
            return;
        }
        ssize_t bytes = recv(net->fd, net->in + net->in_bytes, NET_FRAME_MOST + LENGTH - net->in_bytes, MSG_DONTWAIT);
        if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        net->in_bytes += bytes > 0 ? (size_t)bytes : 0;
        if (bytes <= 0 || !take_frames(net)) {
            hang_up(net);
            return;
        }
    }
}

static void write_rest(SocketNet *net)
{
    ssize_t bytes = net->out->len ? send(net->fd, net->out->data, net->out->len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

    if (bytes > 0) {
        g_byte_array_remove_range(net->out, 0, (guint)bytes);
    }
    if (net->out->len == 0 && net->waits) {
        net->waits = false;
        netdev_now_sendable(&net->netdev, 0);
    }
}

static NetResult send_stream(SocketNet *net, const NetPacket *packet)
{
    struct iovec pieces[PIECES];
    uint8_t length[LENGTH];
    size_t whole = LENGTH + packet->bytes;

    if (net->fd < 0 || packet->count >= PIECES) {
        return NET_DONE;                   /* nobody hears it */
    }
    if (net->out->len) {
        net->waits = true;
        return NET_WAIT;
    }
    store_be32(length, (uint32_t)packet->bytes);
    pieces[0] = (struct iovec){ length, LENGTH };
    memcpy(pieces + 1, packet->iov, packet->count * sizeof *pieces);
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = packet->count + 1 };
    ssize_t bytes = sendmsg(net->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (bytes < 0 && errno != EAGAIN) {
        return NET_DONE;                   /* reading will tell that it is over */
    }
    size_t done = bytes > 0 ? (size_t)bytes : 0;
    if (done < whole) {                    /* never half a frame: the rest waits here */
        guint at = net->out->len;
        g_byte_array_set_size(net->out, at + (guint)(whole - done));
        iov_gather(pieces, packet->count + 1, done, net->out->data + at, whole - done);
        update_watch(net);
    }
    return NET_DONE;
}

/* ---- datagrams ---- */

static void read_datagrams(SocketNet *net)
{
    for (unsigned i = 0; i < BURST; i++) {
        if (!netdev_can_deliver(&net->netdev, 0)) {
            net->full = true;
            return;
        }
        ssize_t bytes = recv(net->fd, net->in, NET_FRAME_MOST, MSG_DONTWAIT);
        if (bytes <= 0) {
            return;
        }
        netdev_deliver_bytes(&net->netdev, 0, net->in, (size_t)bytes);
    }
}

static NetResult send_datagram(SocketNet *net, const NetPacket *packet)
{
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)packet->iov, .msg_iovlen = packet->count, .msg_name = net->has_peer ? &net->peer : NULL,
                              .msg_namelen = net->has_peer ? sizeof net->peer : 0 };

    if (packet->count <= PIECES && packet->bytes <= DATAGRAM_MOST && sendmsg(net->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EAGAIN) {
        net->waits = true;
        update_watch(net);
        return NET_WAIT;
    }
    return NET_DONE;
}

/* ---- both ---- */

static void ready(void *opaque, int fd, GIOCondition condition)
{
    SocketNet *net = opaque;

    (void)fd;
    if (condition & G_IO_OUT && !net->datagrams) {
        write_rest(net);
    } else if (condition & G_IO_OUT && net->waits) {
        net->waits = false;
        netdev_now_sendable(&net->netdev, 0);
    }
    if (condition & ~G_IO_OUT && net->datagrams) {
        read_datagrams(net);
    } else if (condition & ~G_IO_OUT && net->fd >= 0) {
        read_stream(net);
    }
    update_watch(net);
}

static void use(SocketNet *net, int fd)
{
    int on = 1;

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  /* no matter where it is no TCP */
    net->fd = fd;
    net->watch = loop_watch(fd, G_IO_IN, ready, net);
}

static void somebody_calls(void *opaque, int fd, GIOCondition condition)
{
    SocketNet *net = opaque;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)condition;
    if (peer >= 0) {
        loop_watch_change(net->listen_watch, 0);
        use(net, peer);
    }
}

static NetResult socket_send(NetDev *netdev, unsigned queue, const NetPacket *packet)
{
    SocketNet *net = (SocketNet *)netdev;

    (void)queue;
    return net->datagrams ? send_datagram(net, packet) : send_stream(net, packet);
}

static void socket_room(NetDev *netdev, unsigned queue)
{
    SocketNet *net = (SocketNet *)netdev;

    (void)queue;
    if (net->full) {
        net->full = false;
        update_watch(net);
    }
}

/* ---- opening ---- */

/* "HOST:PORT" in two, freed by the caller's spelling. */
static bool split(const SocketNet *net, const char *key, const char *text, SocketSpelling *spelling, GError **err)
{
    const char *colon = strrchr(text, ':');

    if (!colon || !colon[1]) {
        return fail(err, EINVAL, "netdev '%s': %s=%s is not HOST:PORT", net->netdev.id, key, text);
    }
    spelling->host = g_strndup(text, (size_t)(colon - text));
    spelling->port = g_strdup(colon + 1);
    return true;
}

static bool open_stream(SocketNet *net, GError **err)
{
    SocketSpelling spelling = { 0 };
    g_autofree char *who = g_strdup_printf("netdev '%s'", net->netdev.id);
    bool server = net->listen != NULL;
    bool good = split(net, server ? "listen" : "connect", server ? net->listen : net->connect, &spelling, err) &&
                socket_resolve(&net->addresses, &spelling, server, who, err);

    g_free(spelling.host);
    g_free(spelling.port);
    if (!good) {
        return false;
    }
    int fd = server ? socket_listen(&net->addresses, who, 1, err) : socket_connect(&net->addresses, who, err);
    if (fd < 0) {
        return false;
    }
    if (server) {
        net->listener = fd;
        net->listen_watch = loop_watch(fd, G_IO_IN, somebody_calls, net);
    } else {
        use(net, fd);
    }
    return true;
}

static bool read_inet(const SocketNet *net, const char *key, const char *text, struct sockaddr_in *address, GError **err)
{
    SocketSpelling spelling = { 0 };
    uint64_t port = 0;
    bool good = split(net, key, text, &spelling, err);

    *address = (struct sockaddr_in){ .sin_family = AF_INET };
    if (good && ((*spelling.host && !inet_aton(spelling.host, &address->sin_addr)) || !parse_uint(spelling.port, &port) || port < 1 || port > 65535)) {
        good = fail(err, EINVAL, "netdev '%s': %s=%s is not an IPv4 address and a port", net->netdev.id, key, text);
    }
    address->sin_port = htons((uint16_t)port);
    g_free(spelling.host);
    g_free(spelling.port);
    return good;
}

static bool join_group(SocketNet *net, int fd, GError **err)
{
    struct ip_mreq group = { .imr_multiaddr = net->peer.sin_addr, .imr_interface = { INADDR_ANY } };
    unsigned char loop = 1;

    if (!IN_MULTICAST(ntohl(net->peer.sin_addr.s_addr))) {
        return fail(err, EINVAL, "netdev '%s': mcast=%s is no multicast address (224.0.0.0 to 239.255.255.255)", net->netdev.id, net->mcast);
    }
    if (net->localaddr && !inet_aton(net->localaddr, &group.imr_interface)) {
        return fail(err, EINVAL, "netdev '%s': localaddr=%s is no IPv4 address", net->netdev.id, net->localaddr);
    }
    if (bind(fd, (struct sockaddr *)&net->peer, sizeof net->peer) != 0 || setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) != 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &loop, sizeof loop) != 0 ||
        (net->localaddr && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group.imr_interface, sizeof group.imr_interface) != 0)) {
        return fail(err, errno, "netdev '%s': mcast=%s: %s", net->netdev.id, net->mcast, g_strerror(errno));
    }
    return true;
}

static bool bind_udp(SocketNet *net, int fd, GError **err)
{
    struct sockaddr_in local;

    if (!net->localaddr) {
        return fail(err, EINVAL, "netdev '%s': udp= needs localaddr=HOST:PORT, where the peer sends to", net->netdev.id);
    }
    return read_inet(net, "localaddr", net->localaddr, &local, err) &&
           (bind(fd, (struct sockaddr *)&local, sizeof local) == 0 ||
            fail(err, errno, "netdev '%s': localaddr=%s: %s", net->netdev.id, net->localaddr, g_strerror(errno)));
}

static bool open_datagrams(SocketNet *net, GError **err)
{
    int on = 1, fd;

    if (!read_inet(net, net->mcast ? "mcast" : "udp", net->mcast ? net->mcast : net->udp, &net->peer, err)) {
        return false;
    }
    if ((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0) {
        return fail(err, errno, "netdev '%s': no socket: %s", net->netdev.id, g_strerror(errno));
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!(net->mcast ? join_group(net, fd, err) : bind_udp(net, fd, err))) {
        close(fd);
        return false;
    }
    net->datagrams = net->has_peer = true;
    use(net, fd);
    return true;
}

static bool take_fd(SocketNet *net, GError **err)
{
    uint64_t fd;
    int type;
    socklen_t length = sizeof type;

    if (!parse_uint(net->fd_text, &fd) || fd > INT32_MAX || getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 ||
        (type != SOCK_STREAM && type != SOCK_DGRAM)) {
        return fail(err, EINVAL, "netdev '%s': fd=%s is no socket", net->netdev.id, net->fd_text);
    }
    net->datagrams = type == SOCK_DGRAM;
    use(net, (int)fd);
    return true;
}

static bool socket_open(NetDev *netdev, GError **err)
{
    SocketNet *net = (SocketNet *)netdev;
    unsigned ways = (net->listen != NULL) + (net->connect != NULL) + (net->mcast != NULL) + (net->udp != NULL) + (net->fd_text != NULL);

    net->listener = net->fd = -1;
    net->in = g_malloc(NET_FRAME_MOST + LENGTH);
    net->out = g_byte_array_new();
    if (ways != 1 || (net->localaddr && !net->mcast && !net->udp)) {
        return fail(err, EINVAL, "netdev '%s': one of listen=, connect=, mcast=, udp= and fd= must be given; localaddr= goes with mcast= and udp=", netdev->id);
    }
    return net->fd_text ? take_fd(net, err) : net->mcast || net->udp ? open_datagrams(net, err) : open_stream(net, err);
}

static void socket_close(NetDev *netdev)
{
    SocketNet *net = (SocketNet *)netdev;

    loop_unwatch(net->watch);
    loop_unwatch(net->listen_watch);
    if (net->fd >= 0) {
        close(net->fd);
    }
    if (net->listener >= 0) {
        close(net->listener);
    }
    socket_addresses_clear(&net->addresses);
    g_byte_array_free(net->out, TRUE);
    g_free(net->in);
}

static char *socket_describe(const NetDev *netdev)
{
    const SocketNet *net = (const SocketNet *)netdev;

    return g_strdup_printf("socket: %s", net->listen ? net->fd >= 0 ? "connection from a peer" : "wait from" : net->connect ? net->fd >= 0 ? "connected" : "disconnected" :
                           net->mcast ? "mcast" : net->udp ? "udp" : "fd");
}

static const Field socket_keys[] = {
    PROP_STR("listen", SocketNet, listen, .help = "[HOST]:PORT where the other one connects to"), PROP_STR("connect", SocketNet, connect, .help = "HOST:PORT where the other one listens"),
    PROP_STR("mcast", SocketNet, mcast, .help = "ADDRESS:PORT of a multicast group: all that name it hear each other"),
    PROP_STR("udp", SocketNet, udp, .help = "HOST:PORT where datagrams go to"),
    PROP_STR("localaddr", SocketNet, localaddr, .help = "with mcast= the interface's address; with udp= the HOST:PORT that the other one sends to"),
    PROP_STR("fd", SocketNet, fd_text, .help = "a socket that is open already, by its descriptor"),
    FIELD_END };

const NetBackend net_socket_backend = {
    .name = "socket",  .help = "frames to another guest over TCP, UDP or multicast",  .size = sizeof(SocketNet),  .keys = socket_keys,
    .open = socket_open,  .close = socket_close,  .send = socket_send,  .room = socket_room,  .describe = socket_describe,
};
