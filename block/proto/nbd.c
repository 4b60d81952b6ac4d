/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd.c - "nbd": a disk that a server elsewhere exports, over TCP or a UNIX socket
 *
 * Models   QEMU's driver: server.type/host/port/path, export, reconnect-delay, open-timeout; nbd://, nbd+unix://, nbd:HOST:PORT, nbd:unix:PATH.
 *          Up to 64 requests in flight on one connection
 * Omits    TLS, x-dirty-bitmap: refused as unknown keys; several connections
 * Lost     a connection that breaks, or whose server says nonsense, ends all requests under way: with -EIO, or, for reconnect-delay
 *          seconds, by sending them again over a new one. request-timeout: seconds of silence after which a server counts as gone
 * Reading  whoever waits for an answer and finds nobody reading reads for all; when his own answer came, the next one reads
 * Threads  home loop; names are looked up on a worker thread
 * Tests    tests/block/nbd.py
 */
#include "block/drivers.h"
#include "base/error.h"
#include "base/socket-address.h"
#include "base/timer.h"
#include "base/trace.h"
#include "base/yank.h"
#include "block/proto/nbd-wire.h"
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOTS = 64, GREETING_SECONDS = 30, RETRY_NS = 100 * 1000 * 1000 };

enum { TRACE_CONNECT, TRACE_LOST };
static TracePoint nbd_trace[] = {
    [TRACE_CONNECT] = { "nbd_connect", "a connection to an NBD server stands" },
    [TRACE_LOST] = { "nbd_lost", "a connection to an NBD server is given up" } };
TRACE_TABLE(nbd_trace)

typedef struct Slot { NbdRequest *request; Coroutine *waiting; uint32_t turn; } Slot;
typedef struct FdWaiter { Coroutine *coroutine; IoTimer timer; bool timed_out; } FdWaiter;

typedef struct Nbd {
    Node node;
    /* options */
    Value *server;
    char *host, *port, *path, *export_name;
    uint64_t reconnect_delay, open_timeout, request_timeout;
    /* where it is */
    SocketAddresses addresses;
    char *who;
    NbdExport export_;
    bool opened_once, quiesced;
    /* the connection */
    int fd;                                /* -1: none */
    Yankable *yankable;
    bool broken;
    IoWatch *watch;
    uint32_t watched;
    FdWaiter *reading, *writing;
    int64_t deadline;                      /* of the greeting; 0: none */
    NbdWire wire;
    CoMutex connecting, sending;
    /* requests */
    Slot slots[SLOTS];
    unsigned in_flight;
    bool reader;                           /* somebody reads answers */
    CoQueue free_slot;
} Nbd;

static const Field nbd_options[] = {
    PROP_VALUE("server", Nbd, server, .help = "where: type=inet with host and port, or type=unix with path"),
    PROP_STR("host", Nbd, host, .help = "the server's host, for server.host"),
    PROP_STR("port", Nbd, port, .help = "the server's port, for server.port; default 10809"),
    PROP_STR("path", Nbd, path, .help = "a UNIX socket, for server.path"),
    PROP_STR("export", Nbd, export_name, .help = "name of the export; default the server's own choice"),
    PROP_U64("reconnect-delay", Nbd, reconnect_delay, 0, .max = 86400, .min = 0,
             .help = "seconds in which requests wait for a lost server to come back; default 0: they fail"),
    PROP_U64("open-timeout", Nbd, open_timeout, 0, .max = 86400, .min = 0, .help = "seconds in which opening tries to reach the server; default 0: once"),
    PROP_U64("request-timeout", Nbd, request_timeout, 0, .max = 86400, .min = 0,
             .help = "seconds of silence after which the server counts as lost; default 0: never"),
    FIELD_END };

/* ---- the socket ---- */

