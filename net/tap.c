/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tap.c - a network interface of the host whose other end is the card
 *
 * Models   Linux's tun/tap driver (Documentation/networking/tuntap.rst): IFF_TAP, IFF_VNET_HDR, IFF_MULTI_QUEUE; QEMU's -netdev tap and bridge
 * Omits    vhost, sndbuf, busy polling: refused
 * Threads  main loop, and vCPU threads for packets to the host; machine lock held
 * Tests    tests/unit/netdev-links.c
 *
 * Checksums and segments go through as they are: the kernel takes a header before each packet, and is told what the card takes.
 */
#include "base/error.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/open.h"
#include "net/backend.h"
#include "net/offload.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VNET_HEADER = 10, BURST = 64, PIECES = 1024 };
#define HELPER_PRESET "/usr/lib/qemu/qemu-bridge-helper"

typedef struct TapQueue {
    struct Tap *tap;
    unsigned index;
    int fd;
    LoopWatch *watch;
    bool full;                             /* the card has no room: not read */
    bool waits;                            /* the interface has no room: a packet waits in the card */
} TapQueue;

typedef struct Tap {
    NetDev netdev;
    /* as written */
    char *ifname, *fd, *fds, *script, *downscript, *helper, *br, *vhostfd, *vhostfds;
    int vnet_hdr, vhost, vhostforce;       /* OFF, ON, AUTO */
    uint64_t queue_count, sndbuf, poll_us;
    bool has_queues;
    /* as made */
    char name[IFNAMSIZ];
    bool has_header, ours;                 /* ours: made here, so downscript runs */
    TapQueue *queues;
    unsigned opened;
    uint8_t *buffer;
} Tap;

enum { OFF, ON, AUTO };

/* ---- packets ---- */

static void watch(TapQueue *queue)
{
    loop_watch_change(queue->watch, (queue->full ? 0 : G_IO_IN) | (queue->waits ? G_IO_OUT : 0));
}

/* False: nothing was there. */
static bool read_one(TapQueue *queue)
{
    Tap *tap = queue->tap;
    size_t skip = tap->has_header ? VNET_HEADER : 0;
    ssize_t bytes = read(queue->fd, tap->buffer, NET_FRAME_MOST + VNET_HEADER);

    if (bytes < (ssize_t)skip) {
        return false;
    }
    struct iovec piece = { tap->buffer + skip, (size_t)bytes - skip };
    NetPacket packet = { .iov = &piece, .count = 1, .bytes = piece.iov_len };
    if (skip) {
        memcpy(&packet.offload.flags, tap->buffer, 1);
        packet.offload.gso_type = tap->buffer[1];
        memcpy(&packet.offload.header_bytes, tap->buffer + 2, 2);
        memcpy(&packet.offload.gso_size, tap->buffer + 4, 2);
        memcpy(&packet.offload.csum_start, tap->buffer + 6, 2);
        memcpy(&packet.offload.csum_offset, tap->buffer + 8, 2);
    }
    netdev_deliver(&tap->netdev, queue->index, &packet);
    return true;
}

static void ready(void *opaque, int fd, GIOCondition condition)
{
    TapQueue *queue = opaque;

    (void)fd;
    if (condition & G_IO_OUT && queue->waits) {
        queue->waits = false;
        netdev_now_sendable(&queue->tap->netdev, queue->index);
    }
    for (unsigned i = 0; i < BURST && condition & ~G_IO_OUT; i++) {
        if (!netdev_can_deliver(&queue->tap->netdev, queue->index)) {
            queue->full = true;
            break;
        }
        if (!read_one(queue)) {
            break;
        }
    }
    watch(queue);
}

static void tap_room(NetDev *netdev, unsigned index)
{
    TapQueue *queue = &((Tap *)netdev)->queues[index];

    if (queue->full) {
        queue->full = false;
        watch(queue);
    }
}

static NetResult tap_send(NetDev *netdev, unsigned index, const NetPacket *packet)
{
    Tap *tap = (Tap *)netdev;
    TapQueue *queue = &tap->queues[index];
    struct iovec pieces[PIECES];
    const NetOffload *offload = &packet->offload;
    uint8_t header[VNET_HEADER] = { offload->flags & NET_NEEDS_CSUM, offload->gso_type };
    unsigned count = 0;

    memcpy(header + 2, &offload->header_bytes, 2);
    memcpy(header + 4, &offload->gso_size, 2);
    memcpy(header + 6, &offload->csum_start, 2);
    memcpy(header + 8, &offload->csum_offset, 2);
    if (tap->has_header) {
        pieces[count++] = (struct iovec){ header, sizeof header };
    }
    if (packet->count > PIECES - count) {  /* more than one system call takes */
        iov_gather(packet->iov, packet->count, 0, tap->buffer, packet->bytes);
        pieces[count++] = (struct iovec){ tap->buffer, packet->bytes };
    } else {
        memcpy(pieces + count, packet->iov, packet->count * sizeof *pieces);
        count += (unsigned)packet->count;
    }
    if (writev(queue->fd, pieces, (int)count) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        queue->waits = true;
        watch(queue);
        return NET_WAIT;
    }
    return NET_DONE;
}

