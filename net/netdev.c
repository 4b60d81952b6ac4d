/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netdev.c - the gate between a network card and the host: who is plugged into whom, lengths, links, offloads, packets that wait
 *
 * Threads  main loop or a vCPU thread, machine lock held
 * Tests    tests/unit/netdev.c, tests/fuzz/virtio-net.c
 */
#include "net/backend.h"
#include "base/error.h"
#include "base/iov.h"
#include "base/trace.h"
#include "net/offload.h"
#include <errno.h>
#include <string.h>

#define NETDEV_HOME "/netdevs"
enum { KEPT_PACKETS = 512, KEPT_BYTES = 4 << 20 };         /* per queue */

enum { TRACE_SEND, TRACE_DELIVER, TRACE_DROP };
static TracePoint netdev_trace[] = {
    [TRACE_SEND] = { "netdev_send", "a packet from a card to the host" },
    [TRACE_DELIVER] = { "netdev_deliver", "a packet from the host to a card" },
    [TRACE_DROP] = { "netdev_drop", "a packet that goes nowhere, and why" },
};
TRACE_TABLE(netdev_trace)

typedef struct Waiting {
    NetOffload offload;
    size_t bytes;
    uint8_t frame[];
} Waiting;

struct NetKept {
    GQueue packets;                        /* Waiting, for the card */
    size_t bytes;
    unsigned sent;                         /* segments of the packet that the card waits to send, gone already */
    bool emptying;
};

/* ---- the list of backends ---- */

static const NetBackend *const backends[] = {
#ifdef HAVE_SLIRP
    &net_user_backend,
#endif
    &net_socket_backend, &net_tap_backend, &net_bridge_backend,
    NULL,
};

