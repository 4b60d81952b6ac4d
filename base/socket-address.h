/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket-address.h - from what a person wrote to addresses, and from those to sockets
 *
 * Sentences begin with who it is for: "chardev 'c0'". Called on the main loop before anything runs: names may be looked up.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

typedef struct SocketSpelling {
    char *path, *host, *port;
    uint32_t to;
    bool abstract, tight, ipv4, ipv6;
} SocketSpelling;

typedef struct SocketAddress { struct sockaddr_storage storage; socklen_t length; } SocketAddress;
enum { SOCKET_ADDRESSES = 16 };
typedef struct SocketAddresses {
    SocketAddress items[SOCKET_ADDRESSES];
    size_t count;
    uint16_t highest_port;                 /* to=, or 0 */
    char *path;                            /* of a UNIX socket in the file system */
    bool bound;                            /* socket_listen() made .path, as this device and inode */
    dev_t device;
    ino_t inode;
    char *text;                            /* for sentences: "127.0.0.1:4555" */
} SocketAddresses;

bool socket_resolve(SocketAddresses *out, const SocketSpelling *spelling, bool server, const char *who, GError **err);
void socket_addresses_clear(SocketAddresses *addresses);
int socket_listen(SocketAddresses *addresses, const char *who, int backlog, GError **err);      /* fd or -1 */
int socket_connect(const SocketAddresses *addresses, const char *who, GError **err);                   /* waits; fd or -1 */
void socket_unlink(const SocketAddresses *addresses);      /* takes the path that socket_listen() made out of the file system */
char *socket_name(int fd);                                 /* "unix:/x" or "tcp:127.0.0.1:4555"; caller frees */