static void fd_ready(void *opaque, uint32_t events)
{
    Nbd *nbd = opaque;
    FdWaiter *reader = events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? nbd->reading : NULL;
    FdWaiter *writer = events & (EPOLLOUT | EPOLLERR | EPOLLHUP) ? nbd->writing : NULL;

    if (!reader && !writer) {              /* nobody waits for this (now): it will be asked again */
        nbd->watched = (nbd->reading ? EPOLLIN : 0) | (nbd->writing ? EPOLLOUT : 0);
        io_watch_change(nbd->watch, nbd->watched);
        return;
    }
    nbd->reading = reader ? NULL : nbd->reading;
    nbd->writing = writer ? NULL : nbd->writing;
    if (reader) {
        coroutine_ready(reader->coroutine);
    }
    if (writer) {
        coroutine_ready(writer->coroutine);
    }
}

static void fd_late(void *opaque)
{
    FdWaiter *waiter = opaque;

    waiter->timed_out = true;
    coroutine_ready(waiter->coroutine);
}

static int wait_fd(Nbd *nbd, uint32_t events)
{
    FdWaiter waiter = { .coroutine = coroutine_self() }, **place = events == EPOLLIN ? &nbd->reading : &nbd->writing;
    int64_t silence = nbd->request_timeout ? clock_now(CLOCK_STEADY) + (int64_t)nbd->request_timeout * NS_PER_SECOND : 0;
    int64_t deadline = nbd->deadline ? nbd->deadline : silence;

    if (!nbd->watch) {
        nbd->watch = io_watch(nbd->node.loop, nbd->fd, events, fd_ready, nbd);
        nbd->watched = events;
        if (!nbd->watch) {
            return -errno;
        }
    } else if (!(nbd->watched & events)) {
        nbd->watched |= events;
        io_watch_change(nbd->watch, nbd->watched);
    }
    io_timer_init(&waiter.timer, nbd->node.loop, fd_late, &waiter);
    if (deadline) {
        io_timer_arm(&waiter.timer, deadline);
    }
    *place = &waiter;
    coroutine_yield();
    if (*place == &waiter) {
        *place = NULL;
    }
    if (deadline) {
        io_timer_cancel(&waiter.timer);
    }
    return nbd->broken ? -ECONNRESET : waiter.timed_out ? -ETIMEDOUT : 0;
}

static int64_t nbd_stream_receive(void *opaque, const struct iovec *iov, size_t count)
{
    Nbd *nbd = opaque;
    struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = MIN(count, 1024) };

    while (!nbd->broken) {
        ssize_t got = recvmsg(nbd->fd, &message, MSG_DONTWAIT);
        if (got >= 0) {
            return got;
        }
        if (errno != EINTR) {
            int result = errno == EAGAIN || errno == EWOULDBLOCK ? wait_fd(nbd, EPOLLIN) : -errno;
            if (result < 0) {
                return result;
            }
        }
    }
    return -ECONNRESET;
}

