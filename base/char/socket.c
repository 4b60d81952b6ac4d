/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket.c - a UNIX or TCP connection, as the side that waits or the side that calls
 *
 * A server takes one peer at a time; the next one waits in the kernel's queue. A client with reconnect=N calls
 * again N seconds after it lost or did not reach its peer, without holding anything up meanwhile. A descriptor from
 * whoever started us (fd=N) may be a listening or a connected socket.
 *
 * Omits    telnet, websocket and TLS, each refused by name
 * Threads  writes: any, machine lock held; the rest: main loop, same lock
 * Tests    tests/unit/chardev.c
 */
#include "base/char/backend.h"
#include "base/error.h"
#include "base/log.h"
#include "base/socket-address.h"
#include "base/timer.h"
#include "base/yank.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 1 };

typedef struct SocketChardev {
    Chardev chardev;
    SocketSpelling spelling;
    char *fd_text, *tls_creds;
    bool server, wait, nodelay, telnet, tn3270, websocket;
    uint64_t reconnect;

    SocketAddresses addresses;
    size_t next_address;                   /* of a client that tries several */
    int listener, calling;                 /* -1: none */
    LoopWatch *listen_watch, *call_watch;
    Timer call_again;
    FdStream stream;
    Yankable *yankable;                    /* NULL before sock_open() */
} SocketChardev;

static void start_call(SocketChardev *sock);

static void accept_again(SocketChardev *sock, bool on)
{
    loop_watch_change(sock->listen_watch, on ? G_IO_IN : 0);
}

static void call_later(SocketChardev *sock)
{
    timer_arm(&sock->call_again, clock_now(CLOCK_STEADY) + (int64_t)sock->reconnect * NS_PER_SECOND);
}

/* The peer went away, or cannot be read any more. */
static void socket_ended(Chardev *chardev)
{
    SocketChardev *sock = (SocketChardev *)chardev;

    yank_set_fd(sock->yankable, -1);
    fd_stream_end(&sock->stream);
    if (sock->listen_watch) {
        accept_again(sock, true);
    } else if (sock->reconnect) {
        call_later(sock);
    }
    chardev_event(chardev, CHARDEV_CLOSED);
}

static void take_peer(SocketChardev *sock, int fd)
{
    int one = 1;

    fd_set_nonblocking(fd);
    if (sock->nodelay) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);      /* fails on a UNIX socket, where it means nothing */
    }
    yank_set_fd(sock->yankable, fd);
    fd_stream_begin(&sock->stream, &sock->chardev, fd, fd, socket_ended);
    if (sock->listen_watch) {
        accept_again(sock, false);
    }
    chardev_event(&sock->chardev, CHARDEV_OPENED);
}

static void peer_waits(void *opaque, int fd, GIOCondition condition)
{
    SocketChardev *sock = opaque;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)condition;
    if (peer >= 0) {
        take_peer(sock, peer);
    }
}

/* wait=on: nothing else happens before somebody calls; signals still end the process. */
static bool wait_for_peer(SocketChardev *sock, GError **err)
{
    g_autofree char *name = socket_name(sock->listener);
    int peer;

    report_info("chardev '%s' waits for a connection to %s", sock->chardev.id, name);
    do {
        struct pollfd caller = { .fd = sock->listener, .events = POLLIN };
        poll(&caller, 1, -1);
        peer = accept4(sock->listener, NULL, NULL, SOCK_CLOEXEC);
    } while (peer < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED));
    if (peer < 0) {
        return fail(err, errno, "chardev '%s': cannot accept a connection: %s", sock->chardev.id, g_strerror(errno));
    }
    take_peer(sock, peer);
    return true;
}

static bool begin_server(SocketChardev *sock, GError **err)
{
    fd_set_nonblocking(sock->listener);
    sock->listen_watch = loop_watch(sock->listener, G_IO_IN, peer_waits, sock);
    return !sock->wait || wait_for_peer(sock, err);
}

