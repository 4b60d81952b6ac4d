/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket-address.c - names to addresses to sockets
 *
 * Tests    tests/unit/chardev.c
 */
#include "base/socket-address.h"
#include "base/error.h"
#include "base/field.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool resolve_unix(SocketAddresses *out, const SocketSpelling *spelling, const char *who, GError **err)
{
    struct sockaddr_un *name = (struct sockaddr_un *)&out->items[0].storage;
    size_t length = strlen(spelling->path), room = sizeof name->sun_path - 1;
    size_t start = offsetof(struct sockaddr_un, sun_path);

    if (length == 0 || length > room) {
        return fail(err, ENAMETOOLONG, "%s: path=%s: a UNIX socket's path has 1 to %zu bytes, this one has %zu",
                    who, spelling->path, room, length);
    }
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path + (spelling->abstract ? 1 : 0), spelling->path, length);
    out->items[0].length = spelling->abstract ? (spelling->tight ? start + 1 + length : sizeof *name) : start + length + 1;
    out->count = 1;
    out->path = spelling->abstract ? NULL : g_strdup(spelling->path);
    out->text = g_strdup(spelling->path);
    return true;
}

static int wanted_family(const SocketSpelling *spelling)
{
    return spelling->ipv4 == spelling->ipv6 ? AF_UNSPEC : spelling->ipv4 ? AF_INET : AF_INET6;
}

static bool resolve_tcp(SocketAddresses *out, const SocketSpelling *spelling, bool server, const char *who, GError **err)
{
    const char *host = spelling->host && *spelling->host ? spelling->host : NULL;
    const struct addrinfo hints = { .ai_family = wanted_family(spelling), .ai_socktype = SOCK_STREAM,
                                    .ai_flags = (server ? AI_PASSIVE : 0) | AI_ADDRCONFIG };
    struct addrinfo *found = NULL;

    if (!spelling->port || !*spelling->port) {
        return fail(err, EINVAL, "%s: host=%s needs port=NUMBER", who, spelling->host ? spelling->host : "");
    }
    uint64_t number;
    if (g_ascii_isdigit(*spelling->port) && (!parse_uint(spelling->port, &number) || number > UINT16_MAX)) {
        return fail(err, EINVAL, "%s: port=%s is not a port number from 0 to 65535", who, spelling->port);
    }
    if (spelling->to > UINT16_MAX) {
        return fail(err, EINVAL, "%s: to=%u is not a port number from 0 to 65535", who, spelling->to);
    }
    out->highest_port = (uint16_t)spelling->to;
    out->text = g_strdup_printf("%s:%s", host ? host : "", spelling->port);
    int code = getaddrinfo(host ? host : server ? NULL : "localhost", spelling->port, &hints, &found);
    if (code != 0) {
        return fail(err, EINVAL, "%s: cannot look up %s: %s", who, out->text, gai_strerror(code));
    }
    for (struct addrinfo *item = found; item && out->count < SOCKET_ADDRESSES; item = item->ai_next) {
        memcpy(&out->items[out->count].storage, item->ai_addr, item->ai_addrlen);
        out->items[out->count++].length = item->ai_addrlen;
    }
    freeaddrinfo(found);
    return true;
}

bool socket_resolve(SocketAddresses *out, const SocketSpelling *spelling, bool server, const char *who, GError **err)
{
    return spelling->path ? resolve_unix(out, spelling, who, err) : resolve_tcp(out, spelling, server, who, err);
}

void socket_addresses_clear(SocketAddresses *addresses)
{
    g_clear_pointer(&addresses->path, g_free);
    g_clear_pointer(&addresses->text, g_free);
    addresses->count = 0;
}

/* Ours and still there; nobody else's socket of that name, nor anything that is none. */
void socket_unlink(const SocketAddresses *addresses)
{
    struct stat status;

    if (addresses->bound && lstat(addresses->path, &status) == 0 && S_ISSOCK(status.st_mode) &&
        status.st_dev == addresses->device && status.st_ino == addresses->inode) {
        unlink(addresses->path);
    }
}