static int nbd_stream_send(void *opaque, const struct iovec *iov, size_t count)
{
    Nbd *nbd = opaque;
    Iov all = iov_all(iov, count);
    struct iovec few[32];

    while (all.bytes) {
        struct iovec *plain = all.count <= G_N_ELEMENTS(few) ? few : g_try_new(struct iovec, all.count);
        if (!plain) {
            return -ENOMEM;
        }
        struct msghdr message = { .msg_iov = plain, .msg_iovlen = MIN(iov_plain(all, plain), 1024) };
        ssize_t put = nbd->broken ? -1 : sendmsg(nbd->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        int error = nbd->broken ? ECONNRESET : errno;
        if (plain != few) {
            g_free(plain);
        }
        if (put >= 0) {
            all = iov_part(all, (size_t)put, all.bytes);
        } else if (error != EINTR) {
            int result = error == EAGAIN || error == EWOULDBLOCK ? wait_fd(nbd, EPOLLOUT) : -error;
            if (result < 0) {
                return result;
            }
        }
    }
    return 0;
}

/* ---- a connection's end ---- */

static void drop_socket(Nbd *nbd)
{
    io_unwatch(nbd->watch);
    nbd->watch = NULL;
    if (nbd->fd >= 0) {
        yank_set_fd(nbd->yankable, -1);
        close(nbd->fd);
    }
    nbd->fd = -1;
}

/* All requests end; who waits in the socket wakes, sees it, and touches no request any more. */
static void give_up(Nbd *nbd, int why)
{
    if (nbd->broken) {
        return;
    }
    TRACE(&nbd_trace[TRACE_LOST], "node %s: %s", nbd->node.name, g_strerror(-why));
    nbd->broken = true;
    shutdown(nbd->fd, SHUT_RDWR);
    for (size_t i = 0; i < SLOTS; i++) {
        if (nbd->slots[i].waiting) {
            coroutine_ready(nbd->slots[i].waiting);
            nbd->slots[i].waiting = NULL;
        }
    }
}

/* ---- a connection's beginning ---- */

static int connect_address(Nbd *nbd, const SocketAddress *address)
{
    int one = 1, error = 0;
    socklen_t length = sizeof error;

    nbd->fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (nbd->fd < 0) {
        return -errno;
    }
    nbd->broken = false;
    yank_set_fd(nbd->yankable, nbd->fd);
    int result = connect(nbd->fd, (const struct sockaddr *)&address->storage, address->length) < 0 ? -errno : 0;
    if (result == -EINPROGRESS) {
        result = wait_fd(nbd, EPOLLOUT);
        if (result == 0 && getsockopt(nbd->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0) {
            result = -error;
        }
    }
    if (result == 0 && address->storage.ss_family != AF_UNIX) {
        setsockopt(nbd->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(nbd->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    if (result < 0) {
        drop_socket(nbd);
    }
    return result;
}

static bool connect_any(Nbd *nbd, GError **err)
{
    int result = -EADDRNOTAVAIL;

    for (size_t i = 0; i < nbd->addresses.count; i++) {
        result = connect_address(nbd, &nbd->addresses.items[i]);
        if (result == 0) {
            return true;
        }
    }
    return fail(err, -result, "%s: cannot connect: %s", nbd->who, g_strerror(-result));
}

/* What a server says about its export may not change while it is in use. */
static bool same_export(const Nbd *nbd, const NbdExport *now, GError **err)
{
    const NbdExport *then = &nbd->export_;
    unsigned need = then->flags & (NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES);

    if (!nbd->opened_once) {
        return true;
    }
    if (now->size != then->size || now->min_block > MAX(then->min_block, 1) || (now->max_block && now->max_block < then->max_block)
        || (now->flags & need) != need || ((now->flags & NBD_FLAG_READ_ONLY) && nbd->node.writable)) {
        return fail(err, EIO, "%s: the server came back with another export", nbd->who);
    }
    return true;
}

static bool connect_once(Nbd *nbd, GError **err)
{
    NbdExport export_;

    nbd->deadline = clock_now(CLOCK_STEADY) + GREETING_SECONDS * NS_PER_SECOND;
    bool good = connect_any(nbd, err);
    if (good) {
        nbd->wire = (NbdWire){ .receive = nbd_stream_receive, .send = nbd_stream_send, .opaque = nbd };
        good = nbd_negotiate(&nbd->wire, nbd->export_name ? nbd->export_name : "", &export_, nbd->who, err) && same_export(nbd, &export_, err);
        if (!good) {
            drop_socket(nbd);
        }
    }
    nbd->deadline = 0;
    if (good) {
        nbd->export_ = export_;
        TRACE(&nbd_trace[TRACE_CONNECT], "node %s: %s size %" PRIu64 " flags 0x%x", nbd->node.name, nbd->who, export_.size, export_.flags);
    }
    return good;
}

/* Connected, or -EIO. Requests of the lost connection have all ended before there is another. */
static int need_connection(Nbd *nbd)
{
    if (nbd->fd >= 0 && !nbd->broken) {
        return 0;
    }
    CO_SCOPE(&nbd->connecting);
    if (nbd->fd >= 0 && !nbd->broken) {
        return 0;
    }
    while (nbd->in_flight) {
        co_yield_turn();
    }
    drop_socket(nbd);
    return connect_once(nbd, NULL) ? 0 : -EIO;
}

/* ---- requests ---- */

static NbdRequest *find_request(void *opaque, uint64_t cookie)
{
    Nbd *nbd = opaque;
    uint32_t index = (uint32_t)cookie;
    Slot *slot = index < SLOTS ? &nbd->slots[index] : NULL;

    return !nbd->broken && slot && slot->request && slot->turn == cookie >> 32 ? slot->request : NULL;
}

static void wake_a_reader(Nbd *nbd)
{
    for (size_t i = 0; i < SLOTS; i++) {
        Slot *slot = &nbd->slots[i];
        if (slot->waiting) {
            coroutine_ready(slot->waiting);
            slot->waiting = NULL;
            return;
        }
    }
}

/* Reads until this request is answered. Others whose answers come meanwhile are woken. */
static void read_answers(Nbd *nbd, Slot *own)
{
    nbd->reader = true;
    while (!nbd->broken && !own->request->done) {
        int result = nbd_receive(&nbd->wire, &nbd->export_, find_request, nbd);
        if (result < 0) {
            give_up(nbd, result);
        }
        for (size_t i = 0; result == 0 && i < SLOTS; i++) {
            Slot *slot = &nbd->slots[i];
            if (slot->request && slot->request->done && slot->waiting) {
                coroutine_ready(slot->waiting);
                slot->waiting = NULL;
            }
        }
    }
    nbd->reader = false;
    wake_a_reader(nbd);
}

static void await_answer(Nbd *nbd, Slot *slot)
{
    while (!nbd->broken && !slot->request->done) {
        if (!nbd->reader) {
            read_answers(nbd, slot);
        } else {
            slot->waiting = coroutine_self();
            coroutine_yield();
            slot->waiting = NULL;
        }
    }
}

static Slot *take_slot(Nbd *nbd)
{
    while (nbd->in_flight == SLOTS) {
        co_queue_wait(&nbd->free_slot, NULL);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (!nbd->slots[i].request) {
            return &nbd->slots[i];
        }
    }
    return NULL;
}

/* *lost: the connection broke before the answer. */
static int attempt(Nbd *nbd, NbdRequest *request, bool *lost)
{
    Slot *slot = NULL;
    int result = 0;

    while (!slot) {                        /* a wait for one may have outlived the connection, and the other way round */
        result = need_connection(nbd);
        if (result < 0) {
            *lost = true;
            return result;
        }
        slot = nbd->in_flight < SLOTS ? take_slot(nbd) : (take_slot(nbd), NULL);
    }
    request->sent = request->done = false;
    request->result = 0;
    request->received = request->status_length = request->status_flags = 0;
    request->cookie = (uint64_t)++slot->turn << 32 | (uint64_t)(slot - nbd->slots);
    slot->request = request;
    nbd->in_flight++;
    co_lock(&nbd->sending);
    result = nbd->broken ? -ECONNRESET : nbd_send(&nbd->wire, request);
    request->sent = result == 0;
    if (result < 0) {
        give_up(nbd, result);
    }
    co_unlock(&nbd->sending);
    await_answer(nbd, slot);
    slot->request = NULL;
    nbd->in_flight--;
    co_queue_wake(&nbd->free_slot);
    *lost = !request->done;
    return request->done ? request->result : -EIO;
}

static int carry_out(Nbd *nbd, NbdRequest *request)
{
    bool lost = false;
    int result = attempt(nbd, request, &lost);
    int64_t until = lost && nbd->reconnect_delay ? clock_now(CLOCK_STEADY) + (int64_t)nbd->reconnect_delay * NS_PER_SECOND : 0;

    while (lost && until && clock_now(CLOCK_STEADY) < until && !__atomic_load_n(&nbd->quiesced, __ATOMIC_RELAXED)) {
        co_sleep(RETRY_NS);
        lost = false;
        result = attempt(nbd, request, &lost);
    }
    return result;
}

static int nbd_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    NbdRequest request = { .command = NBD_CMD_READ, .offset = offset, .length = (uint32_t)to.bytes, .data = to };

    (void)flags;
    return carry_out((Nbd *)node, &request);
}

static int nbd_flush(Node *node)
{
    Nbd *nbd = (Nbd *)node;
    NbdRequest request = { .command = NBD_CMD_FLUSH };

    return nbd->export_.flags & NBD_FLAG_SEND_FLUSH ? carry_out(nbd, &request) : 0;
}

/* A server that knows no FUA is asked to flush. */
static int finish_write(Nbd *nbd, int result, RequestFlags flags)
{
    return result == 0 && (flags & REQ_FUA) && !(nbd->export_.flags & NBD_FLAG_SEND_FUA) ? nbd_flush(&nbd->node) : result;
}

static uint16_t write_flags(const Nbd *nbd, RequestFlags flags)
{
    return (flags & REQ_FUA) && (nbd->export_.flags & NBD_FLAG_SEND_FUA) ? NBD_CMD_FLAG_FUA : 0;
}

static int nbd_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    Nbd *nbd = (Nbd *)node;
    NbdRequest request = { .command = NBD_CMD_WRITE, .flags = write_flags(nbd, flags), .offset = offset, .length = (uint32_t)from.bytes, .data = from };

    return finish_write(nbd, carry_out(nbd, &request), flags);
}

static int nbd_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    Nbd *nbd = (Nbd *)node;
    NbdRequest request = { .command = NBD_CMD_WRITE_ZEROES, .offset = offset, .length = (uint32_t)bytes,
                           .flags = (uint16_t)(write_flags(nbd, flags) | (flags & REQ_MAY_UNMAP ? 0 : NBD_CMD_FLAG_NO_HOLE)) };

    if (!(nbd->export_.flags & NBD_FLAG_SEND_WRITE_ZEROES)) {
        return -ENOTSUP;
    }
    return finish_write(nbd, carry_out(nbd, &request), flags);
}

static int nbd_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    Nbd *nbd = (Nbd *)node;
    NbdRequest request = { .command = NBD_CMD_TRIM, .offset = offset, .length = (uint32_t)bytes };

    return nbd->export_.flags & NBD_FLAG_SEND_TRIM ? carry_out(nbd, &request) : 0;
}

static int nbd_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    Nbd *nbd = (Nbd *)node;
    uint64_t unit = node->limits.request_alignment;
    NbdRequest request = { .command = NBD_CMD_BLOCK_STATUS, .flags = NBD_CMD_FLAG_REQ_ONE, .offset = offset,
                           .length = (uint32_t)MIN(bytes, (uint64_t)INT32_MAX / unit * unit) };

    (void)exact;
    *map = offset;
    *file = node;
    *count = bytes;
    if (!nbd->export_.block_status) {
        return STATUS_DATA | STATUS_OFFSET | STATUS_ALLOCATED;
    }
    int result = carry_out(nbd, &request);
    if (result < 0) {
        return result;
    }
    *count = request.status_length / unit * unit;
    if (*count == 0) {                     /* finer than we asked: data, to be on the safe side */
        *count = MIN(bytes, unit);
        return STATUS_DATA | STATUS_OFFSET | STATUS_ALLOCATED;
    }
    return (request.status_flags & NBD_STATE_HOLE ? 0 : STATUS_DATA) | (request.status_flags & NBD_STATE_ZERO ? STATUS_ZERO : 0)
           | STATUS_OFFSET | STATUS_ALLOCATED;
}