static bool open_inherited(SocketChardev *sock, GError **err)
{
    const char *id = sock->chardev.id;
    uint64_t number;
    struct stat status;
    int listens = 0;
    socklen_t size = sizeof listens;

    if (!parse_uint(sock->fd_text, &number) || number > INT_MAX || number <= STDERR_FILENO) {
        return fail(err, EINVAL, "chardev '%s': fd=%s is not the number of an inherited descriptor", id, sock->fd_text);
    }
    int fd = (int)number;
    if (fstat(fd, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return fail(err, EBADF, "chardev '%s': fd=%d is not an open socket; pass one and keep it open across exec", id, fd);
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (!sock->server) {
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
        if (listens) {
            return fail(err, EINVAL, "chardev '%s': fd=%d is a listening socket; say server=on", id, fd);
        }
        take_peer(sock, fd);
        return true;
    }
    if (listen(fd, BACKLOG) != 0) {
        return fail(err, errno, "chardev '%s': fd=%d cannot listen: %s", id, fd, g_strerror(errno));
    }
    sock->listener = fd;
    return begin_server(sock, err);
}

static bool open_server(SocketChardev *sock, const char *who, GError **err)
{
    sock->listener = socket_listen(&sock->addresses, who, BACKLOG, err);
    return sock->listener >= 0 && begin_server(sock, err);
}

/* Calling without waiting. */
static void call_failed(SocketChardev *sock)
{
    loop_unwatch(sock->call_watch);
    sock->call_watch = NULL;
    close(sock->calling);
    sock->calling = -1;
    sock->next_address++;
    if (sock->next_address < sock->addresses.count) {
        start_call(sock);
        return;
    }
    sock->next_address = 0;
    call_later(sock);
}

static void call_answered(void *opaque, int fd, GIOCondition condition)
{
    SocketChardev *sock = opaque;
    int error = 0;
    socklen_t size = sizeof error;

    (void)condition;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error) {
        call_failed(sock);
        return;
    }
    loop_unwatch(sock->call_watch);
    sock->call_watch = NULL;
    sock->calling = -1;
    sock->next_address = 0;
    take_peer(sock, fd);
}

static void start_call(SocketChardev *sock)
{
    const SocketAddress *address = &sock->addresses.items[sock->next_address];

    sock->calling = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock->calling < 0) {
        call_later(sock);
    } else if (connect(sock->calling, (const struct sockaddr *)&address->storage, address->length) == 0) {
        int fd = sock->calling;
        sock->calling = -1;
        sock->next_address = 0;
        take_peer(sock, fd);
    } else if (errno == EINPROGRESS) {
        sock->call_watch = loop_watch(sock->calling, G_IO_OUT, call_answered, sock);
    } else {
        call_failed(sock);
    }
}

static void call_again(void *opaque)
{
    start_call(opaque);
}

static bool open_client(SocketChardev *sock, const char *who, GError **err)
{
    if (sock->reconnect) {
        start_call(sock);
        return true;
    }
    int fd = socket_connect(&sock->addresses, who, err);
    if (fd < 0) {
        return false;
    }
    take_peer(sock, fd);
    return true;
}

static bool refuse_what_is_missing(const SocketChardev *sock, GError **err)
{
    const char *missing = sock->telnet ? "telnet=on" : sock->tn3270 ? "tn3270=on"
                        : sock->websocket ? "websocket=on" : sock->tls_creds ? "tls-creds" : NULL;

    return !missing || fail(err, ENOTSUP, "chardev '%s': %s is not supported yet", sock->chardev.id, missing);
}

static bool check_keys(const SocketChardev *sock, GError **err)
{
    const char *id = sock->chardev.id;

    if (!refuse_what_is_missing(sock, err)) {
        return false;
    }
    if (sock->server && sock->reconnect) {
        return fail(err, EINVAL, "chardev '%s': reconnect=%" PRIu64 " is for a client, and server=on was said", id, sock->reconnect);
    }
    if (sock->reconnect && sock->fd_text) {
        return fail(err, EINVAL, "chardev '%s': reconnect=%" PRIu64 " needs an address, and fd=%s is none", id, sock->reconnect, sock->fd_text);
    }
    int addresses = !!sock->spelling.path + !!(sock->spelling.host || sock->spelling.port) + !!sock->fd_text;
    if (addresses != 1) {
        return fail(err, EINVAL, "chardev '%s': a socket needs one of path=, port= and fd=%s", id,
                    addresses ? ", and more than one was given" : "");
    }
    return true;
}

static bool sock_open(Chardev *chardev, GError **err)
{
    SocketChardev *sock = (SocketChardev *)chardev;

    sock->stream = (FdStream)FD_STREAM_NONE;
    sock->listener = sock->calling = -1;
    sock->yankable = yank_register("chardev", chardev->id);
    timer_init(&sock->call_again, CLOCK_STEADY, call_again, sock);
    if (!check_keys(sock, err)) {
        return false;
    }
    if (sock->fd_text) {
        return open_inherited(sock, err);
    }
    g_autofree char *who = g_strdup_printf("chardev '%s'", chardev->id);
    return socket_resolve(&sock->addresses, &sock->spelling, sock->server, who, err) &&
           (sock->server ? open_server(sock, who, err) : open_client(sock, who, err));
}