/* A path whose socket belongs to a living process. A datagram socket is refused there for its type, where a leftover
 * refuses every connection; the process does not notice either. */
static bool path_is_taken(const SocketAddress *address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && connect(fd, (const struct sockaddr *)&address->storage, address->length) != 0 && errno == EPROTOTYPE;

    if (fd >= 0) {
        close(fd);
    }
    return taken;
}

/* A socket that an earlier process left behind is in the way; anything else is left alone. */
static void remove_leftover(const char *path)
{
    struct stat status;

    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode)) {
        unlink(path);
    }
}

static void remember_inode(SocketAddresses *addresses)
{
    struct stat status;

    if (addresses->path && lstat(addresses->path, &status) == 0) {
        addresses->bound = true;
        addresses->device = status.st_dev;
        addresses->inode = status.st_ino;
    }
}

static void set_port(SocketAddress *address, uint16_t port)
{
    if (address->storage.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
    }
}

static uint16_t get_port(const SocketAddress *address)
{
    return ntohs(address->storage.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address->storage)->sin6_port
                                                        : ((const struct sockaddr_in *)&address->storage)->sin_port);
}

/* Binds and listens; a port that is taken is followed by the next up to highest_port. */
static int listen_at(SocketAddress address, uint16_t highest_port, int backlog)
{
    bool tcp = address.storage.ss_family != AF_UNIX;
    int one = 1;

    for (;;) {
        int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0) {
            return -1;
        }
        if (tcp) {
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        }
        if (bind(fd, (struct sockaddr *)&address.storage, address.length) == 0 && listen(fd, backlog) == 0) {
            return fd;
        }
        int error = errno;
        close(fd);
        errno = error;
        if (!tcp || error != EADDRINUSE || get_port(&address) >= highest_port) {
            return -1;
        }
        set_port(&address, get_port(&address) + 1);
    }
}

int socket_listen(SocketAddresses *addresses, const char *who, int backlog, GError **err)
{
    int error = 0;

    if (addresses->path && path_is_taken(&addresses->items[0])) {
        fail(err, EADDRINUSE, "%s: cannot listen at %s: another process does; give each its own path", who, addresses->path);
        return -1;
    }
    if (addresses->path) {
        remove_leftover(addresses->path);
    }
    for (size_t i = 0; i < addresses->count; i++) {
        int fd = listen_at(addresses->items[i], addresses->highest_port, backlog);
        if (fd >= 0) {
            remember_inode(addresses);
            return fd;
        }
        error = errno;
    }
    fail(err, error, "%s: cannot listen at %s: %s", who, addresses->text, g_strerror(error));
    return -1;
}

int socket_connect(const SocketAddresses *addresses, const char *who, GError **err)
{
    int error = 0;

    for (size_t i = 0; i < addresses->count; i++) {
        const SocketAddress *address = &addresses->items[i];
        int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (const struct sockaddr *)&address->storage, address->length) == 0) {
            return fd;
        }
        error = errno;
        if (fd >= 0) {
            close(fd);
        }
    }
    fail(err, error, "%s: cannot connect to %s: %s; a peer that comes later needs reconnect=SECONDS",
         who, addresses->text, g_strerror(error));
    return -1;
}

char *socket_name(int fd)
{
    struct sockaddr_storage storage = { 0 };
    socklen_t length = sizeof storage;
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (getsockname(fd, (struct sockaddr *)&storage, &length) != 0) {
        return g_strdup("a socket");
    }
    if (storage.ss_family == AF_UNIX) {
        const struct sockaddr_un *name = (const struct sockaddr_un *)&storage;
        bool abstract = length > offsetof(struct sockaddr_un, sun_path) && name->sun_path[0] == '\0';
        return g_strdup_printf("unix:%s%.*s", abstract ? "@" : "", (int)sizeof name->sun_path - 1, name->sun_path + (abstract ? 1 : 0));
    }
    if (getnameinfo((struct sockaddr *)&storage, length, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return g_strdup("a socket");
    }
    return g_strdup_printf(strchr(host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s", host, port);
}