/* An export has the size it has. */
static int nbd_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err)
{
    (void)preallocation;
    (void)flags;
    if (size > node->length || (exact && size != node->length)) {
        fail(err, size > node->length ? EINVAL : ENOTSUP, "%s: an export cannot be resized", ((Nbd *)node)->who);
        return size > node->length ? -EINVAL : -ENOTSUP;
    }
    return 0;
}

/* ---- opening ---- */

typedef struct Lookup { Nbd *nbd; SocketSpelling spelling; GError **err; } Lookup;

static int look_up(void *opaque)
{
    Lookup *lookup = opaque;

    return socket_resolve(&lookup->nbd->addresses, &lookup->spelling, false, lookup->nbd->who, lookup->err) ? 0 : -1;
}

static bool find_server(Nbd *nbd, Lookup *lookup, GError **err)
{
    const Value *server = nbd->server;
    const char *type = value_get_string(server, "type", NULL);
    uint64_t number;

    if (server && (nbd->host || nbd->port || nbd->path)) {
        return fail(err, EINVAL, "nbd: server= and host=, port=, path= say the same; give one of them");
    }
    if (server && value_kind(server) != VALUE_OBJECT) {
        return fail(err, EINVAL, "nbd: server: an object is needed: server.type=inet,server.host=HOST,server.port=PORT, or server.type=unix,server.path=PATH");
    }
    lookup->spelling.path = server ? (char *)value_get_string(server, "path", NULL) : nbd->path;
    lookup->spelling.host = server ? (char *)value_get_string(server, "host", NULL) : nbd->host;
    lookup->spelling.port = server ? (char *)value_get_string(server, "port", "10809") : nbd->port ? nbd->port : (char *)"10809";
    if (value_to_uint(value_get(server, "port"), &number)) {
        return fail(err, EINVAL, "nbd: server.port: it takes text, as in \"10809\"");
    }
    for (size_t i = 0; i < value_length(server); i++) {
        static const char *const keys[] = { "type", "host", "port", "path", NULL };
        if (!g_strv_contains(keys, value_key_at(server, i))) {
            return fail(err, ENOENT, "nbd: there is no key 'server.%s'; there are server.type, .host, .port and .path", value_key_at(server, i));
        }
    }
    if (type && strcmp(type, "unix") != 0 && strcmp(type, "inet") != 0) {
        return fail(err, ENOTSUP, "nbd: server.type=%s is not supported; it takes inet or unix", type);
    }
    bool local = type ? strcmp(type, "unix") == 0 : lookup->spelling.path != NULL;
    if (local != (lookup->spelling.path != NULL) || local == (lookup->spelling.host != NULL)) {
        return fail(err, EINVAL, "nbd: a server is server.type=inet with host and port, or server.type=unix with path");
    }
    nbd->who = local ? g_strdup_printf("nbd server at '%s'", lookup->spelling.path)
                     : g_strdup_printf("nbd server %s:%s", lookup->spelling.host, lookup->spelling.port);
    return true;
}