static void tap_user_changed(NetDev *netdev)
{
    Tap *tap = (Tap *)netdev;
    unsigned takes = netdev->user_takes;
    unsigned flags = (takes & NET_TAKES_CSUM ? TUN_F_CSUM : 0u) | (takes & NET_TAKES_TSO4 ? TUN_F_TSO4 : 0u) | (takes & NET_TAKES_TSO6 ? TUN_F_TSO6 : 0u) |
                     (takes & NET_TAKES_ECN && takes & (NET_TAKES_TSO4 | NET_TAKES_TSO6) ? TUN_F_TSO_ECN : 0u);

    for (unsigned i = 0; tap->has_header && i < tap->opened; i++) {
        ioctl(tap->queues[i].fd, TUNSETOFFLOAD, takes & NET_TAKES_CSUM ? flags : 0u);      /* what it refuses the gate finishes */
    }
}

/* ---- scripts and helpers ---- */

/* Runs it and waits: what it does must be done before a packet comes. */
static bool run_script(const Tap *tap, const char *script, GError **err)
{
    char *argv[] = { (char *)(uintptr_t)script, (char *)(uintptr_t)tap->name, NULL };
    g_autoptr(GError) failed = NULL;
    int status;

    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL, NULL, &status, &failed)) {
        return fail(err, ENOEXEC, "netdev '%s': script %s: %s; script=no needs none", tap->netdev.id, script, failed->message);
    }
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
           fail(err, EIO, "netdev '%s': script %s %s ended with status %d", tap->netdev.id, script, tap->name, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static int receive_fd(int from)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec piece = { &byte, 1 };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    int fd = -1;

    if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) > 0) {
        struct cmsghdr *part = CMSG_FIRSTHDR(&message);
        if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS && part->cmsg_len == CMSG_LEN(sizeof(int))) {
            memcpy(&fd, CMSG_DATA(part), sizeof fd);
        }
    }
    return fd;
}

/* A setuid program makes the interface, puts it into the bridge, and sends its descriptor. */
static int ask_helper(const Tap *tap, GError **err)
{
    const char *helper = tap->helper ? tap->helper : HELPER_PRESET, *bridge = tap->br ? tap->br : "br0";
    g_autofree char *bridge_word = g_strdup_printf("--br=%s", bridge), *fd_word = NULL;
    g_autoptr(GError) failed = NULL;
    int ends[2], fd, status;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        fail(err, errno, "netdev '%s': no socket for the helper: %s", tap->netdev.id, g_strerror(errno));
        return -1;
    }
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fd_word = g_strdup_printf("--fd=%d", ends[1]);
    char *argv[] = { (char *)(uintptr_t)helper, (char[]){ "--use-vnet" }, fd_word, bridge_word, NULL };
    bool ran = g_spawn_sync(NULL, argv, NULL, G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL, NULL, NULL, NULL, &status, &failed);
    close(ends[1]);
    fd = ran ? receive_fd(ends[0]) : -1;
    close(ends[0]);
    if (fd < 0) {
        fail(err, EIO, "netdev '%s': helper %s for bridge '%s': %s", tap->netdev.id, helper, bridge,
             ran ? "it made no interface; is the bridge there, and allowed in /etc/qemu/bridge.conf?" : failed->message);
    }
    return fd;
}

/* ---- opening ---- */

static int open_interface(Tap *tap, GError **err)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    unsigned features = 0;
    int fd = host_open("tap", "/dev/net/tun", O_RDWR | O_NONBLOCK, 0, err);

    if (fd < 0) {
        g_prefix_error(err, "netdev '%s': ", tap->netdev.id);
        return -1;
    }
    ioctl(fd, TUNGETFEATURES, &features);
    if (tap->vnet_hdr == ON && !(features & IFF_VNET_HDR)) {
        close(fd);
        fail(err, ENOTSUP, "netdev '%s': vnet_hdr=on: this kernel's tap has none", tap->netdev.id);
        return -1;
    }
    request.ifr_flags = (short)(request.ifr_flags | (features & IFF_VNET_HDR && tap->vnet_hdr != OFF ? IFF_VNET_HDR : 0) | (tap->netdev.queues > 1 ? IFF_MULTI_QUEUE : 0));
    g_strlcpy(request.ifr_name, tap->name[0] ? tap->name : tap->ifname ? tap->ifname : "tap%d", sizeof request.ifr_name);
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        int code = errno;
        close(fd);
        fail(err, code, "netdev '%s': cannot make the interface '%s': %s%s", tap->netdev.id, request.ifr_name, g_strerror(code),
             code == EPERM ? "; it needs root, or an interface made for this user (ip tuntap add mode tap user NAME)" : code == EBUSY ? "; somebody else has it open" : "");
        return -1;
    }
    g_strlcpy(tap->name, request.ifr_name, sizeof tap->name);
    return fd;
}