static void sock_close(Chardev *chardev)
{
    SocketChardev *sock = (SocketChardev *)chardev;

    timer_cancel(&sock->call_again);
    yank_unregister(sock->yankable);
    loop_unwatch(sock->listen_watch);
    loop_unwatch(sock->call_watch);
    if (sock->listener >= 0) {
        close(sock->listener);
        socket_unlink(&sock->addresses);   /* empty for an inherited one: that is its maker's to remove */
    }
    if (sock->calling >= 0) {
        close(sock->calling);
    }
    fd_stream_end(&sock->stream);
    socket_addresses_clear(&sock->addresses);
}

static size_t sock_write(Chardev *chardev, const uint8_t *data, size_t length)
{
    return chardev->open ? fd_stream_write(&((SocketChardev *)chardev)->stream, data, length) : length;
}

static void sock_update_input(Chardev *chardev)
{
    fd_stream_update(&((SocketChardev *)chardev)->stream);
}

static int sock_take_fd(Chardev *chardev)
{
    return fd_stream_take_fd(&((SocketChardev *)chardev)->stream);
}

static int sock_input_fd(const Chardev *chardev)
{
    return ((const SocketChardev *)chardev)->stream.in;
}

static void sock_read_now(Chardev *chardev)
{
    fd_stream_read_now(&((SocketChardev *)chardev)->stream);
}

/* Where it listens or, as a client, what it called; the words of -chardev where the kernel has no name for it. */
static char *sock_describe(const Chardev *chardev)
{
    const SocketChardev *sock = (const SocketChardev *)chardev;
    const SocketSpelling *said = &sock->spelling;
    g_autofree char *address = sock->listener >= 0 ? socket_name(sock->listener)
                             : said->path ? g_strdup_printf("unix:%s", said->path)
                             : sock->fd_text ? g_strdup_printf("fd:%s", sock->fd_text)
                             : g_strdup_printf("tcp:%s:%s", said->host ? said->host : "", said->port ? said->port : "");

    return g_strconcat(chardev->open ? "" : "disconnected:", address, sock->server ? ",server=on" : "", NULL);
}

static const Field sock_keys[] = {
    PROP_STR("path", SocketChardev, spelling.path, .help = "UNIX socket"),
    PROP_BOOL("abstract", SocketChardev, spelling.abstract, false, .help = "path is in Linux's abstract name space"),
    PROP_BOOL("tight", SocketChardev, spelling.tight, true, .help = "an abstract name ends with its last character, not padded with zeros"),
    PROP_STR("host", SocketChardev, spelling.host, .help = "TCP: name or address; empty: all for a server"),
    PROP_STR("port", SocketChardev, spelling.port, .help = "TCP: port number or service name"),
    PROP_U32("to", SocketChardev, spelling.to, 0, .help = "server: the highest port to try when port is taken"),
    PROP_BOOL("ipv4", SocketChardev, spelling.ipv4, false, .help = "only or also IPv4"),
    PROP_BOOL("ipv6", SocketChardev, spelling.ipv6, false, .help = "only or also IPv6"),
    PROP_STR("fd", SocketChardev, fd_text, .help = "an inherited listening (server=on) or connected socket"),
    PROP_BOOL("server", SocketChardev, server, false, .help = "listen instead of calling"),
    PROP_BOOL("wait", SocketChardev, wait, true, .help = "server: go on only when somebody called"),
    PROP_U64("reconnect", SocketChardev, reconnect, 0, .max = 86400, .help = "client: seconds after which to call again; 0: never"),
    PROP_BOOL("nodelay", SocketChardev, nodelay, false, .help = "TCP: send small packets at once"),
    PROP_BOOL("telnet", SocketChardev, telnet, false, .help = "not supported yet"),
    PROP_BOOL("tn3270", SocketChardev, tn3270, false, .help = "not supported yet"),
    PROP_BOOL("websocket", SocketChardev, websocket, false, .help = "not supported yet"),
    PROP_STR("tls-creds", SocketChardev, tls_creds, .help = "not supported yet"),
    FIELD_END };

const ChardevBackend socket_backend = {
    .name = "socket", .help = "a UNIX or TCP connection", .size = sizeof(SocketChardev), .keys = sock_keys,
    .open = sock_open, .close = sock_close, .write = sock_write, .update_input = sock_update_input,
    .take_fd = sock_take_fd, .input_fd = sock_input_fd, .read_now = sock_read_now, .describe = sock_describe,
};