static const NetBackend *backend_find(const char *name)
{
    for (size_t i = 0; name && backends[i]; i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

const char *netdev_backend_name(unsigned index)
{
    return index < G_N_ELEMENTS(backends) && backends[index] ? backends[index]->name : NULL;
}

const char *netdev_backend_help(const char *name)
{
    const NetBackend *backend = backend_find(name);

    return backend ? backend->help : NULL;
}

const Field *netdev_keys(const char *name)
{
    const NetBackend *backend = backend_find(name);

    return backend ? backend->keys : NULL;
}

static const struct { const char *name, *reason; } refusals[] = {
    { "l2tpv3", "it is not supported yet" }, { "vde", "it is not supported yet; use socket or dgram" }, { "netmap", "it is not on Linux" },
    { "vhost-vdpa", "it is not supported yet" }, { "vhost-user", "it is not supported yet" }, { "af-xdp", "it is not supported yet" },
    { "vmnet-host", "it is not on Linux" }, { "vmnet-shared", "it is not on Linux" }, { "vmnet-bridged", "it is not on Linux" },
    { "passt", "it is not supported yet; use user" }, { "user", "it was left out when Roost was built (libslirp)" },
    { "stream", "it is not supported yet" }, { "dgram", "it is not supported yet" }, { "hubport", "it is not supported yet" },
};

const char *netdev_backend_refusal(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        if (strcmp(refusals[i].name, name) == 0) {
            return refusals[i].reason;
        }
    }
    return NULL;
}

/* ---- coming and going ---- */

static void forget_kept(NetDev *netdev)
{
    for (unsigned queue = 0; netdev->kept && queue < netdev->queues; queue++) {
        NetKept *kept = &netdev->kept[queue];
        for (Waiting *waiting; (waiting = g_queue_pop_head(&kept->packets));) {
            g_free(waiting);
        }
        kept->bytes = 0;
        kept->sent = 0;
    }
}

static void netdev_finalize(Object *object)
{
    NetDev *netdev = (NetDev *)object;

    if (netdev->begun && netdev->backend->close) {
        netdev->backend->close(netdev);
    }
    forget_kept(netdev);
    fields_clear(netdev->backend->keys, netdev);
    g_free(netdev->kept);
    g_free(netdev->user_name);
    g_free(netdev->user_model);
    g_free(netdev->id);
    g_free(netdev);
}

NetDev *netdev_make(const NetBackend *backend, const char *id)
{
    NetDev *netdev = g_malloc0(backend->size);
    g_autofree char *type_name = g_strconcat("netdev-", backend->name, NULL);

    netdev->type = (ObjectType){ .name = g_intern_string(type_name), .parent = "netdev", .finalize = netdev_finalize };
    object_init(&netdev->object, &netdev->type);
    netdev->backend = backend;
    netdev->id = g_strdup(id);
    netdev->queues = 1;
    fields_init(backend->keys, netdev);
    return netdev;
}

bool netdev_begin(NetDev *netdev, const Value *config, GError **err)
{
    static const char *const own[] = { "id", "type", NULL };
    g_autofree char *who = g_strdup_printf("netdev '%s'", netdev->id);

    if (!fields_set(netdev->backend->keys, netdev, who, config, own, err)) {
        return false;
    }
    netdev->begun = true;
    if (!netdev->backend->open(netdev, err)) {
        return false;
    }
    netdev->queues = CLAMP(netdev->queues, 1, NET_QUEUES_MOST);
    netdev->kept = g_new0(NetKept, netdev->queues);
    return object_add_child(object_container(NETDEV_HOME), netdev->id, &netdev->object, err);
}

NetDev *netdev_new(const Value *config, GError **err)
{
    const char *id = value_get_string(config, "id", NULL), *type = value_get_string(config, "type", "");
    const NetBackend *backend = backend_find(type);
    const char *refusal = netdev_backend_refusal(type);

    if (!id || netdev_find(id)) {
        fail(err, id ? EEXIST : EINVAL, id ? "netdev '%s': the id is taken; choose another id=" : "a netdev needs id=NAME", id);
        return NULL;
    }
    if (!backend) {
        fail(err, refusal ? ENOTSUP : EINVAL, refusal ? "netdev '%s': backend '%s' is refused: %s" : "netdev '%s': there is no backend '%s'; '-netdev help' lists them%s",
             id, type, refusal ? refusal : "");
        return NULL;
    }
    NetDev *netdev = netdev_make(backend, id);
    if (!netdev_begin(netdev, config, err)) {
        object_unref(&netdev->object);
        return NULL;
    }
    return netdev;
}

static NetDev *find_by(const char *name, bool by_user)
{
    const Object *home = object_container(NETDEV_HOME);

    for (guint i = 0; home->children && i < home->children->len; i++) {
        NetDev *netdev = home->children->pdata[i];
        if (g_strcmp0(by_user ? netdev->user_name : netdev->id, name) == 0) {
            return netdev;
        }
    }
    return NULL;
}

NetDev *netdev_find(const char *id)
{
    return find_by(id, false);
}

NetDev *netdev_of_user(const char *name)
{
    return find_by(name, true);
}

void netdev_each(void (*each)(void *opaque, NetDev *netdev), void *opaque)
{
    const Object *home = object_container(NETDEV_HOME);

    for (guint i = 0; home->children && i < home->children->len; i++) {
        each(opaque, home->children->pdata[i]);
    }
}

static void unplug_user(NetDev *netdev)
{
    netdev->user = NULL;
    netdev->opaque = NULL;
    netdev->user_takes = 0;
    g_clear_pointer(&netdev->user_name, g_free);
    g_clear_pointer(&netdev->user_model, g_free);
    forget_kept(netdev);
}

static void remove_netdev(NetDev *netdev)
{
    const NetUser *user = netdev->user;
    void *opaque = netdev->opaque;

    unplug_user(netdev);
    if (user && user->gone) {
        user->gone(opaque);
    }
    object_unparent(&netdev->object);
    object_unref(&netdev->object);         /* the maker's */
}

bool netdev_delete(const char *id, GError **err)
{
    NetDev *netdev = netdev_find(id);

    if (!netdev) {
        return fail(err, ENOENT, "there is no netdev '%s'", id);
    }
    remove_netdev(netdev);
    return true;
}

void netdev_remove_all(void)
{
    Object *home = object_container(NETDEV_HOME);

    while (home->children && home->children->len) {
        remove_netdev(home->children->pdata[home->children->len - 1]);
    }
}

/* ---- who is plugged in ---- */

bool netdev_attach(NetDev *netdev, const NetUser *user, void *opaque, const char *name, const char *model, const uint8_t mac[6], GError **err)
{
    if (netdev->user) {
        return fail(err, EBUSY, "netdev '%s' is in use by '%s'; each card needs a netdev of its own (hubport joins several)", netdev->id, netdev->user_name);
    }
    netdev->user = user;
    netdev->opaque = opaque;
    netdev->user_name = g_strdup(name);
    netdev->user_model = g_strdup(model);
    memcpy(netdev->mac, mac, sizeof netdev->mac);
    netdev_user_takes(netdev, 0);
    return true;
}

void netdev_detach(NetDev *netdev, void *opaque)
{
    if (netdev && netdev->opaque == opaque && netdev->user) {
        unplug_user(netdev);
        netdev_user_takes(netdev, 0);
    }
}

void netdev_user_takes(NetDev *netdev, unsigned takes)
{
    if (netdev) {
        netdev->user_takes = takes;
        if (netdev->backend->user_changed) {
            netdev->backend->user_changed(netdev);
        }
    }
}

void netdev_user_mac(NetDev *netdev, const uint8_t mac[6])
{
    if (netdev) {
        memcpy(netdev->mac, mac, sizeof netdev->mac);
    }
}

void netdev_set_link(NetDev *netdev, bool up)
{
    if (netdev->down == !up) {
        return;
    }
    netdev->down = !up;
    if (netdev->user && netdev->user->link) {
        netdev->user->link(netdev->opaque, up);
    }
    for (unsigned queue = 0; up && queue < netdev->queues; queue++) {
        netdev_room(netdev, queue);
    }
}

/* ---- from the card ---- */

typedef struct OnTheWay {
    NetDev *netdev;
    unsigned queue;
} OnTheWay;

static NetResult give_to_backend(void *opaque, const NetPacket *packet)
{
    OnTheWay *way = opaque;

    return way->netdev->backend->send(way->netdev, way->queue, packet);
}

static bool passes(const NetDev *netdev, unsigned queue, const NetPacket *packet)
{
    const char *wrong = netdev->down ? "the link is down" : queue >= netdev->queues ? "there is no such queue" :
                        packet->count >= NET_PIECES_MOST ? "it is in too many pieces" : net_offload_check(packet);

    if (wrong) {
        TRACE(&netdev_trace[TRACE_DROP], "netdev %s queue %u bytes %zu: %s", netdev->id, queue, packet->bytes, wrong);
    }
    return !wrong;
}

NetResult netdev_send(NetDev *netdev, unsigned queue, const NetPacket *packet)
{
    if (!netdev || !passes(netdev, queue, packet)) {
        return NET_DONE;
    }
    TRACE(&netdev_trace[TRACE_SEND], "netdev %s queue %u bytes %zu gso %u", netdev->id, queue, packet->bytes, packet->offload.gso_size);
    OnTheWay way = { netdev, queue };
    return net_offload_finish(packet, netdev->takes, &netdev->kept[queue].sent, give_to_backend, &way);
}

void netdev_now_sendable(NetDev *netdev, unsigned queue)
{
    if (netdev->user && netdev->user->sent) {
        netdev->user->sent(netdev->opaque, queue);
    }
}

/* ---- to the card ---- */

static void keep(NetDev *netdev, unsigned queue, const NetPacket *packet)
{
    NetKept *kept = &netdev->kept[queue];

    if (kept->packets.length >= KEPT_PACKETS || kept->bytes + packet->bytes > KEPT_BYTES) {
        TRACE(&netdev_trace[TRACE_DROP], "netdev %s queue %u bytes %zu: the card has no room for long", netdev->id, queue, packet->bytes);
        return;
    }
    Waiting *waiting = g_malloc(sizeof *waiting + packet->bytes);
    waiting->offload = packet->offload;
    waiting->bytes = iov_gather(packet->iov, packet->count, 0, waiting->frame, packet->bytes);
    kept->bytes += waiting->bytes;
    g_queue_push_tail(&kept->packets, waiting);
}

static bool card_waits(const NetDev *netdev, unsigned queue)
{
    return netdev->user->can_receive && !netdev->user->can_receive(netdev->opaque, queue);
}

/* A whole packet, or one segment of it. Never NET_WAIT: what the card has no room for is kept. */
static NetResult give_to_card(void *opaque, const NetPacket *packet)
{
    OnTheWay *way = opaque;
    NetDev *netdev = way->netdev;

    if (netdev->user && (!g_queue_is_empty(&netdev->kept[way->queue].packets) || card_waits(netdev, way->queue) ||
                         netdev->user->receive(netdev->opaque, way->queue, packet) == NET_WAIT)) {
        keep(netdev, way->queue, packet);
    }
    return NET_DONE;
}

void netdev_deliver(NetDev *netdev, unsigned queue, const NetPacket *packet)
{
    unsigned at = 0;

    if (!netdev->user || !netdev->kept || !passes(netdev, queue, packet)) {
        return;
    }
    TRACE(&netdev_trace[TRACE_DELIVER], "netdev %s queue %u bytes %zu gso %u", netdev->id, queue, packet->bytes, packet->offload.gso_size);
    OnTheWay way = { netdev, queue };
    net_offload_finish(packet, netdev->user_takes, &at, give_to_card, &way);
}

void netdev_deliver_bytes(NetDev *netdev, unsigned queue, const void *frame, size_t bytes)
{
    struct iovec piece = { (void *)(uintptr_t)frame, bytes };

    netdev_deliver(netdev, queue, &(NetPacket){ .iov = &piece, .count = 1, .bytes = bytes });
}

bool netdev_can_deliver(NetDev *netdev, unsigned queue)
{
    return !netdev->user || !netdev->kept || (g_queue_is_empty(&netdev->kept[queue].packets) && !card_waits(netdev, queue));
}

static bool hand_over_first(NetDev *netdev, unsigned queue)
{
    NetKept *kept = &netdev->kept[queue];
    Waiting *waiting = g_queue_peek_head(&kept->packets);
    struct iovec piece = { waiting->frame, waiting->bytes };
    NetPacket packet = { .iov = &piece, .count = 1, .bytes = waiting->bytes, .offload = waiting->offload };

    if (!netdev->user || netdev->user->receive(netdev->opaque, queue, &packet) == NET_WAIT) {
        return false;
    }
    if (g_queue_peek_head(&kept->packets) == waiting) {    /* the card may have been unplugged meanwhile */
        g_queue_pop_head(&kept->packets);
        kept->bytes -= waiting->bytes;
        g_free(waiting);
    }
    return true;
}

void netdev_room(NetDev *netdev, unsigned queue)
{
    if (!netdev || !netdev->kept || queue >= netdev->queues || netdev->kept[queue].emptying || !netdev->user || netdev->down) {
        return;
    }
    NetKept *kept = &netdev->kept[queue];
    kept->emptying = true;                 /* receive() may call back */
    while (!g_queue_is_empty(&kept->packets) && netdev->user && !card_waits(netdev, queue) && hand_over_first(netdev, queue)) {
    }
    kept->emptying = false;
    if (netdev->backend->room && netdev_can_deliver(netdev, queue)) {
        netdev->backend->room(netdev, queue);
    }
}

/* ---- what is asked about it ---- */

const char *netdev_id(const NetDev *netdev)
{
    return netdev->id;
}

const char *netdev_kind(const NetDev *netdev)
{
    return netdev->backend->name;
}

char *netdev_describe(const NetDev *netdev)
{
    g_autofree char *more = netdev->backend->describe ? netdev->backend->describe(netdev) : NULL;

    return g_strdup_printf("%s: index=0,type=%s%s%s", netdev->id, netdev->backend->name, more ? "," : "", more ? more : "");
}

char *netdev_describe_user(const NetDev *netdev)
{
    const uint8_t *mac = netdev->mac;

    return !netdev->user ? NULL : g_strdup_printf("%s: index=0,type=nic,model=%s,macaddr=%02x:%02x:%02x:%02x:%02x:%02x", netdev->user_name, netdev->user_model,
                                                  mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

unsigned netdev_queues(const NetDev *netdev)
{
    return netdev ? netdev->queues : 1;
}

unsigned netdev_takes(const NetDev *netdev)
{
    return netdev ? netdev->takes : 0;
}

uint16_t netdev_host_mtu(const NetDev *netdev)
{
    return netdev ? netdev->host_mtu : 0;
}

bool netdev_link_up(const NetDev *netdev)
{
    return netdev && !netdev->down;
}