/* One more queue on a descriptor that is a tap, or no longer open. */
static bool add_queue(Tap *tap, int fd, GError **err)
{
    struct ifreq request = { .ifr_flags = 0 };
    bool header;

    if (ioctl(fd, TUNGETIFF, &request) != 0 || !(request.ifr_flags & IFF_TAP)) {
        close(fd);
        return fail(err, EINVAL, "netdev '%s': descriptor %d is no tap", tap->netdev.id, fd);
    }
    header = request.ifr_flags & IFF_VNET_HDR;
    if (tap->opened && header != tap->has_header) {
        close(fd);
        return fail(err, EINVAL, "netdev '%s': fds= has taps with and without IFF_VNET_HDR", tap->netdev.id);
    }
    int size = VNET_HEADER;
    tap->has_header = header;
    g_strlcpy(tap->name, request.ifr_name, sizeof tap->name);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (header) {
        ioctl(fd, TUNSETVNETHDRSZ, &size);
        ioctl(fd, TUNSETOFFLOAD, 0);
    }
    TapQueue *queue = &tap->queues[tap->opened];
    *queue = (TapQueue){ .tap = tap, .index = tap->opened, .fd = fd };
    queue->watch = loop_watch(fd, G_IO_IN, ready, queue);
    tap->opened++;
    return true;
}

static bool take_fds(Tap *tap, GError **err)
{
    g_auto(GStrv) numbers = g_strsplit(tap->fds ? tap->fds : tap->fd, ":", 0);
    unsigned count = g_strv_length(numbers);

    if (count < 1 || count > NET_QUEUES_MOST || tap->ifname || tap->has_queues) {
        return fail(err, EINVAL, "netdev '%s': fd= and fds= take 1 to %d descriptors, and neither ifname= nor queues= beside them", tap->netdev.id, NET_QUEUES_MOST);
    }
    tap->netdev.queues = count;
    tap->queues = g_new0(TapQueue, count);
    for (char **number = numbers; *number; number++) {
        uint64_t fd;
        if (!parse_uint(*number, &fd) || fd > INT32_MAX) {
            return fail(err, EINVAL, "netdev '%s': fd '%s' is no descriptor's number", tap->netdev.id, *number);
        }
        if (!add_queue(tap, (int)fd, err)) {
            return false;
        }
    }
    return true;
}

static bool make_queues(Tap *tap, bool by_helper, GError **err)
{
    const char *script = tap->script ? tap->script : "/etc/qemu-ifup";

    tap->netdev.queues = (unsigned)tap->queue_count;
    tap->queues = g_new0(TapQueue, tap->netdev.queues);
    for (unsigned i = 0; i < tap->netdev.queues; i++) {
        int fd = by_helper ? ask_helper(tap, err) : open_interface(tap, err);
        if (fd < 0 || !add_queue(tap, fd, err)) {
            return false;
        }
    }
    tap->ours = !by_helper;
    if (by_helper || strcmp(script, "no") == 0 || !*script) {
        return true;
    }
    if (!tap->script && access(script, X_OK) != 0) {
        report_warning("netdev '%s': there is no %s to set '%s' up; script= names another, script=no says that none is needed", tap->netdev.id, script, tap->name);
        return true;
    }
    return run_script(tap, script, err);
}

static bool check_keys(const Tap *tap, GError **err)
{
    if (tap->vhost == ON || tap->vhostforce == ON || tap->vhostfd || tap->vhostfds) {
        return fail(err, ENOTSUP, "netdev '%s': vhost is not supported yet; leave it out", tap->netdev.id);
    }
    if (tap->sndbuf || tap->poll_us) {
        return fail(err, ENOTSUP, "netdev '%s': sndbuf= and poll-us= are not supported", tap->netdev.id);
    }
    return (tap->queue_count >= 1 && tap->queue_count <= NET_QUEUES_MOST) ||
           fail(err, EINVAL, "netdev '%s': queues=%" G_GUINT64_FORMAT " is not from 1 to %d", tap->netdev.id, tap->queue_count, NET_QUEUES_MOST);
}