static bool connect_in_time(Nbd *nbd, GError **err)
{
    int64_t until = clock_now(CLOCK_STEADY) + (int64_t)nbd->open_timeout * NS_PER_SECOND;
    bool good;

    do {
        g_clear_error(err);
        good = connect_once(nbd, err);
        if (!good && clock_now(CLOCK_STEADY) < until) {
            co_sleep(RETRY_NS);
        }
    } while (!good && clock_now(CLOCK_STEADY) < until);
    return good;
}

static void set_limits(Nbd *nbd)
{
    NodeLimits *limits = &nbd->node.limits;
    uint32_t unit = nbd->export_.min_block ? nbd->export_.min_block : nbd->export_.size % 512 ? 1 : 512;

    limits->request_alignment = unit;
    limits->memory_alignment = 1;
    limits->max_transfer = nbd->export_.max_block ? MIN(nbd->export_.max_block / unit * unit, (uint32_t)NBD_LENGTH_MOST) : NBD_LENGTH_MOST;
    limits->optimal_transfer = MIN(nbd->export_.preferred_block, limits->max_transfer);
    limits->max_pieces = 1024;
    limits->max_zeroes = limits->max_discard = (uint32_t)INT32_MAX / unit * unit;
}

static bool open_export(Node *node, const NodeOpen *how, GError **err)
{
    Nbd *nbd = (Nbd *)node;
    g_autoptr(GError) why = NULL;
    Lookup lookup = { .nbd = nbd, .err = &why };

    nbd->fd = -1;
    nbd->yankable = yank_register("block-node", node_name(node));
    if (!find_server(nbd, &lookup, err)) {
        return false;
    }
    if (nbd->export_name && strlen(nbd->export_name) > NBD_NAME_MOST) {
        return fail(err, EINVAL, "%s: the name of an export has at most %d bytes", nbd->who, NBD_NAME_MOST);
    }
    if (co_work(look_up, &lookup) < 0 || !connect_in_time(nbd, &why)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    nbd->opened_once = true;
    if ((nbd->export_.flags & NBD_FLAG_READ_ONLY) && node->writable) {
        if (!how->auto_readonly) {
            return fail(err, EACCES, "%s: the export is read-only; open it so (read-only=on)", nbd->who);
        }
        node->writable = false;
    }
    node->length = nbd->export_.size;
    set_limits(nbd);
    return true;
}

static void nbd_close(Node *node)
{
    Nbd *nbd = (Nbd *)node;
    NbdRequest goodbye = { .command = NBD_CMD_DISC };

    if (nbd->fd >= 0 && !nbd->broken && nbd->opened_once) {
        nbd->deadline = clock_now(CLOCK_STEADY) + NS_PER_SECOND;
        nbd_send(&nbd->wire, &goodbye);
    }
    drop_socket(nbd);
    yank_unregister(g_steal_pointer(&nbd->yankable));
    socket_addresses_clear(&nbd->addresses);
    g_clear_pointer(&nbd->who, g_free);
}

static bool nbd_open(Node *node, const NodeOpen *how, GError **err)
{
    return open_export(node, how, err) || (nbd_close(node), false);
}

static void nbd_quiesce(Node *node, bool on)
{
    __atomic_store_n(&((Nbd *)node)->quiesced, on, __ATOMIC_RELAXED);
}

/* Nothing is in flight: the watch alone belongs to the loop. */
static void nbd_detach_loop(Node *node)
{
    Nbd *nbd = (Nbd *)node;

    io_unwatch(nbd->watch);
    nbd->watch = NULL;
}

/* ---- spellings ---- */

static Value *options_of(const char *host, const char *port, const char *path, const char *export_name)
{
    Value *options = value_new_object(), *server = value_new_object();

    value_set(options, "driver", value_new_string("nbd"));
    value_set(server, "type", value_new_string(path ? "unix" : "inet"));
    if (path) {
        value_set(server, "path", value_new_string(path));
    } else {
        value_set(server, "host", value_new_string(host));
        value_set(server, "port", value_new_string(port));
    }
    value_set(options, "server", server);
    if (export_name && *export_name) {
        value_set(options, "export", value_new_string(export_name));
    }
    return options;
}

/* nbd:HOST:PORT[:exportname=NAME], nbd:unix:PATH[:exportname=NAME] */
static Value *parse_short(const char *filename, GError **err)
{
    g_autofree char *rest = g_strdup(filename + strlen("nbd:")), *host = NULL;
    char *export_name = strstr(rest, ":exportname="), *port;

    if (export_name) {
        *export_name = 0;
        export_name += strlen(":exportname=");
    }
    if (g_str_has_prefix(rest, "unix:") && rest[5]) {
        return options_of(NULL, NULL, rest + 5, export_name);
    }
    port = strrchr(rest, ':');
    if (!port || port == rest || !port[1]) {
        fail(err, EINVAL, "'%s': a server is nbd:HOST:PORT[:exportname=NAME] or nbd:unix:PATH[:exportname=NAME]", filename);
        return NULL;
    }
    *port = 0;
    size_t length = strlen(rest);
    host = *rest == '[' && rest[length - 1] == ']' ? g_strndup(rest + 1, length - 2) : g_strdup(rest);
    return options_of(host, port + 1, NULL, export_name);
}

/* nbd://HOST[:PORT]/NAME, nbd+unix:///NAME?socket=PATH */
static Value *parse_uri(const char *filename, GError **err)
{
    g_autoptr(GUri) uri = g_uri_parse(filename, G_URI_FLAGS_NONE, NULL);
    const char *scheme = uri ? g_uri_get_scheme(uri) : "", *host = uri ? g_uri_get_host(uri) : NULL, *query = uri ? g_uri_get_query(uri) : NULL;
    g_autoptr(GHashTable) keys = query ? g_uri_parse_params(query, -1, "&;", G_URI_PARAMS_NONE, NULL) : NULL;
    const char *path = keys ? g_hash_table_lookup(keys, "socket") : NULL, *export_name = uri ? g_uri_get_path(uri) : "";
    bool local = strcmp(scheme, "nbd+unix") == 0;

    if (!uri || (local ? !path || (host && *host) : strcmp(scheme, "nbd") != 0 && strcmp(scheme, "nbd+tcp") != 0)
        || (keys && (!local || g_hash_table_size(keys) != 1)) || (query && !keys)) {
        fail(err, EINVAL, "'%s': a server is nbd://HOST[:PORT]/NAME or nbd+unix:///NAME?socket=PATH", filename);
        return NULL;
    }
    export_name += *export_name == '/';
    int port = g_uri_get_port(uri);
    g_autofree char *text = g_strdup_printf("%d", port < 0 ? 10809 : port);
    return options_of(host && *host ? host : "localhost", text, local ? path : NULL, export_name);
}

static Value *nbd_parse_filename(const char *filename, GError **err)
{
    if (g_str_has_prefix(filename, "nbds")) {
        fail(err, ENOTSUP, "'%s': NBD over TLS is not supported", filename);
        return NULL;
    }
    return strstr(filename, "://") && (!g_str_has_prefix(filename, "nbd:") || g_str_has_prefix(filename, "nbd://")) ? parse_uri(filename, err)
                                                                                                                    : parse_short(filename, err);
}

static char *nbd_filename(const Node *node)
{
    const Nbd *nbd = (const Nbd *)node;
    const Value *server = nbd->server;
    const char *path = server ? value_get_string(server, "path", NULL) : nbd->path, *host = server ? value_get_string(server, "host", "") : nbd->host;
    const char *port = server ? value_get_string(server, "port", "10809") : nbd->port ? nbd->port : "10809";
    const char *name = nbd->export_name ? nbd->export_name : "";
    bool v6 = host && strchr(host, ':');

    if (path) {
        return *name ? g_strdup_printf("nbd+unix:///%s?socket=%s", name, path) : g_strdup_printf("nbd+unix://?socket=%s", path);
    }
    return g_strdup_printf("nbd://%s%s%s:%s%s%s", v6 ? "[" : "", host ? host : "", v6 ? "]" : "", port, *name ? "/" : "", name);
}

static int64_t nbd_allocated(Node *node)
{
    (void)node;
    return -ENOTSUP;
}

static const char *const nbd_prefixes[] = { "nbd:", "nbd+tcp:", "nbd+unix:", "nbds:", "nbds+unix:", "nbds+tcp:", NULL };

const NodeDriver nbd_driver = {
    .name = "nbd",  .help = "a disk that an NBD server exports, over TCP or a UNIX socket",
    .kind = NODE_PROTOCOL,  .size = sizeof(Nbd),  .options = nbd_options,  .prefixes = nbd_prefixes,  .parse_filename = nbd_parse_filename,
    .open = nbd_open,  .close = nbd_close,  .preadv = nbd_preadv,  .pwritev = nbd_pwritev,  .pwrite_zeroes = nbd_pwrite_zeroes,
    .pdiscard = nbd_pdiscard,  .flush = nbd_flush,  .block_status = nbd_block_status,  .truncate = nbd_truncate,  .allocated = nbd_allocated,
    .quiesce = nbd_quiesce,  .detach_loop = nbd_detach_loop,  .filename = nbd_filename,
    .supported_write_flags = REQ_FUA,  .supported_zero_flags = REQ_FUA | REQ_MAY_UNMAP,
};