static bool open_as(Tap *tap, bool by_helper, GError **err)
{
    tap->buffer = g_malloc(NET_FRAME_MOST + VNET_HEADER);
    tap->has_queues = tap->queue_count > 1;
    if (!check_keys(tap, err) || !(tap->fd || tap->fds ? take_fds(tap, err) : make_queues(tap, by_helper, err))) {
        return false;
    }
    if (tap->has_header) {
        tap->netdev.takes = NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_TSO6 | NET_TAKES_ECN;
    }
    return true;
}

static bool tap_open(NetDev *netdev, GError **err)
{
    Tap *tap = (Tap *)netdev;

    return open_as(tap, tap->helper != NULL, err);
}

static bool bridge_open(NetDev *netdev, GError **err)
{
    ((Tap *)netdev)->queue_count = 1;
    return open_as((Tap *)netdev, true, err);
}

static void tap_close(NetDev *netdev)
{
    Tap *tap = (Tap *)netdev;
    const char *script = tap->downscript ? tap->downscript : "/etc/qemu-ifdown";

    if (tap->ours && tap->name[0] && *script && strcmp(script, "no") != 0 && access(script, X_OK) == 0) {
        g_autoptr(GError) err = NULL;
        if (!run_script(tap, script, &err)) {
            report_warning("%s", err->message);
        }
    }
    for (unsigned i = 0; i < tap->opened; i++) {
        loop_unwatch(tap->queues[i].watch);
        close(tap->queues[i].fd);
    }
    g_free(tap->queues);
    g_free(tap->buffer);
}

static char *tap_describe(const NetDev *netdev)
{
    const Tap *tap = (const Tap *)netdev;

    return g_strdup_printf("ifname=%s,script=%s,downscript=%s", tap->name, tap->script ? tap->script : "no", tap->downscript ? tap->downscript : "no");
}

static char *bridge_describe(const NetDev *netdev)
{
    const Tap *tap = (const Tap *)netdev;

    return g_strdup_printf("helper=%s,br=%s", tap->helper ? tap->helper : HELPER_PRESET, tap->br ? tap->br : "br0");
}

static const Field tap_keys[] = {
    PROP_STR("ifname", Tap, ifname, .help = "the interface's name; default: the next of tap0 and on"),
    PROP_STR("fd", Tap, fd, .help = "a tap that is open already, by its descriptor"),
    PROP_STR("fds", Tap, fds, .help = "the same for several queues: X:Y:..."),
    PROP_STR("script", Tap, script, .help = "a program that sets the interface up, or no; default /etc/qemu-ifup where there is one"),
    PROP_STR("downscript", Tap, downscript, .help = "a program for its end, or no; default /etc/qemu-ifdown where there is one"),
    PROP_STR("helper", Tap, helper, .help = "a program that makes the interface and puts it into a bridge"),
    PROP_STR("br", Tap, br, .help = "the helper's bridge; default br0"),
    PROP_ONOFFAUTO("vnet_hdr", Tap, vnet_hdr, AUTO, .help = "checksums and segments go through as they are; default: where the kernel can"),
    PROP_SIZE("queues", Tap, queue_count, 1, .help = "pairs of queues"),
    PROP_ONOFFAUTO("vhost", Tap, vhost, AUTO, .help = "on is not supported"), PROP_ONOFFAUTO("vhostforce", Tap, vhostforce, AUTO, .help = "on is not supported"),
    PROP_STR("vhostfd", Tap, vhostfd, .help = "not supported"), PROP_STR("vhostfds", Tap, vhostfds, .help = "not supported"),
    PROP_SIZE("sndbuf", Tap, sndbuf, 0, .help = "not supported"), PROP_SIZE("poll-us", Tap, poll_us, 0, .help = "not supported"),
    FIELD_END };

static const Field bridge_keys[] = {
    PROP_STR("br", Tap, br, .help = "the bridge; default br0"),
    PROP_STR("helper", Tap, helper, .help = "the program that makes the interface; default " HELPER_PRESET),
    FIELD_END };

const NetBackend net_tap_backend = {
    .name = "tap",  .help = "a network interface of the host",  .size = sizeof(Tap),  .keys = tap_keys,
    .open = tap_open,  .close = tap_close,  .send = tap_send,  .room = tap_room,  .user_changed = tap_user_changed,  .describe = tap_describe,
};
const NetBackend net_bridge_backend = {
    .name = "bridge",  .help = "an interface that a helper makes and puts into a bridge",  .size = sizeof(Tap),  .keys = bridge_keys,
    .open = bridge_open,  .close = tap_close,  .send = tap_send,  .room = tap_room,  .user_changed = tap_user_changed,  .describe = bridge_describe,
};
